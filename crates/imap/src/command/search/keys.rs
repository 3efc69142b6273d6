//! The conditions of SEARCH. They become [`Key`]s at once: sequence numbers, `$`, RECENT, NEW and OLD are those of the
//! view at this moment, which only the session knows.

use mail::search::{Date, Day, Key, When};
use mail::{Flag, Keyword, UidSet};

use crate::core::Open;
use crate::date;
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;
use crate::sequence::{Numbers, uids_at};

/// Ranges that the sets of one command may come to, 8 MiB: a few of a large mailbox with many gaps.
const MOST_RANGES: usize = 1 << 20;

/// Reads conditions.
pub(super) struct Keys<'a> {
    open: &'a Open,
    charset: Vec<u8>,
    depth: u32,
    /// So many more conditions may come.
    left: u32,
    /// Ranges of the sets so far.
    ranges: usize,
    /// One of them was MODSEQ.
    pub(super) modseq: bool,
}

impl<'a> Keys<'a> {
    /// For the messages of this view, nested at most so deep, and at most so many.
    pub(super) fn new(open: &'a Open, depth: u32, most: u32) -> Self {
        Self { open, charset: b"UTF-8".to_vec(), depth, left: most, ranges: 0, modseq: false }
    }

    /// `[CHARSET name SP] key *(SP key)`, to the end of the command; `name SP key ...` if `charset_first`.
    pub(super) fn parse(&mut self, cursor: &mut Cursor<'_>, charset_first: bool) -> Result<Key, Reply> {
        let mut rest = cursor.clone();
        if charset_first {
            self.charset(cursor)?;
        } else if rest.word().is_ok_and(|word| word.eq_ignore_ascii_case(b"CHARSET")) {
            rest.space()?;
            *cursor = rest;
            self.charset(cursor)?;
        }
        let mut keys = vec![self.key(cursor)?];
        while cursor.clone().end().is_err() {
            cursor.space()?;
            keys.push(self.key(cursor)?);
        }
        Ok(both(keys))
    }

    /// The charset of the words to look for, and the blank behind it.
    fn charset(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Reply> {
        let charset = cursor.astring()?;
        cursor.space()?;
        if !mime::charset::is_known(&charset) {
            return Err(Reply::no("Unknown charset").code("BADCHARSET (US-ASCII UTF-8)"));
        }
        // ASCII says nothing of octets from 128 up; that they are UTF-8 is the best guess.
        if !charset.eq_ignore_ascii_case(b"US-ASCII") {
            self.charset = charset.into_owned();
        }
        Ok(())
    }

    /// One condition.
    fn key(&mut self, cursor: &mut Cursor<'_>) -> Parse<Key> {
        self.left = self.left.checked_sub(1).ok_or(Syntax("Too many conditions"))?;
        match cursor.peek() {
            Some(b'(') => self.nested(Self::group, cursor),
            Some(b'0'..=b'9' | b'*' | b'$') => {
                let sequence = Numbers::parse(cursor)?.sequence_within(self.open.view.uids(), &self.open.saved);
                let uids: UidSet = uids_at(&sequence, self.open.view.uids()).into_iter().collect();
                self.set(uids)
            }
            _ => {
                let word = cursor.word()?.to_ascii_uppercase();
                let simple = flag_key(&word).or_else(|| self.recent_key(&word));
                simple.map_or_else(|| self.named(&word, cursor), Ok)
            }
        }
    }

    fn set(&mut self, uids: UidSet) -> Parse<Key> {
        self.ranges = self.ranges.saturating_add(uids.ranges().len());
        if self.ranges > MOST_RANGES { Err(Syntax("Too many messages are named one by one")) } else { Ok(Key::Uids(uids)) }
    }

    /// Goes one level down.
    fn nested(&mut self, read: fn(&mut Self, &mut Cursor<'_>) -> Parse<Key>, cursor: &mut Cursor<'_>) -> Parse<Key> {
        self.depth = self.depth.checked_sub(1).ok_or(Syntax("Conditions are nested too deeply"))?;
        let key = read(self, cursor)?;
        self.depth += 1;
        Ok(key)
    }

    /// `(key *(SP key))`
    fn group(&mut self, cursor: &mut Cursor<'_>) -> Parse<Key> {
        let keys = cursor.list(|cursor| self.key(cursor))?;
        if keys.is_empty() { Err(Syntax("Missing search key")) } else { Ok(both(keys)) }
    }

    fn not(&mut self, cursor: &mut Cursor<'_>) -> Parse<Key> {
        cursor.space()?;
        Ok(not(self.key(cursor)?))
    }

    fn or(&mut self, cursor: &mut Cursor<'_>) -> Parse<Key> {
        cursor.space()?;
        let first = self.key(cursor)?;
        cursor.space()?;
        Ok(Key::Or(Box::new(first), Box::new(self.key(cursor)?)))
    }

    /// RECENT, NEW and OLD, as the UIDs that they are in this session.
    fn recent_key(&self, word: &[u8]) -> Option<Key> {
        let recent = || Key::Uids(self.open.view.uids().iter().copied().filter(|uid| self.open.view.is_recent(*uid)).collect::<UidSet>());
        Some(match word {
            b"RECENT" => recent(),
            b"OLD" => not(recent()),
            b"NEW" => both(vec![recent(), not(Key::Flag(Flag::Seen))]),
            _ => return None,
        })
    }

    /// A condition with arguments.
    fn named(&mut self, word: &[u8], cursor: &mut Cursor<'_>) -> Parse<Key> {
        match word {
            b"NOT" => return self.nested(Self::not, cursor),
            b"OR" => return self.nested(Self::or, cursor),
            b"SAVEDATESUPPORTED" => return Ok(Key::All),
            _ => {}
        }
        if let Some((date, when)) = dated(word) {
            cursor.space()?;
            return Ok(Key::Day(date, when, day(cursor)?));
        }
        const KNOWN: [&[u8]; 16] = [
            b"BODY",
            b"TEXT",
            b"SUBJECT",
            b"FROM",
            b"TO",
            b"CC",
            b"BCC",
            b"HEADER",
            b"LARGER",
            b"SMALLER",
            b"UID",
            b"KEYWORD",
            b"UNKEYWORD",
            b"MODSEQ",
            b"OLDER",
            b"YOUNGER",
        ];
        if !KNOWN.contains(&word) {
            return Err(Syntax("Unknown search key"));
        }
        cursor.space()?;
        Ok(match word {
            b"BODY" => Key::Body(self.text(cursor)?),
            b"TEXT" => Key::Text(self.text(cursor)?),
            b"HEADER" => {
                let name = self.text(cursor)?;
                cursor.space()?;
                Key::Header { name, text: self.text(cursor)? }
            }
            b"LARGER" => Key::Larger(cursor.number()?),
            b"SMALLER" => Key::Smaller(cursor.number()?),
            b"UID" => {
                let uids = self.open.view.uids();
                let uids = Numbers::parse(cursor)?.uid_set(uids, &self.open.saved, 0);
                self.set(uids)?
            }
            b"KEYWORD" => Key::Keyword(keyword(cursor)?),
            b"UNKEYWORD" => not(Key::Keyword(keyword(cursor)?)),
            b"MODSEQ" => self.modseq(cursor)?,
            b"OLDER" => not(Key::Younger(cursor.nonzero()?)),
            b"YOUNGER" => Key::Younger(cursor.nonzero()?),
            field => Key::Header { name: String::from_utf8_lossy(field).into_owned(), text: self.text(cursor)? },
        })
    }

    /// `MODSEQ ["/flags/\\seen" all] 12`. Modification sequences are kept for a message as a whole.
    fn modseq(&mut self, cursor: &mut Cursor<'_>) -> Parse<Key> {
        if cursor.peek() == Some(b'"') {
            cursor.string()?;
            cursor.space()?;
            match cursor.word()?.to_ascii_lowercase().as_slice() {
                b"all" | b"shared" | b"priv" => cursor.space()?,
                _ => return Err(Syntax("Unknown MODSEQ entry type")),
            }
        }
        self.modseq = true;
        Ok(Key::ModSeq(cursor.number()?))
    }

    /// A word to look for, from the command's charset.
    fn text(&self, cursor: &mut Cursor<'_>) -> Parse<String> {
        let octets = cursor.astring()?;
        if self.charset.eq_ignore_ascii_case(b"UTF-8") {
            return std::str::from_utf8(&octets).map(str::to_owned).map_err(|_| Syntax("Invalid UTF-8"));
        }
        Ok(mime::charset::to_utf8(&self.charset, &octets).into_owned())
    }
}

/// Conditions that only say whether a flag is there.
fn flag_key(word: &[u8]) -> Option<Key> {
    if word == b"ALL" {
        return Some(Key::All);
    }
    let (word, without) = word.strip_prefix(b"UN").map_or((word, false), |rest| (rest, true));
    let flag = Flag::ALL.into_iter().find(|flag| flag.name().as_bytes()[1..].eq_ignore_ascii_case(word))?;
    Some(if without { not(Key::Flag(flag)) } else { Key::Flag(flag) })
}

/// Conditions that compare a date.
fn dated(word: &[u8]) -> Option<(Date, When)> {
    let (date, when) = if let Some(rest) = word.strip_prefix(b"SENT") {
        (Date::Sent, rest)
    } else if let Some(rest) = word.strip_prefix(b"SAVED") {
        (Date::Saved, rest)
    } else {
        (Date::Internal, word)
    };
    Some(match when {
        b"BEFORE" => (date, When::Before),
        b"ON" => (date, When::On),
        b"SINCE" => (date, When::Since),
        _ => return None,
    })
}

fn day(cursor: &mut Cursor<'_>) -> Parse<Day> {
    date::day(cursor)
}

fn keyword(cursor: &mut Cursor<'_>) -> Parse<Keyword> {
    let atom = cursor.atom()?;
    String::from_utf8_lossy(atom).parse().map_err(|_| Syntax("Invalid keyword"))
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

/// All of them; one alone is itself.
fn both(mut keys: Vec<Key>) -> Key {
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => key,
        (_, last) => {
            keys.extend(last);
            Key::And(keys)
        }
    }
}
