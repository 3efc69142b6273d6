//! Regular expressions: any expression is read and searched in bounded time, and finds what a slow matcher finds.
//!
//! The input is one octet of options, the expression up to the first newline, and the text behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((options, rest)) = input.split_first() else { return };
    let end = rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
    let text = rest.get(end + 1..).unwrap_or_default();
    if let Some(wrong) = filter::disagreement(&rest[..end], text, options & 1 == 1) {
        panic!("{wrong}");
    }
});
