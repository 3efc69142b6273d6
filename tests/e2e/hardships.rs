//! What befalls a daemon that runs for long: a full disk, a program that hangs, accounts that go, files that are replaced.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Instance, program, run, succeed, until};
use crate::talk::{Imap, Smtp};

const HERE: &str = "joe@mail.example.org";

fn instance() -> Instance {
    Instance::new("mail.example.org", &["joe"])
}

fn message(subject: &str, size: usize) -> Vec<u8> {
    let line = [b"x".repeat(75), b"\n".to_vec()].concat();
    [format!("From: a@client.test\nSubject: {subject}\n\n").into_bytes(), line.repeat(size / line.len() + 1)].concat()
}

fn deliver(instance: &Instance, to: &str, message: &[u8]) {
    let reply = Smtp::to(instance.address("smtp")).send("a@client.test", to, message);
    assert!(reply.starts_with("250 "), "{reply}");
}

fn arrives(imap: &mut Imap, subject: &str) {
    until(subject, || imap.subjects("INBOX").iter().any(|s| s == subject).then_some(()));
}

fn skipped(test: &str, what: &str) -> bool {
    let is_root = succeed(Command::new("id").arg("-u"), b"").trim() == "0";
    if !is_root {
        println!("SKIPPED {test}: {what} takes root");
    }
    !is_root
}

/// A file system of its own, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where the system does not allow it.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(path), b"");
        mounted.status.success().then(|| Self(path.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        while std::io::Write::write(&mut filler, &[0; 4096]).is_ok_and(|written| written > 0) {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_puts_mail_off_and_loses_none() {
    let test = "a_full_disk_puts_mail_off_and_loses_none";
    if skipped(test, "a file system of its own") {
        return;
    }
    let mut instance = Instance::new("mail.example.org", &[]);
    let Some(disk) = SmallDisk::mount(&instance.path("small")) else {
        return println!("SKIPPED {test}: no tmpfs can be mounted here");
    };
    let path = instance.path("pillarbox.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("data = \"data\"", "data = \"small\"");
    std::fs::write(&path, text).unwrap();
    instance.configure("[journal]\nsegment_size = \"1M\"\nmax_size = \"8M\"\n\n[queue]\nretry_first = \"1s\"\nretry_longest = \"2s\"\n");
    succeed(instance.mailctl(&["account", "add", "joe", "--password-stdin"]), b"correct horse\n");
    instance.start();
    deliver(&instance, HERE, &message("before", 1_000));
    let mut imap = Imap::to(instance.address("imap"), "joe");
    arrives(&mut imap, "before");
    disk.fill();
    let mut accepted = 1;
    let refused = until("a refusal", || {
        let reply = Smtp::to(instance.address("smtp")).send("a@client.test", HERE, &message("meanwhile", 400_000));
        accepted += usize::from(reply.starts_with("250 "));
        (!reply.starts_with("250 ")).then_some(reply)
    });
    assert!(refused.starts_with("452 4.3.1 "), "{refused}");
    let text = String::from_utf8(message("by imap", 400_000)).unwrap().replace('\n', "\r\n");
    let answer = imap.command(&format!("APPEND INBOX {{{}+}}\r\n{text}", text.len()));
    assert!(answer.last().unwrap().contains(" NO "), "{answer:?}");
    assert!(imap.ok("NOOP").is_empty() || !instance.log().contains("panicked"));
    std::fs::remove_file(disk.filler()).unwrap();
    until("mail to be taken again", || {
        let reply = Smtp::to(instance.address("smtp")).send("a@client.test", HERE, &message("after", 1_000));
        accepted += usize::from(reply.starts_with("250 "));
        reply.starts_with("250 ").then_some(())
    });
    until("every message that was accepted, once", || {
        let subjects = imap.subjects("INBOX");
        assert!(subjects.len() <= accepted, "{} of {accepted}", subjects.len());
        (subjects.len() == accepted).then_some(())
    });
    imap.append("INBOX", &message("by imap", 1_000));
    instance.stop();
}

#[test]
fn a_program_that_hangs_does_not_hold_up_the_end() {
    let mut instance = instance();
    let rules = instance.home("joe").join(".procmailrc");
    std::fs::create_dir_all(instance.home("joe")).unwrap();
    std::fs::write(&rules, ":0 fw\n| echo $$ > pid; trap '' TERM; sleep 1000\n").unwrap();
    instance.start();
    deliver(&instance, HERE, &message("held up", 100));
    let pid = until("the program to run", || {
        let pid = std::fs::read_to_string(instance.home("joe").join("pid"))
            .or_else(|_| std::fs::read_to_string(instance.home("joe").join("Maildir/pid")));
        pid.ok().filter(|pid| pid.ends_with('\n')).map(|pid| pid.trim().to_owned())
    });
    let start = Instant::now();
    instance.stop();
    assert!(start.elapsed() < Duration::from_secs(3), "stopping took {:?}", start.elapsed());
    until("the program's end", || (!Path::new(&format!("/proc/{pid}/cmdline")).exists()).then_some(()));
    std::fs::remove_file(rules).unwrap();
    instance.start();
    arrives(&mut Imap::to(instance.address("imap"), "joe"), "held up");
    instance.stop();
}

#[test]
fn sessions_hear_of_the_end_and_of_a_removed_account() {
    let mut instance = Instance::new("mail.example.org", &["joe", "ann"]);
    instance.start();
    let mut joe = Imap::to(instance.address("imap"), "joe");
    let mut ann = Imap::to(instance.address("imap"), "ann");
    joe.ok("SELECT INBOX");
    joe.say("i1 IDLE");
    assert!(joe.response().starts_with("+ "));
    succeed(instance.mailctl(&["account", "passwd", "ann", "--password-stdin"]), b"another horse\n");
    succeed(instance.mailctl(&["account", "remove", "joe"]), b"");
    assert!(joe.response().starts_with("* BYE "));
    let reply = Smtp::to(instance.address("smtp")).ask("MAIL FROM:<a@client.test>\r\nRCPT TO:<joe@mail.example.org>", "250 ");
    assert!(reply.starts_with("250 "));
    // A new password ends no session, but is the only one from now on.
    ann.ok("NOOP");
    Imap::with_password(instance.address("imap"), "ann", "another horse").ok("NOOP");
    let mut smtp = Smtp::to(instance.address("smtp"));
    instance.stop();
    smtp.expect("421 4.3.2 ");
    assert!(ann.response().starts_with("* BYE "));
}

#[test]
fn a_map_behind_links_and_in_a_folder_to_come_is_read_when_it_changes() {
    let mut instance = instance();
    let path = instance.path("pillarbox.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("hash:virtual", "hash:maps/virtual");
    std::fs::write(&path, &text).unwrap();
    instance.start();
    let counts = |address: &str| {
        until(address, || {
            let mut smtp = Smtp::to(instance.address("smtp"));
            smtp.ask("MAIL FROM:<a@client.test>", "250 ");
            smtp.ask(&format!("RCPT TO:<{address}>"), "").starts_with("250 ").then_some(())
        });
    };
    std::fs::create_dir(instance.path("elsewhere")).unwrap();
    std::fs::write(instance.path("elsewhere/virtual"), "one.example x\na@one.example joe\n").unwrap();
    std::fs::create_dir(instance.path("maps")).unwrap();
    symlink("../elsewhere/virtual", instance.path("maps/virtual")).unwrap();
    counts("a@one.example");
    std::fs::write(instance.path("elsewhere/new"), "two.example x\na@two.example joe\n").unwrap();
    std::fs::rename(instance.path("elsewhere/new"), instance.path("elsewhere/virtual")).unwrap();
    counts("a@two.example");
    // A map that a reload names is watched as well.
    std::fs::write(instance.path("second"), "three.example x\na@three.example joe\n").unwrap();
    std::fs::write(&path, text.replace("hash:maps/virtual", "hash:second") + "\n[queue]\ndeliveries = 3\n").unwrap();
    let answer = succeed(instance.mailctl(&["reload", "--json"]), b"");
    assert!(answer.contains("\"queue.deliveries\"") && !answer.contains("alias"), "{answer}");
    counts("a@three.example");
    std::fs::write(instance.path("second"), "four.example x\na@four.example joe\n").unwrap();
    counts("a@four.example");
    instance.stop();
}

#[test]
fn the_story_goes_on_in_mailboxes() {
    let mut instance = instance();
    instance.start();
    succeed(instance.mailctl(&["sendmail", "-i", "joe"]), &message("to be moved", 100));
    let mut imap = Imap::to(instance.address("imap"), "joe");
    arrives(&mut imap, "to be moved");
    imap.ok("CREATE shelf");
    imap.ok("SELECT INBOX");
    imap.ok("MOVE 1 shelf");
    imap.ok("SELECT shelf");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    let story = until("the whole story", || {
        let story = succeed(instance.mailctl(&["trace", HERE, "--json"]), b"");
        story.contains("\"expunged\"").then_some(story)
    });
    let steps: Vec<serde_json::Value> = story.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(of, ["accepted", "delivered", "moved", "expunged"]);
    assert_eq!((&steps[2]["to"], &steps[2]["to_uid"], &steps[3]["mailbox"]), (&"shelf".into(), &1.into(), &"shelf".into()));
    instance.stop();
}

#[test]
fn root_does_not_act_in_the_homes_of_others() {
    if skipped("root_does_not_act_in_the_homes_of_others", "giving a folder away") {
        return;
    }
    let mut instance = instance();
    let home = instance.home("joe");
    std::fs::create_dir_all(&home).unwrap();
    let give = |owner: &str| succeed(Command::new("chown").arg(owner).arg(&home), b"");
    give("65534");
    instance.start();
    let refused = run(instance.mailctl(&["account", "add", "ann", "--password-stdin", "--home", home.to_str().unwrap()]), b"x\n");
    assert_eq!(refused.status.code(), Some(65), "{refused:?}");
    deliver(&instance, HERE, &message("kept", 100));
    until("the cause", || instance.log().contains("belongs to the Unix user 65534").then_some(()));
    let id = until("the deferral", || {
        let queue: serde_json::Value = serde_json::from_str(&succeed(instance.mailctl(&["queue", "list", "--json"]), b"")).ok()?;
        (queue["recipients"][0]["state"] == "deferred").then(|| queue["id"].as_str().unwrap().to_owned())
    });
    give("0");
    succeed(instance.mailctl(&["queue", "retry", &id]), b"");
    arrives(&mut Imap::to(instance.address("imap"), "joe"), "kept");
    instance.stop();
}

/// One whose copy succeeds and whose default folder fails must stay in the queue, and its next try must find the copy, though the
/// client has removed it meanwhile.
#[test]
fn a_copy_is_no_delivery_and_is_not_made_twice() {
    let mut instance = instance();
    let home = instance.home("joe");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join(".procmailrc"), "LOCKSLEEP=1\nDEFAULT=$HOME/late/box/\nORGMAIL=$HOME/late/box/\n\n:0 c\n.backup/\n").unwrap();
    instance.configure("[queue]\nretry_first = \"1h\"\n");
    instance.start();
    deliver(&instance, HERE, &message("kept", 100));
    let id = until("the deferral", || {
        let queue: serde_json::Value = serde_json::from_str(&succeed(instance.mailctl(&["queue", "list", "--json"]), b"")).ok()?;
        (queue["recipients"][0]["state"] == "deferred").then(|| queue["id"].as_str().unwrap().to_owned())
    });
    let mut imap = Imap::to(instance.address("imap"), "joe");
    assert_eq!(imap.subjects("backup"), ["kept"]);
    imap.ok("SELECT backup");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    std::fs::create_dir(home.join("late")).unwrap();
    succeed(instance.mailctl(&["queue", "retry", &id]), b"");
    until("the delivery", || std::fs::read_dir(home.join("late/box/new")).ok()?.next()).unwrap();
    assert!(imap.subjects("backup").is_empty(), "the copy came back");
    instance.stop();
}

#[test]
fn rules_that_hang_hold_up_their_own_account_alone() {
    let mut instance = Instance::new("mail.example.org", &["joe", "ann"]);
    std::fs::create_dir_all(instance.home("joe")).unwrap();
    std::fs::write(instance.home("joe").join(".procmailrc"), ":0 fw\n| sleep 1000\n").unwrap();
    instance.configure("[queue]\ndeliveries = 4\n");
    instance.start();
    (0..10).for_each(|number| deliver(&instance, HERE, &message(&format!("held up {number}"), 100)));
    deliver(&instance, "ann@mail.example.org", &message("not held up", 100));
    arrives(&mut Imap::to(instance.address("imap"), "ann"), "not held up");
    instance.stop();
    std::fs::remove_file(instance.home("joe").join(".procmailrc")).unwrap();
    instance.start();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    until("all ten", || (imap.subjects("INBOX").len() == 10).then_some(()));
    instance.stop();
}

#[test]
fn an_order_to_stop_is_obeyed_while_the_daemon_starts() {
    let mut instance = instance();
    instance.start();
    deliver(&instance, HERE, &message("kept", 100));
    instance.stop();
    // As often as it takes to hit different moments of the start.
    for _ in 0..20 {
        let mut daemon =
            Command::new(program("pillarbox")).arg("--config").arg(instance.path("pillarbox.toml")).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stderr.take().unwrap()).read_line(&mut line).unwrap();
        succeed(Command::new("kill").arg(daemon.id().to_string()), b"");
        let status = daemon.wait().unwrap();
        assert!(status.success(), "{status} after {line}");
    }
    instance.start();
    arrives(&mut Imap::to(instance.address("imap"), "joe"), "kept");
    instance.stop();
}

/// The most memory that a process had so far, in octets.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_large_message_goes_through_in_small_pieces() {
    let size = 50 << 20;
    let mut instance = instance();
    instance.start();
    deliver(&instance, HERE, &message("small", 100));
    let mut imap = Imap::to(instance.address("imap"), "joe");
    arrives(&mut imap, "small");
    let before = peak(instance.daemon_number());
    deliver(&instance, HERE, &message("large", size));
    arrives(&mut imap, "large");
    let read: usize = imap.ok("FETCH 2 BODY.PEEK[]").iter().map(String::len).sum();
    assert!(read > size, "{read}");
    let more = peak(instance.daemon_number()) - before;
    assert!(more < size / 4, "{more} octets for a message of {size}");
}
