//! alpine and mutt on a terminal: log in, read, flag, delete, move, and see what arrives meanwhile.

use crate::harness::{Instance, PASSWORD, has, until};
use crate::talk::{Imap, Smtp};
use crate::terminal::Terminal;

fn message(subject: &str) -> Vec<u8> {
    format!("From: Ann <ann@client.test>\nTo: joe@mail.example.org\nSubject: {subject}\nDate: Sun, 22 Nov 2026 12:00:00 +0000\nMessage-ID: <{subject}@client.test>\n\nThis is the text of {subject}.\n").into_bytes()
}

/// An instance with four messages and an empty folder.
fn instance() -> (Instance, Imap) {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    instance.start();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("CREATE Shelf");
    imap.ok("SUBSCRIBE Shelf");
    for subject in ["first", "second", "third", "fourth"] {
        deliver(&instance, subject);
        until("the message", || imap.subjects("INBOX").iter().any(|s| s == subject).then_some(()));
    }
    (instance, imap)
}

fn deliver(instance: &Instance, subject: &str) {
    let reply = Smtp::to(instance.address("smtp")).send("ann@client.test", "joe@mail.example.org", &message(subject));
    assert!(reply.starts_with("250 "), "{reply}");
}

/// What the reader did must have arrived: one flagged, one gone, one on the shelf.
fn check_what_was_done(imap: &mut Imap) {
    until("the flag, the expunge and the move", || {
        let inbox = imap.subjects("INBOX");
        let flagged = imap.flags("INBOX").iter().any(|line| line.starts_with("1 ") && line.contains("\\Flagged"));
        let shelf = imap.subjects("Shelf");
        (flagged && !inbox.contains(&"second".to_owned()) && !inbox.contains(&"third".to_owned()) && shelf == ["third"]).then_some(())
    });
}

#[test]
fn alpine_reads_flags_deletes_moves_and_sees_new_mail() {
    if !has("alpine", "alpine", "alpine") || !has("alpine", "tmux", "tmux") {
        return;
    }
    let (mut instance, mut imap) = instance();
    let home = instance.path("alpine");
    std::fs::create_dir_all(&home).unwrap();
    let address = instance.address("imap");
    let server = format!("{{{}:{}/imap/notls/user=joe}}", address.ip(), address.port());
    let configuration = format!(
        "inbox-path={server}INBOX\nfolder-collections=Mail {server}[]\ninitial-keystroke-list=i\nuser-domain=mail.example.org\n\
         feature-list=enable-flag-cmd,expunge-without-confirm,expunge-without-confirm-everywhere,quit-without-confirm,save-will-not-delete\n\
         last-version-used=9.99\nsmtp-server=127.0.0.1:1\n"
    );
    std::fs::write(home.join("pinerc"), configuration.replace(",save-will-not-delete", "")).unwrap();
    let terminal = Terminal::run(&home, "alpine -p pinerc");
    terminal.see("PASSWORD");
    terminal.press(&["-l", PASSWORD]);
    terminal.press(&["Enter"]);
    terminal.see("Preserve password");
    terminal.press(&["n"]);
    let screen = terminal.see("fourth");
    assert!(screen.contains("first") && screen.contains("second"), "{screen}");
    // The first: open it, go back, flag it.
    terminal.press(&["j", "1", "Enter"]);
    terminal.press(&["Enter"]);
    terminal.see("This is the text of first.");
    terminal.press(&["i"]);
    terminal.see("fourth");
    terminal.press(&["*"]);
    terminal.see("Important ?");
    terminal.press(&["Enter"]);
    // The second: delete and expunge.
    terminal.press(&["j"]);
    terminal.see("essage number");
    terminal.press(&["2", "Enter"]);
    terminal.press(&["d"]);
    terminal.press(&["x"]);
    terminal.see_no_more("second");
    // The third, now number two: to the shelf.
    terminal.press(&["j"]);
    terminal.see("essage number");
    terminal.press(&["2", "Enter"]);
    terminal.press(&["s"]);
    terminal.see("SAVE");
    terminal.press(&["C-u"]);
    terminal.press(&["-l", "Shelf"]);
    terminal.press(&["Enter"]);
    until("the copy", || (imap.subjects("Shelf") == ["third"]).then_some(()));
    terminal.press(&["x"]);
    terminal.see_no_more("third");
    check_what_was_done(&mut imap);
    deliver(&instance, "fifth");
    until("alpine to show the new message", || {
        terminal.press(&["C-l"]);
        terminal.screen().contains("fifth").then_some(())
    });
    instance.stop();
}

#[test]
fn mutt_reads_flags_deletes_moves_and_sees_new_mail() {
    if !has("mutt", "mutt", "mutt") || !has("mutt", "tmux", "tmux") {
        return;
    }
    let (mut instance, mut imap) = instance();
    let home = instance.path("mutt");
    std::fs::create_dir_all(&home).unwrap();
    let address = instance.address("imap");
    let configuration = format!(
        "set folder=imap://joe@{0}:{1}/\nset spoolfile=+INBOX\nset imap_pass=\"{PASSWORD}\"\nset ssl_starttls=no\nset ssl_force_tls=no\n\
         set imap_idle=yes\nset timeout=1\nset mail_check=1\nset confirmappend=no\nset delete=yes\nset sort=mailbox-order\nset wait_key=no\n\
         set header_cache=\"\"\nset move=no\nset quit=yes\n",
        address.ip(),
        address.port()
    );
    std::fs::write(home.join("muttrc"), configuration).unwrap();
    let terminal = Terminal::run(&home, "mutt -n -F muttrc");
    let screen = terminal.see("fourth");
    assert!(screen.contains("first") && screen.contains("second"), "{screen}");
    // The first: open it, go back, flag it.
    terminal.press(&["1", "Enter"]);
    terminal.press(&["Enter"]);
    terminal.see("This is the text of first.");
    terminal.press(&["q"]);
    terminal.see("fourth");
    terminal.press(&["F"]);
    // The second: delete and expunge.
    terminal.press(&["2", "Enter"]);
    terminal.press(&["d"]);
    terminal.press(&["$"]);
    terminal.see_no_more("second");
    // The third, now number two: to the shelf.
    terminal.press(&["2", "Enter"]);
    terminal.press(&["s"]);
    terminal.see("Save to mailbox");
    terminal.press(&["C-u"]);
    terminal.press(&["-l", "=Shelf"]);
    terminal.press(&["Enter"]);
    until("the copy", || (imap.subjects("Shelf") == ["third"]).then_some(()));
    terminal.press(&["$"]);
    terminal.see_no_more("third");
    check_what_was_done(&mut imap);
    deliver(&instance, "fifth");
    terminal.see("fifth");
    instance.stop();
}
