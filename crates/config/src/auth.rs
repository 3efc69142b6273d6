//! Log-ins.

use std::time::Duration;

section! {
    /// Log-ins: how passwords are checked, and what guessing costs.
    pub struct Auth in "auth" {
        /// How many passwords are checked at the same time. Each check takes 64 MiB of memory while it runs.
        pub concurrent_checks: usize = 2,
        /// How many checks may wait for their turn; beyond that log-ins are told to come again.
        pub waiting_checks: usize = 100,
        /// How long a password that was right is remembered (as a keyed hash, in memory), so that a phone that
        /// connects often does not pay for a full check each time.
        pub remember: Duration = Duration::from_secs(300),
        /// How many different wrong passwords for an account from one network are free of delay.
        pub free_guesses: u32 = 3,
        /// How many different wrong passwords from one network, for whatever account, are free of delay.
        pub free_network_guesses: u32 = 12,
        /// The longest that an account or network is refused after many wrong passwords. The delay starts at one second
        /// and doubles with each different wrong password.
        pub longest_delay: Duration = Duration::from_secs(900),
        /// How many accounts and networks with wrong passwords are remembered.
        pub guard_entries: usize = 20_000,
        /// How many accounts there may be.
        pub accounts: usize = 10_000,
    }
}
