//! What is stored: the journal, delivery, the index, searches.

use std::path::Path;
use std::sync::Arc;

use journal::Journal;
use mail::search::Key;
use mailbox::{Account, Delivery, Environment, Indexer, Paths, Replay};
use system::{HostDisk, SystemClock};

use crate::texts::message;
use crate::{Outcome, Run};

/// Records that one run appends, waits for together, and releases.
const TOGETHER: usize = 16;

fn journal(folder: &Path) -> Outcome<Journal> {
    let path = folder.join("journal");
    std::fs::create_dir(&path)?;
    let (journal, ..) = Journal::open(&path, Arc::new(HostDisk), &config::Journal::default(), Arc::new(|| Ok(())))?;
    Ok(journal)
}

/// Sixteen entries of 4 KiB that become durable together.
pub(crate) fn journal_append(folder: &Path) -> Outcome<Run> {
    let (journal, body) = (journal(folder)?, message(1, 4096));
    Ok(Box::new(move || {
        let entries: Vec<_> = (0..TOGETHER).map(|_| journal.entry(1, b"an envelope", body.as_bytes())).collect();
        for (id, durable) in entries {
            durable.wait()?;
            journal.release(id);
        }
        Ok(())
    }))
}

fn account(folder: &Path) -> Outcome<(Environment, Account)> {
    let environment = Environment {
        disk: Arc::new(HostDisk),
        clock: Arc::new(SystemClock),
        journal: journal(folder)?,
        indexer: Indexer::start()?,
        maildir: config::Maildir::default(),
        mailbox: config::Mailbox::default(),
        host: "mx.example".to_owned(),
    };
    let account = Account::open("joe", &environment, paths(folder))?;
    Ok((environment, account))
}

fn paths(folder: &Path) -> Paths {
    Paths { maildir: folder.join("Maildir"), index: folder.join("index") }
}

fn deliver(account: &Account, number: usize, text: &str) -> Outcome {
    let unique = format!("1764000000.T{number}_1.mx");
    let delivery = Delivery { mailbox: "INBOX", unique: &unique, received: 1_764_000_000, replay: Replay::No };
    account.deliver(&delivery, &mut text.as_bytes())?;
    Ok(())
}

fn filled(folder: &Path, messages: usize) -> Outcome<(Environment, Account)> {
    let (environment, account) = account(folder)?;
    (0..messages).try_for_each(|number| deliver(&account, number, &message(number, 2048)))?;
    Ok((environment, account))
}

/// A message of 4 KiB into INBOX.
pub(crate) fn delivery(folder: &Path) -> Outcome<Run> {
    let (_environment, account) = account(folder)?;
    let (text, mut number) = (message(1, 4096), 0);
    Ok(Box::new(move || {
        number += 1;
        let _ = &_environment;
        deliver(&account, number, &text)
    }))
}

/// A mailbox of 10,000 is opened from its index by an account that was closed.
pub(crate) fn index_open(folder: &Path) -> Outcome<Run> {
    // The content does not matter here: the smallest files will do.
    let (environment, account) = account(folder)?;
    (0..10_000).try_for_each(|number| deliver(&account, number, "Subject: x\n\n"))?;
    account.view("INBOX", false)?;
    account.close();
    drop(account);
    let folder = folder.to_owned();
    Ok(Box::new(move || {
        let account = Account::open("joe", &environment, paths(&folder))?;
        let count = account.view("INBOX", true)?.count();
        account.close();
        if count == 10_000 { Ok(()) } else { Err(format!("{count} messages").into()) }
    }))
}

/// The subject of 1,000 messages.
pub(crate) fn search_subject(folder: &Path) -> Outcome<Run> {
    search(folder, Key::Header { name: "subject".to_owned(), text: "report 7".to_owned() }, 111)
}

/// Header and body of 1,000 messages, in which it is not.
pub(crate) fn search_text(folder: &Path) -> Outcome<Run> {
    search(folder, Key::Text("not in any of them".to_owned()), 0)
}

fn search(folder: &Path, key: Key, hits: usize) -> Outcome<Run> {
    let (environment, account) = filled(folder, 1000)?;
    let view = account.view("INBOX", true)?;
    // The first search reads the files; what follows is the path that counts.
    view.search(&key)?;
    Ok(Box::new(move || {
        let _ = (&environment, &account);
        let found = view.search(&key)?.len();
        if found == hits { Ok(()) } else { Err(format!("{found} found").into()) }
    }))
}
