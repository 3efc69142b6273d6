//! Whose rules are looked at: an account of the instance, or the Unix user himself.

use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use auth::Accounts;
use filter::confine::Confinement;
use filter::{Base, Request, RuleFile, Variables};
use pillarbox::rules::{Surroundings, confinement, from_line};

use crate::instance::{EX_UNAVAILABLE, fail, load};

/// Whose rules, and what they see.
pub(super) struct Subject {
    pub(super) limits: config::Filter,
    pub(super) confinement: Option<Confinement>,
    pub(super) home: PathBuf,
    /// Whose rule files the daemon uses, and who tries one here.
    pub(super) owners: Vec<u32>,
    /// `None`: the user himself, as under procmail.
    account: Option<Surroundings>,
    delimiter: String,
}

impl Subject {
    /// Looks the account up, if one is named.
    pub(super) fn find(config_path: &Path, account: Option<&str>) -> Result<Self, ExitCode> {
        let Some(name) = account else { return Ok(Self::oneself()) };
        let (config, layout) = load(config_path)?;
        let open = || -> Result<Accounts, Box<dyn std::error::Error>> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(Accounts::open(&layout.accounts(), &config.auth))?)
        };
        let accounts = open().map_err(|error| fail(EX_UNAVAILABLE, error))?;
        let record =
            accounts.find(name).ok_or_else(|| fail(super::NO_INPUT, format!("there is no account {name}; see: mailctl account list")))?;
        let home = record.home.clone();
        let owner = |path: &Path| std::fs::metadata(path).map(|meta| meta.uid()).ok();
        let own = rustix::process::geteuid().as_raw();
        Ok(Self {
            owners: [owner(&home), owner(layout.data()), Some(own)].into_iter().flatten().collect(),
            confinement: confinement(&config, config_path, &accounts, &home),
            delimiter: config.alias.recipient_delimiter.clone(),
            limits: config.filter.clone(),
            account: Some(Surroundings {
                account: name.to_owned(),
                home: home.clone(),
                sendmail: layout.sendmail(),
                config: std::path::absolute(config_path).unwrap_or_else(|_| config_path.to_owned()),
            }),
            home,
        })
    }

    fn oneself() -> Self {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let owners = vec![rustix::process::getuid().as_raw()];
        Self { limits: config::Filter::default(), confinement: None, home, owners, account: None, delimiter: "+".to_owned() }
    }

    /// Says why a rule file is not used, if so; false if it cannot be read at all.
    pub(super) fn can_use(&self, rules: &Path) -> bool {
        let read = filter::read_text(rules, &self.limits);
        let reason = match &read {
            Ok(_) => filter::trust::check_any(rules, &self.owners).err().map(|distrust| distrust.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(reason) = reason {
            // There is nobody left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "mailctl: {} is not used: it {reason}", rules.display());
        }
        read.is_ok()
    }

    /// What the filter is asked for this message. One that has come to an account gets the From_ line that the daemon puts above it.
    pub(super) fn request(&self, rules: Option<&Path>, message: &mut Vec<u8>) -> Request {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        if self.account.is_none() {
            return own_request(rules, here);
        }
        let rules = rules.map_or_else(|| self.home.join(".procmailrc"), Path::to_owned);
        let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.delivery(&rules, message, now)
    }

    /// The same for a message that came at a time, by rules that deliver into the Maildir of the home.
    pub(super) fn delivery(&self, rules: &Path, message: &mut Vec<u8>, date: u64) -> Request {
        let arrival = Arrival::read(message, &self.delimiter);
        if !message.starts_with(b"From ") {
            message.splice(..0, from_line(&arrival.sender, date));
        }
        let rules = std::path::absolute(rules).unwrap_or_else(|_| rules.to_owned());
        let own = || Surroundings {
            account: std::env::var("LOGNAME").unwrap_or_default(),
            home: self.home.clone(),
            sendmail: PathBuf::from("/usr/sbin/sendmail"),
            config: PathBuf::new(),
        };
        let surroundings = self.account.clone().unwrap_or_else(own);
        surroundings.request(&rules, &arrival.extension, &arrival.sender)
    }
}

/// The request of a user who tries his own file, as procmail would see it.
fn own_request(rules: Option<&Path>, here: PathBuf) -> Request {
    let mut variables = Variables::new();
    for name in ["HOME", "LOGNAME", "SHELL", "PATH", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            variables.set(name.as_bytes(), value.into_vec());
        }
    }
    let mailbox = [b"/var/mail/", variables.text(b"LOGNAME")].concat();
    variables.set(b"DEFAULT", mailbox.clone());
    variables.set(b"ORGMAIL", mailbox);
    let name = rules.map_or_else(|| PathBuf::from(".procmailrc"), |rules| here.join(rules));
    Request { variables, files: vec![RuleFile { name, base: Base::Home, optional: false }], folder: here, ..Request::default() }
}

/// What the lines that final delivery puts above a message tell of its envelope.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) sender: String,
    /// What stood behind the delimiter in the recipient's address.
    pub(super) extension: String,
}

impl Arrival {
    pub(super) fn read(message: &[u8], delimiter: &str) -> Self {
        let field = |name: &[u8]| {
            let found = mime::header::fields(message).find(|field| field.is(name));
            found.map(|field| String::from_utf8_lossy(&field.text()).trim().to_owned()).unwrap_or_default()
        };
        let sender = field(b"return-path").trim_matches(['<', '>']).to_owned();
        let recipient = field(b"delivered-to");
        let local = recipient.rsplit_once('@').map_or("", |(local, _)| local);
        let extension = if delimiter.is_empty() { None } else { local.split_once(delimiter) };
        Self { sender, extension: extension.map(|(_, extension)| extension.to_owned()).unwrap_or_default() }
    }
}

/// Whether programs that decide something may be run: not those of another user's rule file, which would run as this one.
pub(super) fn may_run_programs(subject: &Subject) -> bool {
    if subject.account.is_none() {
        return true;
    }
    let own = rustix::process::geteuid().as_raw();
    let may = std::fs::metadata(&subject.home).is_ok_and(|home| home.uid() == own);
    if !may {
        // There is nobody left to tell if this fails.
        let _ = writeln!(
            std::io::stderr(),
            "mailctl: {} is another user's: programs of its rules are not run, and taken to succeed",
            subject.home.display()
        );
    }
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_read_from_the_lines_above() {
        for (message, sender, extension) in [
            ("Return-Path: <a@b.example>\nDelivered-To: joe+shop@here\n\n", "a@b.example", "shop"),
            ("Delivered-To: joe@here\n\n", "", ""),
            ("Return-Path: <>\n\nDelivered-To: joe+x@here\n", "", ""),
        ] {
            let expected = Arrival { sender: sender.to_owned(), extension: extension.to_owned() };
            assert_eq!(Arrival::read(message.as_bytes(), "+"), expected, "{message}");
        }
    }
}
