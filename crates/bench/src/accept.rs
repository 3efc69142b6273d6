//! On the way in: the SMTP session, the look-up of aliases, the rules.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use alias::{Resolver, Sender};
use filter::{Base, Evaluator, FileHost, Programs, Request, RuleFile, Variables};
use mail::Verdict;
use smtp::{Answer, Effect, Now, Peer, Role, Session, Settings};

use crate::texts::message;
use crate::{Outcome, Run};

/// A session takes a whole transaction with a message of 64 KiB in the pieces that a socket gives.
pub(crate) fn smtp_data(_: &Path) -> Outcome<Run> {
    let now = Now { instant: Instant::now(), micros: 1_772_532_000_000_000 };
    let limits = config::Smtp { greeting_pause: std::time::Duration::ZERO, ..config::Smtp::default() };
    let settings = Arc::new(Settings::new(limits, "mx.example".parse()?, Role::Relay));
    let peer = Peer { address: "127.0.0.9".parse()?, tls: None, known: true };
    let mut session = Session::new(settings, peer, now);
    session.receive(b"EHLO client.example\r\n");
    drive(&mut session, now);
    let body = message(1, 64 << 10).replace('\n', "\r\n").replace("\r\n.", "\r\n..");
    Ok(Box::new(move || {
        session.receive(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n");
        drive(&mut session, now);
        let pieces = body.as_bytes().chunks(8 << 10);
        let size: usize = pieces
            .chain([&b".\r\n"[..]])
            .map(|piece| {
                session.receive(piece);
                drive(&mut session, now)
            })
            .sum();
        if size < 60 << 10 { Err(format!("only {size} octets of content").into()) } else { Ok(()) }
    }))
}

/// Does what the session asks for; gives how many octets of content came.
fn drive(session: &mut Session, now: Now) -> usize {
    let mut size = 0;
    while let Some(effect) = session.next(now) {
        match effect {
            Effect::Body(octets) => size += octets.len(),
            Effect::CheckSender { .. } | Effect::CheckRecipient { .. } | Effect::Begin(_) | Effect::Commit { .. } => {
                session.answer(Answer::Verdict(Verdict::Accept), now);
            }
            _ => {}
        }
    }
    size
}

/// An address that leads over two others to an account, in a map of 100,000 lines.
pub(crate) fn alias_lookup(folder: &Path) -> Outcome<Run> {
    let mut map = String::from("alias.example anything\n");
    for number in 0..100_000 {
        map += &format!(
            "user{number}@alias.example user{}@alias.example\n",
            if number % 3 == 2 { "".to_owned() } else { (number + 1).to_string() }
        );
    }
    map += "user@alias.example joe\n";
    std::fs::write(folder.join("virtual"), map)?;
    let section = config::Alias { maps: vec![format!("hash:{}", folder.join("virtual").display())], ..config::Alias::default() };
    let loaded = Resolver::load(&section, "mx.example", &[], &|path| std::fs::read(path));
    let (resolver, _) = loaded.strict().map_err(|problems| format!("{problems:?}"))?;
    let mut number = 0;
    Ok(Box::new(move || {
        number = (number + 7_919) % 33_000;
        let address = format!("user{}@alias.example", number * 3);
        let found = resolver.resolve(&address, Sender::Stranger, &|name| name == "joe").map_err(|rejection| rejection.cause)?;
        if found.recipients.len() == 1 { Ok(()) } else { Err("not one recipient".into()) }
    }))
}

const SMALL: &str = "\
:0
* ^List-Id:.*<\\/[^.>@]+
.lists.$MATCH/
:0
* ^Subject:.*(cheap|prize)
/dev/null
:0
* ^TO_friends@
friends/
:0 B
* unsubscribe now
/dev/null
:0
* < 280000
* ^X-Spam-Status: Yes, score=([5-9]|1[0-9]|[2-9][0-9])
.junk/
:0
/dev/null
";

/// A user's small rule file.
pub(crate) fn recipes_small(folder: &Path) -> Outcome<Run> {
    recipes(folder, SMALL)
}

/// A rule file of 2,000 recipes of which none fits.
pub(crate) fn recipes_many(folder: &Path) -> Outcome<Run> {
    let recipes_text: String = (0..2000).map(|number| format!(":0\n* ^Subject:.*word{number}x\nfolder{number}/\n")).collect();
    recipes(folder, &(recipes_text + ":0\n/dev/null\n"))
}

fn recipes(folder: &Path, rules: &str) -> Outcome<Run> {
    std::fs::write(folder.join("rules"), rules)?;
    let (folder, programs, message) = (folder.to_owned(), Programs::new(), message(1, 10 << 10));
    Ok(Box::new(move || {
        let limits = config::Filter::default();
        let mut host = FileHost::new(&limits, &programs, None, false);
        let mut variables = Variables::new();
        variables.set(b"HOME", folder.as_os_str().as_encoded_bytes());
        let files = vec![RuleFile { name: folder.join("rules"), base: Base::Home, optional: false }];
        let request = Request { variables, files, folder: folder.clone(), ..Request::default() };
        let outcome = Evaluator::new(&mut host, &limits, request, message.as_bytes()).filter();
        if (outcome.code, outcome.deliveries.len()) == (0, 1) { Ok(()) } else { Err("the rules failed".into()) }
    }))
}
