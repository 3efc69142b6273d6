//! Dovecot's side files, message file names and folder names: read leniently, and what is written reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maildir::keywords::Keywords;
use maildir::subscriptions::Subscriptions;
use maildir::uidlist::UidList;
use maildir::{folder, name, utf7};

fn uid_list(data: &[u8]) {
    let list = UidList::parse(data.to_vec());
    assert!(list.lines.windows(2).all(|pair| pair[0].uid < pair[1].uid));
    for line in &list.lines {
        assert!(!list.name(line).is_empty());
        let _ = (list.fields(line), list.number(line, 'S'), list.number(line, 'W'));
        if let Some(header) = &list.header {
            assert!(header.next > line.uid || line.uid == u32::MAX);
        }
    }
}

fn keywords(data: &[u8]) {
    let (keywords, _) = Keywords::parse(data);
    let (again, damage) = Keywords::parse(keywords.to_text().as_bytes());
    assert_eq!(damage, 0);
    assert_eq!(keywords.slots(), again.slots());
}

fn subscriptions(data: &[u8]) {
    let subscriptions = Subscriptions::parse(data);
    let again = Subscriptions::parse(subscriptions.to_text().as_bytes());
    assert_eq!(subscriptions.names(), again.names());
}

fn names(data: &[u8]) {
    let info = name::info(data);
    let base = name::base(data);
    assert!(data.starts_with(base));
    let _ = (info, name::size(base), name::virtual_size(base), name::seconds(base), name::is_message(data));
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(utf7::decode(&utf7::encode(text)).as_deref(), Some(text));
    let _ = (utf7::decode(text), folder::mailbox_name(text));
    if let Ok(folder) = folder::folder_name(text) {
        assert!(!folder.contains('/') && !folder.contains('\0') && folder != "." && folder != "..");
        if !folder::is_inbox(text) {
            assert_eq!(folder::mailbox_name(&folder).as_deref(), Some(text));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = fuzz::choice(data);
    match choice % 4 {
        0 => uid_list(data),
        1 => keywords(data),
        2 => subscriptions(data),
        _ => names(data),
    }
});
