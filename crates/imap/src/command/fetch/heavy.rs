//! Items that need a message's content, one message at a time.

use std::cell::OnceCell;

use mail::Uid;
use mime::eol::Window;
use mime::{BinaryError, Facts, Structure};

use super::items::Named;
use super::{Fetch, Item, light};
use crate::content::{Content, Need, Stream};
use crate::core::{Core, Open};
use crate::reply::Reply;
use crate::session::Remark;
use crate::store::{Meta, Refusal};

/// A message whose answer is being written.
pub(super) struct Message {
    uid: Uid,
    meta: Meta,
    facts: Option<Facts>,
    content: Option<Content>,
    /// The items that are still to be written, by their place in the list.
    next: usize,
    /// Something stands between the parentheses already.
    begun: bool,
    /// A long string that is being written.
    stream: Option<Stream>,
}

/// Begins the answer for a message; `None` if there is none.
pub(super) fn begin(core: &mut Core, fetch: &mut Fetch, sequence: u32) -> Option<Message> {
    let (open, out) = core.open_and_out().ok()?;
    let uid = open.view.uids().get(sequence as usize - 1).copied()?;
    let meta = open.view.meta(uid)?;
    open.learn(meta.keywords, out);
    let mut message = Message { uid, meta, facts: None, content: None, next: 0, begun: false, stream: None };
    if let Err(refusal) = message.prepare(open, fetch) {
        // The others are answered nevertheless (RFC 2180 section 4.1.2).
        fetch.failure = Some(match refusal {
            Refusal::Expunged => Reply::ok("Some messages were expunged already.").code("EXPUNGEISSUED"),
            other => other.into(),
        });
        return None;
    }
    let start = out.bytes().len();
    out.raw(b"* ");
    out.number(sequence);
    out.raw(b" FETCH (");
    let message = message.go_on(core, fetch);
    if message.is_none() && core.out.bytes().ends_with(b" FETCH ()\r\n") {
        // Nothing of it could be answered.
        core.out.vec().truncate(start);
    }
    message
}

impl Message {
    /// Gets all that is needed before the first octet is written, so that what cannot be read is left out as a whole.
    fn prepare(&mut self, open: &Open, fetch: &mut Fetch) -> Result<(), Refusal> {
        let summary = fetch.items.iter().any(|item| matches!(item, Item::Envelope | Item::Structure { .. }));
        if summary {
            self.facts = open.view.facts(self.uid).and_then(|blob| Facts::decode(&blob));
        }
        let others = fetch.items.iter().filter(|item| !matches!(item, Item::Envelope | Item::Structure { .. }));
        let mut need = others.map(Item::need).max().unwrap_or(Need::Nothing);
        let lacks_facts = summary && self.facts.is_none();
        if lacks_facts {
            need = need.max(Need::Whole);
        }
        if need == Need::Nothing {
            return Ok(());
        }
        let content = Content::open(&*open.view, self.uid, need, std::mem::take(&mut fetch.scratch))?;
        if lacks_facts {
            self.facts = Some(content.find_facts(&*open.view, self.uid));
        }
        self.content = Some(content);
        Ok(())
    }

    /// Writes on. Gives itself back if the output is full before the end.
    pub(super) fn go_on(mut self, core: &mut Core, fetch: &mut Fetch) -> Option<Self> {
        let limit = core.settings.limits.output_buffer.octets();
        match self.write(core, fetch, limit) {
            Ok(false) => return Some(self),
            Ok(true) => {}
            Err(_) => {
                // Octets were announced that cannot be sent: nothing else keeps the client from taking others for them.
                let mailbox = core.selected.as_ref().map(|open| open.name.clone()).unwrap_or_default();
                core.remarks.push(Remark::BrokenMessage { mailbox, uid: self.uid });
                core.leaving = true;
                return None;
            }
        }
        if let Some(content) = self.content {
            fetch.scratch = content.into_scratch();
        }
        None
    }

    /// Writes items until all are written, or more than `limit` octets wait.
    fn write(&mut self, core: &mut Core, fetch: &mut Fetch, limit: usize) -> Result<bool, Refusal> {
        let condstore = core.enabled.condstore;
        let (Some(open), out) = (&mut core.selected, &mut core.out) else { return Ok(true) };
        let structure = OnceCell::new();
        loop {
            if let (Some(stream), Some(content)) = (&mut self.stream, &self.content) {
                while !stream.run(content, &mut open.measured, out.vec())? {
                    if out.bytes().len() >= limit {
                        return Ok(false);
                    }
                }
                self.stream = None;
            }
            let Some(item) = fetch.items.get(self.next) else { break };
            self.next += 1;
            let before = out.bytes().len();
            if self.begun {
                out.byte(b' ');
            }
            let start = out.bytes().len();
            match item {
                Item::Envelope => {
                    out.raw(b"ENVELOPE ");
                    out.raw(self.facts.as_ref().map_or(b"NIL", |facts| &facts.envelope));
                }
                Item::Structure { extended } => {
                    out.raw(if *extended { b"BODYSTRUCTURE " } else { b"BODY " });
                    out.raw(self.facts.as_ref().map_or(b"NIL", |f| if *extended { &f.bodystructure } else { &f.body }));
                }
                Item::Section(named) => {
                    if let Some(content) = &self.content {
                        out.raw(&named.label);
                        out.byte(b' ');
                        let piece = content.section(&named.section, || structure.get_or_init(|| content.structure()));
                        self.stream = content.write(self.uid, piece, named.partial, &mut open.measured, out.vec())?;
                    }
                }
                Item::Binary(named) | Item::BinarySize(named) => {
                    if let Some(content) = &self.content {
                        let structure = structure.get_or_init(|| content.structure());
                        let size_only = matches!(item, Item::BinarySize(_));
                        if let Err(error) = binary(structure, named, size_only, out.vec()) {
                            fetch.failure = Some(undecodable(error));
                        }
                    }
                }
                light => {
                    let recent = open.view.is_recent(self.uid);
                    light::write_item(light, &self.meta, recent, &open.keywords, &mut open.told, out);
                }
            }
            if out.bytes().len() == start {
                out.vec().truncate(before);
            } else {
                self.begun = true;
            }
        }
        self.tell_seen(open, fetch, condstore, out);
        out.raw(b")\r\n");
        Ok(true)
    }

    /// The flags of a message that has just become `\Seen`.
    fn tell_seen(&self, open: &mut Open, fetch: &Fetch, condstore: bool, out: &mut crate::output::Output) {
        if fetch.seen.binary_search(&self.uid).is_err() {
            return;
        }
        for item in [Item::Flags, Item::ModSeq] {
            if !fetch.items.contains(&item) && (condstore || item == Item::Flags) {
                out.byte(b' ');
                let recent = open.view.is_recent(self.uid);
                light::write_item(&item, &self.meta, recent, &open.keywords, &mut open.told, out);
            }
        }
    }
}

/// Writes BINARY or BINARY.SIZE, or nothing if the part cannot be decoded.
fn binary(structure: &Structure<'_>, named: &Named, size_only: bool, out: &mut Vec<u8>) -> Result<(), BinaryError> {
    let path = &named.section.path;
    if size_only {
        let size = structure.binary_size(path)?;
        out.extend_from_slice(&named.label);
        out.extend_from_slice(format!(" {size}").as_bytes());
        return Ok(());
    }
    let mut octets = Vec::new();
    structure.binary(path, &mut octets)?;
    let window = named.partial.unwrap_or(Window { offset: 0, count: u64::MAX });
    let start = octets.len().min(usize::try_from(window.offset).unwrap_or(usize::MAX));
    let end = octets.len().min(start.saturating_add(usize::try_from(window.count).unwrap_or(usize::MAX)));
    let shown = &octets[start..end];
    out.extend_from_slice(&named.label);
    // Only a literal8 may hold NUL (RFC 3516 section 4.2).
    out.extend_from_slice(if shown.contains(&0) { b" ~" } else { b" " });
    out.extend_from_slice(format!("{{{}}}\r\n", shown.len()).as_bytes());
    out.extend_from_slice(shown);
    Ok(())
}

fn undecodable(error: BinaryError) -> Reply {
    match error {
        BinaryError::UnknownEncoding => Reply::no("Unknown transfer encoding.").code("UNKNOWN-CTE"),
        BinaryError::Broken => Reply::no("The part cannot be decoded.").code("PARSE"),
    }
}
