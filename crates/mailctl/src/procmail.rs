//! The command line of procmail(1): `mailctl procmail`, or any name that ends in `procmail`.
//!
//! It stands in for procmail under another mail system. All that a rule file does is in the library `filter`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use filter::{Base, Evaluator, FileHost, Programs, Request, RuleFile, Variables, calendar};

const USAGE: u8 = 64;
const NO_INPUT: u8 = 66;
const NO_USER: u8 = 67;
const NO_PERMISSION: u8 = 77;
const CANNOT_CREATE: u8 = 73;
const TRY_AGAIN: u8 = 75;

const SYNOPSIS: &str = "\
Usage: procmail [-vptoY] [-f fromwhom] [parameter=value | rcfile] ...
   Or: procmail [-toY] [-f fromwhom] [-a argument] -d recipient ...
   Or: procmail [-ptY] [-f fromwhom] -m [parameter=value] ... rcfile [arg] ...
";

/// What the options say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    version: bool,
    help: bool,
    keep_environment: bool,
    soft_failure: bool,
    mail_filter: bool,
    berkeley: bool,
    from: Option<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    recipients: Vec<Vec<u8>>,
    /// What follows the options.
    rest: Vec<Vec<u8>>,
    /// Lines for the user.
    complaints: Vec<String>,
}

impl Options {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter().map(OsString::into_vec).peekable();
        while let Some(argument) = arguments.next_if(|argument| argument.first() == Some(&b'-')) {
            if argument == b"--" {
                break;
            }
            if !options.letters(&argument[1..], &mut arguments) {
                return options;
            }
        }
        options.rest = arguments.collect();
        if options.mail_filter && !options.arguments.is_empty() {
            options.arguments.clear();
            options.conflict();
        }
        options
    }

    fn conflict(&mut self) {
        self.complaints.push(format!("Conflicting options\n{SYNOPSIS}"));
    }

    /// Takes the letters of one argument; false if what follows belongs to `-d`.
    fn letters(&mut self, letters: &[u8], arguments: &mut dyn Iterator<Item = Vec<u8>>) -> bool {
        for (place, letter) in letters.iter().enumerate() {
            let rest = &letters[place + 1..];
            let mut value = || if rest.is_empty() { arguments.next() } else { Some(rest.to_vec()) };
            match letter {
                b'v' => self.version = true,
                b'h' | b'?' => self.help = true,
                b'p' => self.keep_environment = true,
                b't' => self.soft_failure = true,
                b'm' => self.mail_filter = true,
                b'Y' | b'y' => self.berkeley = true,
                // Everybody may set the From_ line of his own mail here, so that there are no fakes to override.
                b'o' => {}
                b'f' | b'r' => {
                    match value() {
                        Some(value) => self.from = Some(value),
                        None => self.complaints.push("Missing name\n".to_owned()),
                    }
                    return true;
                }
                b'a' => {
                    match value() {
                        Some(value) => self.arguments.push(value),
                        None => self.complaints.push("Missing argument\n".to_owned()),
                    }
                    return true;
                }
                b'd' => {
                    self.recipients.extend(value());
                    self.recipients.extend(arguments);
                    if self.recipients.is_empty() {
                        self.complaints.push("Missing recipient\n".to_owned());
                        return true;
                    }
                    if self.keep_environment || self.mail_filter {
                        (self.keep_environment, self.mail_filter) = (false, false);
                        self.conflict();
                    }
                    return false;
                }
                _ => {
                    let shown = String::from_utf8_lossy(&letters[place..]).into_owned();
                    self.complaints.push(format!("Unrecognised options: \"{shown}\"\n{SYNOPSIS}Processing continued\n"));
                    return true;
                }
            }
        }
        true
    }
}

/// A user, as in /etc/passwd.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    home: Vec<u8>,
    shell: Vec<u8>,
}

impl User {
    fn find(wanted: impl Fn(&Self) -> bool) -> Option<Self> {
        let file = std::fs::read("/etc/passwd").ok()?;
        file.split(|octet| *octet == b'\n').filter_map(Self::read).find(wanted)
    }

    fn read(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|octet| *octet == b':').collect();
        let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
        let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
        Some(Self { name: name.to_vec(), uid: number(uid)?, gid: number(gid)?, home: home.to_vec(), shell: shell.to_vec() })
    }

    /// The user that started the program: the one of LOGNAME, if the number agrees.
    fn own() -> Self {
        let uid = rustix::process::getuid().as_raw();
        let named = std::env::var_os("LOGNAME").map(OsString::into_vec);
        let hinted = Self::find(|user| user.uid == uid && Some(&user.name) == named.as_ref());
        hinted.or_else(|| Self::find(|user| user.uid == uid)).unwrap_or_else(|| Self {
            name: uid.to_string().into_bytes(),
            uid,
            gid: rustix::process::getgid().as_raw(),
            home: b"/".to_vec(),
            shell: Vec::new(),
        })
    }
}

/// Runs the command with the arguments behind its name.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = Options::read(arguments);
    for complaint in &options.complaints {
        say(&format!("procmail: {complaint}"));
    }
    if options.version {
        say(concat!("mailctl ", env!("CARGO_PKG_VERSION"), " as procmail v3.23pre\n"));
        return ExitCode::SUCCESS;
    }
    if options.help {
        say(SYNOPSIS);
        return ExitCode::from(USAGE);
    }
    let user = User::own();
    let failure = if options.soft_failure { TRY_AGAIN } else { CANNOT_CREATE };
    let mut message = Vec::new();
    if io::stdin().lock().read_to_end(&mut message).is_err() {
        return ExitCode::from(TRY_AGAIN);
    }
    if options.from.is_some() || !options.recipients.is_empty() {
        message = with_from_line(message, options.from.as_deref(), &user.name);
    }
    if options.recipients.is_empty() {
        return ExitCode::from(filter_message(&options, &user, &message));
    }
    let codes: Vec<u8> = options.recipients.iter().map(|name| deliver_to(name, &options, &user, &message)).collect();
    match codes[..] {
        [code] => ExitCode::from(code),
        _ if codes.iter().all(|code| *code == 0) => ExitCode::SUCCESS,
        _ => ExitCode::from(failure),
    }
}

fn say(text: &str) {
    // There is nobody left to tell if this fails.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Delivers to another user (`-d`), as that user.
fn deliver_to(name: &[u8], options: &Options, own: &User, message: &[u8]) -> u8 {
    let shown = String::from_utf8_lossy(name);
    let Some(user) = User::find(|user| user.name == name) else {
        say(&format!("procmail: Unknown user \"{shown}\"\n"));
        return NO_USER;
    };
    if user.uid == own.uid {
        return filter_message(options, &user, message);
    }
    if own.uid != 0 {
        say("procmail: Insufficient privileges\n");
        return NO_PERMISSION;
    }
    run_as(&user, options, message).unwrap_or(TRY_AGAIN)
}

/// Runs this program again with the identity of `user`.
fn run_as(user: &User, options: &Options, message: &[u8]) -> io::Result<u8> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("procmail").uid(user.uid).gid(user.gid).current_dir("/").stdin(Stdio::piped());
    command.env("LOGNAME", OsStr::from_bytes(&user.name));
    command.args(options.soft_failure.then_some("-t")).args(options.berkeley.then_some("-Y"));
    for argument in &options.arguments {
        command.arg("-a").arg(OsStr::from_bytes(argument));
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(message)?;
    }
    let code = child.wait()?.code();
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(TRY_AGAIN))
}

/// The message with a From_ line as `-f` asks for it: `-` renews the time, a name makes a new line.
fn with_from_line(message: Vec<u8>, from: Option<&[u8]>, invoker: &[u8]) -> Vec<u8> {
    let start = message.iter().take_while(|octet| **octet == b'\n').count();
    let text = &message[start..];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let stamp = format!("  {}\n", calendar(now)).into_bytes();
    let old = text.starts_with(b"From ").then(|| text.iter().position(|octet| *octet == b'\n').map_or(text.len(), |end| end + 1));
    let rest = &text[old.unwrap_or(0)..];
    let line = match (old, from) {
        (Some(end), None) => return text[..end].iter().chain(rest).copied().collect(),
        (Some(end), Some(b"-")) => text[..end_of_address(&text[..end])].to_vec(),
        (_, from) => [b"From ", from.filter(|from| *from != b"-").unwrap_or(invoker)].concat(),
    };
    [line, stamp, rest.to_vec()].concat()
}

/// Where the address in a From_ line ends.
fn end_of_address(line: &[u8]) -> usize {
    const BEGIN: usize = 5;
    let blanks = line[BEGIN..].iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    let begin = BEGIN + blanks;
    line[begin..].iter().position(|octet| b" \t\n".contains(octet)).map_or(line.len(), |end| begin + end)
}

/// The variables at the start.
fn variables(options: &Options, user: &User) -> Variables {
    let mut variables = Variables::new();
    let kept = |name: &OsString| {
        let name = name.as_bytes();
        let harmful = name.starts_with(b"LD_") || name.starts_with(b"_RLD") || matches!(name, b"IFS" | b"ENV" | b"PWD");
        name == b"TZ" || (options.keep_environment && !harmful)
    };
    for (name, value) in std::env::vars_os().filter(|(name, _)| kept(name)) {
        variables.set(name.as_bytes(), value.into_vec());
    }
    let shell = if user.shell.is_empty() { b"/bin/sh".to_vec() } else { user.shell.clone() };
    let mailbox = [b"/var/mail/", user.name.as_slice()].concat();
    variables.set(b"LOGNAME", user.name.clone());
    variables.set(b"HOME", user.home.clone());
    variables.set(b"SHELL", shell);
    variables.set(b"PATH", [user.home.as_slice(), b"/bin:/usr/local/bin:/usr/bin:/bin"].concat());
    variables.set(b"DEFAULT", mailbox.clone());
    if !options.mail_filter {
        variables.set(b"ORGMAIL", mailbox);
    }
    variables
}

/// Sorts what follows the options: assignments, rule files, and with `-m` the arguments behind the rule file.
fn sort_rest(options: &Options, request: &mut Request) {
    let file = |name: &[u8]| {
        let current = options.mail_filter && !name.starts_with(b"/") || name.starts_with(b"./");
        let base = if current { Base::Current } else { Base::Home };
        RuleFile { name: PathBuf::from(OsStr::from_bytes(name)), base, optional: false }
    };
    let mut rest = options.rest.iter();
    for argument in rest.by_ref() {
        if argument.contains(&b'=') {
            request.assignments.push(argument.clone());
            continue;
        }
        request.files.push(file(argument));
        if options.mail_filter {
            break;
        }
    }
    if options.mail_filter {
        request.arguments = rest.cloned().collect();
    } else if request.files.is_empty() {
        let standard = |name: &str| RuleFile { name: PathBuf::from(name), base: Base::Home, optional: true };
        if !options.keep_environment {
            request.system_file = Some(PathBuf::from("/etc/procmailrc"));
        }
        request.files.push(standard(".procmailrc"));
    }
}

/// Filters the message as `user`; gives the exit code.
fn filter_message(options: &Options, user: &User, message: &[u8]) -> u8 {
    let mut request = Request {
        variables: variables(options, user),
        arguments: options.arguments.clone(),
        program_name: std::env::args_os().next().map(OsString::into_vec).unwrap_or_default(),
        folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        soft_failure: options.soft_failure,
        berkeley: options.berkeley,
        ..Request::default()
    };
    sort_rest(options, &mut request);
    if options.mail_filter && request.files.is_empty() {
        say("procmail: Missing rcfile\n");
        return NO_INPUT;
    }
    let limits = config::Filter::default();
    let programs = Programs::new();
    let log = io::stderr().as_fd().try_clone_to_owned().ok().map(File::from);
    let mut host = FileHost::new(&limits, &programs, log, true);
    let outcome = Evaluator::new(&mut host, &limits, request, message).filter();
    // As the system does with an exit code: its low eight bits count.
    u8::try_from(outcome.code & 0xff).unwrap_or(TRY_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_are_read_as_procmail_reads_them() {
        let read = options(&["-t", "-Yf", "joe", "-a", "x", "-ay", "A=1", "rc"]);
        assert!(read.soft_failure && read.berkeley);
        assert_eq!(read.from.as_deref(), Some(&b"joe"[..]));
        assert_eq!(read.arguments, [b"x", b"y"]);
        assert_eq!(read.rest, [b"A=1".to_vec(), b"rc".to_vec()]);
        assert_eq!(options(&["-d", "ann", "bob"]).recipients, [b"ann", b"bob"]);
        assert_eq!(options(&["-m", "-a", "x", "rc"]).complaints.len(), 1);
        assert_eq!(options(&["--", "-x"]).rest, [b"-x"]);
    }

    #[test]
    fn from_lines_are_made_and_renewed() {
        let first = |text: &str, from: &str| {
            let message = with_from_line(text.as_bytes().to_vec(), Some(from.as_bytes()), b"me");
            String::from_utf8(message).unwrap()
        };
        assert!(first("A: b\n", "joe").starts_with("From joe  "));
        assert!(first("From x Tue Mar  5 10:11:12 2019\nA: b\n", "joe").ends_with("\nA: b\n"));
        assert!(first("From x Tue Mar  5 10:11:12 2019\nA: b\n", "-").starts_with("From x  "));
        assert!(first("\n\nA: b\n", "-").starts_with("From me  "));
    }
}
