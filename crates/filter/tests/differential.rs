//! Random rule files and messages have the same result as with the real procmail, if that is installed.
//!
//! `FILTER_PAIRS` says how many pairs are tried (300 by default, 10,000 in `make soak`), `FILTER_SEED` where to begin. What
//! depends on time, process numbers or names made to be unique is left out of the comparison, and so are a clone that nobody waits for and a
//! program that does not read its input: there procmail's own result depends on which process is faster. No filter here
//! takes the empty line behind the header away: procmail then goes on with the memory behind the message.

#![allow(clippy::unwrap_used)] // All of it is a test.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use filter::{Base, Evaluator, FileHost, Programs, Request, RuleFile, Variables};

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

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const NAMES: [&str; 5] = ["A", "B", "C", "MATCH", "X1"];
const PIECES: [&str; 24] = [
    "one",
    "$A",
    "$B",
    "${C}",
    "${A:-def}",
    "${X1-no}",
    "${B:+yes}",
    "$MATCH",
    "$=",
    "$?",
    "$#",
    "$1",
    "${2:-q}",
    "$\\A",
    "`echo hi`",
    "x\\ y",
    "$LASTFOLDER",
    "#",
    "\\$A",
    "$@",
    "}",
    "${A%x}",
    "${X1:-\"q r\"}",
    "`echo $A; cat >/dev/null`",
];
const PATTERNS: [&str; 24] = [
    "^Subject:",
    "^Subject: \\/[a-z]+",
    "^From.*joe",
    "^TO_bob",
    "^X-None",
    "needle",
    "^Subject:.*\\<test\\>",
    "()\\/n.*",
    "^(To|Cc):.*\\/[a-z]+@",
    "^FROM_DAEMON",
    "t$",
    "^^From",
    "[^a-z]x",
    "(a|b",
    "[ab",
    "a**",
    "",
    "^line$",
    "$",
    "\\/",
    "^TOann",
    "o+",
    "e.*^",
    ".*\\/ .*",
];
const AREAS: [&str; 14] = ["", "", "", "B ?? ", "H ?? ", "HB ?? ", "A ?? ", "MATCH ?? ", "! ", "!", "! B ?? ", "$ ", "$ ! ", "1 ?? "];
const TARGETS: [&str; 20] = [
    "md1/",
    "md2/",
    "mh1/.",
    "mh2/.",
    "dir",
    "/dev/null",
    "mh1/. dir md1/",
    "x$A/",
    "no/such/box",
    "$NONE",
    "dir # c",
    "dir#c",
    "`echo md9`/",
    "| cat >>out",
    "| cat >/dev/null; exit 1",
    "| cat >/dev/null; echo x >>o2",
    "! ann@x",
    "! \"$A\" bob",
    "A=| sed -n 2p",
    "B=| cat >/dev/null; exit 2",
];
const FILTERS: [&str; 6] = ["sed 's/needle/haystack/'", "cat", "tr a-z A-Z", "cat >/dev/null", "cat; exit 1", "grep -v needle"];
const OTHERS: [&str; 16] = [
    "# c",
    "",
    "junk.x",
    "* stray",
    "LOGABSTRACT=all",
    "LOGABSTRACT=no",
    "SHIFT=1",
    "INCLUDERC=inc.rc",
    "LOCKEXT=.lk",
    "A=1 B=2 C",
    "SENDMAILFLAGS=\"-x -y\"",
    "DEFAULT=md7/",
    "SHELLMETAS=\"&|;<>$\"",
    "EXITCODE=9",
    "}",
    "SWITCHRC=inc.rc",
];
const MESSAGES: [&str; 5] = [
    "From joe@example.com Tue Mar  5 10:11:12 2019\nFrom: Joe <joe@example.com>\nTo: ann@x.org,\n\tbob@y.org\nSubject: a test of needle\n\nline\nneedle in body\nFrom x\n",
    "From: postmaster@example.com\nSubject: test\n\nbody needle one\n\n",
    "To: bob@x\nSubject: no body\n",
    "From a@b Tue Mar  5 10:11:12 2019\nContent-Length: 9\nSubject: cl\nCc: ann\n\nabc\nFrom x\nneedle\n",
    "Received: x\n y\n z\nSubject:\nFrom: <a@b>\n\n\nthree\n",
];

struct Writer<'r> {
    random: &'r mut Random,
    marks: usize,
    text: String,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn value(&mut self) -> String {
        let count = self.random.below(3);
        let joined: String = (0..count).map(|_| format!("{}{}", self.random.one(&PIECES), self.random.one(&["", " ", "."]))).collect();
        match self.random.below(10) {
            0 => self.random.one(&["'lit $A'", "'x y'", "'`no`'", "'a\"b'"]).to_owned(),
            1..=5 => format!("\"{}\"", joined.replace('"', "")),
            _ => joined.replace(' ', ""),
        }
    }

    fn condition(&mut self) -> String {
        let pattern = self.random.one(&PATTERNS);
        match self.random.below(10) {
            0..=5 => format!("* {}{pattern}", self.random.one(&AREAS)),
            6 => format!(
                "* {}{}",
                self.random.one(&["", "! ", "B ?? "]),
                self.random.one(&["> 10", "<100", "> abc", "< $A", "> 10k", "< -1"])
            ),
            7 => {
                format!("* {}? {}", self.random.one(&["", "! ", "B ?? "]), self.random.one(&["true", "false", "grep -q needle", "exit 3;"]))
            }
            _ => {
                let (weight, exponent) =
                    (self.random.one(&["1", "-1", ".5", "2", "2147483647", "1e2"]), self.random.one(&["0", "1", ".5", "2", "-1"]));
                let tested = self.random.one(&["e", "n", "^.*$", "! needle", "B ?? o", "> 50", "? true", "^", "[a-z]+"]);
                format!("* {weight}^{exponent} {tested}")
            }
        }
    }

    fn recipe(&mut self, depth: usize) {
        let mut flags: String = "HBDAahbwWiEer".chars().filter(|_| self.random.chance(13)).collect();
        let copy = self.random.chance(55);
        let mut lock = self.random.one(&["", "", "", "", ":", ":l.lock", ": l2.lock"]).to_owned();
        let conditions = self.random.below(4);
        let block = depth > 0 && self.random.chance(30);
        if block && !lock.is_empty() {
            // What a clone holds back must not be what its block waits for: that takes LOCKTIMEOUT.
            lock = format!(":b{}.lock", self.random.below(1_000_000));
        }
        let filters = !block && self.random.chance(20);
        if filters {
            flags.push('f');
        } else if copy {
            flags.push_str(if block { "cw" } else { "c" });
        }
        self.line(&format!(":0 {flags}{lock}"));
        for _ in 0..conditions {
            let condition = self.condition();
            self.line(&condition);
        }
        if block {
            self.line("{");
            self.statements(depth - 1, 3);
            self.line("}");
        } else if filters {
            let filter = self.random.one(&FILTERS);
            self.line(&format!("| {filter}"));
        } else {
            let target = self.random.one(&TARGETS);
            self.line(target);
        }
    }

    fn statements(&mut self, depth: usize, most: usize) {
        for _ in 0..=self.random.below(most) {
            match self.random.below(20) {
                0..=5 => {
                    let (name, value) = (self.random.one(&NAMES), self.value());
                    self.line(&format!("{name}={value}"));
                }
                6 => {
                    let other = self.random.one(&OTHERS);
                    self.line(other);
                }
                7..=10 => {
                    self.marks += 1;
                    let mark = self.marks;
                    self.line(&format!("LOG=\"{mark} A=[$A] B=[$B] C=[${{C-unset}}] M=[$MATCH] $= $? $# [$LASTFOLDER]$NL\""));
                }
                _ => self.recipe(depth),
            }
        }
    }
}

fn rule_file(random: &mut Random, start: &str, statements: usize) -> String {
    let mut writer = Writer { random, marks: 0, text: start.to_owned() };
    writer.statements(2, statements);
    writer.line("LOG=\"end A=[$A] B=[$B] M=[$MATCH] $= $? [$LASTFOLDER]$NL\"");
    writer.text
}

fn prepare(home: &Path, rules: &str, included: &str) {
    fs::create_dir_all(home.join("dir")).unwrap();
    fs::write(home.join("rc"), rules).unwrap();
    fs::write(home.join("inc.rc"), included).unwrap();
    let sendmail = home.join("sendmail");
    fs::write(&sendmail, "#!/bin/sh\n{ echo \"$@\"; cat; } >>sent\n").unwrap();
    fs::set_permissions(&sendmail, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn assignments(home: &Path) -> Vec<String> {
    let home = home.display();
    let fixed = ["LOGNAME=joe", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"].map(str::to_owned);
    let own = [format!("HOME={home}"), format!("SENDMAIL={home}/sendmail"), format!("ORGMAIL={home}/org/"), format!("DEFAULT={home}/md8/")];
    fixed.into_iter().chain(own).collect()
}

/// Seconds that procmail has for one message; it waits for locks and for the clock.
const LONGEST_RUN: i64 = 60;

/// The exit code; `None` if it does not end.
fn by_procmail(home: &Path, message: &str) -> Option<i32> {
    let mut command = Command::new("procmail");
    command.args(["-a", "first"]).args(assignments(home)).arg(home.join("rc")).current_dir(home);
    let mut child = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let group = rustix::process::Pid::from_child(&child);
    let watch = rustix::process::pidfd_open(group, rustix::process::PidfdFlags::empty()).unwrap();
    let limit = rustix::event::Timespec { tv_sec: LONGEST_RUN, tv_nsec: 0 };
    let mut ends = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
    if rustix::event::poll(&mut ends, Some(&limit)).unwrap() == 0 {
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    }
    let code = child.wait().unwrap().code()?;
    // Without the flag w it does not wait for its programs.
    let until = Instant::now() + Duration::from_secs(10);
    while rustix::process::test_kill_process_group(group).is_ok() && Instant::now() < until {
        std::thread::yield_now();
    }
    Some(code)
}

fn by_us(home: &Path, message: &str) -> i32 {
    let limits = config::Filter::default();
    let programs = Programs::new();
    let mut host = FileHost::new(&limits, &programs, None, false);
    let request = Request {
        variables: Variables::new(),
        assignments: assignments(home).into_iter().map(String::into_bytes).collect(),
        files: vec![RuleFile { name: home.join("rc"), base: Base::Home, optional: false }],
        arguments: vec![b"first".to_vec()],
        folder: home.to_owned(),
        ..Request::default()
    };
    Evaluator::new(&mut host, &limits, request, message.as_bytes()).filter().code
}

/// Every file with its content, names made to be unique replaced.
fn result(home: &Path) -> BTreeMap<PathBuf, Vec<String>> {
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut open = vec![home.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let unique = folder.ends_with("new") || name.starts_with("msg.");
            let shown = if unique { folder.join("#") } else { path.clone() };
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            let text = match name.as_str() {
                "log" => plain_log(&text),
                // Programs that nobody waited for write in any order.
                "out" | "o2" | "sent" => sorted(&text),
                _ => text,
            };
            files.entry(shown.strip_prefix(home).unwrap().to_owned()).or_default().push(text.replace(&home.display().to_string(), "HOME"));
        }
    }
    files.values_mut().for_each(|texts| texts.sort());
    files
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The log without unique names, and without what the shell says.
fn plain_log(text: &str) -> String {
    let plain = |word: &str| match (word.find("/new/"), word.find("/msg.")) {
        (Some(at), _) => format!("{}/new/#", &word[..at]),
        (_, Some(at)) => format!("{}/msg.#", &word[..at]),
        _ => word.to_owned(),
    };
    let words = |line: &str| line.split([' ', '\t', ']']).filter(|word| !word.is_empty()).map(plain).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| !line.starts_with("/bin/sh:") && !line.contains("sh: ")).map(words).collect::<Vec<_>>().join("\n")
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn random_rule_files_do_what_procmail_does() {
    if Command::new("procmail").arg("-v").stderr(Stdio::null()).status().is_err() {
        println!("skipped: procmail is not installed");
        return;
    }
    let seed = number("FILTER_SEED", 1);
    let next = AtomicU64::new(seed);
    let end = seed + number("FILTER_PAIRS", 300);
    let differences = Mutex::new(Vec::new());
    let found = || differences.lock().unwrap().len();
    // procmail sleeps for most of its time: names made to be unique are good for a second.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while found() < MOST_DIFFERENCES {
                    let pair = next.fetch_add(1, Ordering::Relaxed);
                    if pair >= end {
                        break;
                    }
                    let difference = compare(pair);
                    differences.lock().unwrap().extend(difference);
                }
            });
        }
    });
    let tried = next.into_inner().min(end) - seed;
    let differences = differences.into_inner().unwrap();
    println!("{tried} pairs from {seed} on, {} differences", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// After so many differences the rest is not tried.
const MOST_DIFFERENCES: usize = 20;

/// What is different, in words, if anything is.
fn compare(pair: u64) -> Option<String> {
    let mut random = Random(pair.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    random.below(2);
    let start = "LOGFILE=log\nLOGABSTRACT=no\nLOCKSLEEP=0\nSUSPEND=0\nNL=\"\n\"\n";
    let rules = rule_file(&mut random, start, 9);
    let included = rule_file(&mut random, "", 4).replace("INCLUDERC", "A").replace("SWITCHRC", "B");
    let message = random.one(&MESSAGES).to_owned();
    let run = |by: &dyn Fn(&Path) -> Option<i32>| {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path(), &rules, &included);
        let code = by(folder.path());
        (code, result(folder.path()))
    };
    let real = run(&|home| by_procmail(home, &message));
    let ours = run(&|home| Some(by_us(home, &message)));
    let told = || {
        format!("pair {pair}\n--- rules\n{rules}--- included\n{included}--- message\n{message}--- procmail {real:#?}\n--- ours {ours:#?}")
    };
    (real != ours).then(told)
}
