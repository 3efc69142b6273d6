//! SORT (RFC 5256) with DISPLAYFROM and DISPLAYTO (RFC 5957) and RETURN (RFC 5267 section 3).

use mail::Uid;
use mime::sort::{Criterion, Entry, Keys, Order, sort as order_entries};

use crate::command::search::{Return, answer, condition, options};
use crate::content::facts;
use crate::core::{Core, Outcome};
use crate::parse::{Cursor, Parse, Syntax};
use crate::reply::Reply;
use crate::store::{Detail, Refusal, Selected};

const CRITERIA: [(&str, Criterion); 9] = [
    ("ARRIVAL", Criterion::Arrival),
    ("CC", Criterion::Cc),
    ("DATE", Criterion::Date),
    ("FROM", Criterion::From),
    ("SIZE", Criterion::Size),
    ("SUBJECT", Criterion::Subject),
    ("TO", Criterion::To),
    ("DISPLAYFROM", Criterion::DisplayFrom),
    ("DISPLAYTO", Criterion::DisplayTo),
];

/// The most criteria of one command. Each can stand once in a sensible one.
const MOST_CRITERIA: usize = 20;

/// SORT and UID SORT.
pub(crate) fn sort(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let wanted: Option<Return> = options(cursor)?;
    let orders = criteria(cursor)?;
    cursor.space()?;
    let found = condition(core, cursor, wanted, true)?;
    let view = &*core.open()?.view;
    let sorted = sorted(view, &found.uids, &orders)?;
    answer::write_sorted(core, &sorted, wanted, found.modseq)?;
    Ok(Reply::ok("Sort completed.").into())
}

/// `(REVERSE DATE SUBJECT)`
fn criteria(cursor: &mut Cursor<'_>) -> Parse<Vec<Order>> {
    let orders = cursor.list(|cursor| {
        let mut word = cursor.word()?;
        let reverse = word.eq_ignore_ascii_case(b"REVERSE");
        if reverse {
            cursor.space()?;
            word = cursor.word()?;
        }
        let known = CRITERIA.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        known.map(|(_, by)| Order { by: *by, reverse }).ok_or(Syntax("Unknown sort criterion"))
    })?;
    if orders.is_empty() || orders.len() > MOST_CRITERIA { Err(Syntax("Invalid sort criteria")) } else { Ok(orders) }
}

/// Messages in the order asked for.
fn sorted(view: &dyn Selected, uids: &[Uid], orders: &[Order]) -> Result<Vec<Uid>, Refusal> {
    let mut known = Vec::with_capacity(uids.len());
    let detail = Detail { size: true, dates: true };
    view.each_meta(uids, detail, &mut |meta| known.push((meta.uid, meta.internal_date, meta.size)));
    let outside = |order: &Order| !matches!(order.by, Criterion::Arrival | Criterion::Size);
    let mut keys = vec![Keys::default(); known.len()];
    if orders.iter().any(outside) {
        for (keys, (uid, ..)) in keys.iter_mut().zip(&known) {
            *keys = needed(facts(view, *uid)?.keys, orders);
        }
    }
    let entry = |((number, arrival, size), keys)| Entry { number, arrival, size, keys };
    let mut entries: Vec<_> = known.into_iter().zip(&keys).map(entry).collect();
    order_entries(orders, &mut entries);
    Ok(entries.into_iter().map(|entry| entry.number).collect())
}

/// Only what is compared is kept: a large mailbox has many keys.
fn needed(keys: Keys, orders: &[Order]) -> Keys {
    let text = |by, text| if orders.iter().any(|order| order.by == by) { text } else { Vec::new() };
    Keys {
        sent: keys.sent,
        is_reply: keys.is_reply,
        subject: text(Criterion::Subject, keys.subject),
        from: text(Criterion::From, keys.from),
        to: text(Criterion::To, keys.to),
        cc: text(Criterion::Cc, keys.cc),
        display_from: text(Criterion::DisplayFrom, keys.display_from),
        display_to: text(Criterion::DisplayTo, keys.display_to),
    }
}
