//! STATUS (RFC 3501 section 6.3.10, RFC 7162, RFC 8438, RFC 7889), also as part of LIST (RFC 5819).

use crate::core::{Core, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;
use crate::store::Status;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    AppendLimit,
}

const ITEMS: [(&str, Item); 9] = [
    ("MESSAGES", Item::Messages),
    ("RECENT", Item::Recent),
    ("UIDNEXT", Item::UidNext),
    ("UIDVALIDITY", Item::UidValidity),
    ("UNSEEN", Item::Unseen),
    ("DELETED", Item::Deleted),
    ("SIZE", Item::Size),
    ("HIGHESTMODSEQ", Item::HighestModSeq),
    ("APPENDLIMIT", Item::AppendLimit),
];

/// STATUS.
pub(crate) fn status(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let name = cursor.mailbox()?;
    cursor.space()?;
    let items = items(cursor)?;
    cursor.end()?;
    let status = core.store()?.status(&name)?;
    write(core, &name, &items, &status);
    Ok(Reply::ok("Status completed.").into())
}

/// The list of items, at least one.
pub(crate) fn items(cursor: &mut Cursor<'_>) -> Parse<Vec<Item>> {
    let items = cursor.list(|cursor| {
        let word = cursor.word()?;
        let known = ITEMS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        known.map(|(_, item)| *item).ok_or(Syntax("Unknown status item"))
    })?;
    if items.is_empty() { Err(Syntax("Missing status items")) } else { Ok(items) }
}

/// Writes the untagged STATUS.
pub(crate) fn write(core: &mut Core, name: &str, items: &[Item], status: &Status) {
    if items.contains(&Item::HighestModSeq) {
        core.enable_condstore();
    }
    let limit = core.settings.limits.max_message_size.0;
    let out = &mut core.out;
    out.text("* STATUS ");
    out.mailbox(name);
    for (at, item) in items.iter().enumerate() {
        out.text(if at == 0 { " (" } else { " " });
        let (word, value) = match item {
            Item::Messages => ("MESSAGES ", status.messages.into()),
            Item::Recent => ("RECENT ", status.recent.into()),
            Item::UidNext => ("UIDNEXT ", status.uid_next.into()),
            Item::UidValidity => ("UIDVALIDITY ", status.uid_validity.into()),
            Item::Unseen => ("UNSEEN ", status.unseen.into()),
            Item::Deleted => ("DELETED ", status.deleted.into()),
            Item::Size => ("SIZE ", status.size),
            Item::HighestModSeq => ("HIGHESTMODSEQ ", status.highest_modseq),
            Item::AppendLimit => ("APPENDLIMIT ", limit),
        };
        out.text(word);
        out.number(value);
    }
    out.text(")\r\n");
}
