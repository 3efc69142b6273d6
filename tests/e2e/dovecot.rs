//! Debian's Dovecot on the same Maildir, one after the other: both must show the same.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{Instance, PASSWORD, has, succeed, until};
use crate::talk::Imap;

const DOVECOT: &str = "/usr/sbin/dovecot";

/// The user of the system that owns the Maildirs here; Dovecot serves none of root's.
const OWNER: &str = "mail";

/// A private Dovecot over one Maildir, in a folder that its processes can reach.
struct Dovecot {
    folder: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Dovecot {
    /// Starts it over a copy of this Maildir, with the times of all files, or over an empty one.
    fn start(maildir: Option<&Path>) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder =
            tempfile::Builder::new().prefix("pillarbox-dovecot-").permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let place = folder.path().join("Maildir");
        match maildir {
            Some(maildir) => copy(maildir, &place),
            None => std::fs::create_dir(&place).unwrap(),
        }
        succeed(Command::new("chown").arg("-R").arg(format!("{OWNER}:{OWNER}")).arg(&place), b"");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().display();
        let configuration = format!(
            "base_dir = {path}/run\nstate_dir = {path}/state\nlog_path = {path}/log\nprotocols = imap\nssl = no\nlisten = 127.0.0.1\n\
             disable_plaintext_auth = no\nmail_location = maildir:{path}/Maildir\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
             instance_name = test-{port}\nnamespace inbox {{\n inbox = yes\n separator = .\n}}\n\
             passdb {{\n driver = static\n args = password={}\n}}\nuserdb {{\n driver = static\n args = uid={OWNER} gid={OWNER} home={path}\n}}\n\
             service imap-login {{\n inet_listener imap {{\n port = {port}\n }}\n inet_listener imaps {{\n port = 0\n }}\n}}\n",
            PASSWORD.replace(' ', "_"),
        );
        let file = folder.path().join("dovecot.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new(DOVECOT).arg("-F").arg("-c").arg(file).stderr(Stdio::null()).spawn().unwrap();
        let dovecot = Self { folder, child, port };
        until("dovecot to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        dovecot
    }

    fn maildir(&self) -> PathBuf {
        self.folder.path().join("Maildir")
    }

    fn imap(&self) -> Imap {
        Imap::with_password(([127, 0, 0, 1], self.port).into(), "joe", &PASSWORD.replace(' ', "_"))
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Asked to end, it ends its children too.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Copies a folder with the times of all files.
fn copy(from: &Path, to: &Path) {
    succeed(Command::new("cp").arg("-a").arg(from).arg(to), b"");
}

fn message(number: usize) -> Vec<u8> {
    format!("From: a@client.test\r\nSubject: message {number}\r\nMessage-ID: <{number}@client.test>\r\n\r\nText {number}.\r\n").into_bytes()
}

/// Fills mailboxes with flags, keywords, gaps in the UIDs, subscriptions and a name beyond ASCII.
fn fill(imap: &mut Imap) {
    for mailbox in ["Archive", "Archive.2026", "Entw&APw-rfe"] {
        imap.ok(&format!("CREATE \"{mailbox}\""));
    }
    imap.ok("SUBSCRIBE Archive.2026");
    imap.ok("SUBSCRIBE \"Entw&APw-rfe\"");
    for number in 0..6 {
        imap.append("INBOX", &message(number));
        imap.append("Archive.2026", &message(number));
    }
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 1,3 +FLAGS (\\Seen $Forwarded)");
    imap.ok("UID STORE 4 +FLAGS (\\Flagged \\Answered Work)");
    imap.ok("UID STORE 2,6 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    imap.append("INBOX", &message(7));
    imap.ok("UID COPY 4 \"Entw&APw-rfe\"");
    imap.ok("CLOSE");
}

/// Everything that the two must agree on.
fn picture(imap: &mut Imap) -> Vec<String> {
    let mut all = Vec::new();
    let mut listed = imap.ok("LIST \"\" \"*\"");
    let name = |line: &String| line.rsplit(' ').next().unwrap_or_default().trim_matches('"').to_owned();
    let mut names: Vec<_> = listed.drain(..).map(|line| name(&line)).collect();
    names.sort();
    for mailbox in &names {
        let opened = imap.ok(&format!("EXAMINE \"{mailbox}\""));
        let validity = opened
            .iter()
            .find_map(|line| line.split_once("[UIDVALIDITY "))
            .map(|(_, rest)| rest.split(']').next().unwrap_or_default().to_owned());
        all.push(format!("{mailbox} {validity:?}"));
        all.extend(imap.flags(mailbox));
        all.extend(imap.subjects(mailbox));
    }
    let mut subscribed: Vec<_> = imap.ok("LSUB \"\" \"*\"").iter().map(name).collect();
    subscribed.sort();
    all.push(format!("subscribed {subscribed:?}"));
    all
}

#[test]
fn dovecot_takes_a_maildir_back() {
    if !has("dovecot_takes_a_maildir_back", "imap", "dovecot-imapd") {
        return;
    }
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    instance.start();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    fill(&mut imap);
    let ours = picture(&mut imap);
    instance.stop();
    let dovecot = Dovecot::start(Some(&instance.home("joe").join("Maildir")));
    assert_eq!(picture(&mut dovecot.imap()), ours);
}

#[test]
fn a_maildir_of_dovecot_is_served_in_place() {
    if !has("a_maildir_of_dovecot_is_served_in_place", "imap", "dovecot-imapd") {
        return;
    }
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    let maildir = instance.home("joe").join("Maildir");
    std::fs::create_dir_all(instance.home("joe")).unwrap();
    let theirs = {
        let dovecot = Dovecot::start(None);
        let mut imap = dovecot.imap();
        fill(&mut imap);
        let picture = picture(&mut imap);
        copy(&dovecot.maildir(), &maildir);
        picture
    };
    succeed(Command::new("chown").args(["-R", "0:0"]).arg(&maildir), b"");
    instance.start();
    let mut imap = Imap::to(instance.address("imap"), "joe");
    assert_eq!(picture(&mut imap), theirs);
    imap.append("INBOX", &message(8));
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 1 +FLAGS (Work \\Draft)");
    let ours = picture(&mut imap);
    instance.stop();
    let dovecot = Dovecot::start(Some(&maildir));
    assert_eq!(picture(&mut dovecot.imap()), ours);
}
