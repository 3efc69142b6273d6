//! The user's own files, byte for byte: his alias map and his rules.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Instance, has, program, run, succeed, until};
use crate::talk::{Imap, Smtp};

const HOST: &str = "cyan.usenet.net.nz";
const ACCOUNT: &str = "simon-mail";

/// `/etc/postfix/virtual`
const VIRTUAL: &str = "\
darkmere.gen.nz              20140720
simon@darkmere.gen.nz        simon-mail@cyan.usenet.net.nz
root@darkmere.gen.nz         simon@darkmere.gen.nz
";

/// `~simon-mail/.procmailrc`
const PROCMAILRC: &str = "\
:0 fW
* < 280000
| spamc -u simon-mail -d localhost

:0:
* ^X-Spam-Status: Yes, score=([5-9]|1[0-9]|[2-9][0-9])
.junk/
";

/// Scores by subject, so that a test can ask for one.
const RULES: &str = "\
use_bayes 0
skip_rbl_checks 1
report_safe 0
required_score 5.0
clear_headers
add_header all Status _YESNO_, score=_SCORE_ required=_REQD_ tests=_TESTS_ version=_VERSION_
add_header all Checker-Version SpamAssassin _VERSION_
header PB_SEVEN Subject =~ /score seven/
score PB_SEVEN 7.1
header PB_FOUR Subject =~ /score four/
score PB_FOUR 4.9
header PB_TWELVE Subject =~ /score twelve/
score PB_TWELVE 12
header PB_TRUST From =~ /./
score PB_TRUST 0
";

pub(crate) fn simons_instance() -> Instance {
    let instance = Instance::new(HOST, &[ACCOUNT]);
    std::fs::write(instance.path("virtual"), VIRTUAL).unwrap();
    std::fs::create_dir_all(instance.home(ACCOUNT)).unwrap();
    std::fs::write(instance.home(ACCOUNT).join(".procmailrc"), PROCMAILRC).unwrap();
    instance
}

fn message(subject: &str, size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: a@client.test\nTo: root@darkmere.gen.nz\nSubject: {subject}\nMessage-ID: <{}@client.test>\nDate: Sun, 22 Nov 2026 12:00:00 +0000\n\n",
        subject.replace(' ', ".")
    );
    while text.len() < size {
        text.push_str("All work and no play makes for a dull message, line after line.\n");
    }
    text.push_str("The end.\n");
    text.into_bytes()
}

/// A spamd with only our rules, on the port where spamc looks for it.
struct Spamd(Child);

impl Spamd {
    fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder.join("site")).unwrap();
        std::fs::write(folder.join("site/local.cf"), RULES).unwrap();
        std::fs::write(folder.join("site/init.pre"), "loadplugin Mail::SpamAssassin::Plugin::Check\n").unwrap();
        let log = std::fs::File::create(folder.join("spamd.log")).unwrap();
        let child = Command::new("/usr/sbin/spamd")
            .args(["-L", "-x", "--min-children=1", "--max-children=1", "-i", "127.0.0.1", "-p", "783", "-u", "nobody"])
            .args(["-s", "stderr", "--siteconfigpath"])
            .arg(folder.join("site"))
            .arg("--configpath")
            .arg(folder.join("site"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let spamd = Self(child);
        until("spamd to answer", || run(Command::new("spamc").args(["-K", "-d", "127.0.0.1"]), b"").status.success().then_some(()));
        spamd
    }
}

impl Drop for Spamd {
    fn drop(&mut self) {
        // Its children go with it only when it is asked to end.
        succeed(Command::new("kill").arg(self.0.id().to_string()), b"");
        let _ = self.0.wait();
    }
}

fn wait_for_subject(imap: &mut Imap, mailbox: &str, subject: &str) {
    until(&format!("{subject:?} in {mailbox}"), || imap.subjects(mailbox).iter().any(|s| s.contains(subject)).then_some(()));
}

#[test]
fn mail_for_an_alias_is_filtered_and_read() {
    if !has("mail_for_an_alias_is_filtered_and_read", "spamd", "spamassassin") || !has("same", "spamc", "spamc") {
        return;
    }
    let mut instance = simons_instance();
    instance.start();
    let smtp = instance.address("smtp");
    {
        let _spamd = Spamd::start(&instance.path(""));
        let mut client = Smtp::to(smtp);
        for subject in ["score seven", "score four", "score twelve", "plain"] {
            assert!(client.send("a@client.test", "root@darkmere.gen.nz", &message(subject, 0)).starts_with("250 "));
        }
        assert!(client.send("a@client.test", "root@darkmere.gen.nz", &message("large", 300_000)).starts_with("250 "));
        let mut imap = Imap::to(instance.address("imap"), ACCOUNT);
        for (mailbox, subject) in [("junk", "seven"), ("INBOX", "four"), ("junk", "twelve"), ("INBOX", "plain"), ("INBOX", "large")] {
            wait_for_subject(&mut imap, mailbox, subject);
        }
        imap.ok("EXAMINE INBOX");
        let header = imap.ok("UID FETCH 1:* BODY.PEEK[HEADER]").concat();
        assert_eq!(header.matches("X-Spam-Checker-Version").count(), 2, "the large one goes past the filter: {header}");
    }
    // Without spamd spamc gives back what it got, and with -x or a crash procmail takes the message as it was.
    let mut client = Smtp::to(smtp);
    assert!(client.send("a@client.test", "simon@darkmere.gen.nz", &message("spamd is gone", 0)).starts_with("250 "));
    let mut imap = Imap::to(instance.address("imap"), ACCOUNT);
    wait_for_subject(&mut imap, "INBOX", "spamd is gone");
    instance.stop();
}

#[test]
fn strangers_learn_what_is_not_here() {
    let mut instance = simons_instance();
    instance.start();
    let mut client = Smtp::to(instance.address("smtp"));
    client.ask("MAIL FROM:<a@client.test>", "250 ");
    client.ask("RCPT TO:<nobody@darkmere.gen.nz>", "550 5.1.1 ");
    client.ask("RCPT TO:<someone@elsewhere.test>", "554 5.7.1 ");
    client.ask("RCPT TO:<root@darkmere.gen.nz>", "250 ");
    instance.stop();
}

#[test]
fn swaks_brings_a_message_and_mailctl_tells_its_story() {
    if !has("swaks_brings_a_message_and_mailctl_tells_its_story", "swaks", "swaks") {
        return;
    }
    let mut instance = simons_instance();
    std::fs::write(instance.home(ACCOUNT).join(".procmailrc"), ":0:\n* ^Subject: for the shelf\n.shelf/\n").unwrap();
    instance.start();
    let server = instance.address("smtp").to_string();
    let swaks =
        ["--server", &server, "--from", "a@client.test", "--to", "root@darkmere.gen.nz", "--tls", "--header", "Subject: for the shelf"];
    succeed(Command::new("swaks").args(swaks), b"");
    let story = until("the story of the message", || {
        let output = run(instance.mailctl(&["trace", "root@darkmere.gen.nz", "--json"]), b"");
        let story = String::from_utf8_lossy(&output.stdout).into_owned();
        story.contains("\"delivered\"").then_some(story)
    });
    for part in ["\"accepted\"", "simon-mail@cyan.usenet.net.nz", ".procmailrc:1", "\"shelf\"", "\"uid\":1", "hash:"] {
        assert!(story.contains(part), "{part} is not in {story}");
    }
    instance.stop();
}

#[test]
fn sendmail_hands_a_message_in() {
    let mut instance = simons_instance();
    std::fs::remove_file(instance.home(ACCOUNT).join(".procmailrc")).unwrap();
    instance.start();
    let link = instance.path("sendmail");
    std::os::unix::fs::symlink(program("mailctl"), &link).unwrap();
    let mut sendmail = Command::new(link);
    sendmail.env("PILLARBOX_CONFIG", instance.path("pillarbox.toml")).args(["-i", "-t", "-f", "simon@darkmere.gen.nz"]);
    succeed(&mut sendmail, b"To: Simon <root@darkmere.gen.nz>\nSubject: by hand\n\n.\nText after a lone dot.\n");
    let mut imap = Imap::to(instance.address("imap"), ACCOUNT);
    wait_for_subject(&mut imap, "INBOX", "by hand");
    assert!(imap.ok("UID FETCH 1 BODY[TEXT]").concat().contains(".\r\nText after a lone dot."));
    instance.stop();
}
