//! Rule files: what one message may cost.

use std::time::Duration;

use crate::Size;

section! {
    /// Filtering by procmail rule files: what one rule file and one message may cost.
    pub struct Filter in "filter" {
        /// Time for a program that a rule file runs. A rule file's own TIMEOUT counts if it is shorter.
        pub child_time_limit: Duration = Duration::from_secs(960),
        /// Whether programs of rule files are confined: to the account's home and the temporary folders, to reading the system's folders,
        /// and to the privileges that they start with. The network stays open to them. Folders need a kernel with Landlock.
        pub confine_children: bool = true,
        /// Further files and folders for these programs: a path to be read, with `:rw` behind it one to be written as well.
        /// `["/srv/lists:rw", "/var/lib/GeoIP"]`.
        pub child_places: Vec<String> = Vec::new(),
        /// Address space of each program. 0: no limit. What starts a program is held to it as well: with less than 24M, none is started.
        pub max_child_memory: Size = Size::mib(1024),
        /// Processes and threads that the daemon's user may have, the daemon's own included, for a program to start another one. 0: no
        /// limit. The kernel does not hold root to it.
        pub max_child_processes: u32 = 512,
        /// Programs that have ended but left something running, of all accounts. It runs on for what is left of the program's time; what is
        /// more than this is ended, the oldest first. 0: all ends with its program.
        pub max_background_programs: u32 = 32,
        /// The largest file that a program may write. 0: no limit.
        pub max_child_file: Size = Size::mib(2048),
        /// How much a filter may give back. What gives more has failed, and the message stays as it was.
        pub max_child_output: Size = Size::mib(128),
        /// The largest LINEBUF, and the most that is caught in a variable.
        pub max_line_buffer: Size = Size::mib(1),
        /// The largest rule file.
        pub max_rule_file: Size = Size::mib(4),
        /// Statements in one rule file.
        pub max_statements: u32 = 100_000,
        /// Statements carried out for one message, all files and repetitions counted. Ends files that switch in a circle.
        pub max_steps: u32 = 1_000_000,
        /// Rule files within rule files (INCLUDERC).
        pub max_include_depth: u32 = 64,
        /// Blocks within blocks.
        pub max_nesting: u32 = 256,
        /// Clones of clones (blocks with the flag c).
        pub max_clones: u32 = 16,
        /// How long a lock file is waited for before mail is delivered without it.
        pub max_lock_wait: Duration = Duration::from_secs(600),
    }
}
