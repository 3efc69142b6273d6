//! One message while it is fetched: as much of it in memory as is needed, and its octets on the way to the wire.
//!
//! A small message is read at once. Of a large one only the header is read, or what a section needs; the message as a
//! whole streams from the disk in pieces, each of which is turned into its wire form (CRLF) by itself.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use mime::eol::{self, Window};
use mime::{Facts, Section, Structure, Text};

use crate::store::{self, Body, Refusal, Selected};
use mail::Uid;

/// Messages up to this size are read at once, in octets.
const SMALL: u64 = 256 * 1024;

/// What is read at first of one that is not, in octets: most headers are shorter.
const HEAD: u64 = 8 * 1024;

/// The pieces in which it streams, in octets.
const PIECE: usize = 32 * 1024;

/// How much of a message is needed; each says all that the one before it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Nothing: it is answered from what the mailbox knows.
    Nothing,
    /// The facts about its content.
    Facts,
    /// Its header, in memory.
    Header,
    /// Its octets, in memory if it is small.
    Octets,
    /// All of it, in memory.
    Whole,
}

/// How much of a message a section needs.
pub(crate) fn need(section: &Section) -> Need {
    match (section.path.is_empty(), &section.text) {
        (true, Text::Whole | Text::Text) => Need::Octets,
        (true, _) => Need::Header,
        (false, _) => Need::Whole,
    }
}

/// The facts about a message's content: those that the mailbox keeps, or else those that are found and kept now. Of a
/// message that is gone there are none.
pub(crate) fn facts(view: &dyn Selected, uid: Uid) -> store::Result<Facts> {
    if let Some(facts) = view.facts(uid).and_then(|blob| Facts::decode(&blob)) {
        return Ok(facts);
    }
    match Content::open(view, uid, Need::Whole, Vec::new()) {
        Ok(content) => Ok(content.find_facts(view, uid).0),
        Err(Refusal::Expunged) => Ok(Facts::default()),
        Err(refusal) => Err(refusal),
    }
}

/// A message that is open.
pub(crate) struct Content {
    body: Box<dyn Body>,
    size: u64,
    /// Its beginning, as far as it was read.
    raw: Vec<u8>,
    header: usize,
}

/// What a section is.
pub(crate) enum Piece {
    /// A stretch of the message.
    Range(Range<u64>),
    /// Octets put together from several.
    Octets(Vec<u8>),
}

/// The wire form of a stretch of a large message, remembered from one partial FETCH to the next, so that a client that
/// reads it piece by piece does not have it read from the beginning each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    uid: Uid,
    range: Range<u64>,
    total: u64,
    place: Place,
}

/// A place in a stretch: what comes next, in both forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    raw: u64,
    wire: u64,
    /// The octet before was a CR.
    after_cr: bool,
}

impl Content {
    /// Opens a message and reads as much as is needed. `scratch` is a buffer to be used again.
    pub(crate) fn open(view: &dyn Selected, uid: Uid, need: Need, scratch: Vec<u8>) -> store::Result<Self> {
        let body = view.body(uid)?;
        let size = body.size();
        let mut content = Self { body, size, raw: scratch, header: 0 };
        content.raw.clear();
        if need == Need::Whole || need == Need::Octets && size <= SMALL {
            content.read_to(size)?;
        }
        content.read_header()?;
        Ok(content)
    }

    /// Reads the rest of a small message; says whether all of it is in memory.
    pub(crate) fn read_if_small(&mut self) -> store::Result<bool> {
        if self.size <= SMALL {
            self.read_to(self.size)?;
        }
        Ok(self.is_whole())
    }

    /// Gives the buffer back.
    pub(crate) fn into_scratch(self) -> Vec<u8> {
        if self.raw.capacity() as u64 > SMALL { Vec::new() } else { self.raw }
    }

    /// Whether all of it is in memory.
    fn is_whole(&self) -> bool {
        self.raw.len() as u64 == self.size
    }

    /// Reads on until `end` octets are in memory. The file may have become shorter; then it is taken as it is.
    fn read_to(&mut self, end: u64) -> store::Result<()> {
        let end = usize::try_from(end.min(self.size)).map_err(|_| Refusal::Unavailable)?;
        let mut filled = self.raw.len();
        self.raw.resize(end.max(filled), 0);
        while filled < end {
            let count = self.body.read_at(&mut self.raw[filled..end], filled as u64)?;
            if count == 0 {
                self.raw.truncate(filled);
                self.size = filled as u64;
            }
            filled = if count == 0 { end } else { filled + count };
        }
        Ok(())
    }

    /// Reads on until the header is in memory.
    fn read_header(&mut self) -> store::Result<()> {
        let mut next = HEAD;
        loop {
            if !self.is_whole() {
                self.read_to(next)?;
            }
            self.header = eol::header_end(&self.raw);
            if self.header < self.raw.len() || self.is_whole() {
                return Ok(());
            }
            next = next.saturating_mul(4);
        }
    }

    /// The header's octets.
    pub(crate) fn header(&self) -> &[u8] {
        &self.raw[..self.header]
    }

    /// The whole message, taken apart. It must have been read whole.
    pub(crate) fn structure(&self) -> Structure<'_> {
        Structure::parse(&self.raw)
    }

    /// Finds the facts and has them kept. It must have been read whole.
    pub(crate) fn find_facts(&self, view: &dyn Selected, uid: Uid) -> (Facts, Arc<[u8]>) {
        let facts = Facts::from_structure(&self.structure());
        let blob: Arc<[u8]> = Arc::from(facts.encode());
        view.keep_facts(uid, Arc::clone(&blob));
        (facts, blob)
    }

    /// What a section is. `structure` is only asked for where part numbers need it.
    pub(crate) fn section<'a>(&'a self, section: &Section, structure: impl FnOnce() -> &'a Structure<'a>) -> Piece {
        let header = self.header as u64;
        if section.path.is_empty() {
            return match &section.text {
                Text::Header => Piece::Range(0..header),
                Text::Text => Piece::Range(header..self.size),
                Text::Fields(_) | Text::FieldsNot(_) => Piece::Octets(Structure::parse(self.header()).section(section).into_owned()),
                Text::Whole | Text::Mime => Piece::Range(0..self.size),
            };
        }
        match structure().section(section) {
            Cow::Owned(octets) => Piece::Octets(octets),
            Cow::Borrowed(octets) => {
                // Where in the message they stand follows from the addresses of the two slices.
                let start = (octets.as_ptr() as usize).wrapping_sub(self.raw.as_ptr() as usize);
                let inside = start <= self.raw.len() && octets.len() <= self.raw.len() - start;
                let start = if inside && !octets.is_empty() { start as u64 } else { 0 };
                Piece::Range(start..start + octets.len() as u64)
            }
        }
    }

    /// The octets of a stretch, if they are in memory.
    fn memory(&self, range: &Range<u64>) -> Option<&[u8]> {
        self.raw.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }

    /// Begins to write a piece as a string, all of it or a window; `None` if that was all already. `measured` is what an
    /// earlier FETCH has found of the same stretch.
    ///
    /// # Errors
    /// The message cannot be read; nothing was written.
    pub(crate) fn write(
        &self,
        uid: Uid,
        piece: Piece,
        partial: Option<Window>,
        measured: &mut Option<Measured>,
        out: &mut Vec<u8>,
    ) -> store::Result<Option<Stream>> {
        let whole = Window { offset: 0, count: u64::MAX };
        let window = partial.unwrap_or(whole);
        let range = match piece {
            Piece::Octets(octets) => {
                write_octets(&octets, partial, out);
                return Ok(None);
            }
            Piece::Range(range) => range,
        };
        if let Some(octets) = self.memory(&range) {
            let count = clip(window, eol::size(octets).octets);
            head(count, out);
            if count <= PIECE as u64 * 2 {
                eol::push_window(octets, eol::Cursor::default(), Window { count, ..window }, out);
                return Ok(None);
            }
            return Ok(Some(Stream { range, left: count, source: Source::Memory(eol::Cursor::default(), window.offset) }));
        }
        let known = self.measure(uid, &range, measured)?;
        let count = clip(window, known.total);
        let bare = known.total != range.end - range.start;
        let place = if !bare {
            let raw = range.start.saturating_add(window.offset).min(range.end);
            Place { raw, wire: window.offset, after_cr: false }
        } else if known.place.wire <= window.offset {
            known.place
        } else {
            Place { raw: range.start, ..Place::default() }
        };
        head(count, out);
        let source = Source::Disk(Disk { uid, total: known.total, place, skip: window.offset - place.wire, octets: Vec::new() });
        Ok(Some(Stream { range, left: count, source }))
    }

    /// The size of a stretch in its wire form, counted on the disk unless it is known.
    fn measure(&self, uid: Uid, range: &Range<u64>, measured: &mut Option<Measured>) -> store::Result<Measured> {
        if let Some(known) = measured.as_ref().filter(|known| known.uid == uid && known.range == *range) {
            return Ok(known.clone());
        }
        let mut place = Place { raw: range.start, ..Place::default() };
        let mut octets = vec![0; PIECE];
        while place.raw < range.end {
            let count = self.read(&mut octets, place.raw, range.end)?;
            let piece = &octets[..count];
            let joined = place.after_cr && piece[0] == b'\n';
            place.wire += eol::size(piece).octets - u64::from(joined);
            place.after_cr = piece[count - 1] == b'\r';
            place.raw += count as u64;
        }
        let start = Place { raw: range.start, ..Place::default() };
        let known = Measured { uid, range: range.clone(), total: place.wire, place: start };
        *measured = Some(known.clone());
        Ok(known)
    }

    /// Reads at least one octet from the disk. That there is none is an error: the file was cut off.
    fn read(&self, octets: &mut [u8], at: u64, end: u64) -> store::Result<usize> {
        let room = octets.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        match self.body.read_at(&mut octets[..room], at)? {
            0 => Err(Refusal::Unavailable),
            count => Ok(count),
        }
    }
}

/// Writes octets as a string, all of them or a window.
pub(crate) fn write_octets(octets: &[u8], partial: Option<Window>, out: &mut Vec<u8>) {
    let window = partial.unwrap_or(Window { offset: 0, count: u64::MAX });
    let count = clip(window, eol::size(octets).octets);
    head(count, out);
    eol::push_window(octets, eol::Cursor::default(), Window { count, ..window }, out);
}

/// How many octets a window shows of so many.
fn clip(window: Window, total: u64) -> u64 {
    window.count.min(total.saturating_sub(window.offset))
}

/// The announcement of a literal.
fn head(count: u64, out: &mut Vec<u8>) {
    // A vector takes whatever is written.
    let _ = write!(out, "{{{count}}}\r\n");
}

/// A long string that is being written.
pub(crate) struct Stream {
    range: Range<u64>,
    /// Octets that are still to be written.
    left: u64,
    source: Source,
}

enum Source {
    /// From memory: where the last piece ended, and what of the wire form comes next.
    Memory(eol::Cursor, u64),
    Disk(Disk),
}

struct Disk {
    uid: Uid,
    total: u64,
    place: Place,
    /// Octets of the wire form to be left out first.
    skip: u64,
    octets: Vec<u8>,
}

impl Stream {
    /// Writes the next piece; true if it was the last.
    ///
    /// # Errors
    /// The message cannot be read to its end. What was announced cannot be sent, so that the connection has to go.
    pub(crate) fn run(&mut self, content: &Content, measured: &mut Option<Measured>, out: &mut Vec<u8>) -> store::Result<bool> {
        let range = self.range.clone();
        match &mut self.source {
            Source::Memory(cursor, offset) => {
                let octets = content.memory(&range).ok_or(Refusal::Unavailable)?;
                let window = Window { offset: *offset, count: self.left.min(PIECE as u64) };
                *cursor = eol::push_window(octets, *cursor, window, out);
                *offset += window.count;
                self.left -= window.count;
            }
            Source::Disk(disk) => self.left -= disk.piece(content, range.end, self.left, out)?,
        }
        if self.left > 0 {
            return Ok(false);
        }
        if let Source::Disk(disk) = &self.source {
            *measured = Some(Measured { uid: disk.uid, range, total: disk.total, place: disk.place });
        }
        Ok(true)
    }
}

impl Disk {
    /// Writes at most `left` octets of the next piece of the file, and tells how many.
    fn piece(&mut self, content: &Content, end: u64, left: u64, out: &mut Vec<u8>) -> store::Result<u64> {
        if left == 0 {
            return Ok(0);
        }
        self.octets.resize(PIECE, 0);
        let count = content.read(&mut self.octets, self.place.raw, end)?;
        let piece = &self.octets[..count];
        let start = out.len();
        let joined = self.place.after_cr && piece[0] == b'\n';
        if joined {
            out.push(b'\n');
        }
        eol::push_wire(&piece[usize::from(joined)..], out);
        let wire = out.len() - start;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(wire);
        out.drain(start..start + skipped);
        let shown = usize::try_from(left).unwrap_or(usize::MAX).min(wire - skipped);
        out.truncate(start + shown);
        self.skip -= skipped as u64;
        // A piece of which not all was shown is read again by the FETCH that follows.
        if skipped + shown == wire {
            self.place =
                Place { raw: self.place.raw + count as u64, wire: self.place.wire + wire as u64, after_cr: piece[count - 1] == b'\r' };
        }
        Ok(shown as u64)
    }
}
