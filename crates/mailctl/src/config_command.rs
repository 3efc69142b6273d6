//! `mailctl config`: check the file, or show what is in force.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pillarbox::instance::Layout;
use serde_json::{Map, Value, json};

use crate::instance::{EX_CONFIG, fail, load, print, print_json};

/// What to do with the configuration.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with the file and the maps it names
    Check,
    /// Print the whole configuration with descriptions, defaults filled in
    Show(ShowArgs),
}

/// How to show it.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(path: &Path, command: &ConfigCommand) -> ExitCode {
    let (config, _) = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match command {
        ConfigCommand::Check => check(&config),
        ConfigCommand::Show(args) => {
            if args.json {
                print_json(&as_json(&config));
            } else {
                print(config.to_commented_toml().trim_end());
            }
            ExitCode::SUCCESS
        }
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

fn as_json(config: &config::Config) -> Value {
    let mut sections = Map::new();
    for section in config.sections() {
        let values = section.keys.iter().zip(section.values).map(|(key, value)| (key.name.to_owned(), json!(value)));
        sections.insert(section.table.to_owned(), Value::Object(values.collect()));
    }
    Value::Object(sections)
}
