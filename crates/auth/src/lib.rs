//! Accounts, password hashes, SASL exchanges, log-in guard.
