//! Lock files: the local one of a recipe and the global one of LOCKFILE.

use std::path::Path;
use std::time::Duration;

use super::Evaluator;
use crate::host::Lock;

/// What is longer is no lock file.
const LARGEST: u64 = 16;
/// How often a lock is tried that cannot be made for a reason that may pass.
const TRIES: u32 = 8;

impl Evaluator<'_> {
    /// Takes the lock of a recipe: the one that is named, or that of a file.
    pub(super) fn take_local_lock(&mut self, named: Option<&[u8]>, file: &[u8]) {
        if named.is_none() && (file == b"/dev/null" || file == b"|") {
            return;
        }
        let name = named.map_or_else(|| [file, &self.state.settings.lock_extension].concat(), <[u8]>::to_vec);
        if self.state.global_lock.as_ref() == Some(&name) {
            self.notice_quoted("Deadlock attempted on", &name);
        } else if self.state.local_lock.as_ref() != Some(&name) {
            self.release_local_lock();
            if self.take_lock(&name, named.is_none()) {
                self.state.local_lock = Some(name);
            }
        }
    }

    pub(super) fn release_local_lock(&mut self) {
        if let Some(name) = self.state.local_lock.take() {
            self.release(&name);
        }
    }

    pub(super) fn release_global_lock(&mut self) {
        if let Some(name) = self.state.global_lock.take() {
            self.release(&name);
        }
    }

    pub(super) fn assign_lockfile(&mut self, name: &[u8]) {
        if self.state.global_lock.as_deref() == Some(name) {
            return;
        }
        self.release_global_lock();
        if name.is_empty() {
            return;
        }
        if self.take_lock(name, false) {
            self.state.global_lock = Some(name.to_vec());
        } else {
            self.yell("Assigning", b"LOCKFILE");
            self.state.variables.remove(b"LOCKFILE");
        }
    }

    fn release(&mut self, name: &[u8]) {
        self.yell("Unlocking", name);
        let released = crate::host::path(&self.state.folder, name).is_ok_and(|path| self.host.unlock(&path));
        if !released {
            self.notice_quoted("Couldn't unlock", name);
        }
    }

    /// Waits for a lock. What cannot be had is reported, and the recipe goes on without it.
    fn take_lock(&mut self, name: &[u8], implicit: bool) -> bool {
        let Ok(path) = crate::host::path(&self.state.folder, name) else { return false };
        let pause = Duration::from_secs(u64::try_from(self.state.settings.lock_sleep).unwrap_or(0));
        let mut waited = Duration::ZERO;
        let mut tries = TRIES;
        let mut forced = false;
        loop {
            self.yell("Locking", name);
            match self.host.lock(&path) {
                Lock::Taken => return true,
                Lock::Held { since, size } if size <= LARGEST && self.stale(since) => {
                    if forced {
                        break;
                    }
                    if self.host.unlock(&path) {
                        self.notice_quoted("Forcing lock on", name);
                        let pause = Duration::from_secs(u64::try_from(self.state.settings.suspend).unwrap_or(0));
                        self.host.sleep(pause.min(self.limits.max_lock_wait));
                        continue;
                    }
                    forced = true;
                    self.notice_quoted("Forced unlock denied on", name);
                }
                Lock::Held { .. } => forced = false,
                // In a Maildir that is not there yet: waiting does not make it.
                Lock::Later if implicit && inside_missing_folder(&path, &self.state.settings.lock_extension) => break,
                Lock::Later => {
                    tries -= 1;
                    if tries == 0 {
                        break;
                    }
                }
                Lock::Never => break,
            }
            if waited >= self.limits.max_lock_wait {
                break;
            }
            // A pause of zero must not become a busy loop.
            let pause = if tries == TRIES { pause.max(Duration::from_millis(50)) } else { pause };
            waited += pause;
            self.host.sleep(pause);
        }
        self.notice_quoted("Lock failure on", name);
        false
    }

    fn stale(&self, since: std::time::SystemTime) -> bool {
        let limit = u64::try_from(self.state.settings.lock_timeout).unwrap_or(0);
        limit > 0 && self.host.now().duration_since(since).is_ok_and(|age| age.as_secs() > limit)
    }
}

/// Whether the lock file's name is the extension alone, in a folder that is not there.
fn inside_missing_folder(path: &Path, extension: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path.file_name().is_some_and(|name| name.as_bytes() == extension) && path.parent().is_some_and(|folder| !folder.exists())
}
