//! `mailctl filter check`: what is suspicious in rule files.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use filter::check::{Finding, Severity, check};
use filter::{read_text, trust};
use serde_json::{Value, json};

use super::{DATA_ERROR, NO_INPUT, print, visible};

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
    let (mut worst, mut unread) = (None, false);
    for path in &args.files {
        let name = path.display();
        let content = match read_text(path, &limits) {
            Ok(content) => content,
            Err(error) => {
                // There is nobody left to tell if this fails.
                let _ = writeln!(io::stderr(), "mailctl: {name}: {error}");
                unread = true;
                continue;
            }
        };
        let beside = path.with_file_name("Maildir");
        let folder = args.folder.as_deref().or_else(|| beside.is_dir().then_some(beside.as_path()));
        let everybody = trust::check(path, fs::metadata(path).map_or(0, |meta| meta.uid())).err();
        let unsafe_file =
            everybody.map(|distrust| Finding { line: 1, severity: Severity::Error, text: format!("is not used: it {distrust}") });
        for finding in unsafe_file.into_iter().chain(check(&content, folder, &limits)) {
            worst = worst.max(Some(finding.severity));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:{}: {}: {}", finding.line, severity(&finding), visible(&finding.text, &[]));
            listed.push(json!({ "file": name.to_string(), "line": finding.line, "severity": severity(&finding), "text": finding.text }));
        }
    }
    print(&if args.json { format!("{}\n", Value::from(listed)) } else { text });
    if unread {
        return ExitCode::from(NO_INPUT);
    }
    if worst == Some(Severity::Error) { ExitCode::from(DATA_ERROR) } else { ExitCode::SUCCESS }
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Hint => "hint",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
