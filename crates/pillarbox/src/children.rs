//! The programs that rules have started, when the daemon ends: each leads a process group, and the whole of it goes.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};

/// Ends every child of this process with all that it started.
pub(crate) fn end_all() {
    for child in children_of(Path::new("/proc/self/task")) {
        // It may have ended meanwhile. A child that has not become the leader of its group yet is found in the next round.
        let _ = kill_process_group(child, Signal::KILL);
    }
}

/// The children of all threads, as proc(5) lists them; none where the kernel does not.
fn children_of(tasks: &Path) -> Vec<Pid> {
    let Ok(tasks) = std::fs::read_dir(tasks) else { return Vec::new() };
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let text: Vec<String> = lists.collect();
    let numbers = text.iter().flat_map(|list| list.split_ascii_whitespace());
    numbers.filter_map(|number| Pid::from_raw(number.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn a_program_and_what_it_started_are_ended() {
        let mut child = Command::new("sh").args(["-c", "sleep 1000 & wait"]).process_group(0).spawn().unwrap();
        let status = loop {
            end_all();
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::yield_now();
        };
        assert_eq!(status.signal(), Some(9));
    }
}
