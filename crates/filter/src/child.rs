//! Runs a program with bounded time and output, in a process group of its own.
//!
//! Descriptors of this process are not inherited: the standard library opens all of them close-on-exec. Input, output and
//! end of the program are waited for together, so that neither side can block the other. What the program may do is in
//! [`crate::confine`]; a confined one has a supervisor, which ends all that the program started when its time is over. Where this
//! process belongs to one delivery alone, it does that itself.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid};

use crate::background;
use crate::confine::Confinement;
use crate::descendants::Strays;
use crate::host::{Finished, Job};
use crate::line::{Heard, Line, Report};

/// How long a program has between the request to end and the end.
pub(crate) const GRACE: Duration = Duration::from_secs(3);
/// How long a supervisor has beyond that to end all.
const SWEEP: Duration = Duration::from_secs(2);
/// What a pipe takes without a reader; a program that could not be started is taken to have refused the rest.
const PIPE: usize = 65_536;

/// The surroundings of a program.
#[derive(Clone, Copy, Debug)]
pub enum Room<'a> {
    /// It may do what this process may. When its time is over, its process group is ended.
    Open,
    /// The same in a process that belongs to one delivery: all that the program started is ended with it.
    Alone,
    /// It is confined and supervised.
    Confined(&'a Confinement),
}

/// Where a program's standard error goes.
#[derive(Clone, Copy, Debug)]
pub enum Errors<'a> {
    /// To nobody.
    Lost,
    /// Into a log.
    Log(&'a File),
    /// Into [`Finished::errors`], up to so many octets.
    Kept(usize),
}

impl Errors<'_> {
    /// What the program gets, and the side that is read here.
    fn open(self) -> io::Result<(Option<File>, Option<PipeReader>)> {
        match self {
            Self::Lost => Ok((None, None)),
            Self::Log(file) => Ok((file.try_clone().ok(), None)),
            Self::Kept(_) => {
                let (reader, writer) = pipe()?;
                rustix::io::ioctl_fionbio(&reader, true)?;
                Ok((Some(OwnedFd::from(writer).into()), Some(reader)))
            }
        }
    }
}

/// Runs the job.
pub fn run(job: &Job<'_>, errors: Errors<'_>, room: Room<'_>) -> Finished {
    let Ok((reader, writer)) = pipe() else { return not_started(job) };
    let mut feed = Feed::new(writer, job.input);
    // What fits into the pipe is there before the program is: one that ends at once without reading has not refused it.
    feed.write();
    let Ok((log, heard)) = errors.open() else { return not_started(job) };
    let strays = matches!(room, Room::Alone).then(Strays::watch);
    let started = match room {
        Room::Confined(confinement) => {
            start_supervised(job, reader.into(), log.as_ref(), confinement).map(|(child, line)| (child, Some(line)))
        }
        Room::Open | Room::Alone => start(job, reader.into(), log.as_ref()).map(|child| (child, None)),
    };
    let Ok((mut child, line)) = started else { return not_started(job) };
    drop(log);
    let background = if let Room::Confined(confinement) = room { confinement.background() } else { 0 };
    let keep_errors = if let Errors::Kept(most) = errors { most } else { 0 };
    Pump { line, strays, background, errors: heard, keep_errors, ..Pump::new(&mut child, feed, job) }.run(child)
}

/// Not even the shell could be started.
pub(crate) const NOT_STARTED: i32 = 127;

fn not_started(job: &Job<'_>) -> Finished {
    let size: usize = job.input.iter().map(|piece| piece.len()).sum();
    Finished { status: NOT_STARTED, refused_input: size > PIPE, ..Finished::default() }
}

fn start(job: &Job<'_>, input: OwnedFd, errors: Option<&File>) -> io::Result<Child> {
    let name = name_of(job);
    let rest = || job.arguments.iter().skip(1).map(|argument| OsStr::from_bytes(argument));
    if let Some(path) = find(name, job) {
        let mut command = Command::new(&path);
        command.arg0(OsStr::from_bytes(name)).args(rest());
        if let Ok(child) = spawn(command, job, input.try_clone()?, errors, environment(job)) {
            return Ok(child);
        }
    }
    // As procmail does: perhaps it is a script for the shell. If not, the shell says so in the log.
    let mut command = Command::new("/bin/sh");
    command.arg(OsStr::from_bytes(name)).args(rest());
    spawn(command, job, input, errors, environment(job))
}

fn start_supervised(job: &Job<'_>, input: OwnedFd, errors: Option<&File>, confinement: &Confinement) -> io::Result<(Child, Arc<Line>)> {
    let name = name_of(job);
    let mut command = confinement.command(find(name, job).as_deref(), name, job.umask, job.time_limit);
    command.args(job.arguments.iter().skip(1).map(|argument| OsStr::from_bytes(argument)));
    let (line, theirs) = Line::pair()?;
    line.send_input(input.as_fd())?;
    let line = Arc::new(line);
    background::begin(&line);
    Ok((spawn(command, job, theirs, errors, Confinement::environment(environment(job)))?, line))
}

fn name_of<'a>(job: &Job<'a>) -> &'a [u8] {
    job.arguments.first().map_or(&[][..], Vec::as_slice)
}

fn environment<'a>(job: &Job<'a>) -> impl Iterator<Item = (OsString, &'a OsStr)> {
    let usable = job.environment.iter().filter(|(name, _)| !name.is_empty());
    usable.map(|(name, value)| (OsString::from_vec(name.to_vec()), OsStr::from_bytes(value)))
}

fn spawn<'a>(
    mut command: Command,
    job: &Job<'_>,
    input: OwnedFd,
    errors: Option<&File>,
    environment: impl Iterator<Item = (OsString, &'a OsStr)>,
) -> io::Result<Child> {
    let to_log = || errors.and_then(|file| file.try_clone().ok()).map_or_else(Stdio::null, Stdio::from);
    command.env_clear().envs(environment);
    command.current_dir(job.folder).process_group(0).stdin(input).stderr(to_log());
    command.stdout(match job.keep {
        Some(_) => Stdio::piped(),
        None if job.purpose.logs_output() => to_log(),
        None => Stdio::null(),
    });
    command.spawn()
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
    /// The program's standard error, as long as anybody has it open.
    errors: Option<PipeReader>,
    keep_errors: usize,
    done: Finished,
    deadline: Option<Instant>,
    /// Readable when the process that was started has ended: the program, or its supervisor.
    watch: Option<OwnedFd>,
    group: Option<Pid>,
    /// To the supervisor, if there is one.
    line: Option<Arc<Line>>,
    /// What the supervisor said of the program.
    report: Option<Report>,
    strays: Option<Strays>,
    /// How many programs may leave something running.
    background: usize,
}

impl<'a> Pump<'a> {
    fn new(child: &mut Child, feed: Feed<'a>, job: &Job<'_>) -> Self {
        let group = Some(Pid::from_child(child));
        let output = child.stdout.take();
        if let Some(output) = &output {
            // Should this fail, a read may block, but never for longer than the program lives.
            let _ = rustix::io::ioctl_fionbio(output, true);
        }
        Self {
            feed,
            output,
            keep: job.keep.unwrap_or(0),
            errors: None,
            keep_errors: 0,
            done: Finished::default(),
            deadline: (!job.time_limit.is_zero()).then(|| Instant::now() + job.time_limit),
            watch: group.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
            group,
            line: None,
            report: None,
            strays: None,
            background: 0,
        }
    }

    fn run(mut self, child: Child) -> Finished {
        let mut ended = false;
        loop {
            self.feed.write();
            self.read();
            ended = ended || self.has_ended();
            // After the look at its end: all that it wrote is there.
            self.read_errors();
            if ended && self.feed.pipe.is_none() && self.output.is_none() {
                return self.finish(child);
            }
            if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return self.end(child);
            }
            self.wait(ended);
        }
    }

    /// Whether the program is done.
    fn has_ended(&mut self) -> bool {
        let Some(line) = &self.line else { return self.is_over() };
        match line.listen() {
            Heard::Report(report) => self.report = Some(report),
            // The supervisor was killed; how the program ended is lost.
            Heard::Gone => self.line = None,
            Heard::Nothing | Heard::End => {}
        }
        self.line.is_none() || self.report.is_some()
    }

    /// Whether the process that was started has ended. Its number stays its own until it is waited for: signals hit nobody else.
    fn is_over(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.group.is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    fn finish(mut self, mut child: Child) -> Finished {
        self.done.refused_input = self.feed.refused;
        match (self.report, self.line) {
            (Some(Report { status, left: true }), Some(line)) => {
                self.done.status = status;
                background::leave(child, line, self.errors, self.background);
            }
            (report, _) => {
                let status = child.wait().map_or(NOT_STARTED, code);
                self.done.status = report.map_or(status, |report| report.status);
            }
        }
        self.done
    }

    /// Ends the program and all that it started.
    fn end(mut self, mut child: Child) -> Finished {
        self.done.timed_out = true;
        let grace = match &self.line {
            Some(line) => {
                line.send_end();
                GRACE + SWEEP
            }
            None => {
                self.signal(Signal::TERM);
                GRACE
            }
        };
        let until = Instant::now() + grace;
        while !self.is_over() && Instant::now() < until {
            self.feed.pipe = None;
            self.output = None;
            self.read_errors();
            self.wait(false);
        }
        self.has_ended();
        self.read_errors();
        if let Some(line) = self.line.take() {
            self.done.status = self.report.map_or(-15, |report| report.status);
            if self.is_over() {
                let _ = child.wait();
            } else {
                // What not even SIGKILL has ended yet is not waited for.
                background::leave(child, line, self.errors, 0);
            }
            return self.done;
        }
        self.signal(Signal::KILL);
        self.done.status = child.wait().map_or(-15, code);
        if let Some(strays) = &self.strays {
            strays.kill();
        }
        self.done
    }

    fn signal(&self, signal: Signal) {
        if let Some(strays) = &self.strays {
            strays.signal(signal);
        }
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

    fn read_errors(&mut self) {
        let mut buffer = [0; 4096];
        while let Some(errors) = &mut self.errors {
            match errors.read(&mut buffer) {
                Ok(0) => self.errors = None,
                Ok(count) => {
                    let room = self.keep_errors.saturating_sub(self.done.errors.len());
                    self.done.errors.extend_from_slice(&buffer[..count.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.errors = None,
            }
        }
    }

    /// Waits until something can be done.
    fn wait(&self, ended: bool) {
        const WITHOUT_WATCH: Duration = Duration::from_millis(10);
        let mut fds = Vec::with_capacity(5);
        fds.extend(self.feed.pipe.iter().map(|fd| PollFd::new(fd, PollFlags::OUT)));
        fds.extend(self.output.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.errors.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if !ended {
            fds.extend(self.watch.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
            if !self.done.timed_out {
                fds.extend(self.line.iter().map(|line| PollFd::from_borrowed_fd(line.as_fd(), PollFlags::IN)));
            }
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
            origin: None,
            arguments: &arguments,
            environment: &environment,
            folder: &folder,
            umask: 0o77,
            input: &[input],
            keep,
            time_limit,
        };
        run(&job, Errors::Kept(8), Room::Open)
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
    fn what_is_wrong_is_heard() {
        let done = check("echo what >&2; echo output; sleep 1000 >/dev/null & echo $! >&2; kill $!", b"", Some(100), 60_000);
        assert_eq!((done.output.as_slice(), done.errors.len(), &done.errors[..5]), (&b"output\n"[..], 8, &b"what\n"[..]));
        // Who writes ever more is not held up.
        let done = check("head -c 1000000 /dev/zero >&2", b"", None, 60_000);
        assert_eq!((done.status, done.errors.len()), (0, 8));
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
