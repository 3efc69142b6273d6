//! The accounts of an instance: an SQLite database, and a copy of it in memory that every RCPT and log-in looks at.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use mail::Secret;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};

use crate::password::{PasswordHash, PasswordHashError};

/// The version of the database's layout, kept in `PRAGMA user_version`.
const VERSION: i64 = 1;

const SCHEMA: &str = "CREATE TABLE account (
    name TEXT PRIMARY KEY NOT NULL,
    password TEXT NOT NULL,
    home TEXT NOT NULL,
    created INTEGER NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0
) STRICT";

/// The name of an account: a local part, a log-in name and the name of a file.
///
/// 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, `+`; not beginning with a dot or hyphen. Capitals are folded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(String);

impl AccountName {
    /// The name as text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountsError;

    fn from_str(text: &str) -> Result<Self, AccountsError> {
        let name = text.to_ascii_lowercase();
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-+".contains(&b);
        let fits = (1..=64).contains(&name.len()) && name.bytes().all(good) && !name.starts_with(['.', '-']);
        if fits { Ok(Self(name)) } else { Err(AccountsError::BadName(text.to_owned())) }
    }
}

impl std::fmt::Display for AccountName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// Its home, which holds `Maildir` and `.procmailrc`.
    pub home: PathBuf,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// It takes mail, but nobody can log in.
    pub disabled: bool,
    pub(crate) password: String,
}

/// Why a change of the accounts was not made.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The name cannot be an account's.
    #[error("{0:?} cannot be an account: use 1 to 64 of a-z, 0-9, dot, underscore, hyphen and plus, beginning with a letter or digit")]
    BadName(String),
    /// There is such an account already.
    #[error("there is an account {0} already; to change its password: mailctl account passwd {0}")]
    Exists(String),
    /// There is no such account.
    #[error("there is no account {0}; see: mailctl account list")]
    Missing(String),
    /// As many accounts as `auth.accounts` allows.
    #[error("there are {0} accounts already, as many as auth.accounts allows")]
    TooMany(usize),
    /// The password cannot be taken.
    #[error("the password is empty or longer than 1024 octets")]
    BadPassword,
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] PasswordHashError),
    /// The database was written by a newer version.
    #[error("{path} was written by a newer version of this program (layout {version}); it was not touched")]
    Newer {
        /// The database.
        path: String,
        /// The layout it has.
        version: i64,
    },
    /// The database failed.
    #[error("the accounts' database: {0}")]
    Database(#[from] sqlx::Error),
}

impl AccountsError {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Hash(PasswordHashError::Exhausted))
    }
}

/// The accounts of an instance. Several processes may have the database open.
#[derive(Clone, Debug)]
pub struct Accounts {
    pool: SqlitePool,
    known: Arc<RwLock<HashMap<String, Arc<Account>>>>,
    limit: usize,
}

impl Accounts {
    /// Opens the database, which is made if missing.
    ///
    /// # Errors
    /// [`AccountsError::Newer`], [`AccountsError::Database`].
    pub async fn open(path: &Path, settings: &config::Auth) -> Result<Self, AccountsError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await?;
        match version {
            VERSION => {}
            0 => {
                let mut transaction = pool.begin().await?;
                sqlx::query(SCHEMA).execute(&mut *transaction).await?;
                sqlx::query("PRAGMA user_version = 1").execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
            newer => return Err(AccountsError::Newer { path: path.display().to_string(), version: newer }),
        }
        let accounts = Self { pool, known: Arc::default(), limit: settings.accounts };
        accounts.refresh().await?;
        Ok(accounts)
    }

    /// Reads the database again, after another process changed it.
    ///
    /// # Errors
    /// [`AccountsError::Database`]; what is in memory stays.
    pub async fn refresh(&self) -> Result<(), AccountsError> {
        let rows = sqlx::query("SELECT name, password, home, created, disabled FROM account").fetch_all(&self.pool).await?;
        let mut known = HashMap::with_capacity(rows.len());
        for row in rows {
            let name: String = row.try_get(0)?;
            let account = Account {
                name: name.parse()?,
                password: row.try_get(1)?,
                home: PathBuf::from(row.try_get::<String, _>(2)?),
                created: row.try_get(3)?,
                disabled: row.try_get::<i64, _>(4)? != 0,
            };
            known.insert(name, Arc::new(account));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// The account of this name, in any case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Account>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let exact = known.get(name).cloned();
        exact.or_else(|| known.get(&name.to_ascii_lowercase()).cloned())
    }

    /// Whether there is an account of this name.
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// All accounts, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Account>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut accounts: Vec<_> = known.values().cloned().collect();
        accounts.sort_by(|a, b| a.name.cmp(&b.name));
        accounts
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`AccountsError::Exists`], [`AccountsError::TooMany`], [`AccountsError::BadPassword`] and those of the database.
    pub async fn add(&self, name: &AccountName, password: Secret, home: &Path) -> Result<(), AccountsError> {
        self.refresh().await?;
        if self.exists(name.as_str()) {
            return Err(AccountsError::Exists(name.to_string()));
        }
        if self.list().len() >= self.limit {
            return Err(AccountsError::TooMany(self.limit));
        }
        let hash = hash(password).await?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed());
        sqlx::query("INSERT INTO account (name, password, home, created) VALUES (?, ?, ?, ?)")
            .bind(name.as_str())
            .bind(hash)
            .bind(home.to_string_lossy())
            .bind(created)
            .execute(&self.pool)
            .await?;
        self.refresh().await
    }

    /// Gives an account a new password.
    ///
    /// # Errors
    /// [`AccountsError::Missing`], [`AccountsError::BadPassword`] and those of the database.
    pub async fn set_password(&self, name: &AccountName, password: Secret) -> Result<(), AccountsError> {
        let hash = hash(password).await?;
        let query = sqlx::query("UPDATE account SET password = ? WHERE name = ?").bind(hash).bind(name.as_str());
        self.changed_one(name, query.execute(&self.pool).await?.rows_affected()).await
    }

    /// Removes an account. Its home and mail stay.
    ///
    /// # Errors
    /// [`AccountsError::Missing`] and those of the database.
    pub async fn remove(&self, name: &AccountName) -> Result<(), AccountsError> {
        let query = sqlx::query("DELETE FROM account WHERE name = ?").bind(name.as_str());
        self.changed_one(name, query.execute(&self.pool).await?.rows_affected()).await
    }

    async fn changed_one(&self, name: &AccountName, rows: u64) -> Result<(), AccountsError> {
        if rows == 0 {
            return Err(AccountsError::Missing(name.to_string()));
        }
        self.refresh().await
    }
}

/// Hashes off the async threads.
async fn hash(password: Secret) -> Result<String, AccountsError> {
    if !(1..=1024).contains(&password.expose().len()) {
        return Err(AccountsError::BadPassword);
    }
    let hashed = tokio::task::spawn_blocking(move || PasswordHash::of(&password)).await;
    Ok(hashed.map_err(|_| PasswordHashError::Exhausted)??.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accounts_are_kept_and_seen_by_another_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        let settings = config::Auth { accounts: 2, ..config::Auth::default() };
        let one = Accounts::open(&path, &settings).await.unwrap();
        let other = Accounts::open(&path, &settings).await.unwrap();
        let name: AccountName = "Simon-Mail".parse().unwrap();
        one.add(&name, Secret::new("a"), Path::new("/home/simon")).await.unwrap();
        assert!(matches!(one.add(&name, Secret::new("a"), Path::new("/")).await, Err(AccountsError::Exists(_))));
        assert!(!other.exists("simon-mail"));
        other.refresh().await.unwrap();
        assert_eq!(other.find("SIMON-mail").unwrap().home, Path::new("/home/simon"));
        other.remove(&name).await.unwrap();
        assert!(matches!(one.remove(&name).await, Err(AccountsError::Missing(_))));
    }

    #[tokio::test]
    async fn a_database_of_a_newer_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.db");
        let accounts = Accounts::open(&path, &config::Auth::default()).await.unwrap();
        sqlx::query("PRAGMA user_version = 99").execute(&accounts.pool).await.unwrap();
        let error = Accounts::open(&path, &config::Auth::default()).await.unwrap_err();
        assert!(error.to_string().ends_with("was written by a newer version of this program (layout 99); it was not touched"));
    }

    #[test]
    fn names_are_safe_as_file_names() {
        for bad in ["", ".", "..", "a/b", "a b", "-x", ".x", "ä", "a\0", &"x".repeat(65)] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
        assert_eq!("Joe.Doe+x_1-2".parse::<AccountName>().unwrap().as_str(), "joe.doe+x_1-2");
    }
}
