//! How often the evaluation of a rule file asks for memory. One binary of its own, since the allocator counts for the whole process.

#![allow(clippy::unwrap_used)] // A test.

use std::alloc::System;
use std::path::Path;

use filter::{Base, Evaluator, FileHost, Letter, Programs, Request, RuleFile, Variables};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The user's own file, without the program.
const USER: &str = "\
:0:
* ^X-Spam-Status: Yes, score=([5-9]|1[0-9]|[2-9][0-9])
.junk/
:0
/dev/null
";

/// So many recipes of which none matches.
fn recipes(count: usize) -> String {
    let recipes: String = (0..count).map(|number| format!(":0 HB\n* word{number}x\n* second{number}\nfolder{number}/\n")).collect();
    recipes + ":0\n/dev/null\n"
}

fn message(size: usize) -> String {
    let mut message = "Received: from a.example by b.example with ESMTP id abcdef; Tue, 5 Mar 2019 10:11:11 +0000\n".repeat(12);
    message += "From: Joe Doe <joe@example.com>\nTo: ann@example.org\nSubject: Hello World again\nMessage-ID: <x@y>\n\n";
    while message.len() < size {
        message += "The quick brown fox jumps over the lazy dog and goes home.\n";
    }
    message
}

/// Allocations and octets of one evaluation, once the file has been read.
fn count(folder: &Path, rules: &str, message: &str) -> (usize, usize) {
    std::fs::write(folder.join("rules"), rules).unwrap();
    let (limits, programs) = (config::Filter::default(), Programs::new());
    let mut counted = (0, 0);
    for _ in 0..3 {
        let mut host = FileHost::new(&limits, &programs, None, false);
        let mut variables = Variables::new();
        variables.set(b"HOME", folder.as_os_str().as_encoded_bytes());
        let files = vec![RuleFile { name: folder.join("rules"), base: Base::Home, optional: false }];
        let request = Request { variables, files, folder: folder.to_owned(), ..Request::default() };
        let letter = Letter::from(message.as_bytes());
        let region = Region::new(COUNTING);
        let outcome = Evaluator::new(&mut host, &limits, request, letter).filter();
        let change = region.change();
        assert_eq!((outcome.code, outcome.deliveries.len()), (0, 1));
        counted = (change.allocations + change.reallocations, change.bytes_allocated);
    }
    counted
}

/// One test, since another one beside it would be counted with it.
#[test]
fn few_allocations_for_a_message_and_none_for_a_recipe_or_a_body() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (message(10 << 10), message(25 << 20));
    let (times, octets) = count(folder.path(), USER, &small);
    println!("the user's file: {times} allocations, {octets} octets");
    assert!(times <= 60 && octets <= 8 << 10, "{times} {octets}");
    let (fewer, _) = count(folder.path(), &recipes(1000), &small);
    let (more, _) = count(folder.path(), &recipes(2000), &small);
    assert!(more <= fewer + 8, "{fewer} {more}");
    assert_eq!(count(folder.path(), USER, &large), (times, octets));
}
