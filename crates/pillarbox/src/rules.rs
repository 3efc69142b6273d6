//! Runs an account's rule file over a message: the daemon's [`filter::Host`]. Maildir targets within the account's Maildir go
//! through its mailbox store, everything else is done as procmail does and noted as not covered by the journal.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use auth::Accounts;
use config::Config;
use filter::confine::{self, Confinement};
use filter::{
    Base, Evaluator, FileHost, Finished, Folder, FolderKind, Host, Job, Letter, Lock, NotAFolder, Origin, Outcome, Place, Program,
    Programs, Request, RuleFile, Target, Text, Unreadable, Variables,
    trust::{self, Distrust},
};

use crate::instance::Layout;

/// What an account's rules see of their surroundings.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The account's name.
    pub account: String,
    /// Its home.
    pub home: PathBuf,
    /// What `!` forwards with.
    pub sendmail: PathBuf,
    /// The daemon's configuration, for programs that speak with it.
    pub config: PathBuf,
}

impl Surroundings {
    /// What the daemon asks the filter for a message to this account: the variables and assignments before the rule file, and the
    /// extension of the address as `$1`.
    #[must_use]
    pub fn request(&self, rules: &Path, extension: &str, sender: &str) -> Request {
        Request {
            variables: variables(self, sender),
            assignments: self.assignments(),
            system_file: None,
            files: vec![RuleFile { name: rules.to_owned(), base: Base::Home, optional: false }],
            arguments: vec![extension.as_bytes().to_vec()],
            program_name: b"pillarbox".to_vec(),
            folder: self.home.join("Maildir"),
            soft_failure: true,
            berkeley: false,
            explain: false,
        }
    }
}

impl Surroundings {
    /// What is set before the rule file is read, as on procmail's command line.
    fn assignments(&self) -> Vec<Vec<u8>> {
        // SENDMAIL has a preset, which a variable of the start would not change.
        let sendmail = self.sendmail.as_os_str().as_bytes();
        let forwards = [&b"SENDMAIL="[..], &quoted(sendmail)].concat();
        // As `mailbox_command` of the user's main.cf has them.
        vec![forwards, b"DEFAULT=$HOME/Maildir/".to_vec(), b"MAILDIR=$HOME/Maildir".to_vec()]
    }
}

/// The text in the language's single quotes, in which nothing but themselves is special.
fn quoted(text: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = text.split(|octet| *octet == b'\'').collect();
    [&b"'"[..], &parts.join(&b"'\"'\"'"[..]), b"'"].concat()
}

/// What programs of the rules in this home may do: `sendmail` works, and other accounts' mail, keys and the instance's own files
/// are out of reach. `None` in a process that cannot start them so, such as a test.
#[must_use]
pub fn confinement(config: &Config, config_path: &Path, accounts: &Accounts, home: &Path) -> Option<Confinement> {
    if !confine::is_ready() {
        return None;
    }
    let layout = Layout::of(config);
    let others = accounts.list().into_iter().map(|account| account.home.clone());
    let own = [layout.data(), &config.server.tls_key, home].map(Path::to_owned);
    let hidden: Vec<PathBuf> = own.into_iter().chain(others).filter(|path| !path.as_os_str().is_empty()).collect();
    let readable = [layout.programs(), layout.sendmail(), config_path.to_owned()];
    Some(Confinement::new(&config.filter, home, &hidden, &readable))
}

/// Puts a message into a mailbox; gives the name of its file.
pub(crate) trait Store {
    /// The mailbox that a folder of the account's Maildir is; `None` if it is none.
    fn mailbox_at(&self, path: &Path) -> Option<String>;

    /// Stores the pieces, one behind the other, as one message.
    fn store(&mut self, mailbox: &str, pieces: &[&[u8]]) -> io::Result<String>;
}

/// What became of a message, in words for the log and the trace.
#[derive(Debug)]
pub(crate) struct Filtered {
    pub(crate) outcome: Outcome,
    pub(crate) log: String,
}

/// A rule file, and what a look at it has shown; `None` if that could not be told.
pub(crate) type Rules<'a> = (&'a Path, Option<&'a Metadata>);

/// Runs the rule file over the message. Without a confinement its programs may do all that the daemon may.
pub(crate) fn run(
    surroundings: &Surroundings,
    (rules, seen): Rules<'_>,
    (limits, programs, confinement): (&config::Filter, &Programs, Option<&Confinement>),
    (extension, sender): (&str, &str),
    message: Letter,
    store: &mut dyn Store,
) -> Filtered {
    let files = FileHost::new(limits, programs, None, false).confined(confinement).keeping_errors();
    let seen = seen.map(|seen| (rules, seen));
    let mut host = DaemonHost { files, limits, programs, store, home: &surroundings.home, seen, log: Vec::new() };
    let request = surroundings.request(rules, extension, sender);
    let outcome = Evaluator::new(&mut host, limits, request, message).filter();
    Filtered { outcome, log: printable(&host.log) }
}

/// The text with nothing in it that a terminal would obey.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(|c: char| c.is_control() && c != '\n' && c != '\t', "?")
}

/// The line that mail programs put above a message for procmail: `From sender  Sun Nov 22 17:06:01 2026`. It is left out of a
/// Maildir, and divides the messages of an mbox.
#[must_use]
pub fn from_line(sender: &str, seconds: u64) -> Vec<u8> {
    let sender = if sender.is_empty() { "MAILER-DAEMON" } else { sender };
    format!("From {sender}  {}\n", filter::calendar(seconds)).into_bytes()
}

fn variables(surroundings: &Surroundings, sender: &str) -> Variables {
    let Surroundings { account, home, config, sendmail: _ } = surroundings;
    let path = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let inbox = [&path(home), &b"/Maildir/"[..]].concat();
    let mut variables = Variables::new();
    let all: [(&'static str, Cow<'static, [u8]>); 8] = [
        ("HOME", path(home).into()),
        ("LOGNAME", account.clone().into_bytes().into()),
        ("USER", account.clone().into_bytes().into()),
        ("SHELL", Cow::Borrowed(b"/bin/sh")),
        ("PATH", [&path(home)[..], b"/bin:/usr/local/bin:/usr/bin:/bin"].concat().into()),
        ("ORGMAIL", inbox.into()),
        ("SENDER", sender.as_bytes().to_vec().into()),
        ("PILLARBOX_CONFIG", path(config).into()),
    ];
    for (name, value) in all {
        variables.preset(name.as_bytes(), value);
    }
    variables
}

/// The user that this process acts as, asked once: nothing here changes it.
fn own_user() -> u32 {
    static USER: OnceLock<u32> = OnceLock::new();
    *USER.get_or_init(|| rustix::process::geteuid().as_raw())
}

/// The daemon's host: the standard one, but for the account's own Maildir and for files that are not safe.
struct DaemonHost<'a> {
    files: FileHost<'a>,
    store: &'a mut dyn Store,
    limits: &'a config::Filter,
    programs: &'a Programs,
    home: &'a Path,
    /// The account's rule file as it was a moment ago, until it is used: it may be another when it is asked for again.
    seen: Option<(&'a Path, &'a Metadata)>,
    log: Vec<u8>,
}

/// The most of a rule file's own log that is kept where it names no LOGFILE, in octets.
const LONGEST_LOG: usize = 64 << 10;

impl DaemonHost<'_> {
    fn mailbox(&self, place: Place<'_>, kind: FolderKind) -> Option<String> {
        if kind != FolderKind::Maildir {
            return None;
        }
        self.store.mailbox_at(&place.path().ok()?)
    }

    /// What a program has to complain about, where no LOGFILE takes it, with the place in the rule file.
    fn note_errors(&mut self, errors: &[u8], origin: Option<&Origin>) {
        let place = origin.map(|origin| format!("{}:{}: ", String::from_utf8_lossy(&origin.file), origin.line)).unwrap_or_default();
        for line in errors.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            self.note(&[place.as_bytes(), line, b"\n"].concat());
        }
    }

    fn note(&mut self, text: &[u8]) {
        let room = LONGEST_LOG.saturating_sub(self.log.len());
        self.log.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn is_in_own_maildir(&self, lock: &Path) -> bool {
        lock.parent().is_some_and(|folder| self.store.mailbox_at(folder).is_some())
    }
}

impl Host for DaemonHost<'_> {
    fn log(&mut self, text: &[u8]) {
        self.files.log(text);
        self.note(text);
    }

    fn open_log(&mut self, place: Option<Place<'_>>) -> io::Result<()> {
        self.files.open_log(place)
    }

    fn run(&mut self, job: &Job<'_>) -> Finished {
        let finished = self.files.run(job);
        self.note_errors(&finished.errors, job.origin);
        finished
    }

    fn load(&mut self, path: &Path) -> Result<Option<Arc<Program>>, Unreadable> {
        let loaded = match self.seen.take() {
            Some((rules, seen)) if rules == path => self.programs.load_seen(path, seen, self.limits),
            _ => self.files.load(path),
        };
        if let Err(error) = &loaded {
            tracing::warn!(file = %path.display(), "rule file not used: it {error}");
        }
        loaded
    }

    /// A rule file may belong to root, to the owner of the home, or to the user that this daemon runs as.
    fn distrust(&mut self, path: &Path) -> Option<Distrust> {
        let home = std::fs::metadata(self.home);
        let owners = [home.as_ref().map_or(0, |home| home.uid()), own_user()];
        let checked = match self.seen.filter(|(rules, _)| *rules == path) {
            Some((_, seen)) if path.parent() == Some(self.home) => trust::judge(seen, &owners, || home.ok()),
            _ => trust::check_any(path, &owners),
        };
        let distrust = checked.err()?;
        tracing::warn!(file = %path.display(), "rule file not used: it {distrust}");
        Some(distrust)
    }

    fn enter(&mut self, folder: &Path) -> bool {
        self.files.enter(folder)
    }

    fn set_umask(&mut self, mask: u32) {
        self.files.set_umask(mask);
    }

    fn standard_output(&mut self, _text: &Text<'_>) -> io::Result<()> {
        // The daemon's standard output is nobody's mailbox: the recipe fails, and the message stays.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open_folder(&mut self, place: Place<'_>, wanted: FolderKind, only_folder: bool) -> Result<Folder, NotAFolder> {
        if self.mailbox(place, wanted).is_some() {
            return Ok(Folder { kind: FolderKind::Maildir, mode: 0o700 });
        }
        self.files.open_folder(place, wanted, only_folder)
    }

    fn append(&mut self, place: Place<'_>, text: &Text<'_>) -> Result<(), (io::Error, bool)> {
        self.files.append(place, text)
    }

    fn store(&mut self, place: Place<'_>, kind: FolderKind, text: &Text<'_>) -> io::Result<Vec<u8>> {
        let Some(mailbox) = self.mailbox(place, kind) else { return self.files.store(place, kind, text) };
        let file = self.store.store(&mailbox, text.pieces)?;
        Ok(format!("/new/{file}").into_bytes())
    }

    fn link(&mut self, stored: &Path, place: Place<'_>, kind: FolderKind, prefix: &[u8]) -> io::Result<Vec<u8>> {
        self.files.link(stored, place, kind, prefix)
    }

    fn set_mode(&mut self, place: Place<'_>, mode: u32) {
        self.files.set_mode(place, mode);
    }

    /// A Maildir needs no lock, and a lock file within one that is not there yet could not be made: none is, for our own.
    fn lock(&mut self, path: &Path) -> Lock {
        if self.is_in_own_maildir(path) { Lock::Taken } else { self.files.lock(path) }
    }

    fn unlock(&mut self, path: &Path) -> bool {
        self.is_in_own_maildir(path) || self.files.unlock(path)
    }

    fn sleep(&mut self, time: Duration) {
        self.files.sleep(time);
    }

    fn now(&self) -> SystemTime {
        self.files.now()
    }

    fn hostname(&self) -> Vec<u8> {
        self.files.hostname()
    }

    fn process(&self) -> u32 {
        self.files.process()
    }
}

/// The targets that the journal does not cover, for the trace.
pub(crate) fn outside_targets(outcome: &Outcome) -> Vec<String> {
    let outside = outcome.deliveries.iter().filter(|delivery| !matches!(delivery.target, Target::Folder(FolderKind::Maildir)));
    outside.map(|delivery| OsStr::from_bytes(&delivery.name).to_string_lossy().into_owned()).collect()
}

/// `file:line` of the recipe that took the message.
pub(crate) fn matched_recipe(outcome: &Outcome) -> Option<String> {
    let origin = outcome.deliveries.last()?.origin.as_ref()?;
    Some(format!("{}:{}", String::from_utf8_lossy(&origin.file), origin.line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use filter::DryRun;

    #[test]
    fn rules_forward_with_the_sendmail_of_the_instance() {
        let limits = config::Filter::default();
        let programs = Programs::new();
        for path in ["/srv/mail/bin/sendmail", "/srv/a 'b' $HOME \"c\" `d`\\/sendmail"] {
            let surroundings =
                Surroundings { account: "joe".into(), home: "/nowhere".into(), sendmail: path.into(), config: "/nowhere/c".into() };
            let request = surroundings.request(Path::new(".procmailrc"), "", "a@b.example");
            let mut files = FileHost::new(&limits, &programs, None, false);
            let outcome = Evaluator::new(&mut DryRun::new(&mut files, false), &limits, request, &b"A: b\n\nc\n"[..]).filter();
            assert_eq!(outcome.variables.text(b"SENDMAIL"), path.as_bytes());
        }
    }

    /// A store that takes all.
    struct Taking;

    impl Store for Taking {
        fn mailbox_at(&self, _path: &Path) -> Option<String> {
            Some("INBOX".to_owned())
        }

        fn store(&mut self, _mailbox: &str, _pieces: &[&[u8]]) -> io::Result<String> {
            Ok("1.x.h".to_owned())
        }
    }

    #[test]
    fn a_change_of_the_rule_file_counts_with_the_next_message() {
        use std::fs;
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        fs::create_dir(home.join("Maildir")).unwrap();
        let (rules, other) = (home.join(".procmailrc"), home.join("other"));
        let (limits, programs) = (config::Filter::default(), Programs::new());
        let surroundings = Surroundings { account: "joe".into(), home: home.into(), sendmail: "/x".into(), config: "/x".into() };
        let line = || {
            let seen = rules.symlink_metadata().ok().filter(Metadata::is_file);
            let message = Letter::from(&b"A: b\n\nc\n"[..]);
            let how = (&limits, &programs, None);
            let filtered = run(&surroundings, (&rules, seen.as_ref()), how, ("", "a@b.example"), message, &mut Taking);
            matched_recipe(&filtered.outcome).map(|rule| rule.rsplit(':').next().unwrap().to_owned())
        };
        let mode = |mode| fs::set_permissions(&rules, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(&rules, ":0\n/dev/null\n").unwrap();
        mode(0o600);
        assert_eq!((line().as_deref(), line().as_deref()), (Some("1"), Some("1")));
        fs::write(&rules, "\n:0\n/dev/null\n").unwrap();
        assert_eq!(line().as_deref(), Some("2"), "edited in place");
        mode(0o602);
        assert_eq!(line(), None, "writable for everybody");
        mode(0o600);
        fs::set_permissions(home, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(line(), None, "in a folder that is writable for everybody");
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&other, "\n\n:0\n/dev/null\n").unwrap();
        fs::rename(&other, &rules).unwrap();
        assert_eq!(line().as_deref(), Some("3"), "replaced");
        fs::write(&other, "\n\n\n:0\n/dev/null\n").unwrap();
        fs::remove_file(&rules).unwrap();
        symlink(&other, &rules).unwrap();
        assert_eq!(line().as_deref(), Some("4"), "made a link");
        fs::write(&other, ":0\n/dev/null\n").unwrap();
        assert_eq!(line().as_deref(), Some("1"), "edited behind the link");
    }
}
