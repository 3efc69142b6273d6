//! The admin's command, and the stand-ins for commands of other mail systems, by the name it is called.

mod procmail;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().map(|name| Path::new(name).file_name().unwrap_or_default().to_owned()).unwrap_or_default();
    arguments.drain(..1.min(arguments.len()));
    let name = if called.to_str().is_some_and(|name| name.starts_with("procmail")) {
        called
    } else if arguments.is_empty() {
        OsString::new()
    } else {
        arguments.remove(0)
    };
    match name.to_str() {
        Some(name) if name.starts_with("procmail") => procmail::main(arguments),
        _ => ExitCode::from(64),
    }
}
