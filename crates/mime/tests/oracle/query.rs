//! Enough of SEARCH, SORT and THREAD to ask this crate's primitives the oracle's questions. A question that needs more is
//! left to the crates that know mailboxes.

use mail::search::Day;
use mime::sort::{Criterion, Entry, Order};
use mime::thread::{self, Algorithm};
use mime::{Facts, Needle, Sent, Structure, matches_header};
use serde_json::{Value, json};

/// A message of a case.
pub(crate) struct Stored {
    pub(crate) raw: Vec<u8>,
    pub(crate) facts: Facts,
    flags: Vec<String>,
    arrival: i64,
}

impl Stored {
    pub(crate) fn new(raw: Vec<u8>, message: &Value) -> Self {
        let flags = message["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_lowercase()).collect();
        let (day, rest) = message["internaldate"].as_str().unwrap().split_once(' ').unwrap();
        let date = format!("{} {rest}", day.replace('-', " "));
        let arrival = Sent::parse(date.as_bytes()).unwrap_or_else(|| panic!("{date}")).unix;
        Self { facts: Facts::of(&raw), raw, flags, arrival }
    }
}

/// What is left of a question.
struct Words(Vec<String>);

impl Words {
    fn next(&mut self) -> Option<String> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }
}

/// Splits a question into words, quoted strings and literals; parentheses stand alone.
fn words(ask: &Value) -> Option<Words> {
    let parts = ask.as_array().cloned().unwrap_or_else(|| vec![ask.clone()]);
    let mut out = Vec::new();
    for part in parts {
        match part.as_str() {
            Some(text) => split(text, &mut out),
            None => out.push(part["literal"].as_str()?.to_owned()),
        }
    }
    Some(Words(out))
}

fn split(text: &str, out: &mut Vec<String>) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' => {}
            '(' | ')' => out.push(c.to_string()),
            '"' => {
                let mut word = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => word.extend(chars.next()),
                        _ => word.push(c),
                    }
                }
                out.push(word);
            }
            _ => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| !" ()".contains(*c)) {
                    word.push(c);
                }
                out.push(word);
            }
        }
    }
}

/// The answer in the normal form, or `None` if the question is not for this crate.
pub(crate) fn answer(ask: &Value, stored: &[Stored]) -> Option<Value> {
    let mut words = words(ask)?;
    let mut verb = words.next()?;
    if verb == "UID" {
        verb = words.next()?;
    }
    match verb.as_str() {
        "SEARCH" => Some(json!(numbers(&matching(&mut words, stored)?))),
        "SORT" => sorted(&mut words, stored),
        "THREAD" => threaded(&mut words, stored),
        _ => None,
    }
}

fn numbers(found: &[usize]) -> Vec<usize> {
    found.iter().map(|at| at + 1).collect()
}

fn matching(words: &mut Words, stored: &[Stored]) -> Option<Vec<usize>> {
    if words.0.first().is_some_and(|word| word == "CHARSET") {
        words.next();
        words.next().filter(|label| mime::charset::is_known(label.as_bytes()))?;
    }
    let key = all(words, stored)?;
    if words.0.is_empty() { Some((0..stored.len()).filter(|&at| key[at]).collect()) } else { None }
}

/// Keys up to the end or a closing parenthesis, all of which must hold.
fn all(words: &mut Words, stored: &[Stored]) -> Option<Vec<bool>> {
    let mut result: Option<Vec<bool>> = None;
    while words.0.first().is_some_and(|word| word != ")") {
        let key = key(words, stored)?;
        result = Some(result.map_or_else(|| key.clone(), |both| both.iter().zip(&key).map(|(a, b)| *a && *b).collect()));
    }
    result
}

fn key(words: &mut Words, stored: &[Stored]) -> Option<Vec<bool>> {
    let word = words.next()?;
    let each = |test: &dyn Fn(&Stored) -> bool| Some(stored.iter().map(test).collect());
    match word.as_str() {
        "(" => {
            let inner = all(words, stored)?;
            (words.next()? == ")").then_some(inner)
        }
        "ALL" => each(&|_| true),
        "NOT" => Some(key(words, stored)?.iter().map(|held| !held).collect()),
        "OR" => {
            let (one, other) = (key(words, stored)?, key(words, stored)?);
            Some(one.iter().zip(other).map(|(a, b)| *a || b).collect())
        }
        "SEEN" | "FLAGGED" | "DELETED" | "ANSWERED" | "DRAFT" => each(&|m| m.flags.contains(&format!("\\{}", word.to_lowercase()))),
        "UNSEEN" | "UNDELETED" => each(&|m| !m.flags.contains(&format!("\\{}", word[2..].to_lowercase()))),
        "KEYWORD" | "UNKEYWORD" => {
            let name = words.next()?.to_lowercase();
            each(&|m| m.flags.contains(&name) != word.starts_with("UN"))
        }
        "FROM" | "TO" | "CC" | "BCC" | "SUBJECT" | "HEADER" => {
            let name = if word == "HEADER" { words.next()? } else { word };
            let needle = Needle::new(&words.next()?);
            each(&|m| matches_header(&m.raw, &name, &needle))
        }
        "BODY" => {
            let needle = Needle::new(&words.next()?);
            each(&|m| Structure::parse(&m.raw).matches_body(&needle))
        }
        "TEXT" => {
            let needle = Needle::new(&words.next()?);
            each(&|m| Structure::parse(&m.raw).matches_text(&needle))
        }
        "LARGER" | "SMALLER" => {
            let size: u64 = words.next()?.parse().ok()?;
            each(&|m| if word == "LARGER" { m.facts.size > size } else { m.facts.size < size })
        }
        "SENTBEFORE" | "SENTON" | "SENTSINCE" => {
            let day = day(&words.next()?)?;
            each(&|m| m.facts.keys.sent.is_some_and(|sent| holds(&word[4..], sent.day(), day)))
        }
        "BEFORE" | "ON" | "SINCE" => {
            let day = day(&words.next()?)?;
            each(&|m| holds(&word, mime::day_of(m.arrival), day))
        }
        _ => None,
    }
}

fn holds(word: &str, own: Day, wanted: Day) -> bool {
    match word {
        "BEFORE" => own < wanted,
        "ON" => own == wanted,
        _ => own >= wanted,
    }
}

fn day(word: &str) -> Option<Day> {
    Sent::parse(format!("{} 00:00 +0000", word.replace('-', " ")).as_bytes()).map(|sent| sent.day())
}

fn sorted(words: &mut Words, stored: &[Stored]) -> Option<Value> {
    if words.next()? != "(" {
        return None;
    }
    let (mut orders, mut reverse) = (Vec::new(), false);
    loop {
        let by = match words.next()?.as_str() {
            ")" => break,
            "REVERSE" => {
                reverse = true;
                continue;
            }
            "ARRIVAL" => Criterion::Arrival,
            "CC" => Criterion::Cc,
            "DATE" => Criterion::Date,
            "FROM" => Criterion::From,
            "SIZE" => Criterion::Size,
            "SUBJECT" => Criterion::Subject,
            "TO" => Criterion::To,
            "DISPLAYFROM" => Criterion::DisplayFrom,
            "DISPLAYTO" => Criterion::DisplayTo,
            _ => return None,
        };
        orders.push(Order { by, reverse });
        reverse = false;
    }
    if orders.is_empty() || reverse || words.next()? != "UTF-8" && words.0.is_empty() {
        return None;
    }
    let found = matching(words, stored)?;
    let entry =
        |at: usize| Entry { number: at as u32 + 1, arrival: stored[at].arrival, size: stored[at].facts.size, keys: &stored[at].facts.keys };
    let mut entries: Vec<_> = found.into_iter().map(entry).collect();
    mime::sort::sort(&orders, &mut entries);
    Some(json!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>()))
}

fn threaded(words: &mut Words, stored: &[Stored]) -> Option<Value> {
    let algorithm = match words.next()?.as_str() {
        "REFERENCES" => Algorithm::References,
        "REFS" => Algorithm::Refs,
        "ORDEREDSUBJECT" => Algorithm::OrderedSubject,
        _ => return None,
    };
    words.next()?;
    let found = matching(words, stored)?;
    let message = |at: &usize| {
        let Stored { facts, arrival, .. } = &stored[*at];
        let date = facts.keys.sent.map_or(*arrival, |sent| sent.unix);
        thread::Message { number: *at as u32 + 1, links: &facts.links, subject: &facts.keys.subject, is_reply: facts.keys.is_reply, date }
    };
    let messages: Vec<_> = found.iter().map(message).collect();
    let mut out = b"(".to_vec();
    thread::thread(algorithm, &messages).write(&mut out);
    out.push(b')');
    Some(crate::normal::plain(&crate::normal::parse(&out)))
}
