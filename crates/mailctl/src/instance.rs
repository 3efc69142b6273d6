//! What the subcommands share: the configuration of the instance, and failures with their exit status.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use config::Config;
use pillarbox::instance::{self, Layout, LoadError};
use serde_json::Value;

/// sysexits(3): the input was not usable.
pub(crate) const EX_DATAERR: u8 = 65;
/// sysexits(3): a service is not there.
pub(crate) const EX_UNAVAILABLE: u8 = 69;
/// sysexits(3): something cannot be made.
pub(crate) const EX_CANTCREAT: u8 = 73;
/// sysexits(3): input or output failed.
pub(crate) const EX_IOERR: u8 = 74;
/// sysexits(3): try again later.
pub(crate) const EX_TEMPFAIL: u8 = 75;
/// sysexits(3): the configuration is wrong.
pub(crate) const EX_CONFIG: u8 = 78;

/// Prints a remark to standard error and gives the exit status.
pub(crate) fn fail(code: u8, message: impl Display) -> ExitCode {
    eprintln!("mailctl: {message}");
    ExitCode::from(code)
}

/// Loads the instance's configuration, or prints all that is wrong with it.
pub(crate) fn load(path: &Path) -> Result<(Config, Layout), ExitCode> {
    match instance::load(path) {
        Ok(config) => {
            let layout = Layout::of(&config);
            Ok((config, layout))
        }
        Err(error @ LoadError::Read { .. }) => {
            Err(fail(EX_CONFIG, format!("{error}\n  name the instance with --config FILE, or make one with: mailctl init DIR")))
        }
        Err(error) => Err(fail(EX_CONFIG, error)),
    }
}

/// Writes a line of data to standard output. A reader that has gone ends the program quietly, as is usual.
pub(crate) fn print(line: impl Display) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Prints JSON as programs read it: one value on one line.
pub(crate) fn print_json(value: &Value) {
    print(value);
}
