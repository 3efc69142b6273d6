//! Who may log in: accounts with their password hashes, and what guessing costs.
//!
//! [`Accounts`] is the database with a copy in memory; [`Authenticator`] checks a name and password against it, with
//! bounded memory and time; [`Guard`] decides who has to wait. Protocols and their SASL exchanges are not known here.

mod account;
mod authenticator;
mod guard;
mod password;

pub use account::{Account, AccountName, Accounts, AccountsError};
pub use authenticator::{Authenticator, Outcome};
pub use guard::Guard;
pub use password::{PasswordHash, PasswordHashError};
