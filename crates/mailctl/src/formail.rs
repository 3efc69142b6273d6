//! The command line of formail(1): `mailctl formail`, or the name `formail`. The work is done in the library `filter`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use filter::formail::{Edited, Options, Split};

const USAGE: u8 = 64;
const NO_USER: u8 = 67;
const CANNOT_CREATE: u8 = 73;
const WRITE_ERROR: u8 = 74;

/// Runs the command with the arguments behind its name.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::read(arguments.into_iter().map(OsString::into_vec)) {
        Ok(options) => options,
        Err(problem) => {
            say(&problem);
            return ExitCode::from(USAGE);
        }
    };
    if options.version {
        say(concat!("mailctl ", env!("CARGO_PKG_VERSION"), " as formail v3.23pre\n"));
        return ExitCode::SUCCESS;
    }
    let mut input = Vec::new();
    if io::stdin().lock().read_to_end(&mut input).is_err() {
        return ExitCode::from(WRITE_ERROR);
    }
    ExitCode::from(match &options.split {
        Some(split) => edit_all(&options, split, &input),
        None => edit_one(&options, &input),
    })
}

fn say(text: &str) {
    // There is nobody left to tell if this fails.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn edit(options: &Options, message: &[u8]) -> Result<Edited, u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    options.edit(message, now).map_err(|error| {
        say(&format!("formail: Couldn't use the idcache: {error}\n"));
        CANNOT_CREATE
    })
}

fn edit_one(options: &Options, message: &[u8]) -> u8 {
    let edited = match edit(options, message) {
        Ok(edited) => edited,
        Err(code) => return code,
    };
    if options.looks_for_duplicates() {
        return u8::from(!edited.duplicate);
    }
    if write(&edited.text).is_err() {
        say("formail: Couldn't write to stdout\n");
        return WRITE_ERROR;
    }
    if edited.no_address { NO_USER } else { 0 }
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text)?;
    output.flush()
}

/// Edits each message of a mailbox and hands it to the program; gives the first exit code that was not 0.
fn edit_all(options: &Options, split: &Split, mailbox: &[u8]) -> u8 {
    let mut code = 0;
    let mut note = |failed| {
        if code == 0 {
            code = failed
        }
    };
    let first = std::env::var("FILENO").unwrap_or_else(|_| "000".to_owned());
    let (width, start) = (first.len(), first.parse::<u64>().ok());
    let messages = split.messages(mailbox);
    if split.total == Some(0) && mailbox.iter().any(|octet| *octet != b'\n') {
        // As formail: asked for no message at all, it has nowhere to write.
        return WRITE_ERROR;
    }
    for (number, message) in (0..).zip(messages) {
        let edited = match edit(options, &message) {
            Ok(edited) => edited,
            Err(code) => return code,
        };
        if edited.duplicate {
            continue;
        }
        if edited.no_address {
            note(NO_USER);
        }
        let name = start.map(|start| format!("{:0width$}", start + number)).unwrap_or_else(|| first.clone());
        let done = if split.program.is_empty() { write(&edited.text).map(|()| 0) } else { hand_over(&split.program, &name, &edited.text) };
        match done {
            Ok(0) => {}
            Ok(failed) => note(failed),
            Err(error) => {
                say(&format!("formail: Couldn't write: {error}\n"));
                note(WRITE_ERROR);
            }
        }
    }
    code
}

fn hand_over(program: &[Vec<u8>], number: &str, text: &[u8]) -> io::Result<u8> {
    let mut words = program.iter().map(|word| OsStr::from_bytes(word));
    let mut command = Command::new(words.next().unwrap_or_default());
    let mut child = command.args(words).env("FILENO", number).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(text) {
            // A program need not read all of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    Ok(child.wait()?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(WRITE_ERROR))
}
