//! Rules looked at from outside: explained for an account, and tried on messages that are there.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Instance, program, run, succeed, until};
use crate::talk::{Imap, Smtp};

const HERE: &str = "joe@mail.example.org";
const NEW: &str = ":0\n* ^Subject: sale\n.shop/\n\n:0\n* ^Subject: drop\n/dev/null\n\n:0\n* ? false\n.never/\n";

/// An instance with four messages in joe's INBOX, of which one is flagged and one is old.
fn instance() -> Instance {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    instance.start();
    for subject in ["sale one", "hello", "drop", "sale old"] {
        let message = format!("From: a@client.test\nSubject: {subject}\n\ntext\n");
        let reply = Smtp::to(instance.address("smtp")).send("a@client.test", HERE, message.as_bytes());
        assert!(reply.starts_with("250 "), "{reply}");
        let mut imap = Imap::to(instance.address("imap"), "joe");
        until(subject, || imap.subjects("INBOX").iter().any(|found| found == subject).then_some(()));
    }
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS (\\Flagged $Label)");
    std::fs::write(instance.path("new.rc"), NEW).unwrap();
    let old = file_of(&instance, "sale old");
    succeed(Command::new("touch").arg("-d").arg("40 days ago").arg(&old), b"");
    instance
}

/// The file in joe's INBOX whose message has this subject.
fn file_of(instance: &Instance, subject: &str) -> PathBuf {
    let folders = ["new", "cur"].map(|part| instance.home("joe").join("Maildir").join(part));
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut found = files.filter(|path| std::fs::read_to_string(path).unwrap().contains(&format!("Subject: {subject}\n")));
    found.next().unwrap_or_else(|| panic!("no file of {subject}"))
}

fn replay(instance: &Instance, more: &[&str]) -> (Vec<serde_json::Value>, String) {
    let rules = instance.path("new.rc");
    let fixed = ["filter", "replay", "--account", "joe", "--json", "--rc", rules.to_str().unwrap()];
    let output = run(instance.mailctl(&[&fixed[..], more].concat()), b"");
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let (listed, said) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{said}");
    (listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), said)
}

#[test]
fn a_rule_file_is_tried_on_what_is_there_and_touches_nothing() {
    let instance = instance();
    let before = file_of(&instance, "sale one");
    let (listed, said) = replay(&instance, &[]);
    let shown: Vec<String> = listed.iter().map(|found| format!("{} {} {}", found["subject"], found["from"], found["to"])).collect();
    let expected = [("sale one", "shop"), ("hello", "never"), ("drop", "/dev/null"), ("sale old", "shop")];
    assert_eq!(shown, expected.map(|(subject, to)| format!("\"{subject}\" [\"INBOX\"] [\"{to}\"]")));
    assert!(listed[0]["to_rule"].as_str().unwrap().ends_with("new.rc:1"), "{}", listed[0]);
    assert!(said.contains("4 of 4 messages would land elsewhere; for 1 that is a guess"), "{said}");
    assert_eq!(replay(&instance, &["--since", "30d"]).0.len(), 3);
    let old = instance.path("old.rc");
    std::fs::write(&old, ":0\n* ^Subject: sale\n.shop/\n").unwrap();
    let (listed, _) = replay(&instance, &["--against", old.to_str().unwrap()]);
    assert_eq!((listed.len(), listed[1]["subject"].as_str()), (2, Some("drop")));
    assert_eq!((&listed[0]["guessed"], &listed[1]["guessed"]), (&true.into(), &false.into()));
    assert!(before.exists() && !instance.home("joe").join("Maildir/.shop").exists());
}

fn applied(instance: &Instance) {
    let (_, said) = replay(instance, &["--since", "30d", "--apply"]);
    assert!(said.contains("1 messages moved; 2 stay"), "{said}");
}

fn check_moved(instance: &Instance) {
    let mut imap = Imap::to(instance.address("imap"), "joe");
    assert_eq!(imap.subjects("shop"), ["sale one"]);
    assert_eq!(imap.subjects("INBOX").len(), 3);
    let flags = imap.flags("shop").join(" ");
    assert!(flags.contains("\\Flagged") && flags.contains("$Label"), "{flags}");
}

#[test]
fn what_lies_elsewhere_is_moved_through_the_daemon() {
    let instance = instance();
    applied(&instance);
    check_moved(&instance);
}

#[test]
fn what_lies_elsewhere_is_moved_without_a_daemon() {
    let mut instance = instance();
    let date = std::fs::metadata(file_of(&instance, "sale one")).unwrap().modified().unwrap();
    instance.stop();
    applied(&instance);
    instance.start();
    check_moved(&instance);
    let shop = instance.home("joe").join("Maildir/.shop");
    let files = ["new", "cur"].map(|part| std::fs::read_dir(shop.join(part)).unwrap().next().map(|entry| entry.unwrap()));
    let moved = files.into_iter().flatten().next().unwrap();
    let since = moved.metadata().unwrap().modified().unwrap().duration_since(date);
    assert!(since.is_ok_and(|since| since.as_secs() == 0), "the date is another one");
}

#[test]
fn rules_are_explained_as_the_daemon_sees_them() {
    let instance = Instance::new("mail.example.org", &["joe"]);
    std::fs::create_dir_all(instance.home("joe").join("Maildir")).unwrap();
    let rules = "E=\"$1 from $SENDER\"\n:0 fW\n| cat; echo x >$HOME/ran\n\n:0\n* ^Delivered-To: joe\n.$1/\n";
    std::fs::write(instance.home("joe").join(".procmailrc"), rules).unwrap();
    let message = b"Return-Path: <a@client.test>\nDelivered-To: joe+shop@mail.example.org\nSubject: x\n\ntext\n";
    let explain = |more: &[&str]| succeed(instance.mailctl(&[&["filter", "explain", "--account", "joe"], more].concat()), message);
    let text = explain(&["--dry-run"]);
    assert!(text.contains("E=shop from a@client.test") && text.contains("=> Maildir .shop/new/(new)"), "{text}");
    assert!(!instance.home("joe").join("ran").exists() && !text.contains('\x1b'), "{text}");
    let value: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert_eq!(value["deliveries"][0]["at"]["line"], 5, "{value}");
    assert!(instance.home("joe").join("ran").exists(), "programs that decide something are run");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rc");
    std::fs::write(&rules, ":0\n* ^Subject\nmd/\n").unwrap();
    let command = format!("{} filter explain --dry-run --rc {}", program("mailctl").display(), rules.display());
    let on_terminal = |colours: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["-qec", &format!("echo 'Subject: x' | {command}"), "/dev/null"]).env_remove("NO_COLOR");
        script.envs(colours.map(|value| ("NO_COLOR", value)));
        succeed(&mut script, b"")
    };
    assert!(on_terminal(None).contains("\x1b[32m"));
    assert!(on_terminal(Some("")).contains("\x1b[32m"));
    assert!(!on_terminal(Some("1")).contains('\x1b'));
}

#[test]
fn what_a_program_complains_about_is_in_the_log_and_the_trace() {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    let rules = ":0 fw\n* ^Subject: hello\n| printf 'no \\033[31m way\\n' >&2; false\n\n:0 c\n| nothing-of-this-name\n";
    std::fs::create_dir_all(instance.home("joe").join("Maildir")).unwrap();
    std::fs::write(instance.home("joe").join(".procmailrc"), rules).unwrap();
    instance.start();
    let reply = Smtp::to(instance.address("smtp")).send("a@client.test", HERE, b"Subject: hello\n\ntext\n");
    assert!(reply.starts_with("250 "), "{reply}");
    let place = instance.home("joe").join(".procmailrc").display().to_string();
    let said = format!("{place}:1: no ?[31m way");
    let log = until("the log", || Some(instance.log()).filter(|log| log.contains(&said)));
    assert!(log.contains(&format!("{place}:5: ")) && log.contains("nothing-of-this-name"), "{log}");
    let told = until("the trace", || {
        let told = String::from_utf8(run(instance.mailctl(&["trace", "--json", HERE]), b"").stdout).unwrap();
        told.contains("\"delivered\"").then_some(told)
    });
    assert!(told.contains("no ?[31m way") && told.contains(".procmailrc:1"), "{told}");
}

#[test]
fn what_is_no_rule_file_is_named_and_waited_for_by_nobody() {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    let maildir = instance.home("joe").join("Maildir");
    ["", "new", "cur", "tmp"].iter().for_each(|part| std::fs::create_dir_all(maildir.join(part)).unwrap());
    let pipe = instance.path("pipe");
    succeed(Command::new("mkfifo").arg(&pipe), b"");
    let open = instance.path("open.rc");
    std::fs::write(&open, ":0\n* ^Subject: \\/.*\n.junk/\n").unwrap();
    succeed(Command::new("chmod").arg("666").arg(&open), b"");
    let message = b"Subject: \x1b[31mred\n\ntext\n";
    let tell = |arguments: &[&str], file: &std::path::Path| {
        let output = run(instance.mailctl(&[&["filter"], arguments, &[file.to_str().unwrap()]].concat()), message);
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for file in [pipe.as_path(), std::path::Path::new("/dev/zero"), &instance.path("missing"), &instance.path("data")] {
        for arguments in
            [&["check", "--json"][..], &["explain", "--dry-run", "--rc"], &["replay", "--account", "joe", "--mailbox", "INBOX", "--rc"]]
        {
            let (code, listed, said) = tell(arguments, file);
            assert!(code == Some(66) && said.contains("cannot be read"), "{arguments:?} {file:?}: {code:?} {listed} {said}");
        }
    }
    let (code, listed, _) = tell(&["check"], &open);
    assert!(code == Some(65) && listed.contains("open.rc:1: error: is not used: it is writable for everybody"), "{listed}");
    assert!(tell(&["explain", "--rc"], &open).2.contains("is writable for everybody"));
    succeed(Command::new("chmod").arg("600").arg(&open), b"");
    // What a stranger wrote is shown, and obeyed by no terminal.
    let (_, listed, _) = tell(&["explain", "--rc"], &open);
    assert!(listed.contains("MATCH=\"\\u{1b}[31mred\"") && !listed.contains('\x1b'), "{listed}");
    // The daemon uses a file of its own user's, and so does who explains it.
    std::fs::copy(&open, instance.home("joe").join(".procmailrc")).unwrap();
    instance.run_as_nobody();
    let output = run(instance.mailctl(&["filter", "explain", "--account", "joe"]), message);
    assert!(String::from_utf8(output.stdout).unwrap().contains("the recipe matches"));
}

#[test]
fn a_rule_file_that_cannot_be_read_is_logged_and_the_mail_is_kept() {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    let rules = instance.home("joe").join(".procmailrc");
    std::fs::create_dir_all(instance.home("joe").join("Maildir")).unwrap();
    instance.start();
    let clear = format!("rm -rf {0}; cd {1}", rules.display(), instance.home("joe").display());
    for (subject, make, said) in [
        ("pipe", "mkfifo .procmailrc", "not a regular file"),
        ("device", "ln -s /dev/full .procmailrc", "is writable for everybody"),
        ("circle", "ln -s .other .procmailrc; ln -s .procmailrc .other", "Too many levels of symbolic links"),
        ("nowhere", "ln -s /nowhere/x .procmailrc", "No such file"),
        ("folder", "mkdir .procmailrc", "is a directory"),
        ("open", "echo :0 >.procmailrc; chmod 666 .procmailrc", "is writable for everybody"),
    ] {
        succeed(Command::new("sh").arg("-c").arg(format!("{clear}; {make}")), b"");
        let before = instance.log().len();
        let message = format!("Subject: {subject}\n\ntext\n");
        let reply = Smtp::to(instance.address("smtp")).send("a@client.test", HERE, message.as_bytes());
        assert!(reply.starts_with("250 "), "{reply}");
        let mut imap = Imap::to(instance.address("imap"), "joe");
        until(subject, || imap.subjects("INBOX").iter().any(|found| found == subject).then_some(()));
        until("the log", || instance.log()[before..].contains(said).then_some(()));
    }
}
