//! The Maildir on disk.

use std::time::Duration;

section! {
    /// The Maildirs of the accounts.
    pub struct Maildir in "maildir" {
        /// A file in tmp/ that nobody has touched for so long was never delivered and is removed.
        pub tmp_age: Duration = Duration::from_secs(36 * 3600),
        /// How long to wait for a lock file of another program, such as Dovecot, before the delivery or command is put off.
        pub lock_timeout: Duration = Duration::from_secs(10),
    }
}
