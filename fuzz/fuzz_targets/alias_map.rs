//! Alias maps of all kinds, and the addresses of strangers: bounded answers, and replies that refuse.
#![no_main]

use std::io;

use alias::{Resolver, Sender};
use libfuzzer_sys::fuzz_target;

const KINDS: [&str; 4] = ["hash", "texthash", "regexp", "pcre"];

/// The first line of the input is the address, the rest is the map.
fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|octet| *octet == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

fuzz_target!(|data: &[u8]| {
    let (choice, data) = fuzz::choice(data);
    let (address, map) = parts(data);
    let maps = vec![format!("{}:virtual", KINDS[usize::from(choice % 4)])];
    let section = config::Alias { maps, recursion_limit: 50, expansion_limit: 50, ..config::Alias::default() };
    let read = |_: &str| -> io::Result<Vec<u8>> { Ok(map.to_vec()) };
    let loaded = Resolver::load(&section, "mx.example", &[[127, 0, 0, 1].into()], &read);
    assert!(loaded.problems().iter().all(|problem| problem.text.chars().count() <= 121));
    let resolver = if choice & 4 == 0 { loaded.lenient() } else { loaded.deferring() };
    let _ = resolver.lint(&["joe".to_owned()]);
    let Ok(address) = std::str::from_utf8(address) else { return };
    let is_account = |name: &str| name == "joe" || name == "postmaster";
    for sender in [Sender::Stranger, Sender::Member] {
        match resolver.resolve(address, sender, &is_account) {
            Ok(resolution) => {
                assert!(!resolution.recipients.is_empty() && resolution.recipients.len() <= 50);
                assert!(resolution.recipients.iter().all(|recipient| recipient.address.len() <= 2000));
            }
            Err(rejection) => assert!(matches!(rejection.reply.code, 400..=599), "{:?}", rejection.reply),
        }
    }
});
