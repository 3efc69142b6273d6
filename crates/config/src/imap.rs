//! Mail read by our users, over IMAP.

use std::time::Duration;

use crate::Size;

section! {
    /// IMAP: what one connection and one command may cost.
    pub struct Imap in "imap" {
        /// The longest message that a client may put into a mailbox, in octets.
        pub max_message_size: Size = Size::mib(64),
        /// The longest command in octets: its lines and literals together, but not the message of an APPEND.
        pub max_command_size: Size = Size::kib(128),
        /// Messages that one APPEND may bring (MULTIAPPEND).
        pub max_append_messages: u32 = 1_000,
        /// How deep the conditions of a SEARCH may be nested.
        pub max_search_depth: u32 = 100,
        /// How many conditions a SEARCH may have.
        pub max_search_keys: u32 = 1_000,
        /// Malformed commands in a row, after which the connection is closed.
        pub max_errors: u32 = 20,
        /// Failed log-ins in one session.
        pub max_login_failures: u32 = 5,
        /// Answers that wait to be sent to one client, in octets. A command that has more to say goes on when they are sent.
        pub output_buffer: Size = Size::kib(64),
        /// Connections at a time.
        pub max_connections: u32 = 2_000,
        /// Connections at a time from one client: an IPv4 address or an IPv6 /64 network.
        pub max_connections_per_client: u32 = 100,
        /// Time to log in, counted from the greeting.
        pub login_timeout: Duration = Duration::from_secs(180),
        /// Silence after which a session is closed. RFC 9051 asks for at least 30 minutes.
        pub idle_timeout: Duration = Duration::from_secs(31 * 60),
        /// How often a client in IDLE is sent a sign of life, which keeps the way to it open. "0ms": never.
        pub idle_reminder: Duration = Duration::from_secs(120),
    }
}
