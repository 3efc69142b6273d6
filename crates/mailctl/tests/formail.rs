//! Random mailboxes and options have the same result as with the real formail, if that is installed.
//!
//! Standard output and exit code are compared. The date of a `From ` line that had to be made is left out: the two
//! programs do not run in the same second.

#![allow(clippy::unwrap_used)] // All of it is a test.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const REAL: &str = "/usr/bin/formail";
const CASES: u64 = 200;

/// A small generator of numbers, the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const POSTMARKS: [&str; 4] = ["From a@b.c Tue Mar  5 10:11:12 2019", "From joe x", "From joe", "From here on it goes"];
const FIELDS: [&str; 12] = [
    "From: a@b.c",
    "From: Joe <j@x.y>",
    "Subject: one",
    "Subject: Re: two",
    "To: ann@x",
    "Message-ID: <1@x>",
    "Message-ID: <2@x>",
    "X-A: b\n more",
    "Received: by x",
    "Status: RO",
    "Foo: bar",
    "Content-Length: 30",
];
const BODY: [&str; 10] = ["text", ">From q", "a: b", " blank", "-----", "From joe", "From joe x", "To: ann", "", ""];
const OPTIONS: [&[&str]; 24] = [
    &["-s"],
    &["-ds"],
    &["+1", "-ds"],
    &["-es"],
    &["-m", "1", "-s"],
    &["-m", "3", "-s"],
    &["-bs"],
    &["-fs"],
    &["-Ys"],
    &["-1", "-s"],
    &["-I", "Status:", "-s"],
    &["-s", "sh", "-c", "echo $FILENO; cat"],
    &["-ds", "sh", "-c", "cat; exit 3"],
    &[],
    &["-f"],
    &["-b"],
    &["-c"],
    &["-r"],
    &["-rt"],
    &["-rk"],
    &["-zxSubject:"],
    &["-XTo:", "-xFrom:"],
    &["-iSubject: new", "-IX-A: y", "-ATo: z", "-aFoo: no"],
    &["-UReceived:", "-R", "X-A:", "X-B:"],
];

fn mailbox(random: &mut Random) -> String {
    let mut lines = Vec::new();
    for _ in 0..=random.below(3) {
        if random.below(5) > 0 {
            lines.push(random.one(&POSTMARKS));
        }
        (0..random.below(5)).for_each(|_| lines.push(random.one(&FIELDS)));
        lines.push("");
        (0..random.below(5)).for_each(|_| lines.push(random.one(&BODY)));
        lines.push("");
    }
    lines.join("\n") + "\n"
}

fn run(program: &Path, arguments: &[&str], input: &str) -> (Option<i32>, Vec<String>) {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // A usage error is told before anything is read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text.split('\n').map(undated).collect())
}

/// The line without the date that formail has put behind two blanks.
fn undated(line: &str) -> String {
    let made = line.strip_prefix("From ").and_then(|rest| rest.split_once("  "));
    made.filter(|(address, _)| !address.contains(' ')).map_or_else(|| line.to_owned(), |(address, _)| format!("From {address}"))
}

#[test]
fn mailboxes_are_edited_as_the_real_formail_does() {
    if !Path::new(REAL).exists() {
        return;
    }
    let ours = Path::new(env!("CARGO_BIN_EXE_mailctl"));
    let mut different = Vec::new();
    for seed in 0..CASES {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = mailbox(&mut random);
        let options = OPTIONS[random.below(OPTIONS.len())];
        let expected = run(Path::new(REAL), options, &text);
        let got = run(ours, &[&["formail"], options].concat(), &text);
        if got != expected {
            different.push(format!("seed {seed} {options:?}\n{text:?}\nformail {expected:?}\nmailctl {got:?}"));
        }
    }
    assert!(different.is_empty(), "{} of {CASES} differ:\n{}", different.len(), different.join("\n\n"));
}
