//! Which messages fit a search key. What the table knows is asked first; a message is opened only if that leaves the
//! answer open, first its header alone, and the whole of it at last.

use mail::search::{Date, Day, Key, When};
use mail::{Flag, Keyword, ModSeq, Uid, UidSet};
use mime::{Facts, FoldedText, KeptFields, Needle, Sent, Structure, day_of, eol};

use crate::body::Body;
use crate::error::{Error, Result};
use crate::record::{NO_DATE, NO_SIZE, Row};
use crate::view::View;

/// So many messages are looked at between two waits for the mailbox.
const BATCH: usize = 512;

/// A header that is longer is searched with the body.
const HEADER: usize = 64 << 10;

/// Of a message whose text is longer, in octets, none is kept for the next search.
const KEPT_TEXT: usize = 64 << 10;

/// Of a message that is longer only so much is searched.
const LONGEST: u64 = 256 << 20;

impl View {
    /// The messages of the view for which all of `key` holds, ascending. Of an expunged message that was not told yet
    /// only what is known without its file can hold.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn search(&self, key: &Key) -> Result<Vec<Uid>> {
        let test = Test::new(key, &self.keywords(), self.env().seconds());
        let needs = test.needs();
        let mut found = Vec::new();
        let uids = self.uids.clone();
        let mut all = uids.iter().peekable();
        while all.peek().is_some() {
            let batch: Vec<Uid> = all.by_ref().take(BATCH).collect();
            let known = self.known(&batch, needs)?;
            for message in known {
                let fits = match test.holds(&Sight::of(&message)) {
                    Some(fits) => fits,
                    None => self.look_inside(&test, &message),
                };
                if fits {
                    found.push(message.uid);
                }
            }
        }
        Ok(found)
    }

    /// What the table says of some messages.
    fn known(&self, uids: &[Uid], needs: Needs) -> Result<Vec<Known>> {
        let mut state = self.lock()?;
        let mut all = Vec::with_capacity(uids.len());
        for uid in uids {
            let row = state.table.as_ref().and_then(|table| table.row(*uid));
            let Some(mut row) = row.or_else(|| self.ghost(&state, *uid).map(|ghost| ghost.row)) else { continue };
            if needs.size && row.size == NO_SIZE {
                state.size(self.env(), *uid, &mut row);
            }
            if needs.date && row.date == NO_DATE {
                state.date(self.env(), *uid, &mut row);
            }
            let name = state.table.as_ref().and_then(|table| table.name(*uid));
            let saved = name.and_then(maildir::name::seconds).unwrap_or(row.date);
            all.push(Known { uid: *uid, row, saved });
        }
        Ok(all)
    }

    fn look_inside(&self, test: &Test, known: &Known) -> bool {
        let fits = self.open_and_look(test, known);
        fits.unwrap_or_else(|error| {
            if error != Error::Expunged {
                tracing::warn!(uid = known.uid, %error, "cannot search a message");
            }
            false
        })
    }

    fn open_and_look(&self, test: &Test, known: &Known) -> Result<bool> {
        let asks = test.asks();
        let facts = if asks.sent || asks.kept { self.facts(known.uid) } else { None };
        if let Some(facts) = &facts {
            let sent = if asks.sent { Facts::decode(facts).map(|facts| facts.keys.sent) } else { None };
            let sight = Sight { sent, kept: KeptFields::find(facts), ..Sight::of(known) };
            if let Some(fits) = test.holds(&sight) {
                return Ok(fits);
            }
        }
        let slot = if asks.text { self.lock()?.slot } else { 0 };
        let kept = if slot > 0 { self.env().texts.find((slot, known.uid)) } else { None };
        if let Some(text) = &kept {
            let fields = facts.as_deref().and_then(KeptFields::find);
            if let Some(fits) = test.holds(&Sight { kept: fields, text: FoldedText::read(text), ..Sight::of(known) }) {
                return Ok(fits);
            }
        }
        let body = self.body(known.uid)?;
        let header = read(&body, HEADER as u64)?;
        let end = eol::header_end(&header);
        if facts.is_none() && (asks.sent || asks.kept) && body.size() <= HEADER as u64 {
            // The next search need not open it.
            self.keep_facts(known.uid, Facts::of(&header).encode().into());
        }
        if end < header.len() || body.size() <= HEADER as u64 {
            let sight = Sight { header: Some(&header[..end]), ..Sight::of(known) };
            if let Some(fits) = test.holds(&sight) {
                return Ok(fits);
            }
        }
        let whole = if body.size() <= HEADER as u64 { header } else { read(&body, LONGEST)? };
        let structure = Structure::parse(&whole);
        if slot > 0
            && kept.is_none()
            && let Some(text) = FoldedText::of(&structure, KEPT_TEXT)
        {
            self.env().texts.keep((slot, known.uid), text.into());
        }
        let header = structure.header(structure.root());
        Ok(test.holds(&Sight { header: Some(header), structure: Some(&structure), ..Sight::of(known) }).unwrap_or(false))
    }
}

fn read(body: &Body, limit: u64) -> Result<Vec<u8>> {
    let mut octets = vec![0; usize::try_from(body.size().min(limit)).unwrap_or(0)];
    let mut filled = 0;
    while filled < octets.len() {
        match body.read_at(&mut octets[filled..], filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    octets.truncate(filled);
    Ok(octets)
}

/// What is known of a message without opening it.
#[derive(Debug)]
struct Known {
    uid: Uid,
    row: Row,
    saved: i64,
}

/// What can be seen of a message so far.
struct Sight<'a> {
    known: &'a Known,
    /// When it was sent, if that was kept.
    sent: Option<Option<Sent>>,
    /// Common header fields, if they were kept.
    kept: Option<KeptFields<'a>>,
    header: Option<&'a [u8]>,
    /// All that is searched, if that was kept.
    text: Option<FoldedText<'a>>,
    structure: Option<&'a Structure<'a>>,
}

impl<'a> Sight<'a> {
    fn of(known: &'a Known) -> Self {
        Self { known, sent: None, kept: None, header: None, text: None, structure: None }
    }

    fn when_sent(&self) -> Option<Option<Sent>> {
        self.sent.or_else(|| self.header.map(sent))
    }

    fn has_field(&self, name: &str, needle: &Needle) -> Option<bool> {
        match self.kept.filter(|_| KeptFields::know(name.as_bytes())) {
            Some(kept) => Some(kept.match_header(name, needle)),
            None => Some(mime::matches_header(self.header?, name, needle)),
        }
    }
}

/// What has to be known of each message.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    size: bool,
    date: bool,
}

/// What the facts that are kept of a message may answer.
#[derive(Clone, Copy, Debug, Default)]
struct Asks {
    sent: bool,
    kept: bool,
    text: bool,
}

impl Asks {
    fn with(self, other: Self) -> Self {
        Self { sent: self.sent || other.sent, kept: self.kept || other.kept, text: self.text || other.text }
    }
}

/// A search key made ready: texts folded, keywords as bits, cheap conditions first.
#[derive(Debug)]
enum Test {
    Constant(bool),
    Flag(Flag),
    Keyword(u32),
    Uids(UidSet),
    Day(Date, When, Day),
    /// Stored at this moment or later.
    Younger(i64),
    Larger(u64),
    Smaller(u64),
    ModSeq(ModSeq),
    Header(String, Needle),
    Body(Needle),
    Text(Needle),
    And(Vec<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
}

impl Test {
    fn new(key: &Key, keywords: &[Keyword], now: i64) -> Self {
        match key {
            Key::All => Self::Constant(true),
            Key::Flag(flag) => Self::Flag(*flag),
            Key::Keyword(keyword) => match keywords.iter().position(|k| k == keyword) {
                Some(number) => Self::Keyword(1 << number),
                None => Self::Constant(false),
            },
            Key::Uids(uids) => Self::Uids(uids.clone()),
            Key::Day(date, when, day) => Self::Day(*date, *when, *day),
            Key::Younger(seconds) => Self::Younger(now - i64::from(*seconds)),
            Key::Larger(size) => Self::Larger(*size),
            Key::Smaller(size) => Self::Smaller(*size),
            Key::ModSeq(modseq) => Self::ModSeq(*modseq),
            Key::Header { name, text } => Self::Header(name.clone(), Needle::new(text)),
            Key::Body(text) => Self::Body(Needle::new(text)),
            Key::Text(text) => Self::Text(Needle::new(text)),
            Key::Not(inner) => Self::Not(Box::new(Self::new(inner, keywords, now))),
            Key::And(all) => {
                let mut tests: Vec<_> = all.iter().map(|key| Self::new(key, keywords, now)).collect();
                tests.sort_by_key(Self::cost);
                Self::And(tests)
            }
            Key::Or(one, two) => {
                let (one, two) = (Self::new(one, keywords, now), Self::new(two, keywords, now));
                let (first, second) = if one.cost() <= two.cost() { (one, two) } else { (two, one) };
                Self::Or(Box::new(first), Box::new(second))
            }
        }
    }

    /// What has to be read to answer: nothing, the header, the whole message.
    fn cost(&self) -> u8 {
        match self {
            Self::Day(Date::Sent, ..) | Self::Header(..) => 1,
            Self::Body(_) | Self::Text(_) => 2,
            Self::And(all) => all.iter().map(Self::cost).max().unwrap_or(0),
            Self::Or(one, two) => one.cost().max(two.cost()),
            Self::Not(inner) => inner.cost(),
            _ => 0,
        }
    }

    fn asks(&self) -> Asks {
        match self {
            Self::Day(Date::Sent, ..) => Asks { sent: true, ..Asks::default() },
            Self::Header(name, _) => Asks { kept: KeptFields::know(name.as_bytes()), ..Asks::default() },
            Self::Body(_) | Self::Text(_) => Asks { text: true, ..Asks::default() },
            Self::And(all) => all.iter().map(Self::asks).fold(Asks::default(), Asks::with),
            Self::Or(one, two) => one.asks().with(two.asks()),
            Self::Not(inner) => inner.asks(),
            _ => Asks::default(),
        }
    }

    fn needs(&self) -> Needs {
        match self {
            Self::Larger(_) | Self::Smaller(_) => Needs { size: true, date: false },
            Self::Day(Date::Internal | Date::Saved, ..) | Self::Younger(_) => Needs { size: false, date: true },
            Self::And(all) => all.iter().map(Self::needs).fold(Needs::default(), Needs::with),
            Self::Or(one, two) => one.needs().with(two.needs()),
            Self::Not(inner) => inner.needs(),
            _ => Needs::default(),
        }
    }

    /// Whether the message fits, as far as can be seen.
    fn holds(&self, sight: &Sight<'_>) -> Option<bool> {
        let Known { uid, row, saved } = sight.known;
        let sized = row.size != NO_SIZE;
        Some(match self {
            Self::Constant(value) => *value,
            Self::Flag(flag) => row.bits.has(*flag),
            Self::Keyword(bit) => row.bits.keywords() & bit != 0,
            Self::Uids(uids) => uids.contains(*uid),
            Self::Day(Date::Internal, when, day) => compare(day_of(row.date), *when, *day),
            Self::Day(Date::Saved, when, day) => compare(day_of(*saved), *when, *day),
            Self::Day(Date::Sent, when, day) => sight.when_sent()?.is_some_and(|sent| compare(sent.day(), *when, *day)),
            Self::Younger(since) => row.date >= *since,
            Self::Larger(size) => sized && u64::from(row.size) > *size,
            Self::Smaller(size) => sized && u64::from(row.size) < *size,
            Self::ModSeq(modseq) => row.modseq >= *modseq,
            Self::Header(name, needle) => sight.has_field(name, needle)?,
            Self::Body(needle) => match sight.text {
                Some(text) => text.matches_body(needle),
                None => sight.structure?.matches_body(needle),
            },
            Self::Text(needle) => match sight.text {
                Some(text) => text.matches_text(needle),
                None => sight.structure?.matches_text(needle),
            },
            Self::Not(inner) => !inner.holds(sight)?,
            Self::Or(one, two) => return either(one.holds(sight), || two.holds(sight)),
            Self::And(all) => return every(all, sight),
        })
    }
}

impl Needs {
    fn with(self, other: Self) -> Self {
        Self { size: self.size || other.size, date: self.date || other.date }
    }
}

fn either(one: Option<bool>, two: impl FnOnce() -> Option<bool>) -> Option<bool> {
    match one {
        Some(true) => Some(true),
        Some(false) => two(),
        None => two().filter(|two| *two),
    }
}

fn every(tests: &[Test], sight: &Sight<'_>) -> Option<bool> {
    let mut open = false;
    for test in tests {
        match test.holds(sight) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => open = true,
        }
    }
    (!open).then_some(true)
}

fn compare(day: Day, when: When, other: Day) -> bool {
    match when {
        When::Before => day < other,
        When::On => day == other,
        When::Since => day >= other,
    }
}

/// The last `Date` field counts, as in ENVELOPE.
fn sent(header: &[u8]) -> Option<Sent> {
    let field = mime::header::fields(header).filter(|field| field.is(b"Date")).last()?;
    Sent::parse(&field.text())
}
