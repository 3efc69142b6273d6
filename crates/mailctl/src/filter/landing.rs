//! Where a message lands by a rule file, as names of mailboxes where it can.

use std::path::{Component, Path, PathBuf};

use filter::{Delivery, FolderKind, Outcome, Target};

/// The places that a message goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Landing {
    places: Vec<Place>,
    rule: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A mailbox of the account.
    Mailbox(String),
    /// Anything else, in words.
    Other(String),
}

impl Landing {
    /// Where a message of this mailbox is.
    pub(super) fn there(mailbox: &str) -> Self {
        Self { places: vec![Place::Mailbox(mailbox.to_owned())], rule: None }
    }

    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        self.places == other.places
    }

    /// The one mailbox that all of it goes to.
    pub(super) fn mailbox(&self) -> Option<&str> {
        match self.places.as_slice() {
            [Place::Mailbox(name)] => Some(name),
            _ => None,
        }
    }

    /// The places' names.
    pub(super) fn places(&self) -> Vec<&str> {
        self.places
            .iter()
            .map(|place| match place {
                Place::Mailbox(name) | Place::Other(name) => name.as_str(),
            })
            .collect()
    }

    /// `file:line` of the recipe that took the message; `None`: the default.
    pub(super) fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }
}

/// What an outcome means for the account with this Maildir.
pub(super) fn landing(outcome: &Outcome, maildir: &Path) -> Landing {
    let mut places: Vec<Place> = outcome.deliveries.iter().map(|delivery| place(delivery, maildir)).collect();
    if places.is_empty() {
        places.push(Place::Other(format!("nowhere, exit code {}", outcome.code)));
    }
    places.sort();
    places.dedup();
    let origin = outcome.deliveries.last().and_then(|delivery| delivery.origin.as_ref());
    let rule = origin.map(|origin| format!("{}:{}", String::from_utf8_lossy(&origin.file), origin.line));
    Landing { places, rule }
}

fn place(delivery: &Delivery, maildir: &Path) -> Place {
    use std::os::unix::ffi::OsStrExt;
    let shown = String::from_utf8_lossy(&delivery.name).trim().to_owned();
    match delivery.target {
        Target::Folder(FolderKind::Maildir) => {
            let end = delivery.name.windows(5).rposition(|five| five == b"/new/").unwrap_or(delivery.name.len());
            let path = delivery.folder.join(std::ffi::OsStr::from_bytes(&delivery.name[..end]));
            mailbox_at(&path, maildir).map_or_else(|| Place::Other(format!("Maildir {}", path.display())), Place::Mailbox)
        }
        Target::Folder(FolderKind::Mbox) => Place::Other(format!("mbox {shown}")),
        Target::Folder(FolderKind::Mh | FolderKind::Directory) => Place::Other(format!("folder {shown}")),
        Target::Program => Place::Other(format!("program {shown}")),
        Target::Forward => Place::Other(format!("forward {shown}")),
        Target::Discard => Place::Other("/dev/null".to_owned()),
        Target::StandardOutput => Place::Other("standard output".to_owned()),
    }
}

fn mailbox_at(path: &Path, maildir: &Path) -> Option<String> {
    let plain = |path: &Path| path.components().filter(|part| !matches!(part, Component::CurDir)).collect::<PathBuf>();
    let (path, root) = (plain(path), plain(maildir));
    if path == root {
        return Some("INBOX".to_owned());
    }
    let folder = path.file_name()?.to_str()?;
    (path.parent()? == root).then(|| maildir::folder::mailbox_name(folder)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_maildir_are_mailboxes() {
        for (name, target, expected) in [
            (".junk/new/(new)", Target::Folder(FolderKind::Maildir), Place::Mailbox("junk".to_owned())),
            ("/h/Maildir/./new/(new)", Target::Folder(FolderKind::Maildir), Place::Mailbox("INBOX".to_owned())),
            ("x/new/(new)", Target::Folder(FolderKind::Maildir), Place::Other("Maildir /h/Maildir/x".to_owned())),
            ("box", Target::Folder(FolderKind::Mbox), Place::Other("mbox box".to_owned())),
        ] {
            let delivery = Delivery { target, name: name.as_bytes().to_vec(), origin: None, folder: "/h/Maildir".into() };
            assert_eq!(place(&delivery, Path::new("/h/Maildir")), expected, "{name}");
        }
    }
}
