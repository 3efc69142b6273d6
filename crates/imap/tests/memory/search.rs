//! Whether a condition holds for a message.

use mail::Uid;
use mail::search::{Date, Day, Key, When};
use mime::{Facts, Needle, Structure};

use super::{Mailbox, Message};

pub(crate) fn holds(key: &Key, uid: Uid, message: &Message, mailbox: &Mailbox, now: i64) -> bool {
    let inner = |key: &Key| holds(key, uid, message, mailbox, now);
    match key {
        Key::All => true,
        Key::Flag(flag) => message.flags.has(*flag),
        Key::Keyword(keyword) => mailbox.keywords.iter().position(|k| k == keyword).is_some_and(|at| message.keywords >> at & 1 == 1),
        Key::Uids(uids) => uids.contains(uid),
        Key::Day(date, when, day) => day_of(*date, message).is_some_and(|that| compare(that, *when, *day)),
        Key::Younger(seconds) => message.internal_date >= now - i64::from(*seconds),
        Key::Larger(size) => message.size > *size,
        Key::Smaller(size) => message.size < *size,
        Key::Header { name, text } => mime::matches_header(&message.raw, name, &Needle::new(text)),
        Key::Body(text) => Structure::parse(&message.raw).matches_body(&Needle::new(text)),
        Key::Text(text) => Structure::parse(&message.raw).matches_text(&Needle::new(text)),
        Key::ModSeq(modseq) => message.modseq >= *modseq,
        Key::And(keys) => keys.iter().all(inner),
        Key::Or(one, two) => inner(one) || inner(two),
        Key::Not(key) => !inner(key),
    }
}

fn day_of(date: Date, message: &Message) -> Option<Day> {
    match date {
        Date::Internal => Some(mime::day_of(message.internal_date)),
        Date::Saved => Some(mime::day_of(message.save_date)),
        Date::Sent => Facts::of(&message.raw).keys.sent.map(|sent| sent.day()),
    }
}

fn compare(that: Day, when: When, day: Day) -> bool {
    match when {
        When::Before => that < day,
        When::On => that == day,
        When::Since => that >= day,
    }
}
