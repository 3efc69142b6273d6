//! What rules cost for one message, beside procmail on the same files where that is installed.
//!
//! `cargo bench -p filter` prints a table: the median of many rounds, the first round (in which the file is read), and procmail's
//! whole run, of which starting a process is a part. Nothing is delivered: the last recipe of each file is `/dev/null`.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A measurement, not the program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use filter::{Base, Evaluator, FileHost, Programs, Request, RuleFile, Variables};

/// The user's own file, without the program.
const USER: &str = "\
:0:
* ^X-Spam-Status: Yes, score=([5-9]|1[0-9]|[2-9][0-9])
.junk/
:0
/dev/null
";

const LISTS: &str = "\
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

/// So many recipes, each of which looks for its own word.
fn words(count: usize, flags: &str) -> String {
    let recipes: String = (0..count).map(|number| format!(":0 {flags}\n* word{number}x\nfolder{number}/\n")).collect();
    recipes + ":0\n/dev/null\n"
}

/// The same with expressions that no text can rule out: each is searched by itself.
fn without_words(count: usize) -> String {
    let recipes: String =
        (0..count).map(|number| format!(":0\n* [v-w]{}[x-y]\nfolder{number}/\n", "[o-p]".repeat(number % 7 + 1))).collect();
    recipes + ":0\n/dev/null\n"
}

fn message(size: usize) -> String {
    let hops = (0..12)
        .map(|n| format!("Received: from host{n}.example.org by mx.example.net with ESMTP id {n}abcdef; Tue, 5 Mar 2019 10:11:11 +0000\n"));
    let mut message: String = hops.collect();
    message += "From: Joe Doe <joe@example.com>\nTo: ann@example.org, bob@example.org\nSubject: Hello World again\nMessage-ID: <x@y>\n\n";
    while message.len() < size {
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

/// A whole run of procmail; `None` if it is not installed.
fn procmail(folder: &Path, name: &str, message: &str) -> Option<Duration> {
    let start = Instant::now();
    let home = format!("HOME={}", folder.display());
    let mut command = Command::new("procmail");
    command.arg(home).arg(folder.join(name)).current_dir(folder).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    Some(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::new();
    let (small, large) = (message(10 << 10), message(25 << 20));
    println!("{:<44} {:>12} {:>12} {:>14} {:>8}", "microseconds", "first", "median", "procmail", "times");
    let rows = [
        ("the user's file, 10 KiB", USER.to_owned(), &small, 500),
        ("six recipes, 10 KiB", LISTS.to_owned(), &small, 500),
        ("2,000 recipes on the header, 10 KiB", words(2000, ""), &small, 200),
        ("2,000 recipes on the body, 10 KiB", words(2000, "B"), &small, 200),
        ("2,000 recipes without a word, 10 KiB", without_words(2000), &small, 50),
        ("one recipe on the body, 25 MiB", words(1, "B"), &large, 5),
        ("100 recipes on the body, 25 MiB", words(100, "B"), &large, 5),
        ("100 recipes on all of it, 25 MiB", words(100, "HB"), &large, 5),
    ];
    for (title, rules, message, rounds) in rows {
        let name = "rules";
        std::fs::write(folder.path().join(name), rules).unwrap();
        let first = round(folder.path(), name, &programs, message).as_secs_f64() * 1e6;
        let ours = median((0..rounds).map(|_| round(folder.path(), name, &programs, message)).collect());
        let peer: Option<Vec<Duration>> = (0..rounds.min(7)).map(|_| procmail(folder.path(), name, message)).collect();
        match peer.map(median) {
            Some(peer) => println!("{title:<44} {first:>12.1} {ours:>12.1} {peer:>14.1} {:>7.0}x", peer / ours),
            None => println!("{title:<44} {first:>12.1} {ours:>12.1} {:>14}", "not there"),
        }
    }
}
