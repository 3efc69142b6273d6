//! Items that need a message's content, one message at a time.

use std::cell::OnceCell;
use std::sync::Arc;

use mail::Uid;
use mime::eol::Window;
use mime::{BinaryError, KeptFields, Structure, Summary, Text};

use super::items::Named;
use super::{Fetch, Item, Wanted, light};
use crate::content::{self, Content, Measured, Need, Stream};
use crate::core::{Core, Open};
use crate::output::Output;
use crate::reply::Reply;
use crate::session::Remark;
use crate::store::{Meta, Refusal};

/// A message whose answer is being written.
pub(super) struct Message {
    uid: Uid,
    meta: Meta,
    /// The facts about its content, if ENVELOPE or BODYSTRUCTURE is asked for.
    summary: Option<Arc<[u8]>>,
    /// The facts that the mailbox keeps, if common header fields are asked for and are among them.
    kept: Option<Arc<[u8]>>,
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
    let (meta, blob) = fetch.look_ahead(&*open.view, sequence)?;
    let uid = meta.uid;
    open.learn(meta.keywords, out);
    let mut message = Message { uid, meta, summary: None, kept: None, content: None, next: 0, begun: false, stream: None };
    if let Err(refusal) = message.prepare(open, fetch, blob) {
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
    if !message.go_on(core, fetch) {
        return Some(message);
    }
    if !message.begun {
        // Nothing of it could be answered.
        core.out.vec().truncate(start);
    }
    None
}

impl Message {
    /// Gets all that is needed before the first octet is written, so that what cannot be read is left out as a whole.
    fn prepare(&mut self, open: &Open, fetch: &mut Fetch, blob: Option<Arc<[u8]>>) -> Result<(), Refusal> {
        let Wanted { summary, fields, others, .. } = fetch.wanted;
        if summary {
            self.summary = blob.as_ref().filter(|blob| Summary::find(blob).is_some()).cloned();
        }
        let lacks_facts = summary && self.summary.is_none();
        let lacks_all = blob.is_none();
        self.kept = blob.filter(|blob| fields && KeptFields::find(blob).is_some());
        let need = match (lacks_facts, fields && self.kept.is_none()) {
            (true, _) => Need::Whole,
            (false, true) => others.max(Need::Header),
            (false, false) => others,
        };
        if need <= Need::Facts {
            return Ok(());
        }
        let mut content = Content::open(&*open.view, self.uid, need, std::mem::take(&mut fetch.scratch))?;
        if lacks_facts {
            self.summary = Some(content.find_facts(&*open.view, self.uid).1);
        } else if fields && lacks_all && content.read_if_small()? {
            // The next one who asks need not open it.
            content.find_facts(&*open.view, self.uid);
        }
        self.content = Some(content);
        Ok(())
    }

    /// Writes on; false if the output is full before the end.
    pub(super) fn go_on(&mut self, core: &mut Core, fetch: &mut Fetch) -> bool {
        let limit = core.room();
        match self.write(core, fetch, limit) {
            Ok(false) => return false,
            Ok(true) => {}
            Err(_) => {
                // Octets were announced that cannot be sent: nothing else keeps the client from taking others for them.
                let mailbox = core.selected.as_ref().map(|open| open.name.clone()).unwrap_or_default();
                core.remarks.push(Remark::BrokenMessage { mailbox, uid: self.uid });
                core.leaving = true;
                self.begun = true;
            }
        }
        if let Some(content) = self.content.take() {
            fetch.scratch = content.into_scratch();
        }
        true
    }

    /// Writes items until all are written, or more than `limit` octets wait.
    fn write(&mut self, core: &mut Core, fetch: &mut Fetch, limit: usize) -> Result<bool, Refusal> {
        let condstore = core.enabled.condstore;
        let (Some(open), out) = (&mut core.selected, &mut core.out) else { return Ok(true) };
        let kept = self.kept.as_ref().and_then(|blob| KeptFields::find(blob));
        let summary = self.summary.as_ref().and_then(|blob| Summary::find(blob)).unwrap_or(UNKNOWN);
        let parts = Parts { uid: self.uid, content: self.content.as_ref(), summary, kept, structure: OnceCell::new() };
        loop {
            if let (Some(stream), Some(content)) = (&mut self.stream, parts.content) {
                while !stream.run(content, &mut open.measured, out.vec())? {
                    if out.bytes().len() >= limit {
                        return Ok(false);
                    }
                }
                self.stream = None;
            }
            let Some(item) = fetch.items.get(self.next) else { break };
            if self.begun && out.bytes().len() >= limit {
                return Ok(false);
            }
            self.next += 1;
            let before = out.bytes().len();
            if self.begun {
                out.byte(b' ');
            }
            let start = out.bytes().len();
            if item.need() == Need::Nothing {
                let recent = open.view.is_recent(self.uid);
                light::write_item(item, &self.meta, recent, &open.keywords, &mut open.told, out);
            } else {
                match parts.write(item, &mut open.measured, out)? {
                    Written::Whole => {}
                    Written::Begun(stream) => self.stream = Some(stream),
                    Written::Not(reply) => fetch.failure = Some(reply),
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
    fn tell_seen(&self, open: &mut Open, fetch: &Fetch, condstore: bool, out: &mut Output) {
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

/// What stands for a summary that nobody could make.
const UNKNOWN: Summary<'static> = Summary { envelope: b"NIL", body: b"NIL", bodystructure: b"NIL" };

/// What a message is made of, found as far as it is needed.
struct Parts<'a> {
    uid: Uid,
    content: Option<&'a Content>,
    summary: Summary<'a>,
    kept: Option<KeptFields<'a>>,
    structure: OnceCell<Structure<'a>>,
}

/// What became of an item.
enum Written {
    Whole,
    /// It goes on.
    Begun(Stream),
    /// It cannot be answered, which is the end of the FETCH when the others are.
    Not(Reply),
}

impl<'a> Parts<'a> {
    fn structure(&self, content: &'a Content) -> &Structure<'a> {
        self.structure.get_or_init(|| content.structure())
    }

    /// Writes an item that is not answered from what the mailbox knows.
    fn write(&self, item: &Item, measured: &mut Option<Measured>, out: &mut Output) -> Result<Written, Refusal> {
        if let (Item::Section(named), Some(kept)) = (item, self.kept)
            && item.wants_kept_fields()
            && let Text::Fields(names) = &named.section.text
        {
            out.raw(&named.label);
            out.byte(b' ');
            content::write_octets(&kept.pick(names), named.partial, out.vec());
            return Ok(Written::Whole);
        }
        match (item, self.content) {
            (Item::Envelope, _) => {
                out.raw(b"ENVELOPE ");
                out.raw(self.summary.envelope);
            }
            (Item::Structure { extended: true }, _) => {
                out.raw(b"BODYSTRUCTURE ");
                out.raw(self.summary.bodystructure);
            }
            (Item::Structure { extended: false }, _) => {
                out.raw(b"BODY ");
                out.raw(self.summary.body);
            }
            (Item::Section(named), Some(content)) => {
                out.raw(&named.label);
                out.byte(b' ');
                let piece = content.section(&named.section, || self.structure(content));
                let stream = content.write(self.uid, piece, named.partial, measured, out.vec())?;
                return Ok(stream.map_or(Written::Whole, Written::Begun));
            }
            (Item::Binary(named) | Item::BinarySize(named), Some(content)) => {
                let size_only = matches!(item, Item::BinarySize(_));
                if let Err(error) = binary(self.structure(content), named, size_only, out.vec()) {
                    return Ok(Written::Not(undecodable(error)));
                }
            }
            _ => {}
        }
        Ok(Written::Whole)
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
