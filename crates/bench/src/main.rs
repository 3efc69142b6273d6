//! Runs one hot path so many times, for `benches/instructions`, which has callgrind count what that costs.

use std::io::{self, Write};
use std::process::ExitCode;

use bench::{Outcome, PATHS};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["--list"] => list(),
        [name, rounds] => run(name, rounds),
        _ => Err("usage: bench --list | NAME ROUNDS".into()),
    };
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // Nobody reads it if standard error is closed.
    drop(writeln!(io::stderr(), "bench: {error}"));
    ExitCode::FAILURE
}

/// Names, and the runs that each needs for a steady count.
fn list() -> Outcome {
    PATHS.iter().try_for_each(|path| Ok(writeln!(io::stdout(), "{} {}", path.name, path.rounds)?))
}

fn run(name: &str, rounds: &str) -> Outcome {
    let path = PATHS.iter().find(|path| path.name == name).ok_or("no such path; --list shows them")?;
    let folder = tempfile::tempdir()?;
    let mut run = (path.prepare)(folder.path())?;
    (0..rounds.parse::<u64>()?).try_for_each(|_| run())
}
