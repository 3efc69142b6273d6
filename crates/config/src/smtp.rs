//! Mail from other servers and from our users, over SMTP.

use std::time::Duration;

use crate::Size;

section! {
    /// SMTP: what one connection, one command and one message may cost.
    pub struct Smtp in "smtp" {
        /// The longest message that is taken, in octets. Announced to clients, and enforced.
        pub max_message_size: Size = Size::mib(64),
        /// Recipients of one message; those beyond are told to come in another one. RFC 5321 asks for at least 100.
        pub max_recipients: u32 = 1_000,
        /// The longest command line in octets, its end included. RFC 5321 asks for 512, log-in for 12288.
        pub max_command_line: Size = Size(12_288),
        /// Commands in one session without a message that was accepted.
        pub max_commands: u32 = 5_000,
        /// Refused commands and recipients in one session without a message that was accepted.
        pub max_errors: u32 = 50,
        /// Failed log-ins in one session.
        pub max_login_failures: u32 = 5,
        /// Received headers in one message; more are a loop.
        pub max_hops: u32 = 50,
        /// Connections at a time. When all are taken, the one that has been idle longest makes room.
        pub max_connections: u32 = 1_000,
        /// Connections at a time from one client: an IPv4 address or an IPv6 /64 network.
        pub max_connections_per_client: u32 = 50,
        /// How long a stranger has to hold his tongue before the greeting; spam programs do not. "0ms": no pause.
        pub greeting_pause: Duration = Duration::from_millis(200),
        /// Time for one command, counted from the reply before it. RFC 5321 asks for 5 minutes.
        pub command_timeout: Duration = Duration::from_secs(300),
        /// Silence within a message. RFC 5321 asks for 3 minutes.
        pub data_timeout: Duration = Duration::from_secs(180),
        /// The lowest rate at which a message may come in, in octets a second. 0: any.
        pub min_data_rate: u32 = 500,
        /// Time for a whole session.
        pub session_timeout: Duration = Duration::from_secs(2 * 3600),
    }
}
