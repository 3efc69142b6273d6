//! What Postfix 3.7.11 was seen to do with many maps and addresses (`postfix/*.json`), compared with the resolver.
//!
//! Each file has the parameters as in main.cf, the maps' text, and per address the reply at RCPT or the final recipients.
//! `also_ok` lists answers that are as good: refusals of what is no mailbox by RFC 5321, one domain in two spellings, the
//! first of two lines with one key. A refusal is also taken where Postfix defers, or accepts and then bounces everything.

use std::collections::BTreeSet;
use std::path::Path;

use alias::{Resolver, Sender};
use serde_json::Value;

/// An answer that can be compared: a reply, or recipients of which some are lost.
#[derive(Debug)]
enum Answer {
    Refused(u64, String),
    Accepted(BTreeSet<String>, BTreeSet<String>),
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn resolver(case: &Value) -> Resolver {
    let settings = &case["settings"];
    let section = config::Alias {
        maps: texts(&settings["virtual_alias_maps"]),
        origin: text(&settings["myorigin"]).to_owned(),
        recipient_delimiter: text(&settings["recipient_delimiter"]).to_owned(),
        propagate_unmatched_extensions: texts(&settings["propagate_unmatched_extensions"]).iter().any(|name| name == "virtual"),
        ..config::Alias::default()
    };
    let interfaces: Vec<_> = texts(&settings["interfaces"]).iter().filter_map(|ip| ip.parse().ok()).collect();
    let read = |name: &str| Ok(text(&case["maps"][name]).as_bytes().to_vec());
    let resolver = Resolver::load(&section, text(&settings["myhostname"]), &interfaces, &read).lenient();
    let resolver = resolver.with_destinations(&texts(&settings["mydestination"]));
    match &settings["virtual_alias_domains"] {
        Value::Null => resolver,
        domains => resolver.with_domains(&texts(domains)),
    }
}

/// One spelling for an address. All names of the host are one place, where case does not count.
fn canonical(address: &str, settings: &Value) -> String {
    let (local, domain) = match address.rsplit_once('@') {
        Some((local, domain)) if !domain.ends_with('"') => (local, domain.to_lowercase()),
        _ => (address, text(&settings["myorigin"]).to_lowercase()),
    };
    let own = texts(&settings["mydestination"]).iter().any(|name| name.to_lowercase() == domain)
        || texts(&settings["interfaces"]).iter().any(|ip| format!("[{ip}]") == domain);
    if own { format!("{}@(here)", local.to_lowercase()) } else { format!("{local}@{domain}") }
}

fn set(addresses: &[String], settings: &Value) -> BTreeSet<String> {
    addresses.iter().map(|address| canonical(address, settings)).collect()
}

fn answer(resolver: &Resolver, address: &str, settings: &Value) -> Answer {
    let accounts = texts(&settings["local_users"]);
    match resolver.resolve(address, Sender::Stranger, &|name| accounts.iter().any(|account| account == name)) {
        Err(rejection) => Answer::Refused(rejection.reply.code.into(), rejection.reply.enhanced.to_string()),
        Ok(found) => {
            let mut all: Vec<_> = found.recipients.iter().map(|recipient| recipient.address.clone()).collect();
            all.extend(found.undeliverable.iter().cloned());
            Answer::Accepted(set(&all, settings), set(&found.undeliverable, settings))
        }
    }
}

/// Whether the answer is this one of the expected ones.
fn agrees(expected: &Value, got: &Answer, settings: &Value) -> bool {
    match (got, &expected["reject"]) {
        (Answer::Refused(code, _), Value::String(_)) => *code >= 500,
        (Answer::Refused(code, enhanced), Value::Object(reply)) => {
            reply["code"].as_u64().map(|code| code / 100) == Some(code / 100) && text(&reply["enhanced"]) == enhanced
        }
        (Answer::Accepted(all, lost), Value::Null) => {
            let same = |key: &str, set_there: &BTreeSet<String>| set(&texts(&expected[key]), settings) == *set_there;
            same("recipients", all) && (expected["undeliverable"].is_null() || same("undeliverable", lost))
        }
        _ => false,
    }
}

fn good(probe: &Value, got: &Answer, settings: &Value) -> bool {
    if agrees(probe, got, settings) || probe["also_ok"].as_array().is_some_and(|others| others.iter().any(|o| agrees(o, got, settings))) {
        return true;
    }
    let Answer::Refused(code, _) = got else { return false };
    let lost = texts(&probe["undeliverable"]);
    text(&probe["reject"]["enhanced"]) == "4.6.0" || (*code >= 500 && !lost.is_empty() && lost == texts(&probe["recipients"]))
}

#[test]
fn recipients_are_resolved_as_postfix_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postfix");
    let mut wrong = Vec::new();
    let mut probes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let resolver = resolver(&case);
        for probe in case["probes"].as_array().unwrap() {
            probes += 1;
            let got = answer(&resolver, text(&probe["address"]), &case["settings"]);
            if !good(probe, &got, &case["settings"]) {
                wrong.push(format!("{}: <{}>\n  expected {probe}\n  got {got:?}", path.display(), text(&probe["address"])));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {probes} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(probes > 1_000);
}
