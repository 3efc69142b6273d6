//! `mailctl config`: check the file, or show what is in force.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use pillarbox::instance::{self, Layout, LoadError};
use serde_json::{Map, Value, json};

use crate::daemon::Listing;
use crate::instance::{EX_CONFIG, fail, load, print, print_json};

/// What to do with the configuration.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with the file and the maps it names
    Check(Listing),
    /// Print the whole configuration with descriptions, defaults filled in
    Show(Listing),
}

pub(crate) fn run(path: &Path, command: &ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Check(listing) if listing.json => check_as_json(path),
        ConfigCommand::Check(_) => match load(path) {
            Ok((config, _)) => check(&config),
            Err(code) => code,
        },
        ConfigCommand::Show(listing) => match load(path) {
            Ok((config, _)) if listing.json => {
                print_json(&as_json(&config));
                ExitCode::SUCCESS
            }
            Ok((config, _)) => {
                print(config.to_commented_toml().trim_end());
                ExitCode::SUCCESS
            }
            Err(code) => code,
        },
    }
}

/// What the file's syntax cannot show: files that are missing, map lines that do not parse.
fn check(config: &config::Config) -> ExitCode {
    let findings = pillarbox::check::all(config, &Layout::of(config));
    for remark in &findings.remarks {
        eprintln!("{remark}");
    }
    let errors = [findings.errors, findings.map_errors].concat();
    if errors.is_empty() {
        print("the configuration is good");
        return ExitCode::SUCCESS;
    }
    fail(EX_CONFIG, format!("the configuration has errors:\n{}", errors.join("\n")))
}

/// The same for programs: `errors` and `remarks`, each a list of texts that begin with the place.
fn check_as_json(path: &Path) -> ExitCode {
    let (errors, remarks) = match instance::load(path) {
        Err(LoadError::Problems(problems)) => (problems.iter().map(ToString::to_string).collect(), Vec::new()),
        Err(error) => (vec![error.to_string()], Vec::new()),
        Ok(config) => {
            let findings = pillarbox::check::all(&config, &Layout::of(&config));
            ([findings.errors, findings.map_errors].concat(), findings.remarks)
        }
    };
    print_json(&json!({"errors": errors, "remarks": remarks}));
    if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EX_CONFIG) }
}

fn as_json(config: &config::Config) -> Value {
    let mut sections = Map::new();
    for section in config.sections() {
        let values = section.keys.iter().zip(section.values).map(|(key, value)| (key.name.to_owned(), json!(value)));
        sections.insert(section.table.to_owned(), Value::Object(values.collect()));
    }
    Value::Object(sections)
}
