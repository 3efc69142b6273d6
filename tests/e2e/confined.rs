//! What programs of rule files can do, and what they cannot. Where the kernel has no Landlock, the daemon's log must say so, and
//! all other limits hold.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::harness::{Instance, has, program, run, succeed, until};
use crate::talk::{Imap, Smtp};

const HERE: &str = "joe@mail.example.org";
const UNCONFINED: &str = "are not confined to their account's files";

/// An instance with two accounts, one of which has these rules. Where the tests are run by root, the daemon is not: it runs as nobody,
/// because the kernel holds root to no number of processes.
fn instance(rules: &str, settings: &str) -> Instance {
    let mut instance = Instance::new("mail.example.org", &["joe", "ann"]);
    for account in ["joe", "ann"] {
        std::fs::create_dir_all(instance.home(account).join("Maildir")).unwrap();
    }
    std::fs::write(instance.home("joe").join(".procmailrc"), rules).unwrap();
    std::fs::write(instance.home("ann").join("secret"), "ann's own\n").unwrap();
    if !settings.is_empty() {
        instance.configure(&format!("[filter]\n{settings}"));
    }
    instance.run_as_nobody();
    instance.start();
    instance
}

/// Delivers a message by the rules and gives joe's file `name`, without which the rules have not done their work.
fn outcome(instance: &Instance, name: &str) -> String {
    deliver(instance);
    std::fs::read_to_string(instance.home("joe").join(name)).unwrap_or_else(|error| panic!("{name}: {error}: {}", instance.log()))
}

/// Delivers a message; whatever its rules do, it comes to the INBOX.
fn deliver(instance: &Instance) {
    let reply = Smtp::to(instance.address("smtp")).send("a@client.test", HERE, b"From: a@client.test\nSubject: kept\n\ntext\n");
    assert!(reply.starts_with("250 "), "{reply}");
    let mut imap = Imap::to(instance.address("imap"), "joe");
    until("the message", || imap.subjects("INBOX").iter().any(|subject| subject == "kept").then_some(()));
}

#[test]
fn other_accounts_and_the_instance_are_out_of_reach() {
    let rules = "\
:0 hic
| cd $HOME; { cat ../ann/secret; ls ../../queue; cat ../../../pillarbox.toml; } >read 2>&1; \
  { echo x >>../ann/secret; echo x >../../x; echo x >/var/x; ln ../ann/secret stolen; } >written 2>&1; \
  cat /etc/passwd >system; cp /bin/cat bin.cat; ./bin.cat .procmailrc >own; grep NoNewPrivs /proc/self/status >privileges; \
  kill -0 $(cat ../../../pid) 2>signal; echo done >done
";
    let instance = instance(rules, "");
    std::fs::write(instance.path("pid"), instance.daemon_number().to_string()).unwrap();
    outcome(&instance, "done");
    let file = |name: &str| std::fs::read_to_string(instance.home("joe").join(name)).unwrap();
    let enforced = !instance.log().contains(UNCONFINED);
    assert_eq!(enforced, !file("read").contains("ann's own"), "{}", file("read"));
    assert_eq!(enforced, std::fs::read_to_string(instance.home("ann").join("secret")).unwrap() == "ann's own\n");
    assert_eq!(enforced, !instance.path("data/x").exists());
    assert_eq!(enforced, !instance.home("joe").join("stolen").exists());
    assert!(!enforced || file("written").matches("Permission denied").count() >= 3, "{}", file("written"));
    assert!(file("system").contains("root:") && file("own") == rules);
    assert_eq!(file("privileges"), "NoNewPrivs:\t1\n");
}

#[test]
fn programs_cannot_give_the_daemon_orders() {
    let rules = "\
:0 hic
| cd $HOME; ln -s $(readlink -f $SENDMAIL) mailctl; cat ../../control-key >key 2>&1; for c in status reload 'queue list' 'journal status'; do \
  ./mailctl --config $PILLARBOX_CONFIG $c; echo \"$c: $?\"; done >orders 2>&1; \
  printf 'Subject: by the rules\\n\\ntext\\n' | $SENDMAIL -oi -f joe@mail.example.org ann@mail.example.org >sent 2>&1; echo done >done

:0 c
! ann@mail.example.org
";
    let instance = instance(rules, "");
    outcome(&instance, "done");
    let file = |name: &str| std::fs::read_to_string(instance.home("joe").join(name)).unwrap();
    let key = std::fs::read_to_string(instance.path("data/control-key")).unwrap();
    assert_eq!(key.len(), 64);
    let enforced = !instance.log().contains(UNCONFINED);
    assert_eq!(enforced, !file("key").contains(&key), "{}", file("key"));
    let refused = if enforced { 4 } else { 0 };
    assert_eq!(file("orders").matches("needs the key").count(), refused, "{}", file("orders"));
    assert_eq!(file("orders").matches(": 69\n").count(), refused, "{}", file("orders"));
    // What rules forward with goes on working.
    let mut imap = Imap::to(instance.address("imap"), "ann");
    for expected in ["by the rules", "kept"] {
        until(expected, || imap.subjects("INBOX").iter().any(|subject| subject == expected).then_some(()));
    }
    assert_eq!(file("sent"), "");
}

#[test]
fn nothing_of_the_daemon_comes_along() {
    let rules = "LOGFILE=$HOME/log\nSECRET=x\nLD_DEBUG=statistics\nUMASK=027\n\n:0 hic\n| cd $HOME; LD_DEBUG=; ls -l /proc/self/fd >open; env >environment; umask >umask; ulimit -n >files\n";
    let instance = instance(rules, "");
    let open = outcome(&instance, "open");
    // Input, output, errors, and the folder that `ls` reads.
    assert_eq!(open.lines().filter(|line| line.contains("->")).count(), 4, "{open}");
    let file = |name: &str| std::fs::read_to_string(instance.home("joe").join(name)).unwrap();
    let environment = file("environment");
    assert!(environment.contains("SECRET=x\n") && environment.contains("LOGNAME=joe\n"), "{environment}");
    assert!(!environment.contains("_PILLARBOX_") && !environment.contains("RUST"), "{environment}");
    assert_eq!((file("umask").trim(), file("files").trim()), ("0027", "1024"));
    // The variable was not at work in the program that gives the rights away, which would have said so first.
    let log = file("log");
    assert_eq!(log.matches("total startup time").count(), 1, "{log}");
}

#[test]
fn a_program_that_eats_memory_or_disk_ends_and_the_message_stays() {
    let rules = "\
:0 fw
| head -c 200000000 /dev/zero | tail -n 1

:0 hic
| cd $HOME; head -c 9000000 /dev/zero >large; echo done >done
";
    let instance = instance(rules, "max_child_memory = \"64M\"\nmax_child_file = \"4M\"\n");
    outcome(&instance, "done");
    assert_eq!(std::fs::metadata(instance.home("joe").join("large")).unwrap().len(), 4 << 20);
    // What the rules said is logged once the delivery is settled.
    until("the failure in the log", || instance.log().contains("Rescue of unfiltered data succeeded").then_some(()));
}

#[test]
fn a_program_that_starts_ever_more_ends_and_the_message_stays() {
    let rules = "\
TIMEOUT=2
:0 hic
| cd $HOME; i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i + 1)); echo $i >started; done; echo done >done
";
    let instance = instance(rules, "max_child_processes = 100\n");
    deliver(&instance);
    let started: u32 = std::fs::read_to_string(instance.home("joe").join("started")).unwrap().trim().parse().unwrap();
    assert!(started < 100 && !instance.home("joe").join("done").exists(), "{started}");
    // With the program goes all that it started.
    let left = || String::from_utf8(run(Command::new("pgrep").args(["-u", "nobody", "-x", "sleep"]), b"").stdout).unwrap();
    until("their end", || left().is_empty().then_some(()));
}

/// Whether the process whose number stands in a file of joe's home has ended.
fn has_ended(instance: &Instance, file: &str) -> bool {
    let number = std::fs::read_to_string(instance.home("joe").join(file)).unwrap();
    assert!(number.trim().parse::<u32>().is_ok(), "{file}: {number}");
    !Path::new("/proc").join(number.trim()).exists()
}

#[test]
fn what_flees_into_a_session_of_its_own_ends_with_the_time_of_its_program() {
    let rules = "\
TIMEOUT=2
:0 hic
| cd $HOME; setsid sh -c 'trap \"\" TERM; echo $$ >stubborn; while :; do sleep 1000; done' & \
  (setsid sh -c 'echo $$ >orphan; exec sleep 1000' &); until [ -s stubborn ] && [ -s orphan ]; do :; done; echo x >started; sleep 1000
";
    let instance = instance(rules, "");
    outcome(&instance, "started");
    assert!(has_ended(&instance, "stubborn") && has_ended(&instance, "orphan"));
}

#[test]
fn the_stand_in_for_procmail_ends_what_flees_as_well() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let rules = "\
:0 hic
| (setsid sh -c 'echo $$ >earlier; exec sleep 1000' >/dev/null 2>&1 &); until [ -s earlier ]; do :; done

TIMEOUT=1
:0
| (setsid sh -c 'trap \"\" TERM; echo $$ >orphan; while :; do sleep 1000; done' &); sleep 1000
";
    std::fs::write(at("rc"), format!("MAILDIR={}\n{rules}", place.path().display())).unwrap();
    let mut command = Command::new(program("mailctl"));
    command.arg("procmail").arg("SHELL=/bin/sh").arg(at("rc"));
    succeed(&mut command, b"Subject: kept\n\ntext\n");
    let runs = |name: &str| Path::new("/proc").join(std::fs::read_to_string(at(name)).unwrap().trim()).exists();
    // A program that ended well may leave something running, as under procmail.
    assert!(runs("earlier") && !runs("orphan"));
    succeed(Command::new("kill").arg(std::fs::read_to_string(at("earlier")).unwrap().trim()), b"");
}

/// The program ends at once; what it has started waits for a word in joe's home.
const BACKGROUND: &str = ":0 hic
| cd $HOME; mkfifo go; setsid sh -c 'echo $$ >waiting; read x <go; echo $x >heard' >/dev/null 2>&1 & until [ -s $HOME/waiting ]; do :; done
";

#[test]
fn what_a_program_leaves_running_runs_on() {
    let mut instance = instance(BACKGROUND, "");
    outcome(&instance, "waiting");
    std::fs::write(instance.home("joe").join("go"), "word\n").unwrap();
    let heard = instance.home("joe").join("heard");
    until("the word", || (std::fs::read_to_string(&heard).ok()? == "word\n").then_some(()));
    // But no longer than the daemon.
    std::fs::remove_file(instance.home("joe").join("go")).unwrap();
    outcome(&instance, "waiting");
    instance.kill();
    until("its end", || has_ended(&instance, "waiting").then_some(()));
}

#[test]
fn what_a_program_leaves_running_has_a_limit() {
    let instance = instance(BACKGROUND, "max_background_programs = 0\n");
    outcome(&instance, "waiting");
    until("its end", || has_ended(&instance, "waiting").then_some(()));
}

#[test]
fn spamc_reaches_its_daemon() {
    if !has("spamc_reaches_its_daemon", "spamc", "spamc") {
        return;
    }
    let spamd = TcpListener::bind("127.0.0.1:0").unwrap();
    let rules = format!(":0 fW\n| spamc -d 127.0.0.1 -p {} -u joe\n\n:0 hic\n| cat >$HOME/seen\n", spamd.local_addr().unwrap().port());
    let judge = std::thread::spawn(move || {
        let (mut stream, _) = spamd.accept().unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        assert!(request.starts_with(b"PROCESS "));
        let begin = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        let message = [b"X-Spam-Status: Yes, score=15.0\r\n", &request[begin..]].concat();
        let head = format!("SPAMD/1.1 0 EX_OK\r\nContent-length: {}\r\nSpam: True ; 15.0 / 5.0\r\n\r\n", message.len());
        stream.write_all(&[head.as_bytes(), &message].concat()).unwrap();
    });
    let instance = instance(&rules, "");
    assert!(outcome(&instance, "seen").contains("X-Spam-Status: Yes"), "{}", instance.log());
    judge.join().unwrap();
}

#[test]
fn a_site_that_needs_more_says_so() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().canonicalize().unwrap();
    succeed(Command::new("chmod").arg("777").arg(&path), b"");
    let rules = format!(":0 hic\n| echo x >{0}/x; cat {0}/x >$HOME/seen; echo done >$HOME/done\n", path.display());
    let seen = |settings: &str| {
        let instance = instance(&rules, settings);
        outcome(&instance, "done");
        let enforced = !instance.log().contains(UNCONFINED);
        let seen = std::fs::read_to_string(instance.home("joe").join("seen")).unwrap() == "x\n";
        let _ = std::fs::remove_file(Path::new(&path).join("x"));
        (enforced, seen)
    };
    let (enforced, without) = seen("");
    assert_eq!(enforced, !without);
    assert!(seen(&format!("child_places = [\"{}:rw\"]\n", path.display())).1);
    assert!(seen("confine_children = false\n").1);
}
