//! What a session sees while it is open, and how the daemon stops.

use std::time::{Duration, Instant};

use crate::harness::{Instance, succeed, until};
use crate::talk::{Imap, Smtp};

const MESSAGE: &[u8] = b"From: a@client.test\nSubject: news\n\nText.\n";

fn instance() -> Instance {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    instance.start();
    instance
}

#[test]
fn an_idle_session_hears_of_new_mail_and_is_not_confused_by_haste() {
    let mut instance = instance();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("SELECT INBOX");
    imap.say("i1 IDLE");
    assert!(imap.response().starts_with("+ "));
    let reply = Smtp::to(instance.address("smtp")).send("a@client.test", "joe@mail.example.org", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    while imap.response() != "* 1 EXISTS" {}
    // The end of IDLE and the next two commands in one go.
    imap.say("DONE\r\ni2 NOOP\r\ni3 UID FETCH 1 (UID)");
    for expected in ["i1 OK", "i2 OK", "* 1 FETCH (UID 1)", "i3 OK"] {
        let line = loop {
            let line = imap.response();
            if !line.contains("RECENT") {
                break line;
            }
        };
        assert!(line.starts_with(expected), "expected {expected}, got {line}");
    }
    instance.stop();
}

#[test]
fn a_file_that_another_program_drops_in_is_shown() {
    let mut instance = instance();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("SELECT INBOX");
    imap.say("i1 IDLE");
    assert!(imap.response().starts_with("+ "));
    std::fs::write(instance.home("joe").join("Maildir/new/1.by-hand.example"), MESSAGE).unwrap();
    while imap.response() != "* 1 EXISTS" {}
    imap.say("DONE");
    instance.stop();
}

#[test]
fn the_daemon_stops_soon_with_sessions_open_and_keeps_what_it_took() {
    let mut instance = instance();
    let mut sessions: Vec<_> = (0..20).map(|_| Imap::to(instance.address("imap"), "joe")).collect();
    sessions.iter_mut().for_each(|imap| drop(imap.ok("SELECT INBOX")));
    let mut smtp = Smtp::to(instance.address("smtp"));
    for _ in 0..50 {
        let reply = smtp.send("a@client.test", "joe@mail.example.org", MESSAGE);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let start = Instant::now();
    instance.stop();
    assert!(start.elapsed() < Duration::from_secs(5), "stopping took {:?}", start.elapsed());
    instance.start();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    until("all fifty", || imap.ok("STATUS INBOX (MESSAGES)").concat().contains("MESSAGES 50)").then_some(()));
    instance.stop();
}

#[test]
fn the_metrics_page_counts() {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    let path = instance.path("pillarbox.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, text.replacen("[server]\n", "[server]\nmetrics = [\"127.0.0.1:0\"]\n", 1)).unwrap();
    instance.start();
    let reply = Smtp::to(instance.address("smtp")).send("a@client.test", "joe@mail.example.org", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    let url = format!("http://{}/metrics", instance.address("metrics"));
    let script = format!("import urllib.request; print(urllib.request.urlopen('{url}').read().decode())");
    let page = succeed(std::process::Command::new("python3").args(["-c", &script]), b"");
    assert!(page.contains("pillarbox_messages_accepted_total 1\n") && page.contains("# EOF"), "{page}");
    instance.stop();
}
