//! `mailctl filter check`: what is suspicious in rule files.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use filter::check::{Finding, Severity, check};
use serde_json::{Value, json};

use super::{DATA_ERROR, NO_INPUT, print};

/// Arguments of `mailctl filter check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The rule files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The folder that names in the files start from, to find those that do not exist [default: Maildir beside the file, if there is one]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> ExitCode {
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
        let beside = path.with_file_name("Maildir");
        let folder = args.folder.as_deref().or_else(|| beside.is_dir().then_some(beside.as_path()));
        for finding in check(&content, folder, &limits) {
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
