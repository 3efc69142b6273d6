//! The journal: the write-ahead log of everything that was accepted.

use std::time::Duration;

use crate::Size;

section! {
    /// The journal: what is accepted is written here first, once for all that wait, and answered with 250 when it is on disk.
    pub struct Journal in "journal" {
        /// Size of one file of the journal. The files are made in advance and used again. 64K to 1G.
        pub segment_size: Size = Size::mib(64),
        /// The most that all files of the journal take together. While more than this waits to be delivered, new mail is
        /// deferred (452).
        pub max_size: Size = Size::mib(1024),
        /// The most octets of messages that the journal holds in memory. Beyond half of it longer messages go to disk in
        /// pieces and senders have to pause; beyond twice of it they are deferred.
        pub memory: Size = Size::mib(32),
        /// How long delivered messages may stay in the journal before their folders are synced and their room is used again.
        pub checkpoint_interval: Duration = Duration::from_secs(1),
    }
}
