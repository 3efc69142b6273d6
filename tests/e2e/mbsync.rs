//! mbsync (Debian's isync) pulls an account into a second Maildir, twice; flags go both ways.

use std::path::Path;
use std::process::Command;

use crate::harness::{Instance, PASSWORD, has, succeed};
use crate::talk::Imap;

fn configuration(instance: &Instance) -> String {
    let address = instance.address("imap");
    let local = instance.path("local");
    format!(
        "IMAPAccount box\nHost {}\nPort {}\nUser joe\nPass \"{PASSWORD}\"\nSSLType None\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount box\n\nMaildirStore near\nPath {local}/\nInbox {local}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n",
        address.ip(),
        address.port(),
        local = local.display(),
    )
}

/// The flags in a Maildir's file names, by file content's number.
fn near_flags(folder: &Path, subject: &str) -> String {
    let files = ["new", "cur"].iter().flat_map(|sub| std::fs::read_dir(folder.join(sub)).unwrap());
    let paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    let path = paths.iter().find(|path| std::fs::read_to_string(path).unwrap().contains(&format!("Subject: {subject}\n")));
    let name =
        path.unwrap_or_else(|| panic!("{subject} is not in {}", folder.display())).file_name().unwrap().to_string_lossy().into_owned();
    name.rsplit_once(":2,").map_or(String::new(), |(_, flags)| flags.to_owned())
}

#[test]
fn mbsync_pulls_pushes_and_finds_nothing_the_second_time() {
    if !has("mbsync_pulls_pushes_and_finds_nothing_the_second_time", "mbsync", "isync") {
        return;
    }
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    instance.start();
    std::fs::create_dir_all(instance.path("local")).unwrap();
    std::fs::write(instance.path("mbsyncrc"), configuration(&instance)).unwrap();
    let mbsync = || {
        let mut command = Command::new("mbsync");
        command.arg("-c").arg(instance.path("mbsyncrc")).arg("-V").arg("all");
        succeed(&mut command, b"")
    };
    let mut imap = Imap::to(instance.address("imap"), "joe");
    imap.ok("CREATE Archive");
    for (mailbox, subject) in [("INBOX", "one"), ("INBOX", "two"), ("Archive", "three")] {
        imap.append(mailbox, format!("From: a@client.test\r\nSubject: {subject}\r\n\r\nText.\r\n").as_bytes());
    }
    mbsync();
    let inbox = instance.path("local/INBOX");
    assert_eq!(near_flags(&inbox, "one"), "");
    near_flags(&instance.path("local/Archive"), "three");
    let before = imap.ok("STATUS INBOX (MESSAGES UIDNEXT)");
    let again = mbsync();
    assert!(!again.contains("+1"), "the second run moved something: {again}");
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES UIDNEXT)"), before);
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 1 +FLAGS (\\Flagged)");
    mbsync();
    assert_eq!(near_flags(&inbox, "one"), "F");
    let two = std::fs::read_dir(inbox.join("cur"))
        .unwrap()
        .chain(std::fs::read_dir(inbox.join("new")).unwrap())
        .map(|entry| entry.unwrap().path());
    let two = two.into_iter().find(|path| std::fs::read_to_string(path).unwrap().contains("Subject: two")).unwrap();
    let name = two.file_name().unwrap().to_string_lossy().into_owned();
    let base = name.split_once(":2,").map_or(name.as_str(), |(base, _)| base);
    std::fs::rename(&two, inbox.join("cur").join(format!("{base}:2,RS"))).unwrap();
    mbsync();
    assert_eq!(imap.flags("INBOX"), ["1 \\Flagged", "2 \\Answered \\Seen"]);
    instance.stop();
}
