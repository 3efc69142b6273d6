//! The supervisor of a program: a process of its own between this one and the program, whose only task is that nothing which the
//! program starts outlives its time, whatever process group or session that goes to.
//!
//! Orphans below it become its children (prctl(2), PR_SET_CHILD_SUBREAPER). If the program is confined, the supervisor is in a
//! Landlock domain around the program's: the program cannot signal it, and a signal that it sends to everybody
//! reaches those in the domain alone, all at the same moment. Without that it follows proc(5) from child to child.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use landlock::{CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getppid, kill_process_group, pidfd_open, set_child_subreaper, test_kill_process, wait,
};
use rustix::stdio::{dup2_stderr, dup2_stdout};

use crate::child::{GRACE, NOT_STARTED};
use crate::confine::{EX_OSERR, Order, Program, complain};
use crate::descendants;
use crate::line::{Heard, Line, Report};

/// How often it is looked whether somebody is left, while the program runs or something that it left.
const PACE: Duration = Duration::from_secs(1);
/// The same while all are being ended.
const HASTE: Duration = Duration::from_millis(10);
/// What cannot be ended for so long after SIGKILL is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The stack of the thread that starts the program.
const STACK: usize = 256 << 10;

/// Starts the program by the order, and stays until all has ended.
pub(crate) fn supervise(order: &Order, program: &Program) -> ExitCode {
    let connected = Line::of_standard_input().and_then(|line| Ok((line.receive_input()?, line)));
    let Ok((input, line)) = connected else { return ExitCode::FAILURE };
    // An old kernel does without; then orphans are missed.
    let _ = set_child_subreaper(Some(Pid::INIT));
    let scoped = order.confine && is_scoped();
    match start(order, program, input) {
        Ok(program) => {
            let deadline = (!order.limit.is_zero()).then(|| Instant::now() + order.limit);
            let watch = pidfd_open(program, PidfdFlags::empty()).ok();
            Supervisor { line: Some(line), program, watch, ended: false, scoped, deadline, kill: None }.run();
        }
        Err((status, error)) => {
            complain(&format!("{} is not started: {error}", program.name.to_string_lossy()));
            line.send_report(Report { status, left: false });
        }
    }
    ExitCode::SUCCESS
}

/// Has a thread of its own give the rights away and start the program: this one keeps what it needs to end all. Otherwise gives
/// the exit code that stands for the failure, and what is wrong.
fn start(order: &Order, program: &Program, input: OwnedFd) -> Result<Pid, (i32, String)> {
    let give_away = || order.obey().map_err(|error| (EX_OSERR, format!("it cannot be confined: {error}")));
    let not_started = |error: io::Error| (NOT_STARTED, error.to_string());
    let confined = || give_away().and_then(|()| program.start(input).map_err(not_started));
    let started = std::thread::scope(|scope| Ok(std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, confined)?.join()));
    let child = started.map_err(not_started)?.unwrap_or_else(|_| Err((NOT_STARTED, "its starter has failed".to_owned())))?;
    // Who reads what the program writes must see its end.
    let nothing = File::options().read(true).write(true).open("/dev/null").map_err(not_started)?;
    dup2_stdout(&nothing).and_then(|()| dup2_stderr(&nothing)).map_err(|error| not_started(error.into()))?;
    Ok(Pid::from_child(&child))
}

/// Enters a domain that signals do not leave. True only if that is certain: the parent could be signalled before, and cannot be now.
fn is_scoped() -> bool {
    let Some(parent) = getppid() else { return false };
    let before = test_kill_process(parent).is_ok();
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).and_then(Ruleset::create);
    let entered = ruleset.and_then(landlock::RulesetCreated::restrict_self);
    let enforced = entered.is_ok_and(|status| status.ruleset == RulesetStatus::FullyEnforced);
    before && enforced && test_kill_process(parent) == Err(Errno::PERM)
}

struct Supervisor {
    /// `None`: the other side has gone, and all is to end.
    line: Option<Line>,
    program: Pid,
    watch: Option<OwnedFd>,
    ended: bool,
    scoped: bool,
    deadline: Option<Instant>,
    /// When those that are asked to end are made to.
    kill: Option<Instant>,
}

impl Supervisor {
    fn run(mut self) {
        while self.reap() {
            let now = Instant::now();
            match self.line.as_ref().map(Line::listen) {
                Some(Heard::End) => self.end(GRACE),
                Some(Heard::Gone) => {
                    self.line = None;
                    self.kill = Some(now);
                }
                _ if self.ended && self.deadline.is_some_and(|deadline| deadline <= now) => self.end(GRACE),
                _ => {}
            }
            if let Some(kill) = self.kill.filter(|kill| *kill <= now) {
                if now > kill + PATIENCE {
                    return;
                }
                self.signal(Signal::KILL);
            }
            self.wait();
        }
    }

    /// Asks all to end, and says by when.
    fn end(&mut self, grace: Duration) {
        if self.kill.is_none() {
            self.kill = Some(Instant::now() + grace);
            self.signal(Signal::TERM);
        }
    }

    /// Takes note of those that have ended, and tells of the program; whether anybody is left.
    fn reap(&mut self) -> bool {
        let mut status = None;
        let left = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((process, how))) if process == self.program && !self.ended => {
                    self.ended = true;
                    status = Some(how.exit_status().unwrap_or_else(|| -how.terminating_signal().unwrap_or(0)));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if let (Some(status), Some(line)) = (status, &self.line) {
            self.watch = None;
            line.send_report(Report { status, left });
        }
        left
    }

    fn signal(&self, signal: Signal) {
        if self.scoped {
            // kill(2) with -1 is everybody: in this domain, that is. The one who calls is left out.
            let _ = kill_process_group(Pid::INIT, signal);
        } else {
            descendants::signal(&descendants::children("self"), signal);
        }
    }

    fn wait(&self) {
        let now = Instant::now();
        let pause = match (self.kill, self.deadline) {
            (Some(_), _) => HASTE,
            (None, Some(deadline)) if self.ended => deadline.saturating_duration_since(now).min(PACE),
            _ => PACE,
        };
        let mut fds = Vec::with_capacity(2);
        fds.extend(self.line.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.watch.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let timeout = Timespec { tv_sec: i64::try_from(pause.as_secs()).unwrap_or(1), tv_nsec: pause.subsec_nanos().into() };
        // An interruption is as good as an event.
        let _ = poll(&mut fds, Some(&timeout));
    }
}
