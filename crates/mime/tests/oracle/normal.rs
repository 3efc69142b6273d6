//! The normal form in which answers are compared: the same as that of the oracle's runner.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Strings over this size are kept as size, digest and beginning.
const LONG: usize = 200;

/// A value in IMAP syntax.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    Atom(String),
    Text(Vec<u8>),
    List(Vec<Item>),
}

/// All cases, by folder.
pub(crate) fn load(cases: &Path) -> Vec<(String, Value)> {
    let mut folders: Vec<_> = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
        .into_iter()
        .filter_map(|folder| {
            let text = std::fs::read(folder.join("expected.json")).ok()?;
            let mut reader = serde_json::Deserializer::from_slice(&text);
            reader.disable_recursion_limit();
            Some((folder.file_name()?.to_string_lossy().into_owned(), Value::deserialize(&mut reader).unwrap()))
        })
        .collect()
}

/// Parses one value and demands that nothing follows it.
pub(crate) fn parse(text: &[u8]) -> Item {
    let mut pos = 0;
    let item = parse_at(text, &mut pos);
    assert_eq!(pos, text.len(), "{}", String::from_utf8_lossy(text));
    item
}

fn parse_at(text: &[u8], pos: &mut usize) -> Item {
    match text[*pos] {
        b'(' => {
            *pos += 1;
            let mut list = Vec::new();
            while text[*pos] != b')' {
                if text[*pos] == b' ' {
                    *pos += 1;
                }
                list.push(parse_at(text, pos));
            }
            *pos += 1;
            Item::List(list)
        }
        b'"' => {
            let mut out = Vec::new();
            *pos += 1;
            while text[*pos] != b'"' {
                if text[*pos] == b'\\' {
                    *pos += 1;
                }
                assert!((0x20..0x7f).contains(&text[*pos]));
                out.push(text[*pos]);
                *pos += 1;
            }
            *pos += 1;
            Item::Text(out)
        }
        b'{' => {
            let end = *pos + text[*pos..].iter().position(|&b| b == b'}').unwrap();
            let length: usize = std::str::from_utf8(&text[*pos + 1..end]).unwrap().parse().unwrap();
            assert_eq!(&text[end + 1..end + 3], b"\r\n");
            *pos = end + 3 + length;
            let content = &text[end + 3..*pos];
            assert!(!content.contains(&0));
            Item::Text(content.to_vec())
        }
        _ => {
            let start = *pos;
            while *pos < text.len() && (text[*pos].is_ascii_alphanumeric()) {
                *pos += 1;
            }
            assert!(*pos > start, "{}", String::from_utf8_lossy(text));
            Item::Atom(String::from_utf8(text[start..*pos].to_vec()).unwrap())
        }
    }
}

pub(crate) fn text(raw: &[u8]) -> Value {
    if raw.len() > LONG {
        let head: String = raw[..60].iter().map(|&b| if b.is_ascii() { char::from(b) } else { '\u{fffd}' }).collect();
        let digest: String = Sha256::digest(raw).iter().map(|b| format!("{b:02x}")).collect();
        return json!({"size": raw.len(), "sha256": digest, "head": head});
    }
    std::str::from_utf8(raw).map_or_else(|_| json!({"latin1": raw.iter().map(|&b| char::from(b)).collect::<String>()}), |text| json!(text))
}

/// Lists, numbers, strings and NIL, with no meaning added.
pub(crate) fn plain(item: &Item) -> Value {
    match item {
        Item::List(list) => list.iter().map(plain).collect(),
        Item::Text(raw) => text(raw),
        Item::Atom(atom) if atom.eq_ignore_ascii_case("NIL") => Value::Null,
        Item::Atom(atom) => atom.parse::<u64>().map_or_else(|_| json!(atom), |number| json!(number)),
    }
}

fn lower(value: Value) -> Value {
    match value {
        Value::String(text) => json!(text.to_lowercase()),
        other => other,
    }
}

fn pairs(item: &Item) -> Value {
    let Item::List(list) = item else { return plain(item) };
    let mut out: Vec<Value> =
        list.chunks(2).filter(|two| two.len() == 2).map(|two| json!([lower(plain(&two[0])), plain(&two[1])])).collect();
    out.sort_by_key(ToString::to_string);
    Value::Array(out)
}

fn disposition(item: &Item) -> Value {
    match item {
        Item::List(list) if list.len() == 2 => json!([lower(plain(&list[0])), pairs(&list[1])]),
        other => plain(other),
    }
}

fn extension(out: &mut Map<String, Value>, rest: &[Item], names: &[&str]) {
    let nil = Item::Atom("NIL".to_owned());
    for (at, name) in names.iter().enumerate() {
        let item = rest.get(at).unwrap_or(&nil);
        let value = match *name {
            "params" => pairs(item),
            "disposition" => disposition(item),
            "language" => match plain(item) {
                Value::String(one) => json!([one]),
                other => other,
            },
            _ => plain(item),
        };
        out.insert((*name).to_owned(), value);
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// BODY and BODYSTRUCTURE as objects.
pub(crate) fn structure(item: &Item, full: bool) -> Value {
    let Item::List(list) = item else { return plain(item) };
    let mut out = Map::new();
    if matches!(list.first(), Some(Item::List(_))) {
        let parts = list.iter().take_while(|item| matches!(item, Item::List(_))).count();
        out.insert("type".into(), json!(format!("multipart/{}", word(&lower(plain(&list[parts]))))));
        out.insert("parts".into(), list[..parts].iter().map(|part| structure(part, full)).collect());
        if full {
            extension(&mut out, &list[parts + 1..], &["params", "disposition", "language", "location"]);
        }
        return Value::Object(out);
    }
    assert!(list.len() >= 7);
    let media = format!("{}/{}", word(&lower(plain(&list[0]))), word(&lower(plain(&list[1]))));
    out.insert("params".into(), pairs(&list[2]));
    for (at, name) in ["id", "description", "encoding", "size"].iter().enumerate() {
        out.insert((*name).into(), plain(&list[3 + at]));
    }
    let encoding = lower(out["encoding"].clone());
    out.insert("encoding".into(), encoding);
    let mut rest = &list[7..];
    if media.starts_with("text/") && !out["params"].as_array().is_some_and(|all| all.iter().any(|pair| pair[0] == "charset")) {
        let mut all = out["params"].as_array().cloned().unwrap_or_default();
        all.push(json!(["charset", "us-ascii"]));
        all.sort_by_key(ToString::to_string);
        out.insert("params".into(), Value::Array(all));
    }
    if media == "message/rfc822" && rest.len() >= 3 {
        out.insert("envelope".into(), plain(&rest[0]));
        out.insert("body".into(), structure(&rest[1], full));
        out.insert("lines".into(), plain(&rest[2]));
        rest = &rest[3..];
    } else if media.starts_with("text/") && !rest.is_empty() {
        out.insert("lines".into(), plain(&rest[0]));
        rest = &rest[1..];
    }
    if full {
        extension(&mut out, rest, &["md5", "disposition", "language", "location"]);
    } else if !rest.is_empty() {
        out.insert("unexpected".into(), Value::Array(rest.iter().map(plain).collect()));
    }
    out.insert("type".into(), json!(media));
    Value::Object(out)
}
