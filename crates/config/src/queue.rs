//! The queue: accepted mail on its way.

use std::time::Duration;

section! {
    /// The queue: how often delivery is tried, and for how long.
    pub struct Queue in "queue" {
        /// The pause after the first delivery that failed for now. Each further pause is twice as long.
        pub retry_first: Duration = Duration::from_secs(5 * 60),
        /// The longest pause between two tries.
        pub retry_longest: Duration = Duration::from_secs(2 * 3600),
        /// How long delivery is tried before the sender gets the message back.
        pub lifetime: Duration = Duration::from_secs(5 * 86400),
        /// Messages that stay longer than this are moved out of the journal into files of their own.
        pub spool_after: Duration = Duration::from_secs(10),
        /// How many messages are delivered at the same time.
        pub deliveries: usize = 20,
        /// The most messages the queue holds; more are deferred (452).
        pub max_messages: usize = 50_000,
    }
}
