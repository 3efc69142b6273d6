//! How long a rule file takes for one message of 10 KiB without programs: a user's small file, and one of 2,000 recipes.
//!
//! `cargo bench -p filter` prints the best of many rounds and the first one, in which the file is read.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A measurement, not the program.

use std::path::Path;
use std::time::{Duration, Instant};

use filter::{Base, Evaluator, FileHost, Programs, Request, RuleFile, Variables};

const SMALL: &str = "\
:0
* ^List-Id:.*<\\/[^.>@]+
.lists.$MATCH/
:0
* ^Subject:.*(cheap|prize)
/dev/null
:0
* ^TO_friends@
friends/
:0 B
* unsubscribe now
/dev/null
:0
* < 280000
* ^X-Spam-Status: Yes, score=([5-9]|1[0-9]|[2-9][0-9])
.junk/
:0
/dev/null
";

fn large() -> String {
    let recipes: String = (0..2000).map(|number| format!(":0\n* ^Subject:.*word{number}x\nfolder{number}/\n")).collect();
    recipes + ":0\n/dev/null\n"
}

fn message() -> String {
    let hops = (0..12)
        .map(|n| format!("Received: from host{n}.example.org by mx.example.net with ESMTP id {n}abcdef; Tue, 5 Mar 2019 10:11:11 +0000\n"));
    let mut message: String = hops.collect();
    message += "From: Joe Doe <joe@example.com>\nTo: ann@example.org, bob@example.org\nSubject: Hello World again\nMessage-ID: <x@y>\n\n";
    while message.len() < 10_240 {
        message += "The quick brown fox jumps over the lazy dog and goes home.\n";
    }
    message
}

fn round(folder: &Path, name: &str, programs: &Programs, message: &str) -> Duration {
    let limits = config::Filter::default();
    let mut host = FileHost::new(&limits, programs, None, false);
    let mut variables = Variables::new();
    variables.set(b"HOME", folder.as_os_str().as_encoded_bytes());
    let files = vec![RuleFile { name: folder.join(name), base: Base::Home, optional: false }];
    let request = Request { variables, files, folder: folder.to_owned(), ..Request::default() };
    let start = Instant::now();
    let outcome = Evaluator::new(&mut host, &limits, request, message.as_bytes()).filter();
    let took = start.elapsed();
    assert_eq!((outcome.code, outcome.deliveries.len()), (0, 1));
    took
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let message = message();
    let programs = Programs::new();
    for (name, text) in [("small", SMALL.to_owned()), ("2000 recipes", large())] {
        std::fs::write(folder.path().join(name), text).unwrap();
        let first = round(folder.path(), name, &programs, &message);
        let best = (0..500).map(|_| round(folder.path(), name, &programs, &message)).min().unwrap();
        println!("{name}: first {:.0} us, best {:.1} us", first.as_secs_f64() * 1e6, best.as_secs_f64() * 1e6);
    }
}
