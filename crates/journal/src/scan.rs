//! Reading one segment from its beginning to where it ends, around whatever is damaged.

use system::File;

use crate::record::{HEAD, Head, Kind, MAGIC, PAGE, Start, generation};

/// How much is read at once.
const STEP: usize = 1 << 18;

/// A part of a file in memory. What cannot be read is zeros, so that it fails its checks and is reported.
struct Window<'a> {
    file: &'a dyn File,
    size: u64,
    start: u64,
    octets: Vec<u8>,
}

impl Window<'_> {
    /// `length` octets from `at`; `None` if the file ends before.
    fn get(&mut self, at: u64, length: usize) -> Option<&[u8]> {
        if at.checked_add(length as u64)? > self.size {
            return None;
        }
        let inside = at >= self.start && at + length as u64 <= self.start + self.octets.len() as u64;
        if !inside {
            let most = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            self.fill(at, length.max(STEP).min(most));
        }
        let from = usize::try_from(at - self.start).ok()?;
        self.octets.get(from..from + length)
    }

    /// What is in memory from `at` on, at least a head unless the file ends.
    fn from(&mut self, at: u64) -> Option<&[u8]> {
        let rest = self.size.checked_sub(at)?;
        let kept = (self.start + self.octets.len() as u64).checked_sub(at).filter(|_| at >= self.start).unwrap_or(0);
        if kept < rest.min(HEAD as u64) {
            self.fill(at, usize::try_from(rest).unwrap_or(STEP).min(STEP));
        }
        self.octets.get(usize::try_from(at - self.start).ok()?..)
    }

    fn fill(&mut self, at: u64, length: usize) {
        self.start = at;
        self.octets.clear();
        self.octets.resize(length, 0);
        let mut done = 0;
        while done < length {
            done += match self.file.read_at(&mut self.octets[done..], at + done as u64) {
                Ok(0) => length - done,
                Ok(count) => count,
                Err(_) => self.fill_page(at, done),
            };
        }
    }

    /// A sector is bad somewhere: take what can be had of the next page; gives how far that went.
    fn fill_page(&mut self, at: u64, done: usize) -> usize {
        let to = (done + PAGE as usize).min(self.octets.len());
        let page = &mut self.octets[done..to];
        if self.file.read_at(page, at + done as u64).is_err() {
            page.fill(0);
        }
        page.len()
    }
}

/// A stretch that should hold records and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The entry whose record it is, if that can be told.
    pub(crate) entry: Option<u64>,
}

/// What a segment's beginning tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    /// The tag of the records that count.
    pub(crate) tag: u64,
    /// The first record, if it is sound.
    pub(crate) start: Option<Start>,
}

/// Looks at the beginning of a segment; `None` if nothing in it is a record.
pub(crate) fn opening(file: &dyn File, size: u64) -> Option<Opening> {
    let mut scan = Scan::new(file, size, 0);
    if let Some(head) = scan.head(0).filter(|head| head.kind == Kind::Segment) {
        let start = scan.payload(0, &head).and_then(Start::decode);
        return Some(Opening { tag: head.tag, start });
    }
    // The first page is lost. The latest use of the file is the one that counts.
    let mut tag = None;
    let mut at = 0;
    while let Some((found, head)) = scan.find(at, None) {
        tag = tag.max(Some((generation(head.tag), head.tag)));
        at = found + 8;
    }
    tag.map(|(_, tag)| Opening { tag, start: None })
}

/// Where reading a segment ended, and what was missing on the way.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) end: u64,
    pub(crate) records: u64,
    pub(crate) damage: Vec<Gap>,
    /// Something was written behind the end that was never acknowledged.
    pub(crate) torn: bool,
}

/// Reads the records with this tag in order and gives each sound one to `each` with the place of its payload.
///
/// `known_end` is where the segment ends as the next one says. Without it, the first unsound place is the end, unless a record
/// behind it says that this place was durable before.
pub(crate) fn scan(file: &dyn File, size: u64, tag: u64, known_end: Option<u64>, each: &mut dyn FnMut(&Head, u64, &[u8])) -> Scanned {
    let mut scan = Scan::new(file, size.min(known_end.unwrap_or(size)), tag);
    let mut result = Scanned::default();
    while let Some((at, head)) = scan.next(&mut result, known_end.is_some()) {
        let end = at + head.room();
        match scan.payload(at, &head).map(|payload| each(&head, at + HEAD as u64, payload)) {
            Some(()) => result.records += 1,
            None if known_end.is_some() || scan.was_durable(end, at) => {
                result.damage.push(Gap { from: at, to: end.min(scan.window.size), entry: Some(head.entry) });
            }
            None => {
                result.torn = true;
                break;
            }
        }
        result.end = end;
    }
    result
}

struct Scan<'a> {
    window: Window<'a>,
    tag: u64,
}

impl<'a> Scan<'a> {
    fn new(file: &'a dyn File, size: u64, tag: u64) -> Self {
        Self { window: Window { file, size, start: 0, octets: Vec::new() }, tag }
    }

    fn head(&mut self, at: u64) -> Option<Head> {
        self.window.get(at, HEAD).and_then(Head::decode)
    }

    /// The payload if it is whole.
    fn payload(&mut self, at: u64, head: &Head) -> Option<&[u8]> {
        let payload = self.window.get(at + HEAD as u64, head.length as usize)?;
        (crc32fast::hash(payload) == head.payload_crc).then_some(payload)
    }

    /// The record that follows what was read so far. A gap before it is noted if it is damage.
    fn next(&mut self, result: &mut Scanned, all: bool) -> Option<(u64, Head)> {
        let at = result.end;
        for place in [at, at.next_multiple_of(PAGE)] {
            if let Some(head) = self.head(place).filter(|head| head.tag == self.tag && u64::from(head.previous_end) == at) {
                return Some((place, head));
            }
        }
        if all && at >= self.window.size {
            return None;
        }
        let found = self.find(at, Some(self.tag));
        if !all && !self.was_durable(found.as_ref().map_or(u64::MAX, |found| found.0), at) {
            result.torn = found.is_some() || !self.is_blank(at);
            return None;
        }
        result.damage.push(Gap { from: at, to: found.as_ref().map_or(self.window.size, |found| found.0), entry: None });
        found
    }

    /// Whether some record from `from` on says that the record at `place` was durable.
    fn was_durable(&mut self, from: u64, place: u64) -> bool {
        let mut at = from;
        while let Some((found, head)) = self.find(at, Some(self.tag)) {
            if head.durable > place {
                return true;
            }
            at = found + 8;
        }
        false
    }

    /// The next sound head from `from` on, of this tag or of any.
    fn find(&mut self, from: u64, tag: Option<u64>) -> Option<(u64, Head)> {
        let mut at = from.checked_next_multiple_of(8)?;
        loop {
            let octets = self.window.from(at).filter(|octets| octets.len() >= HEAD)?;
            let length = octets.len();
            let sound = |place: &usize| place.is_multiple_of(8) && length - place >= HEAD;
            let places = memchr::memmem::find_iter(octets, &MAGIC).filter(sound);
            let mut heads = places.filter_map(|place| Some((place, Head::decode(&octets[place..])?)));
            if let Some((place, head)) = heads.find(|(_, head)| tag.is_none_or(|tag| tag == head.tag)) {
                return Some((at + place as u64, head));
            }
            // The last head of this stretch may reach into the next.
            at += ((length - HEAD) / 8 * 8 + 8) as u64;
        }
    }

    /// Whether the place looks as if nothing was ever begun there: only octets of older uses of the file.
    fn is_blank(&mut self, at: u64) -> bool {
        let Some(octets) = self.window.get(at, MAGIC.len()) else { return true };
        octets != MAGIC
    }
}
