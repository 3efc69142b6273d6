//! Rule files: what one message may cost.

use std::time::Duration;

use crate::Size;

section! {
    /// Filtering by procmail rule files: what one rule file and one message may cost.
    pub struct Filter in "filter" {
        /// Time for a program that a rule file runs. A rule file's own TIMEOUT counts if it is shorter.
        pub child_time_limit: Duration = Duration::from_secs(960),
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
