//! Items that the mailbox knows by itself: flags, UIDs, sizes, dates. `FETCH 1:* (FLAGS)` of a large mailbox runs here.

use mail::{Keyword, ModSeq};

use super::{Fetch, Item};
use crate::core::Core;
use crate::output::Output;
use crate::store::Meta;

/// Messages between two looks at how full the output is.
pub(super) const BATCH: u32 = 128;

/// Answers for the messages from `first` to `last`.
pub(super) fn write(core: &mut Core, fetch: &mut Fetch, first: u32, last: u32) {
    let (Some(open), out) = (&mut core.selected, &mut core.out) else { return };
    let uids = open.view.uids().get(first as usize - 1..last as usize).unwrap_or_default();
    let any_recent = open.view.status().recent > 0;
    let (view, keywords, told) = (&open.view, &mut open.keywords, &mut open.told);
    let mut at = 0;
    view.metas(uids, fetch.wanted.detail, &mut fetch.known);
    for meta in fetch.known.drain(..) {
        while uids.get(at).is_some_and(|uid| *uid != meta.uid) {
            at += 1;
        }
        if meta.keywords.checked_shr(keywords.len() as u32).unwrap_or(0) != 0 {
            crate::core::learn(&**view, keywords, out);
        }
        out.raw(b"* ");
        out.number(first + at as u32);
        out.raw(b" FETCH (");
        for (at, item) in fetch.items.iter().enumerate() {
            if at > 0 {
                out.byte(b' ');
            }
            let recent = any_recent && *item == Item::Flags && view.is_recent(meta.uid);
            write_item(item, &meta, recent, keywords, told, out);
        }
        out.raw(b")\r\n");
    }
}

/// One item with its name.
pub(super) fn write_item(item: &Item, meta: &Meta, recent: bool, keywords: &[Keyword], told: &mut ModSeq, out: &mut Output) {
    match item {
        Item::Uid => {
            out.raw(b"UID ");
            out.number(meta.uid);
        }
        Item::Flags => {
            out.raw(b"FLAGS ");
            out.flags(recent, meta.flags, meta.keywords, keywords);
        }
        Item::ModSeq => {
            *told = meta.modseq.max(*told);
            out.raw(b"MODSEQ (");
            out.number(meta.modseq);
            out.byte(b')');
        }
        Item::InternalDate => {
            out.raw(b"INTERNALDATE ");
            out.date_time(meta.internal_date);
        }
        Item::SaveDate => {
            out.raw(b"SAVEDATE ");
            out.date_time(meta.save_date);
        }
        Item::Size => {
            out.raw(b"RFC822.SIZE ");
            out.number(meta.size);
        }
        Item::Envelope | Item::Structure { .. } | Item::Section(_) | Item::Binary(_) | Item::BinarySize(_) => {}
    }
}
