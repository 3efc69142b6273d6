//! `mailctl filter`: what a rule file does with a message, and what is suspicious in it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use filter::check::{Finding, Severity, check};
use filter::{
    Base, Delivery, DryRun, Evaluator, Event, FileHost, FolderKind, Origin, Outcome, Programs, Purpose, Request, RuleFile, Target, Tested,
    Variables,
};
use serde_json::{Value, json};

const DATA_ERROR: u8 = 65;
const NO_INPUT: u8 = 66;

/// Subcommands of `mailctl filter`.
#[derive(Subcommand)]
pub(crate) enum FilterCommand {
    /// Show, recipe by recipe, what a rule file does with the message on standard input; nothing is delivered
    Explain(ExplainArgs),
    /// Find what is suspicious in rule files
    Check(CheckArgs),
}

/// Arguments of `mailctl filter explain`.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The rule file [default: .procmailrc in HOME]
    #[arg(long, value_name = "FILE")]
    rc: Option<PathBuf>,
    /// Run no programs at all, not even those that conditions and filters ask for; they are taken to succeed
    #[arg(long)]
    dry_run: bool,
    /// Assignments before the rule file, as on procmail's command line
    #[arg(value_name = "NAME=VALUE")]
    assignments: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `mailctl filter check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The rule files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The folder that names in the files start from, to find those that do not exist
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(command: &FilterCommand) -> ExitCode {
    match command {
        FilterCommand::Explain(args) => explain(args),
        FilterCommand::Check(args) => check_files(args),
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that went away wants no more.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn check_files(args: &CheckArgs) -> ExitCode {
    let limits = config::Filter::default();
    let mut text = String::new();
    let mut listed = Vec::new();
    let mut worst = None;
    for path in &args.files {
        let name = path.display();
        let Ok(content) = fs::read(path) else {
            // There is nobody left to tell if this fails.
            let _ = writeln!(io::stderr(), "mailctl: cannot read {name}");
            return ExitCode::from(NO_INPUT);
        };
        for finding in check(&content, args.folder.as_deref(), &limits) {
            worst = worst.max(Some(finding.severity));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:{}: {}: {}", finding.line, severity(&finding), finding.text);
            listed.push(json!({ "file": name.to_string(), "line": finding.line, "severity": severity(&finding), "text": finding.text }));
        }
    }
    print(&if args.json { format!("{}\n", Value::from(listed)) } else { text });
    if worst == Some(Severity::Error) { ExitCode::from(DATA_ERROR) } else { ExitCode::SUCCESS }
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Hint => "hint",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn explain(args: &ExplainArgs) -> ExitCode {
    let mut message = Vec::new();
    if io::stdin().lock().read_to_end(&mut message).is_err() {
        return ExitCode::from(NO_INPUT);
    }
    let limits = config::Filter::default();
    let programs = Programs::new();
    let mut inner = FileHost::new(&limits, &programs, None, false);
    let mut host = DryRun::new(&mut inner, !args.dry_run);
    let outcome = Evaluator::new(&mut host, &limits, request(args), &message).filter();
    let log = String::from_utf8_lossy(host.log_text()).into_owned();
    if args.json {
        return print(&format!("{}\n", as_json(&outcome, &log)));
    }
    let colours = io::stdout().is_terminal();
    print(&as_text(&outcome, &log, colours))
}

fn request(args: &ExplainArgs) -> Request {
    let mut variables = Variables::new();
    for name in ["HOME", "LOGNAME", "SHELL", "PATH", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            variables.set(name.as_bytes(), value.into_vec());
        }
    }
    let mailbox = [b"/var/mail/", variables.text(b"LOGNAME")].concat();
    variables.set(b"DEFAULT", mailbox.clone());
    variables.set(b"ORGMAIL", mailbox);
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let name = args.rc.as_ref().map_or_else(|| PathBuf::from(".procmailrc"), |rc| folder.join(rc));
    Request {
        variables,
        assignments: args.assignments.iter().map(|assignment| assignment.clone().into_bytes()).collect(),
        files: vec![RuleFile { name, base: Base::Home, optional: false }],
        folder,
        explain: true,
        ..Request::default()
    }
}

/// Steps with their places.
fn steps(outcome: &Outcome) -> impl Iterator<Item = (&Origin, &Event)> {
    let mut place = None;
    outcome.events.iter().filter_map(move |event| {
        if let Event::At(origin) = event {
            place = Some(origin);
            return None;
        }
        place.map(|origin| (origin, event))
    })
}

fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).replace('\n', "\\n")
}

fn as_text(outcome: &Outcome, log: &str, colours: bool) -> String {
    let mut text = String::new();
    let paint = |good: bool, words: &str| match (colours, good) {
        (true, true) => format!("\x1b[32m{words}\x1b[0m"),
        (true, false) => format!("\x1b[31m{words}\x1b[0m"),
        (false, _) => words.to_owned(),
    };
    for (origin, event) in steps(outcome) {
        let (good, line) = described(event);
        let indent = if matches!(event, Event::Recipe { .. }) { "" } else { "  " };
        // Writing to a String cannot fail.
        let place = if origin.line == 0 { "arguments".to_owned() } else { format!("{}:{}", shown(&origin.file), origin.line) };
        let _ = writeln!(text, "{place}: {indent}{}", paint(good, &line));
    }
    for delivery in &outcome.deliveries {
        let _ = writeln!(text, "=> {}", target(delivery));
    }
    let _ = writeln!(text, "exit code {}", outcome.code);
    if !log.is_empty() {
        let _ = write!(text, "\nThe log would say:\n{log}");
    }
    text
}

/// One step in words, and whether it is good news.
fn described(event: &Event) -> (bool, String) {
    match event {
        Event::At(_) => (true, String::new()),
        Event::Recipe { matched } => (*matched, if *matched { "the recipe matches" } else { "the recipe does not match" }.to_owned()),
        Event::Condition { text, negated, matched, score, tested } => {
            let sign = if *negated { "! " } else { "" };
            let score = score.map_or_else(String::new, |(gained, total)| format!(", {gained:+} makes {total}"));
            (*matched, format!("* {sign}{}  [{}{score}]", shown(text), finding(tested)))
        }
        Event::Ran { purpose, arguments } => {
            let words: Vec<String> = arguments.iter().map(|word| shown(word)).collect();
            (true, format!("{}: {}", purpose_name(*purpose), words.join(" ")))
        }
        Event::Assigned { name, value } => match value {
            Some(value) => (true, format!("{}={}", shown(name), shown(value))),
            None => (true, format!("{} is removed", shown(name))),
        },
        Event::Delivered(delivery) => (true, format!("delivered to {}", target(delivery))),
        Event::Action { success } => (*success, if *success { "the action succeeds" } else { "the action fails" }.to_owned()),
    }
}

fn finding(tested: &Tested) -> String {
    match tested {
        Tested::NotFound => "not found".to_owned(),
        Tested::Found(None) => "found".to_owned(),
        Tested::Found(Some(part)) => format!("found, MATCH=\"{}\"", shown(part)),
        Tested::Counted(count) => format!("{count} matches"),
        Tested::Exit(code) => format!("exit code {code}"),
        Tested::Size(size) => format!("size {size}"),
        Tested::TooLong => "longer than LINEBUF".to_owned(),
    }
}

fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Filter => "filter",
        Purpose::Capture => "capture",
        Purpose::Substitute => "backquotes",
        Purpose::Condition => "condition",
        Purpose::Deliver => "program",
        Purpose::Trap => "trap",
    }
}

fn target_name(target: Target) -> &'static str {
    match target {
        Target::Folder(FolderKind::Mbox) => "mbox",
        Target::Folder(FolderKind::Mh) => "MH folder",
        Target::Folder(FolderKind::Maildir) => "Maildir",
        Target::Folder(FolderKind::Directory) => "folder",
        Target::Program => "program",
        Target::Forward => "forward",
        Target::Discard => "nowhere",
        Target::StandardOutput => "standard output",
    }
}

fn target(delivery: &Delivery) -> String {
    let place =
        delivery.origin.as_ref().map_or_else(|| "default folder".to_owned(), |origin| format!("{}:{}", shown(&origin.file), origin.line));
    format!("{} {} ({place})", target_name(delivery.target), shown(&delivery.name))
}

fn as_json(outcome: &Outcome, log: &str) -> Value {
    let place = |origin: &Origin| json!({ "file": shown(&origin.file), "line": origin.line });
    let listed: Vec<Value> = steps(outcome)
        .map(|(origin, event)| {
            let (good, line) = described(event);
            json!({ "at": place(origin), "ok": good, "text": line })
        })
        .collect();
    let deliveries: Vec<Value> = outcome
        .deliveries
        .iter()
        .map(|delivery| json!({ "target": target_name(delivery.target), "name": shown(&delivery.name), "at": delivery.origin.as_ref().map(place) }))
        .collect();
    json!({ "code": outcome.code, "steps": listed, "deliveries": deliveries, "log": log })
}
