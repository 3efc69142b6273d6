//! `mailctl filter replay`: what a rule file would do with messages that are already there.
//!
//! The messages are read as files, with or without a running daemon, and nothing is touched. No program is run. A filter is taken to
//! leave a message as it is: it has been through it when it came. A program that is a condition is taken to succeed, one whose output is
//! asked for to give none: what follows is a guess, is called one, and never moves a message.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use filter::{DryRun, Evaluator, FileHost, Programs, calendar};
use indicatif::{ProgressBar, ProgressStyle};
use pillarbox::control::{AskError, ask};
use pillarbox::sorting::without_daemon;
use serde_json::{Value, json};

use super::NO_INPUT;
use super::landing::{Landing, landing};
use super::subject::Subject;
use crate::instance::{EX_TEMPFAIL, EX_UNAVAILABLE, fail, load, print, print_json};

/// So many messages are moved with one request, which the daemon answers in time.
const AT_ONCE: usize = 200;

/// Arguments of `mailctl filter replay`.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The rule file to try
    #[arg(long, value_name = "FILE")]
    rc: PathBuf,
    /// List what this one would do differently, instead of what lies elsewhere now
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Whose messages [default: those in Maildir in HOME]
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The mailbox that is looked through
    #[arg(long, default_value = "INBOX", value_name = "MAILBOX")]
    mailbox: String,
    /// Only messages that have come since: a time ago such as 30d, 12h or 90m
    #[arg(long, value_name = "TIME", value_parser = time_ago)]
    since: Option<Duration>,
    /// Move each listed message to the mailbox that the rules want it in, with its flags and date
    #[arg(long, requires = "account")]
    apply: bool,
    /// Print JSON, one object a message
    #[arg(long)]
    json: bool,
}

/// Reads a time such as `30d`.
fn time_ago(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 30d, 12h or 90m".to_owned();
    let unit = text.char_indices().next_back().ok_or_else(wrong)?;
    let seconds = match unit.1 {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..unit.0].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

pub(super) fn run(config: &Path, args: &ReplayArgs) -> ExitCode {
    let subject = match Subject::find(config, args.account.as_deref()) {
        Ok(subject) => subject,
        Err(code) => return code,
    };
    for rules in [Some(&args.rc), args.against.as_ref()].into_iter().flatten() {
        if !subject.can_use(rules) {
            return fail(NO_INPUT, "nothing was tried");
        }
    }
    let replay = match Replay::new(&subject, args) {
        Ok(replay) => replay,
        Err(error) => return fail(NO_INPUT, error),
    };
    let files = match replay.files() {
        Ok(files) => files,
        Err(error) => return fail(NO_INPUT, format!("{}: {error}", replay.folder.display())),
    };
    let bar = progress(files.len() as u64);
    let mut found = Vec::new();
    for file in &files {
        found.extend(replay.look(file));
        bar.inc(1);
    }
    bar.finish_and_clear();
    found.iter().for_each(|found| replay.show(found, args.json));
    let guessed = found.iter().filter(|found| found.guessed).count();
    let remark = if guessed == 0 { String::new() } else { format!("; for {guessed} that is a guess: a program decides, and none was run") };
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{} of {} messages would land elsewhere{remark}", found.len(), files.len());
    if args.apply { apply(config, args, &found) } else { ExitCode::SUCCESS }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(length: u64) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} messages, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

struct Replay<'a> {
    subject: &'a Subject,
    args: &'a ReplayArgs,
    programs: Programs,
    maildir: PathBuf,
    folder: PathBuf,
    mailbox: String,
    oldest: SystemTime,
}

/// A message that would land elsewhere.
struct Found {
    /// The file's name up to the colon.
    base: String,
    date: u64,
    subject: String,
    was: Landing,
    now: Landing,
    /// It depends on a program that was not run.
    guessed: bool,
}

impl<'a> Replay<'a> {
    fn new(subject: &'a Subject, args: &'a ReplayArgs) -> Result<Self, maildir::Error> {
        let maildir = subject.home.join("Maildir");
        let mailbox = if maildir::folder::is_inbox(&args.mailbox) { "INBOX".to_owned() } else { args.mailbox.clone() };
        let folder = maildir.join(maildir::folder::folder_name(&mailbox)?);
        let oldest = args.since.and_then(|since| SystemTime::now().checked_sub(since)).unwrap_or(UNIX_EPOCH);
        Ok(Self { subject, args, programs: Programs::new(), maildir, folder, mailbox, oldest })
    }

    /// The messages' files, those that came first in front.
    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for part in ["new", "cur"] {
            for entry in std::fs::read_dir(self.folder.join(part))? {
                let entry = entry?;
                let recent = entry.metadata().and_then(|meta| meta.modified()).is_ok_and(|modified| modified >= self.oldest);
                if recent && maildir::name::is_message(entry.file_name().as_encoded_bytes()) {
                    files.push(entry.path());
                }
            }
        }
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        Ok(files)
    }

    /// What the rules do with one message, if that is news and it is still there.
    fn look(&self, file: &Path) -> Option<Found> {
        let modified = file.metadata().and_then(|meta| meta.modified()).ok()?;
        let date = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let message = std::fs::read(file).ok()?;
        let (now, guessed) = self.landing(&self.args.rc, message.clone(), date);
        let (was, guessed_before) = match &self.args.against {
            Some(old) => self.landing(old, message.clone(), date),
            None => (Landing::there(&self.mailbox), false),
        };
        if now.is_same_place(&was) {
            return None;
        }
        let name = file.file_name()?.as_encoded_bytes();
        let base = String::from_utf8_lossy(maildir::name::base(name)).into_owned();
        let field = mime::header::fields(&message).find(|field| field.is(b"subject"));
        let subject = field.map(|field| String::from_utf8_lossy(&field.text()).trim().replace(char::is_control, " ")).unwrap_or_default();
        Some(Found { base, date, subject, was, now, guessed: guessed || guessed_before })
    }

    fn landing(&self, rules: &Path, mut message: Vec<u8>, date: u64) -> (Landing, bool) {
        let mut inner = FileHost::new(&self.subject.limits, &self.programs, None, false).trusting(self.subject.owners.clone());
        let mut host = DryRun::new(&mut inner, false);
        let request = self.subject.delivery(rules, &mut message, date);
        let outcome = Evaluator::new(&mut host, &self.subject.limits, request, message).filter();
        (landing(&outcome, &self.maildir), host.taken_to_succeed() > 0)
    }

    fn show(&self, found: &Found, as_json: bool) {
        let Found { base, date, subject, was, now, guessed } = found;
        if as_json {
            let (was_at, now_at) = (was.rule(), now.rule());
            return print_json(&json!({
                "file": base, "mailbox": self.mailbox, "date": date, "subject": subject,
                "from": was.places(), "from_rule": was_at, "to": now.places(), "to_rule": now_at, "guessed": guessed,
            }));
        }
        let rule = now.rule().map_or_else(String::new, |rule| format!(" ({rule})"));
        let guessed = if *guessed { " (a guess)" } else { "" };
        print(format_args!("{} -> {}{rule}{guessed}  {}  {subject}", was.places().join(" "), now.places().join(" "), calendar(*date)));
    }
}

/// Moves what has one mailbox to go to.
fn apply(config_path: &Path, args: &ReplayArgs, found: &[Found]) -> ExitCode {
    let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut left = 0;
    for found in found {
        match found.now.mailbox() {
            Some(mailbox) if !found.guessed => targets.entry(mailbox).or_default().push(&found.base),
            _ => left += 1,
        }
    }
    let account = args.account.as_deref().unwrap_or_default();
    let batches = targets.iter().flat_map(|(to, files)| files.chunks(AT_ONCE).map(move |files| (to, files)));
    let requests: Vec<Value> = batches
        .map(|(to, files)| json!({"command": "move-messages", "account": account, "from": args.mailbox, "to": to, "files": files}))
        .collect();
    let moved = match carry_out(config_path, &requests) {
        Ok(moved) => moved,
        Err(code) => return code,
    };
    let remark =
        if left == 0 { String::new() } else { format!("; {left} stay, which are a guess or would not go to one mailbox of the account") };
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{moved} messages moved{remark}");
    ExitCode::SUCCESS
}

/// Asks the daemon to move, or does it without one if none runs.
fn carry_out(config_path: &Path, requests: &[Value]) -> Result<u64, ExitCode> {
    let (config, layout) = load(config_path)?;
    let mut moved = 0;
    for request in requests {
        match ask(&layout, request) {
            Ok(answer) => moved += answer["moved"].as_u64().unwrap_or(0),
            Err(AskError::NotRunning) if moved == 0 => {
                let path = std::path::absolute(config_path).unwrap_or_else(|_| config_path.to_owned());
                return without_daemon(path, config, requests).map_err(|error| fail(error.exit_code(), error));
            }
            Err(error @ AskError::Refused(_)) => return Err(fail(EX_UNAVAILABLE, error)),
            Err(error) => return Err(fail(EX_TEMPFAIL, format!("{error}; {moved} messages were moved"))),
        }
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, seconds) in [("30d", Some(2_592_000)), ("12h", Some(43_200)), ("90m", Some(5_400)), ("2w", Some(1_209_600))] {
            assert_eq!(time_ago(text).ok().map(|time| time.as_secs()), seconds, "{text}");
        }
        for text in ["", "d", "30", "30x", "-1d", "99999999999999999999d", "3é"] {
            assert!(time_ago(text).is_err(), "{text}");
        }
    }
}
