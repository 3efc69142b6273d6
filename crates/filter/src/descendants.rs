//! The processes that a process has started, as proc(5) lists them.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};

/// How often it is tried to end what is left, and how long it has each time.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// What one program starts, orphans included, in a process that runs no other program meanwhile.
pub(crate) struct Strays {
    /// Those that other programs had left.
    others: Vec<Pid>,
}

impl Strays {
    /// Looks who is there before the program begins. From now on orphans come to this process.
    pub(crate) fn watch() -> Self {
        // An old kernel does without; then orphans are missed.
        let _ = set_child_subreaper(Some(Pid::INIT));
        Self { others: children("self") }
    }

    fn now(&self) -> Vec<Pid> {
        children("self").into_iter().filter(|child| !self.others.contains(child)).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self::signal(&self.now(), signal);
    }

    /// Ends all; the program itself has been waited for.
    pub(crate) fn kill(&self) {
        for _ in 0..TRIES {
            let left = self.now();
            if left.is_empty() {
                return;
            }
            signal(&left, Signal::KILL);
            std::thread::sleep(PAUSE);
            for orphan in left {
                // One that goes on is tried again.
                let _ = waitpid(Some(orphan), WaitOptions::NOHANG);
            }
        }
    }
}

/// The children of all threads of a process (`self` is this one); none where the kernel does not list them.
pub(crate) fn children(process: &str) -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let text: Vec<String> = lists.collect();
    let numbers = text.iter().flat_map(|list| list.split_ascii_whitespace());
    numbers.filter_map(|number| Pid::from_raw(number.parse().ok()?)).collect()
}

/// Sends a signal to these processes and all below them. To be repeated until they are gone: what is started meanwhile is missed.
pub(crate) fn signal(roots: &[Pid], signal: Signal) {
    if signal == Signal::KILL {
        // Who stands still starts nothing more.
        below(roots).into_iter().for_each(|process| send(process, Signal::STOP));
    }
    below(roots).into_iter().for_each(|process| send(process, signal));
}

fn send(process: Pid, signal: Signal) {
    // It may have ended meanwhile.
    let _ = kill_process(process, signal);
}

/// These processes and all below them.
fn below(roots: &[Pid]) -> Vec<Pid> {
    let mut all = roots.to_vec();
    let mut next = 0;
    while let Some(process) = all.get(next) {
        let more = children(&process.as_raw_nonzero().to_string());
        all.extend(more);
        next += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn a_program_and_what_it_started_elsewhere_are_ended() {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", "setsid sh -c 'echo; sleep 1000' & wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0]).unwrap();
        signal(&[Pid::from_child(&child)], Signal::KILL);
        // All have closed it, and so all have ended.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        child.wait().unwrap();
        assert!(children("0").is_empty());
    }
}
