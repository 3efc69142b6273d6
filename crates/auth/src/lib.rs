//! Who may log in: accounts with their password hashes, and what guessing costs.
//!
//! [`Accounts`] is the database with a copy in memory; [`Authenticator`] checks a name and password against it, with
//! bounded memory and time; [`Guard`] decides who has to wait. [`Exchange`] speaks PLAIN and LOGIN for both protocols.

mod account;
mod authenticator;
mod guard;
mod password;
mod sasl;

pub use account::{Account, AccountName, Accounts, AccountsError};
pub use authenticator::{Authenticator, Outcome};
pub use guard::Guard;
pub use password::{PasswordHash, PasswordHashError};
pub use sasl::{Credentials, Exchange, Step};
