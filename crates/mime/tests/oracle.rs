//! Compares this crate's answers with those that Dovecot gave to the same questions (`../shared/oracle/imap/diff-cases`).
//! Where that folder is absent the test says so and passes.

mod normal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mime::{BinaryError, Section, Structure, eol};
use serde_json::{Value, json};

fn cases() -> Option<PathBuf> {
    let shared = std::env::var_os("PILLARBOX_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let cases = shared.join("oracle/imap/diff-cases");
    cases.is_dir().then_some(cases)
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

#[test]
fn fetch_answers_as_dovecot_does() {
    let Some(cases) = cases() else {
        println!("no ../shared here: the comparison with Dovecot's answers is left out");
        return;
    };
    let mut tally = Tally::default();
    for (folder, data) in normal::load(&cases) {
        for message in data["messages"].as_array().unwrap() {
            let file = message["file"].as_str().unwrap();
            let raw = std::fs::read(cases.join(&folder).join(file)).unwrap();
            let structure = Structure::parse(&raw);
            for question in message["fetch"].as_array().unwrap() {
                let ask = question["ask"].as_str().unwrap();
                let lenient = question["lenient"].as_bool().unwrap_or(false);
                let Some(got) = answer(&structure, ask) else { continue };
                let agrees = got == question["expect"];
                if !agrees {
                    println!("DIFF {folder}{}: {file} {ask}\n  expected {}\n  got      {got}", if lenient { " (lenient)" } else { "" }, question["expect"]);
                }
                tally.add(area(ask), lenient, agrees);
            }
        }
    }
    for ((area, lenient), (agree, all)) in &tally.0 {
        println!("{area:16} {} {agree}/{all}", if *lenient { "lenient" } else { "strict " });
    }
    let ((strict, all_strict), (lenient, all_lenient)) = (tally.sum(false), tally.sum(true));
    println!("mime-diff: strict {strict}/{all_strict} agree, lenient {lenient}/{all_lenient} agree");
    assert!(strict * 1000 >= all_strict * 999, "strict {strict}/{all_strict}");
    assert!(lenient * 100 >= all_lenient * 95, "lenient {lenient}/{all_lenient}");
}
