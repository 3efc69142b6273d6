//! Instances of the daemon for tests: set up with `mailctl init`, started on ports that the kernel picks, read back over
//! `mailctl status`.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The password of every account of a test instance.
pub(crate) const PASSWORD: &str = "correct horse";

/// How long a condition may take to come true before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of this workspace, built by `make test` before the suite.
pub(crate) fn program(name: &str) -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let folder = me.ancestors().find(|folder| folder.join(name).is_file());
    folder.unwrap_or_else(|| panic!("{name} is not built: cargo build --workspace")).join(name)
}

/// Whether a program of the system is there; says which test goes without it otherwise.
pub(crate) fn has(test: &str, name: &str, package: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/lib/postfix/sbin:/usr/lib/dovecot";
    let found = path.split(':').any(|folder| Path::new(folder).join(name).is_file());
    if !found {
        println!("SKIPPED {test}: {name} is missing (Debian package {package})");
    }
    found
}

/// Waits until `condition` gives a value.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        // Not a sleep for an event: the pace at which the condition is looked at again.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Runs a command with `input` on its standard input and gives what it printed.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A program may end without reading all of its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Runs a command that must succeed and gives its standard output.
pub(crate) fn succeed(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// One instance in a temporary folder, and the daemon that runs on it.
pub(crate) struct Instance {
    folder: TempDir,
    daemon: Option<Child>,
    addresses: HashMap<String, SocketAddr>,
    /// The user that the daemon is to run as; the one that runs the tests if there is none.
    user: Option<u32>,
}

impl Instance {
    /// Makes an instance with these accounts. The daemon is not started.
    pub(crate) fn new(hostname: &str, accounts: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("pillarbox-").tempdir().unwrap();
        let instance = Self { folder, daemon: None, addresses: HashMap::new(), user: None };
        let any = "127.0.0.1:0";
        let init = ["--hostname", hostname, "--smtp", any, "--submission", any, "--imap", any, "--imaps", any];
        succeed(Command::new(program("mailctl")).arg("init").arg(instance.path("")).args(init), b"");
        for account in accounts {
            succeed(instance.mailctl(&["account", "add", account, "--password-stdin"]), format!("{PASSWORD}\n").as_bytes());
        }
        instance
    }

    /// A path below the instance's folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// The home of an account.
    pub(crate) fn home(&self, account: &str) -> PathBuf {
        self.path("data/homes").join(account)
    }

    /// `mailctl` on this instance.
    pub(crate) fn mailctl(&self, arguments: &[&str]) -> &'static mut Command {
        let mut command = Command::new(program("mailctl"));
        command.arg("--config").arg(self.path("pillarbox.toml")).args(arguments);
        Box::leak(Box::new(command))
    }

    /// Adds lines to a section of the configuration, which must not be there yet.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.path("pillarbox.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text + "\n" + lines).unwrap();
    }

    /// Where root runs the tests: gives the instance to the user nobody, who is to run the daemon.
    pub(crate) fn run_as_nobody(&mut self) {
        if succeed(Command::new("id").arg("-u"), b"").trim() == "0" {
            self.user = Some(65534);
            succeed(Command::new("chown").args(["-R", "65534:65534"]).arg(self.path("")), b"");
        }
    }

    /// The process number of the running daemon.
    pub(crate) fn daemon_number(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(program("pillarbox"));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        self.daemon = Some(command.arg("--config").arg(self.path("pillarbox.toml")).stderr(log).spawn().unwrap());
        let status = until("the daemon to start", || {
            let ended = self.daemon.as_mut().and_then(|d| d.try_wait().unwrap());
            assert!(ended.is_none(), "the daemon ended: {}", self.log());
            let output = run(self.mailctl(&["status", "--json"]), b"");
            if output.status.success() { serde_json::from_slice::<serde_json::Value>(&output.stdout).ok() } else { None }
        });
        for listener in status["listeners"].as_array().unwrap() {
            let address = listener["address"].as_str().unwrap().parse().unwrap();
            self.addresses.insert(listener["service"].as_str().unwrap().to_owned(), address);
        }
    }

    /// Where a service listens.
    pub(crate) fn address(&self, service: &str) -> SocketAddr {
        self.addresses[service]
    }

    /// What the daemon logged so far.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        let file = std::fs::File::open(self.path("log"));
        file.and_then(|mut file| file.read_to_string(&mut text)).unwrap();
        text
    }

    /// Stops the daemon as systemd does, and demands a clean end.
    pub(crate) fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            succeed(Command::new("kill").arg(daemon.id().to_string()), b"");
            let status = daemon.wait().unwrap();
            assert!(status.success(), "{status}: {}", self.log());
        }
    }

    /// Kills the daemon with SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
