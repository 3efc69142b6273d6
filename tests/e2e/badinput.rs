//! What is wrong is said plainly, and stops nobody else.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::harness::{Instance, program, run, until};
use crate::talk::{Imap, Smtp};

/// Starts the daemon, which must end by itself; gives its exit status and what it said.
fn refused(instance: &Instance) -> (i32, String) {
    let output = run(Command::new(program("pillarbox")).arg("--config").arg(instance.path("pillarbox.toml")), b"");
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn instance() -> Instance {
    Instance::new("mail.example.org", &["joe"])
}

fn message(subject: &str, body: &str) -> Vec<u8> {
    format!("From: a@client.test\nSubject: {subject}\n\n{body}\n").into_bytes()
}

fn deliver(instance: &Instance, to: &str, message: &[u8]) {
    let reply = Smtp::to(instance.address("smtp")).send("a@client.test", to, message);
    assert!(reply.starts_with("250 "), "{reply}");
}

fn arrives(imap: &mut Imap, mailbox: &str, subject: &str) {
    until(&format!("{subject} in {mailbox}"), || imap.subjects(mailbox).iter().any(|s| s == subject).then_some(()));
}

#[test]
fn all_errors_of_the_configuration_come_at_once() {
    let instance = instance();
    instance.configure("[smpt]\nx = 1\n\n[imap]\nmax_erors = 3\n\n[smtp]\nmax_message_size = \"lots\"\n");
    let (code, said) = refused(&instance);
    assert_eq!(code, 78, "{said}");
    for part in ["did you mean smtp?", "did you mean max_errors?", "expected a size such as", "pillarbox.toml:"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!instance.path("data/journal").exists(), "nothing was started");
}

#[test]
fn a_port_in_use_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let instance = instance();
    let path = instance.path("pillarbox.toml");
    let address = holder.local_addr().unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replacen("127.0.0.1:0", &address.to_string(), 1);
    std::fs::write(path, text).unwrap();
    let (code, said) = refused(&instance);
    assert_eq!(code, 75, "{said}");
    assert!(said.contains(&format!("cannot listen on {address} for smtp")) && said.contains("another program has this port"), "{said}");
}

#[test]
fn a_data_folder_of_a_newer_version_is_not_touched() {
    let instance = instance();
    std::fs::write(instance.path("data/version"), "999\n").unwrap();
    let (code, said) = refused(&instance);
    assert_ne!(code, 0);
    assert!(said.contains("newer version") && said.lines().count() == 1, "{said}");
    assert!(!instance.path("data/journal").exists());
}

#[test]
fn two_daemons_on_one_folder_are_one_too_many() {
    let mut instance = instance();
    instance.start();
    let (code, said) = refused(&instance);
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("another daemon"), "{said}");
    instance.stop();
}

#[test]
fn a_map_that_breaks_keeps_its_last_good_state() {
    let mut instance = instance();
    std::fs::write(instance.path("virtual"), "example.test x\ninfo@example.test joe\n").unwrap();
    instance.start();
    std::fs::write(instance.path("virtual"), "example.test x\ninfo@example.test joe\nnew@example.test joe\n").unwrap();
    until("the new line to count", || {
        let mut client = Smtp::to(instance.address("smtp"));
        client.ask("MAIL FROM:<a@client.test>", "250 ");
        client.ask("RCPT TO:<new@example.test>", "").starts_with("250 ").then_some(())
    });
    std::fs::write(instance.path("virtual"), "one@example.test two@example.test\ntwo@example.test one@example.test\n").unwrap();
    until("the log to name the bad map", || instance.log().contains("virtual:1").then_some(()));
    deliver(&instance, "info@example.test", &message("still", "here"));
    arrives(&mut Imap::to(instance.address("imap"), "joe"), "INBOX", "still");
    instance.stop();
}

#[test]
fn a_bad_configuration_is_not_put_in_force() {
    let mut instance = instance();
    instance.start();
    let path = instance.path("pillarbox.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}\n[imap]\nbogus = 1\n")).unwrap();
    let reload = run(instance.mailctl(&["reload"]), b"");
    assert_ne!(reload.status.code(), Some(0));
    std::fs::write(&path, good).unwrap();
    assert_eq!(run(instance.mailctl(&["reload"]), b"").status.code(), Some(0));
    deliver(&instance, "joe@mail.example.org", &message("alive", ""));
    arrives(&mut Imap::to(instance.address("imap"), "joe"), "INBOX", "alive");
    instance.stop();
}

#[test]
fn a_rule_file_that_is_wrong_or_not_safe_keeps_the_message() {
    let mut instance = instance();
    instance.start();
    let home = instance.home("joe");
    std::fs::create_dir_all(&home).unwrap();
    let rules = home.join(".procmailrc");
    let mut imap = Imap::to(instance.address("imap"), "joe");
    std::fs::write(&rules, ":0 Q\n* ^Subject: x\n{ :0\n").unwrap();
    deliver(&instance, "joe@mail.example.org", &message("syntax", ""));
    arrives(&mut imap, "INBOX", "syntax");
    std::fs::write(&rules, ":0 w\n| false\n").unwrap();
    deliver(&instance, "joe@mail.example.org", &message("program fails", ""));
    arrives(&mut imap, "INBOX", "program fails");
    // Writable by others: whoever wrote it shall not run programs here.
    let mark = instance.path("mark");
    std::fs::write(&rules, format!(":0\n| touch {}\n", mark.display())).unwrap();
    std::fs::set_permissions(&rules, std::fs::Permissions::from_mode(0o666)).unwrap();
    deliver(&instance, "joe@mail.example.org", &message("not safe", ""));
    arrives(&mut imap, "INBOX", "not safe");
    assert!(!mark.exists());
    assert!(instance.log().contains(".procmailrc"), "the log names the file");
    instance.stop();
}

#[test]
fn odd_messages_are_delivered_and_shown() {
    let mut instance = instance();
    instance.start();
    let headers: String = (0..10_000).map(|n| format!("X-{n}: y\n")).collect();
    let open: String = (0..100).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    let odd = [
        ("nul", b"Subject: nul\n\na\0b\n".to_vec()),
        ("many", format!("Subject: many\n{headers}\ntext\n").into_bytes()),
        ("deep", format!("Subject: deep\nMIME-Version: 1.0\n{open}\ntext\n").into_bytes()),
        ("none", b"\nno header at all\n".to_vec()),
    ];
    let maildir = instance.home("joe").join("Maildir/new");
    for (what, octets) in &odd {
        deliver(&instance, "joe@mail.example.org", octets);
        let ends = |path: std::path::PathBuf| std::fs::read(path).unwrap_or_default().ends_with(octets);
        until(what, || std::fs::read_dir(&maildir).ok()?.filter_map(Result::ok).any(|entry| ends(entry.path())).then_some(()));
    }
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("SELECT INBOX");
    let answers = imap.ok("FETCH 1:4 (FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(answers.iter().all(|line| line.len() < 1 << 20));
    assert_eq!(imap.ok("SEARCH TEXT \"no header at all\""), ["* SEARCH 4"]);
    instance.stop();
}

#[test]
fn a_damaged_index_or_list_of_uids_is_made_again() {
    let mut instance = instance();
    instance.start();
    for subject in ["one", "two", "three"] {
        deliver(&instance, "joe@mail.example.org", &message(subject, ""));
        arrives(&mut Imap::to(instance.address("imap"), "joe"), "INBOX", subject);
    }
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2 +FLAGS (\\Seen Important)");
    let before = (imap.flags("INBOX"), imap.subjects("INBOX"));
    for damage in ["gone", "cut", "random"] {
        instance.stop();
        let index = instance.path("data/index/joe/index.sqlite");
        match damage {
            "gone" => std::fs::remove_file(index).unwrap(),
            "cut" => std::fs::write(index, b"SQLite format 3\0").unwrap(),
            _ => std::fs::write(index, [0xa5; 9000]).unwrap(),
        }
        instance.start();
        let mut imap = Imap::to(instance.address("imap"), "joe");
        assert_eq!((imap.flags("INBOX"), imap.subjects("INBOX")), before, "{damage}");
    }
    instance.stop();
    std::fs::write(instance.home("joe").join("Maildir/dovecot-uidlist"), b"3 V1 N\nrubbish\n").unwrap();
    std::fs::write(instance.home("joe").join("Maildir/cur/alien file"), b"Subject: alien\n\n").unwrap();
    instance.start();
    let mut subjects = Imap::to(instance.address("imap"), "joe").subjects("INBOX");
    subjects.sort();
    assert_eq!(subjects, ["alien", "one", "three", "two"]);
    instance.stop();
}
