//! Rule files that are wrong: procmail's result where it has one, otherwise a clear line in the log, and the message in DEFAULT.
//!
//! Where procmail is installed and comes to an end, what it does with the same file is compared.

#![allow(clippy::unwrap_used)] // All of it is a test.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use filter::{Base, Evaluator, FileHost, Programs, Request, RuleFile, Variables};

const MESSAGE: &str = "From joe@example.com Tue Mar  5 10:11:12 2019\nFrom: joe@example.com\nSubject: test\n\nbody\n";

fn assignments(home: &Path) -> Vec<String> {
    let home = home.display();
    let fixed = ["LOGNAME=joe", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", "LOGABSTRACT=no"].map(str::to_owned);
    let own = [format!("HOME={home}"), format!("LOGFILE={home}/log"), format!("ORGMAIL={home}/org"), format!("DEFAULT={home}/default")];
    fixed.into_iter().chain(own).collect()
}

fn by_us(home: &Path, message: &[u8]) {
    let limits = config::Filter::default();
    let programs = Programs::new();
    let mut host = FileHost::new(&limits, &programs, None, false);
    let request = Request {
        variables: Variables::new(),
        assignments: assignments(home).into_iter().map(String::into_bytes).collect(),
        files: vec![RuleFile { name: home.join("rc"), base: Base::Home, optional: false }],
        folder: home.to_owned(),
        ..Request::default()
    };
    assert_eq!(Evaluator::new(&mut host, &limits, request, message).filter().code, 0);
}

/// False if there is no procmail.
fn by_procmail(home: &Path, message: &[u8]) -> bool {
    let mut command = Command::new("procmail");
    command.args(assignments(home)).arg(home.join("rc")).current_dir(home);
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else { return false };
    child.stdin.take().unwrap().write_all(message).unwrap();
    child.wait().unwrap();
    true
}

/// The log, and the folder that the message is in.
fn result(home: &Path) -> (String, Vec<&'static str>) {
    let log = fs::read_to_string(home.join("log")).unwrap_or_default().replace(&home.display().to_string(), "HOME");
    (log, ["default", "org", "other"].into_iter().filter(|name| home.join(name).exists()).collect())
}

/// Whether procmail has an answer to compare with.
#[derive(PartialEq)]
enum Peer {
    Same,
    /// It hangs, or reads the device for ever.
    None,
}

fn check_message(setup: &dyn Fn(&Path), message: &[u8], expected_log: &str, expected_place: &str, peer: Peer) {
    let [home, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    setup(home.path());
    by_us(home.path(), message);
    let (log, places) = result(home.path());
    assert!(log.contains(expected_log) && places == [expected_place], "{places:?}: {log}");
    if peer == Peer::Same {
        setup(other.path());
        if by_procmail(other.path(), message) {
            assert_eq!((log, places), result(other.path()), "ours and procmail's");
        }
    }
}

fn check_text(rules: &[u8], expected_log: &str, expected_place: &str) {
    let setup = |home: &Path| fs::write(home.join("rc"), rules).unwrap();
    check_message(&setup, MESSAGE.as_bytes(), expected_log, expected_place, Peer::Same);
}

fn check(setup: &dyn Fn(&Path), expected_log: &str, peer: Peer) {
    check_message(setup, MESSAGE.as_bytes(), expected_log, "default", peer);
}

#[test]
fn syntax_errors() {
    check_text(b":0 q\n* ^Subject\nother\n", "Skipped \"q\"", "other");
    check_text(b"junk.x\n:0\nother\n", "Skipped \".x\"", "other");
    check_text(b":0\n* ^Subject\n{\nA=1\n", "Missing closing brace", "default");
    check_text(b"}\n", "Closing brace unexpected", "default");
    check_text(b":0\n* ^Subject\n", "Incomplete recipe", "default");
    check_text(b"A=\"open\n:0\nother\n", "Unexpected EOL", "default");
    check_text(b":0\n* (a\nother\n", "Invalid regexp", "other");
    check_text(b"A=${B%x}\n:0\nother\n", "Bad substitution of \"B\"", "other");
    check_text(b"", "", "default");
}

#[test]
fn files_that_are_named_and_not_there() {
    check_text(b"INCLUDERC=missing.rc\n:0\nother\n", "Couldn't read \"missing.rc\"", "other");
    check_text(b"SWITCHRC=missing.rc\n:0\nother\n", "Couldn't read \"missing.rc\"", "other");
    check_text(b"INCLUDERC=/\n:0\nother\n", "Couldn't read \"/\"", "other");
    check_text(b"INCLUDERC=/dev/null\n:0\nother\n", "", "other");
    check(&|_| {}, "Couldn't read \"HOME/rc\"", Peer::Same);
}

#[test]
fn folders_where_files_are_expected() {
    check(&|home| fs::create_dir(home.join("rc")).unwrap(), "", Peer::Same);
    let in_the_way = |home: &Path| {
        fs::write(home.join("rc"), ":0\nbox/\n").unwrap();
        fs::write(home.join("box"), "").unwrap();
    };
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    homes.iter().for_each(|home| in_the_way(home.path()));
    by_us(homes[0].path(), MESSAGE.as_bytes());
    assert!(result(homes[0].path()).0.contains("Unable to treat as directory \"box\""));
    if by_procmail(homes[1].path(), MESSAGE.as_bytes()) {
        assert_eq!(result(homes[0].path()), result(homes[1].path()));
    }
}

#[test]
fn files_that_may_not_be_read_or_trusted() {
    let mode = |mode: u32| {
        move |home: &Path| {
            fs::write(home.join("rc"), ":0\nother\n").unwrap();
            fs::set_permissions(home.join("rc"), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    check(&mode(0o646), "Suspicious rcfile \"HOME/rc\"", Peer::Same);
    if !rustix::process::geteuid().is_root() {
        check(&mode(0o000), "Couldn't read \"HOME/rc\"", Peer::Same);
    }
    let under_a_file = |home: &Path| {
        fs::write(home.join("file"), "").unwrap();
        symlink(home.join("file/rc"), home.join("rc")).unwrap();
    };
    check(&under_a_file, "Couldn't read \"HOME/rc\"", Peer::Same);
}

#[test]
fn links_in_a_circle() {
    check(&|home| symlink(home.join("rc"), home.join("rc")).unwrap(), "Couldn't read \"HOME/rc\"", Peer::Same);
    let included = |home: &Path| {
        fs::write(home.join("rc"), "INCLUDERC=loop\n").unwrap();
        symlink("loop", home.join("loop")).unwrap();
    };
    check(&included, "Couldn't read \"loop\"", Peer::Same);
}

#[test]
fn pipes_and_devices() {
    let pipe = |home: &Path| assert!(Command::new("mkfifo").arg(home.join("rc")).status().unwrap().success());
    check(&pipe, "Couldn't read \"HOME/rc\"", Peer::None);
    let included = |home: &Path| {
        fs::write(home.join("rc"), "INCLUDERC=pipe\n").unwrap();
        assert!(Command::new("mkfifo").arg(home.join("pipe")).status().unwrap().success());
    };
    check(&included, "Couldn't read \"pipe\"", Peer::None);
    check(&|home| fs::write(home.join("rc"), "INCLUDERC=/dev/zero\n").unwrap(), "Couldn't read \"/dev/zero\"", Peer::None);
    check(&|home| symlink("/dev/zero", home.join("rc")).unwrap(), "Couldn't read", Peer::None);
}

#[test]
fn files_that_include_each_other() {
    check(&|home| fs::write(home.join("rc"), "SWITCHRC=rc\n").unwrap(), "Too many steps", Peer::None);
    check(&|home| fs::write(home.join("rc"), "INCLUDERC=rc\n").unwrap(), "Couldn't read \"rc\"", Peer::Same);
}

#[test]
fn octets_that_do_not_belong() {
    check_text(b":0\n* ^Subject: test\r\nother\r\n", "", "default");
    check_text(b"A=1\r\nLOG=\"[$A]\"\n:0\nother\n", "[1\r]", "other");
    check_text(b"LOG=\"a\0b\"\n:0\nother\n", "", "other");
    check_text(b":0\n* ^Subject: te\0st\nother\n", "", "other");
    check_text(b"\xff\xfe\x80\n:0\nother\n", "", "other");
    let nul = [MESSAGE.as_bytes(), b"a\0b\n"].concat();
    let rules = |home: &Path| fs::write(home.join("rc"), ":0 B\n* ^a.b\nother\n").unwrap();
    check_message(&rules, &nul, "", "other", Peer::Same);
    let crlf = MESSAGE.replace('\n', "\r\n");
    let rules = |home: &Path| fs::write(home.join("rc"), ":0\n* ^Subject: test\nother\n").unwrap();
    check_message(&rules, crlf.as_bytes(), "", "other", Peer::Same);
}

#[test]
fn a_header_of_a_mebibyte() {
    let long = format!("From: a@b\nX-Long: {}\nSubject: test\n\nbody\n", "y".repeat(1 << 20));
    let folded = format!("From: a@b\nX-Long: x{}\nSubject: test\n\nbody\n", "\n y".repeat(1 << 18));
    let many = format!("From: a@b\n{}Subject: test\n\nbody\n", "X-A: b\n".repeat(1 << 17));
    for message in [long, folded, many] {
        let rules = |home: &Path| fs::write(home.join("rc"), ":0\n* ^X-.*(y|b)\n* ^Subject: test\nother\n").unwrap();
        check_message(&rules, message.as_bytes(), "", "other", Peer::Same);
    }
}

#[test]
fn a_line_that_is_too_long() {
    let long = format!("A={}\n:0\nother\n", "x".repeat(5000));
    check_text(long.as_bytes(), "Exceeded LINEBUF", "other");
}
