//! Programs of rule files live in a small room: the account's home and temporary folders to write to, the system's folders to read,
//! no way to gain privileges, and limits on memory, processes and files.
//!
//! A process can only give rights away for itself. So [`crate::child`] starts this very program once more under the name
//! `pillarbox-program`; [`take_over`], called first thing in `main`, notices that. That process stays as the supervisor; a thread of it
//! gives the rights away and starts the program that was asked for, which then has no more than the thread. The environment of
//! the rule file travels with a mark before each name: a rule file's `LD_PRELOAD` must not be at work before the door is closed.
//! Landlock does not know the network: `spamc` and its like go on working.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use landlock::{ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::supervise::supervise;

/// The name that this program is started under to become another one.
const NAME: &str = "pillarbox-program";
/// Before each name of the environment until then.
const MARK: &[u8] = b"_PILLARBOX_";
/// The rights that are known here; a kernel that knows fewer gives away those that it knows.
const KNOWN: ABI = ABI::V6;
/// Open files, as most programs expect it; the daemon's own limit is far higher.
const OPEN_FILES: u64 = 1024;
/// The first descriptor behind input, output and errors.
const FIRST_OF_OTHERS: i32 = 3;
/// sysexits(3): a program cannot be started confined.
pub(crate) const EX_OSERR: i32 = 71;

/// System folders and files that programs may read and run.
const READABLE: [&str; 15] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/etc",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys/devices/system",
    // Where /etc/resolv.conf leads, and the rules of `spamassassin`.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/var/lib/spamassassin",
];
/// Folders and devices that everybody may write to.
const WRITABLE: [&str; 8] = ["/tmp", "/var/tmp", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What programs of one account's rule file may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// `None`: wherever the daemon's user may go.
    places: Option<Places>,
    /// Octets of address space of each program; 0: no limit.
    memory: u64,
    /// Processes of the user; 0: no limit.
    processes: u64,
    /// Octets of a file that is written; 0: no limit.
    file: u64,
    /// Programs, of all accounts, of which something may run on after their end.
    background: u32,
}

/// Files and folders, with all that is below them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
}

impl Confinement {
    /// The room of an account: its home, the system's folders, what the configuration adds, and `readable`, which the instance needs.
    /// What is in `hidden` (the instance's data, other homes, keys) is left out where it lies below a system folder.
    #[must_use]
    pub fn new(limits: &config::Filter, home: &Path, hidden: &[PathBuf], readable: &[PathBuf]) -> Self {
        let places = limits.confine_children.then(|| Places::of(&limits.child_places, home, hidden, readable));
        let Size { memory, processes, file } = Size::of(limits);
        Self { places, memory, processes, file, background: limits.max_background_programs }
    }

    /// How many programs may leave something running.
    pub(crate) fn background(&self) -> usize {
        self.background as usize
    }

    /// The command that starts the program at `path`, which sees `name` as its own, under a supervisor; without a path, none was found.
    pub(crate) fn command(&self, path: Option<&Path>, name: &[u8], umask: u32, time_limit: Duration) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(NAME).arg(format!("supervise={}", time_limit.as_millis()));
        for (key, number) in [("memory", self.memory), ("processes", self.processes), ("file", self.file), ("umask", umask.into())] {
            command.arg(format!("{key}={number}"));
        }
        if let Some(places) = &self.places {
            command.arg("confine=1");
            for (key, paths) in [("read=", &places.readable), ("write=", &places.writable)] {
                command.args(paths.iter().map(|path| OsString::from_vec([key.as_bytes(), path.as_os_str().as_bytes()].concat())));
            }
        }
        command.arg("--").arg(path.unwrap_or(Path::new(""))).arg(OsStr::from_bytes(name));
        command
    }

    /// The program's environment on its way through the supervisor, and what the supervisor needs itself.
    pub(crate) fn environment<'a>(of_program: impl Iterator<Item = (OsString, &'a OsStr)>) -> impl Iterator<Item = (OsString, &'a OsStr)> {
        let marked = of_program.map(|(name, value)| (OsString::from_vec([MARK, name.as_bytes()].concat()), value));
        // Its own address space is held to the limit as well, and the C library would set much aside for each thread.
        marked.chain([(OsString::from("MALLOC_ARENA_MAX"), OsStr::new("1"))])
    }
}

struct Size {
    memory: u64,
    processes: u64,
    file: u64,
}

impl Size {
    fn of(limits: &config::Filter) -> Self {
        Self { memory: limits.max_child_memory.0, processes: limits.max_child_processes.into(), file: limits.max_child_file.0 }
    }
}

impl Places {
    fn of(added: &[String], home: &Path, hidden: &[PathBuf], readable: &[PathBuf]) -> Self {
        let real = |path: &Path| path.canonicalize().ok();
        let hidden: Vec<PathBuf> = hidden.iter().filter_map(|path| real(path)).collect();
        let mut places = Self::default();
        for place in READABLE.iter().filter_map(|place| real(Path::new(place))) {
            places.read_beside(place, &hidden);
        }
        // A folder that everybody may write to but that holds homes is no place for everybody's files.
        let shared = WRITABLE.iter().filter_map(|place| real(Path::new(place)));
        places.writable.extend(shared.filter(|place| !holds_any(place, &hidden)));
        places.readable.extend(readable.iter().filter_map(|path| real(path)));
        for place in added {
            match place.strip_suffix(":rw") {
                Some(path) => places.writable.push(PathBuf::from(path)),
                None => places.readable.push(PathBuf::from(place)),
            }
        }
        places.writable.push(home.to_owned());
        places.readable.dedup();
        places
    }

    /// Adds a folder, but for what is hidden in it.
    fn read_beside(&mut self, place: PathBuf, hidden: &[PathBuf]) {
        if !holds_any(&place, hidden) {
            if !self.readable.iter().any(|other| place.starts_with(other)) {
                self.readable.push(place);
            }
            return;
        }
        if hidden.contains(&place) {
            return;
        }
        let entries = std::fs::read_dir(&place).into_iter().flatten().filter_map(Result::ok);
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink())) {
            self.read_beside(entry.path(), hidden);
        }
    }
}

fn holds_any(place: &Path, hidden: &[PathBuf]) -> bool {
    hidden.iter().any(|path| path.starts_with(place))
}

/// Whether this kernel confines programs to folders; if not, why, for the log.
///
/// # Errors
/// The reason.
pub fn available() -> Result<(), &'static str> {
    let ruleset = Ruleset::default().handle_access(AccessFs::Execute).and_then(Ruleset::create);
    match ruleset.map(Option::<OwnedFd>::from) {
        Ok(Some(_)) => Ok(()),
        _ => Err("this kernel has no Landlock (Linux 5.13), or it is not enabled: see the boot parameter lsm="),
    }
}

/// This program calls [`take_over`].
static READY: AtomicBool = AtomicBool::new(false);

/// Whether this process can start programs confined: its `main` has called [`take_over`].
#[must_use]
pub fn is_ready() -> bool {
    READY.load(Ordering::Relaxed)
}

/// Called first in `main`: becomes the program of a rule file if this process was started for that. Does nothing otherwise.
#[must_use]
pub fn take_over() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.next()? != NAME {
        READY.store(true, Ordering::Relaxed);
        return None;
    }
    let mut order = Order::default();
    for argument in arguments.by_ref() {
        if argument == "--" {
            break;
        }
        order.take(argument);
    }
    let path = PathBuf::from(arguments.next().unwrap_or_default());
    let name = arguments.next().unwrap_or_default();
    Some(supervise(&order, &Program { path, name, arguments: arguments.collect() }))
}

/// What is to be given away, and for how long a program may run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// How long the program and what it leaves may run; zero: as long as they like.
    pub(crate) limit: Duration,
    /// Rights to files are given away.
    pub(crate) confine: bool,
    readable: Vec<PathBuf>,
    writable: Vec<PathBuf>,
    memory: u64,
    processes: u64,
    file: u64,
    umask: u32,
}

impl Order {
    fn take(&mut self, argument: OsString) {
        let mut octets = argument.into_vec();
        let Some(equals) = memchr::memchr(b'=', &octets) else { return };
        let value = octets.split_off(equals + 1);
        let number = || std::str::from_utf8(&value).ok().and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0);
        match octets.as_slice() {
            b"supervise=" => self.limit = Duration::from_millis(number()),
            b"confine=" => self.confine = true,
            b"memory=" => self.memory = number(),
            b"processes=" => self.processes = number(),
            b"file=" => self.file = number(),
            b"umask=" => self.umask = u32::try_from(number()).unwrap_or(0o77),
            b"read=" => self.readable.push(OsString::from_vec(value).into()),
            b"write=" => self.writable.push(OsString::from_vec(value).into()),
            _ => {}
        }
    }

    /// Gives the rights of the calling thread away: what it starts from here on has no more than it. Limits are the process's.
    pub(crate) fn obey(&self) -> Result<(), Box<dyn std::error::Error>> {
        close_fds::set_fds_cloexec(FIRST_OF_OTHERS, &[]);
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(self.umask));
        if self.confine {
            // The daemon may have been given the right to low ports: without this, its programs would inherit it.
            rustix::thread::clear_ambient_capability_set()?;
            self.close_the_door()?;
        }
        lower(Resource::Core, 0, 0)?;
        lower(Resource::Nofile, OPEN_FILES, OPEN_FILES * 4)?;
        for (resource, most) in [(Resource::Fsize, self.file), (Resource::Nproc, self.processes), (Resource::As, self.memory)] {
            if most > 0 {
                lower(resource, most, most)?;
            }
        }
        Ok(())
    }

    /// Gives all rights to files away but those to the places. Privileges can be gained no more from here on.
    fn close_the_door(&self) -> Result<(), RulesetError> {
        let all = AccessFs::from_all(KNOWN);
        // Signals to processes outside: the daemon and the supervisor run as the same user.
        let ruleset = Ruleset::default().handle_access(all)?.scope(Scope::Signal | Scope::AbstractUnixSocket)?.create()?;
        let ruleset = self.readable.iter().try_fold(ruleset, |ruleset, path| allow(ruleset, path, AccessFs::from_read(KNOWN)))?;
        let ruleset = self.writable.iter().try_fold(ruleset, |ruleset, path| allow(ruleset, path, all))?;
        ruleset.restrict_self()?;
        Ok(())
    }
}

fn allow(ruleset: RulesetCreated, path: &Path, access: landlock::BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    // What is not there needs no right.
    let Ok(place) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    ruleset.add_rule(PathBeneath::new(place, access))
}

/// Lowers a limit; one that is lower already stays.
fn lower(resource: Resource, current: u64, maximum: u64) -> rustix::io::Result<()> {
    let old = getrlimit(resource);
    let least = |old: Option<u64>, new: u64| Some(old.map_or(new, |old| old.min(new)));
    setrlimit(resource, Rlimit { current: least(old.current, current), maximum: least(old.maximum, maximum) })
}

pub(crate) fn complain(text: &str) {
    // There is nobody left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "{NAME}: {text}");
}

/// A program as the supervisor was told of it.
#[derive(Debug)]
pub(crate) struct Program {
    /// Empty: none was found.
    path: PathBuf,
    /// What it sees as its own name.
    pub(crate) name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// Starts it in a process group of its own; if the system cannot run it, then a shell with it as a script, as procmail does.
    pub(crate) fn start(&self, input: OwnedFd) -> io::Result<Child> {
        let spawn = |mut command: Command, input: OwnedFd| {
            let marked = std::env::vars_os().filter_map(|(name, value)| Some((name.as_bytes().strip_prefix(MARK)?.to_vec(), value)));
            command.args(&self.arguments).env_clear().envs(marked.map(|(name, value)| (OsString::from_vec(name), value)));
            command.stdin(input).process_group(0).spawn()
        };
        if !self.path.as_os_str().is_empty() {
            let mut command = Command::new(&self.path);
            command.arg0(&self.name);
            if let Ok(child) = spawn(command, input.try_clone()?) {
                return Ok(child);
            }
        }
        let mut command = Command::new("/bin/sh");
        command.arg(&self.name);
        spawn(command, input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        let limits = config::Filter { child_places: vec!["/srv/a".to_owned(), "/srv/b:rw".to_owned()], ..config::Filter::default() };
        let confinement = Confinement::new(&limits, Path::new("/home/joe"), &[], &[]);
        let command = confinement.command(Some(Path::new("/bin/x")), b"x", 0o22, Duration::ZERO);
        let mut order = Order::default();
        command.get_args().take_while(|argument| *argument != "--").for_each(|argument| order.take(argument.to_owned()));
        assert!(order.confine && order.readable.ends_with(&["/srv/a".into()]));
        assert!(order.writable.ends_with(&["/srv/b".into(), "/home/joe".into()]));
        assert_eq!((order.memory, order.processes, order.file), (limits.max_child_memory.0, 512, limits.max_child_file.0));
        assert_eq!(order.umask, 0o22);
        let open = config::Filter { confine_children: false, ..config::Filter::default() };
        let command = Confinement::new(&open, Path::new("/home/joe"), &[], &[]).command(None, b"x", 0, Duration::ZERO);
        assert!(!command.get_args().any(|argument| argument == "confine=1"));
    }

    #[test]
    fn what_is_hidden_is_left_out_of_a_system_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for path in ["a/data/homes", "a/b", "c"] {
            std::fs::create_dir_all(root.join(path)).unwrap();
        }
        let mut places = Places::default();
        places.read_beside(root.clone(), &[root.join("a/data")]);
        places.readable.sort();
        assert_eq!(places.readable, [root.join("a/b"), root.join("c")]);
        let places = Places::of(&[], &root.join("a/data/homes"), &[root.join("a/data")], &[]);
        assert!(!places.writable.iter().any(|place| root != *place && root.starts_with(place)), "{places:?}");
    }
}
