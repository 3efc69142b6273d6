//! Compares this crate's answers with those that Dovecot gave to the same questions (`../shared/oracle/imap/diff-cases`).
//! Where that folder is absent the test says so and passes.

// Helpers of a test may fail as loudly as the test itself.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod normal;
mod query;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mime::{BinaryError, Section, Structure, eol};
use serde_json::{Value, json};

fn cases() -> Option<PathBuf> {
    let shared =
        std::env::var_os("PILLARBOX_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let cases = shared.join("oracle/imap/diff-cases");
    if !cases.is_dir() {
        println!("{} is not there: the comparison with Dovecot's answers is left out", cases.display());
        return None;
    }
    Some(cases)
}

/// The answer to one question about a message, in the normal form; `None` if it is not this crate's to answer.
fn answer(structure: &Structure<'_>, ask: &str) -> Option<Value> {
    let mut out = Vec::new();
    match ask {
        "RFC822.SIZE" => return Some(json!(structure.octets())),
        "ENVELOPE" => {
            structure.envelope(&mut out);
            return Some(normal::plain(&normal::parse(&out)));
        }
        "BODY" | "BODYSTRUCTURE" => {
            let extended = ask == "BODYSTRUCTURE";
            structure.bodystructure(&mut out, extended);
            return Some(normal::structure(&normal::parse(&out), extended));
        }
        "PREVIEW" => return Some(normal::text(structure.preview().as_bytes())),
        "RFC822" => return answer(structure, "BODY[]"),
        "RFC822.HEADER" => return answer(structure, "BODY[HEADER]"),
        "RFC822.TEXT" => return answer(structure, "BODY[TEXT]"),
        _ => {}
    }
    let (item, rest) = ask.split_once('[')?;
    let (spec, window) = rest.rsplit_once(']')?;
    let section = Section::parse(spec)?;
    let window = window.strip_prefix('<').and_then(|window| window.strip_suffix('>')).and_then(|window| {
        let (offset, count) = window.split_once('.')?;
        Some(eol::Window { offset: offset.parse().ok()?, count: count.parse().ok()? })
    });
    match item {
        "BODY" => {
            let raw = structure.section(&section);
            match window {
                Some(window) => {
                    eol::push_window(&raw, eol::Cursor::default(), window, &mut out);
                }
                None => eol::push_wire(&raw, &mut out),
            }
            Some(normal::text(&out))
        }
        "BINARY" => Some(match structure.binary(&section.path, &mut out) {
            Ok(()) => {
                let low = window.map_or(0, |window| out.len().min(window.offset as usize));
                let high = window.map_or(out.len(), |window| out.len().min((window.offset + window.count) as usize));
                normal::text(&out[low..high])
            }
            Err(error) => refusal(error),
        }),
        "BINARY.SIZE" => Some(structure.binary_size(&section.path).map_or_else(refusal, |size| json!(size))),
        _ => None,
    }
}

fn with_lf(raw: &[u8]) -> Vec<u8> {
    let mut out = raw.to_vec();
    let mut next = raw[1.min(raw.len())..].iter();
    out.retain(|&b| {
        let after = next.next();
        b != b'\r' || after != Some(&b'\n')
    });
    out
}

fn refusal(error: BinaryError) -> Value {
    match error {
        BinaryError::UnknownEncoding => json!({"no": "UNKNOWN-CTE"}),
        BinaryError::Broken => json!({"no": "PARSE"}),
    }
}

fn area(ask: &str) -> String {
    let name = ask.split('[').next().unwrap_or(ask);
    if ask.ends_with('>') { format!("{name}<>") } else { name.to_owned() }
}

/// Agreements and questions, by area and strictness.
#[derive(Default)]
struct Tally(BTreeMap<(String, bool), (usize, usize)>);

impl Tally {
    fn add(&mut self, area: String, lenient: bool, agrees: bool) {
        let cell = self.0.entry((area, lenient)).or_default();
        cell.0 += usize::from(agrees);
        cell.1 += 1;
    }

    fn sum(&self, lenient: bool) -> (usize, usize) {
        self.0.iter().filter(|((_, l), _)| *l == lenient).fold((0, 0), |(a, b), (_, (c, d))| (a + c, b + d))
    }
}

impl Tally {
    fn compare(&mut self, area: String, place: &str, question: &Value, got: &Value) {
        let lenient = question["lenient"].as_bool().unwrap_or(false);
        let agrees = *got == question["expect"];
        if !agrees {
            let mark = if lenient { " (lenient)" } else { "" };
            println!("DIFF {place}{mark}: {}\n  expected {}\n  got      {got}", question["ask"], question["expect"]);
        }
        self.add(area, lenient, agrees);
    }

    /// Prints the table; the shares that agree, in thousandths: strict and lenient.
    fn report(&self, name: &str) -> (usize, usize) {
        for ((area, lenient), (agree, all)) in &self.0 {
            println!("{area:22} {} {agree}/{all}", if *lenient { "lenient" } else { "strict " });
        }
        let ((strict, all_strict), (lenient, all_lenient)) = (self.sum(false), self.sum(true));
        println!("{name}: strict {strict}/{all_strict} agree, lenient {lenient}/{all_lenient} agree");
        (strict * 1000 / all_strict, lenient * 1000 / all_lenient)
    }
}

#[test]
fn fetch_answers_as_dovecot_does() {
    let Some(cases) = cases() else { return };
    let mut tally = Tally::default();
    for (folder, data) in normal::load(&cases) {
        for message in data["messages"].as_array().unwrap() {
            let file = message["file"].as_str().unwrap();
            let sent = std::fs::read(cases.join(&folder).join(file)).unwrap();
            let questions = message["fetch"].as_array().unwrap();
            // As it was sent, and as a Maildir keeps it.
            for (form, raw) in [("CRLF", sent.clone()), ("LF", with_lf(&sent))] {
                let structure = Structure::parse(&raw);
                for question in questions {
                    let ask = question["ask"].as_str().unwrap();
                    if let Some(got) = answer(&structure, ask) {
                        tally.compare(area(ask), &format!("{folder}/{file} {form}"), question, &got);
                    }
                }
            }
        }
    }
    let (strict, lenient) = tally.report("fetch");
    assert!(strict == 1000 && lenient >= 980);
}

#[test]
fn search_sort_and_thread_answer_as_dovecot_does() {
    let Some(cases) = cases() else { return };
    let mut tally = Tally::default();
    for (folder, data) in normal::load(&cases) {
        let questions = data["questions"].as_array().unwrap();
        if questions.is_empty() {
            continue;
        }
        let store = |message: &Value| {
            let raw = std::fs::read(cases.join(&folder).join(message["file"].as_str().unwrap())).unwrap();
            query::Stored::new(raw, message)
        };
        let stored: Vec<_> = data["messages"].as_array().unwrap().iter().map(store).collect();
        for question in questions {
            // What is refused, or depends on an earlier command, is the session's to answer.
            if question["expect"].is_object() || !question["before"].is_null() {
                continue;
            }
            if let Some(got) = query::answer(&question["ask"], &stored) {
                tally.compare(question["area"].as_str().unwrap().to_owned(), &folder, question, &got);
            }
        }
    }
    let (strict, lenient) = tally.report("search");
    assert!(strict == 1000 && lenient >= 900);
}
