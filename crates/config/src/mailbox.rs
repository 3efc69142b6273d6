//! What is in a mailbox.

use std::time::Duration;

use crate::Size;

section! {
    /// Mailboxes and their index. The index is a cache: it may be deleted at any time.
    pub struct Mailbox in "mailbox" {
        /// How many mailboxes an account can have.
        pub max_mailboxes: usize = 10_000,
        /// How many messages a mail client can store by one APPEND command.
        pub max_messages_per_append: usize = 1_000,
        /// How often, at most, a mailbox in use is looked over for what other programs did in its folder.
        pub check_interval: Duration = Duration::from_secs(1),
        /// After a change the index is written this much later; if that takes long, after twenty times as long as it takes, a minute
        /// at most.
        pub index_delay: Duration = Duration::from_secs(2),
        /// A mailbox that nobody has used for so long leaves memory.
        pub idle_time: Duration = Duration::from_secs(300),
        /// Most memory of an account for what is known of its messages' content (envelopes, structures).
        pub facts_memory: Size = Size::mib(16),
        /// Most memory of an account for the texts of messages that were searched, so that a search as it is typed reads them once.
        pub search_memory: Size = Size::mib(32),
        /// Most space in an account's index for what is known of its messages' content.
        pub facts_disk: Size = Size::mib(256),
    }
}
