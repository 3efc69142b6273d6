//! Runs a program with bounded time and output, in a process group of its own.
//!
//! Descriptors of this process are not inherited: the standard library opens all of them close-on-exec. Input, output and
//! end of the program are waited for together, so that neither side can block the other. What the program may do is in
//! [`crate::confine`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};

use crate::confine::Confinement;
use crate::host::{Finished, Job};

/// How long a program has between the request to end and the end.
const GRACE: Duration = Duration::from_secs(3);
/// What a pipe takes without a reader; a program that could not be started is taken to have refused the rest.
const PIPE: usize = 65_536;

/// Runs the job; what it writes to its standard error goes to `errors`. Without a confinement it may do what this process may.
pub fn run(job: &Job<'_>, errors: Option<&File>, confinement: Option<&Confinement>) -> Finished {
    let Ok((reader, writer)) = pipe() else { return not_started(job) };
    let mut feed = Feed::new(writer, job.input);
    // What fits into the pipe is there before the program is: one that ends at once without reading has not refused it.
    feed.write();
    let Ok(mut child) = start(job, reader.into(), errors, confinement) else { return not_started(job) };
    Pump::new(&mut child, feed, job, confinement.is_some()).run(&mut child)
}

/// Not even the shell could be started.
const NOT_STARTED: i32 = 127;

fn not_started(job: &Job<'_>) -> Finished {
    let size: usize = job.input.iter().map(|piece| piece.len()).sum();
    Finished { status: NOT_STARTED, refused_input: size > PIPE, ..Finished::default() }
}

fn start(job: &Job<'_>, input: OwnedFd, errors: Option<&File>, confinement: Option<&Confinement>) -> io::Result<Child> {
    let name = job.arguments.first().map_or(&[][..], Vec::as_slice);
    let to_log = || errors.and_then(|file| file.try_clone().ok()).map_or_else(Stdio::null, Stdio::from);
    let spawn = |mut command: Command, input: OwnedFd| {
        let usable = job.environment.iter().filter(|(name, _)| !name.is_empty());
        let name_of = |name: &[u8]| OsString::from_vec(if confinement.is_some() { Confinement::marked(name) } else { name.to_vec() });
        command.env_clear().envs(usable.map(|(name, value)| (name_of(name), OsStr::from_bytes(value))));
        command.current_dir(job.folder).process_group(0).stdin(input).stderr(to_log());
        command.stdout(match job.keep {
            Some(_) => Stdio::piped(),
            None if job.purpose.logs_output() => to_log(),
            None => Stdio::null(),
        });
        command.spawn()
    };
    let rest = || job.arguments.iter().skip(1).map(|argument| OsStr::from_bytes(argument));
    let path = find(name, job);
    if let Some(confinement) = confinement {
        let mut command = confinement.command(path.as_deref(), name, job.umask);
        command.args(rest());
        return spawn(command, input);
    }
    if let Some(path) = path {
        let mut command = Command::new(&path);
        command.arg0(OsStr::from_bytes(name)).args(rest());
        if let Ok(child) = spawn(command, input.try_clone()?) {
            return Ok(child);
        }
    }
    // As procmail does: perhaps it is a script for the shell. If not, the shell says so in the log.
    let mut command = Command::new("/bin/sh");
    command.arg(OsStr::from_bytes(name)).args(rest());
    spawn(command, input)
}

/// Finds the program in the job's PATH.
fn find(name: &[u8], job: &Job<'_>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &Path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    if name.is_empty() {
        return None;
    }
    if name.contains(&b'/') {
        return Some(job.folder.join(OsStr::from_bytes(name)));
    }
    let path = job.environment.get(b"PATH").unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
    let folders = path.split(|octet| *octet == b':');
    folders.map(|folder| job.folder.join(OsString::from_vec(folder.to_vec())).join(OsStr::from_bytes(name))).find(|path| runs(path))
}

/// What the program is still to read.
struct Feed<'a> {
    /// `None`: all is written, or the program has closed its side.
    pipe: Option<PipeWriter>,
    /// The last one comes first.
    pieces: Vec<&'a [u8]>,
    refused: bool,
}

impl<'a> Feed<'a> {
    fn new(pipe: PipeWriter, input: &[&'a [u8]]) -> Self {
        // Should this fail, a write may block, but never for longer than the program lives.
        let _ = rustix::io::ioctl_fionbio(&pipe, true);
        let mut pieces: Vec<&[u8]> = input.iter().copied().filter(|piece| !piece.is_empty()).collect();
        pieces.reverse();
        Self { pipe: Some(pipe), pieces, refused: false }
    }

    fn write(&mut self) {
        while let Some(pipe) = &mut self.pipe {
            let Some(piece) = self.pieces.last_mut() else {
                self.pipe = None;
                return;
            };
            match pipe.write(piece) {
                Ok(count) => {
                    *piece = &piece[count..];
                    if piece.is_empty() {
                        self.pieces.pop();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.refused = true;
                    self.pipe = None;
                }
            }
        }
    }
}

/// Moves input and output until the program is done.
struct Pump<'a> {
    feed: Feed<'a>,
    output: Option<ChildStdout>,
    keep: usize,
    done: Finished,
    deadline: Option<Instant>,
    watch: Option<OwnedFd>,
    group: Option<Pid>,
    /// What the program leaves running is ended with it.
    sweep: bool,
}

impl<'a> Pump<'a> {
    fn new(child: &mut Child, feed: Feed<'a>, job: &Job<'_>, sweep: bool) -> Self {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let output = child.stdout.take();
        if let Some(output) = &output {
            // Should this fail, a read may block, but never for longer than the program lives.
            let _ = rustix::io::ioctl_fionbio(output, true);
        }
        Self {
            feed,
            output,
            keep: job.keep.unwrap_or(0),
            done: Finished::default(),
            deadline: (!job.time_limit.is_zero()).then(|| Instant::now() + job.time_limit),
            watch: group.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
            group,
            sweep,
        }
    }

    fn run(mut self, child: &mut Child) -> Finished {
        let mut ended = false;
        loop {
            self.feed.write();
            self.read();
            ended = ended || self.has_ended();
            if ended && self.feed.pipe.is_none() && self.output.is_none() {
                if self.sweep {
                    self.signal(Signal::KILL);
                }
                self.done.status = child.wait().map_or(NOT_STARTED, code);
                self.done.refused_input = self.feed.refused;
                return self.done;
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return self.end(child);
            }
            self.wait(ended);
        }
    }

    /// Whether the program is done. Its number stays its own until it is waited for: signals to its group hit nobody else.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.group.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    /// Ends the program and all that it started.
    fn end(mut self, child: &mut Child) -> Finished {
        self.done.timed_out = true;
        self.signal(Signal::TERM);
        let until = Instant::now() + GRACE;
        while !self.has_ended() && Instant::now() < until {
            self.feed.pipe = None;
            self.output = None;
            self.wait(false);
        }
        self.signal(Signal::KILL);
        self.done.status = child.wait().map_or(-15, code);
        self.done
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // There may be nothing left to end.
            let _ = kill_process_group(group, signal);
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 16_384];
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    let room = self.keep - self.done.output.len();
                    self.done.output.extend_from_slice(&buffer[..count.min(room)]);
                    if count > room {
                        // The program gets SIGPIPE when it writes on.
                        self.done.cut = true;
                        self.output = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.output = None,
            }
        }
    }

    /// Waits until something can be done.
    fn wait(&self, ended: bool) {
        const WITHOUT_WATCH: Duration = Duration::from_millis(10);
        let mut fds = Vec::with_capacity(3);
        fds.extend(self.feed.pipe.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        fds.extend(self.output.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if !ended {
            fds.extend(self.watch.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        }
        let mut pause = self.deadline.map_or(Duration::from_secs(3600), |deadline| deadline.saturating_duration_since(Instant::now()));
        if self.done.timed_out {
            pause = GRACE;
        }
        if self.watch.is_none() && !ended {
            pause = pause.min(WITHOUT_WATCH);
        }
        let timeout = Timespec { tv_sec: i64::try_from(pause.as_secs()).unwrap_or(3600), tv_nsec: i64::from(pause.subsec_nanos()) };
        // An interruption is as good as an event: everything is looked at again.
        let _ = poll(&mut fds, Some(&timeout));
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Purpose;
    use crate::variables::Variables;

    fn check(command: &str, input: &[u8], keep: Option<usize>, limit: u64) -> Finished {
        let mut environment = Variables::new();
        environment.set(b"PATH", b"/usr/bin:/bin");
        let arguments = [b"sh".to_vec(), b"-c".to_vec(), command.as_bytes().to_vec()];
        let folder = std::env::temp_dir();
        let time_limit = Duration::from_millis(limit);
        let job = Job {
            purpose: Purpose::Filter,
            arguments: &arguments,
            environment: &environment,
            folder: &folder,
            umask: 0o77,
            input: &[input],
            keep,
            time_limit,
        };
        run(&job, None, None)
    }

    #[test]
    fn output_and_exit_code_come_back() {
        let done = check("tr a-z A-Z; exit 3", b"hello", Some(100), 60_000);
        assert_eq!((done.output.as_slice(), done.status), (&b"HELLO"[..], 3));
        let large = vec![b'x'; 1 << 20];
        assert_eq!(check("cat", &large, Some(2 << 20), 60_000).output, large);
        assert_eq!(check("kill -9 $$", b"", None, 60_000).status, -9);
    }

    #[test]
    fn bounds_hold() {
        let done = check("sleep 600 & sleep 600", b"", Some(10), 100);
        assert!(done.timed_out);
        let done = check("yes", b"", Some(1000), 60_000);
        assert!(done.cut && done.output.len() == 1000);
        assert!(check("exec true", &vec![b'x'; 1 << 20], None, 60_000).refused_input);
    }
}
