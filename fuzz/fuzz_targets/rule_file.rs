//! Rule files: any file is read and carried out over a message in bounded time, in a world where nothing really happens.
#![no_main]

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use filter::trust::Distrust;
use filter::{
    Evaluator, Finished, Folder, FolderKind, Host, Job, Lock, NotAFolder, Place, Program, Programs, Request, RuleFile, Text, Unreadable,
    Variables,
};
use libfuzzer_sys::fuzz_target;

const MESSAGE: &[u8] =
    b"From a@b.example Mon Jan  6 10:00:00 2020\nFrom: Ada <a@b.example>\nTo: list@c.example\nSubject: [list] one\n two\n\
    X-Spam-Status: Yes, score=7.1 required=5.0\nX-Spam-Level: *******\n\nA text\nwith two lines.\n";

/// A world in which every program succeeds with a little output, every folder can be written, and every lock is free.
struct Nothing<'a> {
    limits: &'a config::Filter,
    waited: Duration,
    logged: usize,
}

impl Host for Nothing<'_> {
    fn log(&mut self, text: &[u8]) {
        self.logged += text.len();
        assert!(self.logged < 64 << 20, "a log without end");
    }

    fn open_log(&mut self, _: Option<Place<'_>>) -> io::Result<()> {
        Ok(())
    }

    fn run(&mut self, job: &Job<'_>) -> Finished {
        let output = job.input.iter().flat_map(|piece| piece.iter().copied()).take(job.keep.unwrap_or(0)).collect();
        Finished { output, ..Finished::default() }
    }

    fn load(&mut self, path: &Path) -> Result<Option<Arc<Program>>, Unreadable> {
        Programs::new().load(path, self.limits)
    }

    fn distrust(&mut self, _: &Path) -> Option<Distrust> {
        None
    }

    fn enter(&mut self, _: &Path) -> bool {
        true
    }

    fn set_umask(&mut self, _: u32) {}

    fn standard_output(&mut self, _: &Text<'_>) -> io::Result<()> {
        Ok(())
    }

    fn open_folder(&mut self, _: Place<'_>, kind: FolderKind, _: bool) -> Result<Folder, NotAFolder> {
        Ok(Folder { kind, mode: 0o600 })
    }

    fn append(&mut self, _: Place<'_>, _: &Text<'_>) -> Result<(), (io::Error, bool)> {
        Ok(())
    }

    fn store(&mut self, _: Place<'_>, _: FolderKind, _: &Text<'_>) -> io::Result<Vec<u8>> {
        Ok(b"/new/1.2.host".to_vec())
    }

    fn link(&mut self, _: &Path, _: Place<'_>, _: FolderKind, _: &[u8]) -> io::Result<Vec<u8>> {
        Ok(b"/new/1.3.host".to_vec())
    }

    fn set_mode(&mut self, _: Place<'_>, _: u32) {}

    fn lock(&mut self, _: &Path) -> Lock {
        Lock::Taken
    }

    fn unlock(&mut self, _: &Path) -> bool {
        true
    }

    fn sleep(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.waited
    }

    fn hostname(&self) -> Vec<u8> {
        b"mx.example".to_vec()
    }

    fn process(&self) -> u32 {
        4711
    }
}

fuzz_target!(|text: &[u8]| {
    let Ok(mut file) = tempfile::NamedTempFile::new_in("/dev/shm") else { return };
    if file.write_all(text).is_err() {
        return;
    }
    // Clones of clones may take a million steps, which is seconds in a fuzzer: that they end is what counts.
    let limits = config::Filter { max_steps: 50_000, ..config::Filter::default() };
    let mut variables = Variables::new();
    for (name, value) in [("HOME", "/home/a"), ("LOGNAME", "a"), ("SHELL", "/bin/sh"), ("ORGMAIL", "/var/mail/a"), ("PATH", "/bin")] {
        variables.set(name.as_bytes(), value);
    }
    let files = vec![RuleFile { name: file.path().to_owned(), ..RuleFile::default() }];
    let request =
        Request { variables, files, arguments: vec![b"extension".to_vec()], folder: "/home/a".into(), explain: true, ..Request::default() };
    let mut host = Nothing { limits: &limits, waited: Duration::ZERO, logged: 0 };
    let _ = Evaluator::new(&mut host, &limits, request, MESSAGE).filter();
});
