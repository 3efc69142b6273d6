//! A program on a terminal, as a person uses it: keys go in, the screen is looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{succeed, until};

/// A terminal of 120 columns and 40 lines that tmux keeps.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Starts a command line in a terminal of its own, with `home` as its home and current folder.
    pub(crate) fn run(home: &Path, command: &str) -> Self {
        let terminal = Self { socket: home.join("tmux") };
        let mut tmux = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", command]);
        tmux.current_dir(home).env("HOME", home).env("TERM", "screen").env("LC_ALL", "C.UTF-8");
        succeed(&mut tmux, b"");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(arguments);
        command
    }

    /// Presses keys, named as tmux names them: `Enter`, `C-x`, or a text.
    pub(crate) fn press(&self, keys: &[&str]) {
        succeed(self.tmux(&["send-keys"]).args(keys), b"");
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the screen shows a text.
    pub(crate) fn see(&self, text: &str) -> String {
        let mut last = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(text, || {
                last = self.screen();
                last.contains(text).then(|| last.clone())
            })
        }));
        seen.unwrap_or_else(|_| panic!("the screen never showed {text:?}, but:\n{last}"))
    }

    /// Waits until the screen shows a text no more.
    pub(crate) fn see_no_more(&self, text: &str) {
        until(&format!("{text} to go from the screen"), || (!self.screen().contains(text)).then_some(()));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}
