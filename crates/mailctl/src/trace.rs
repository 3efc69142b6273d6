//! `mailctl trace`: the story of a message.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::daemon::text;
use crate::instance::{EX_IOERR, fail, load, print, print_json};

/// Which message.
#[derive(Args)]
pub(crate) struct TraceArgs {
    /// A message's id, its Message-ID, or an address it came from or goes to
    message: String,
    /// One JSON object a step
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(path: &Path, args: &TraceArgs) -> ExitCode {
    let layout = match load(path) {
        Ok((_, layout)) => layout,
        Err(code) => return code,
    };
    let steps = match pillarbox::trace::find(&layout.trace(), &args.message) {
        Ok(steps) => steps,
        Err(error) => return fail(EX_IOERR, format!("{}: {error}", layout.trace().display())),
    };
    if steps.is_empty() {
        return fail(1, format!("nothing is known of {}", args.message));
    }
    if args.json {
        steps.iter().for_each(print_json);
    } else {
        tell(&steps);
    }
    ExitCode::SUCCESS
}

/// The steps of each message under its id, in the order in which the messages came.
fn tell(steps: &[Value]) {
    let mut ids: Vec<&str> = steps.iter().filter_map(|step| step["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        print(format_args!("message {id}"));
        for step in steps.iter().filter(|step| step["id"] == *id) {
            print(format_args!("  {} {:<10} {}", time(&step["at"]), text(&step["step"]), details(step)));
        }
    }
}

/// What belongs to a step, as `key=value`.
fn details(step: &Value) -> String {
    let known = ["at", "id", "step"];
    let pairs = step.as_object().into_iter().flatten().filter(|(key, _)| !known.contains(&key.as_str()));
    pairs.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
}

/// Microseconds since 1970 as `2026-11-22 17:06:01` in UTC.
pub(crate) fn time(at: &Value) -> String {
    let seconds = at.as_u64().unwrap_or_default() / 1_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar; years are counted from March within.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_utc_dates() {
        for (seconds, expected) in
            [(0u64, "1970-01-01 00:00:00"), (951_782_400, "2000-02-29 00:00:00"), (1_795_366_861, "2026-11-22 17:01:01")]
        {
            assert_eq!(time(&json!(seconds * 1_000_000)), expected);
        }
    }
}
