//! `mailctl filter explain`: what a rule file does with one message, step by step.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use filter::{Delivery, DryRun, Evaluator, Event, FileHost, FolderKind, Origin, Outcome, Programs, Purpose, Target, Tested};
use serde_json::{Value, json};

use super::subject::{Subject, may_run_programs};
use super::{NO_INPUT, print, visible};
use crate::instance::fail;

/// Arguments of `mailctl filter explain`.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The rule file [default: .procmailrc in the home]
    #[arg(long, value_name = "FILE")]
    rc: Option<PathBuf>,
    /// See the rules as the daemon does for this account: its home, its variables, its confinement
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
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

pub(super) fn run(config: &Path, args: &ExplainArgs) -> ExitCode {
    let subject = match Subject::find(config, args.account.as_deref()) {
        Ok(subject) => subject,
        Err(code) => return code,
    };
    if let Some(rules) = args.rc.as_deref().filter(|rules| !subject.can_use(rules)) {
        return fail(NO_INPUT, format!("nothing to explain in {}", rules.display()));
    }
    let mut message = Vec::new();
    if io::stdin().lock().read_to_end(&mut message).is_err() {
        return ExitCode::from(NO_INPUT);
    }
    let programs = Programs::new();
    let mut inner =
        FileHost::new(&subject.limits, &programs, None, false).confined(subject.confinement.as_ref()).trusting(subject.owners.clone());
    let runs_programs = !args.dry_run && may_run_programs(&subject);
    let mut host = DryRun::new(&mut inner, runs_programs);
    let mut request = subject.request(args.rc.as_deref(), &mut message);
    request.assignments.extend(args.assignments.iter().map(|assignment| assignment.clone().into_bytes()));
    request.explain = true;
    let outcome = Evaluator::new(&mut host, &subject.limits, request, message).filter();
    let log = String::from_utf8_lossy(host.log_text()).into_owned();
    if args.json {
        return print(&format!("{}\n", as_json(&outcome, &log)));
    }
    print(&as_text(&outcome, &log, wants_colours()))
}

/// Colours are for terminals, and for those who have not set NO_COLOR (no-color.org).
fn wants_colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
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
    visible(&String::from_utf8_lossy(octets), &[])
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
        let _ = write!(text, "\nThe log would say:\n{}", visible(log, &['\n', '\t']));
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
