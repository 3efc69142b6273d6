//! One SQLite file. It is dropped and made anew when it is damaged or of another version.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::Uid;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::runtime::Runtime;

use crate::index::{Blobs, Save, Stored};

/// Changes with the tables below or with what the blobs hold.
const VERSION: i64 = 1;

const SCHEMA: [&str; 4] = [
    "CREATE TABLE mailbox (slot INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head BLOB)",
    "CREATE TABLE page (slot INTEGER NOT NULL, page INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (slot, page))",
    "CREATE TABLE facts (slot INTEGER NOT NULL, uid INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (slot, uid))",
    "PRAGMA user_version = 1",
];

/// One account's file, opened when it is needed.
#[derive(Debug)]
pub(super) struct Db {
    path: PathBuf,
    connection: Option<SqliteConnection>,
    /// Slots given away, so that none is given twice even if the file has to be made anew.
    next_slot: u32,
    slots: HashMap<String, u32>,
    facts: Vec<(u32, Uid, Arc<[u8]>)>,
    /// Octets of facts in the file.
    facts_size: u64,
    facts_limit: u64,
}

type Outcome<T> = Result<T, sqlx::Error>;

impl Db {
    pub(super) fn new(path: &Path) -> Self {
        let (connection, slots, facts) = (None, HashMap::new(), Vec::new());
        Self { path: path.to_owned(), connection, next_slot: 1, slots, facts, facts_size: 0, facts_limit: u64::MAX }
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn close(&mut self, runtime: &Runtime) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = runtime.block_on(connection.close())
        {
            tracing::debug!(path = %self.path.display(), %error, "closing an index");
        }
    }

    /// Does something with the open file. A failure is logged; a damaged file is removed, so that the next use makes it anew.
    fn attempt<T>(&mut self, runtime: &Runtime, work: impl AsyncFnOnce(&mut SqliteConnection) -> Outcome<T>) -> Option<T> {
        if self.connection.is_none() {
            self.connection = self.open(runtime);
        }
        let result = runtime.block_on(work(self.connection.as_mut()?));
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot use the index");
                if is_damage(&error) {
                    self.discard(runtime);
                }
                None
            }
        }
    }

    fn open(&mut self, runtime: &Runtime) -> Option<SqliteConnection> {
        for attempt in 0..2 {
            match runtime.block_on(connect(&self.path)) {
                Ok((mut connection, highest, facts_size)) => {
                    if let Err(error) = runtime.block_on(claim_all(&mut connection, &self.slots)) {
                        tracing::warn!(path = %self.path.display(), %error, "cannot write the index");
                        return None;
                    }
                    self.next_slot = self.next_slot.max(highest.saturating_add(1));
                    self.facts_size = facts_size;
                    return Some(connection);
                }
                Err(error) => tracing::warn!(path = %self.path.display(), %error, "cannot open the index"),
            }
            if attempt == 0 {
                self.discard(runtime);
            }
        }
        None
    }

    /// Removes the file: it is a cache.
    fn discard(&mut self, runtime: &Runtime) {
        tracing::warn!(path = %self.path.display(), "the index is damaged or of another version and is made anew");
        self.close(runtime);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            let _ = std::fs::remove_file(path);
        }
    }

    pub(super) fn head(&mut self, runtime: &Runtime, name: &str) -> Option<Stored> {
        let known = name.to_owned();
        let row: Option<(u32, Option<Vec<u8>>)> = self.attempt(runtime, async |connection| {
            let row = sqlx::query("SELECT slot, head FROM mailbox WHERE name = ?").bind(known).fetch_optional(connection).await?;
            row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
        })?;
        let (slot, head) = match row {
            Some((slot, head)) => (slot, head),
            None => (self.slots.get(name).copied().unwrap_or(self.next_slot), None),
        };
        self.next_slot = self.next_slot.max(slot.saturating_add(1));
        self.slots.insert(name.to_owned(), slot);
        if head.is_none() {
            // Before anything is kept under the number: another mailbox that got it after a crash would take that for its own.
            self.attempt(runtime, async |connection| claim(connection, slot, name).await)?;
        }
        Some(Stored { slot, head })
    }

    pub(super) fn pages(&mut self, runtime: &Runtime, slot: u32, from: u32) -> Option<Blobs> {
        self.attempt(runtime, async |connection| {
            let query = sqlx::query("SELECT page, data FROM page WHERE slot = ? AND page >= ? ORDER BY page LIMIT 16");
            let rows = query.bind(slot).bind(from).fetch_all(connection).await?;
            rows.into_iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
        })
    }

    pub(super) fn facts(&mut self, runtime: &Runtime, slot: u32, first: Uid, last: Uid) -> Option<Blobs> {
        let mut found = self.attempt(runtime, async |connection| {
            let query = sqlx::query("SELECT uid, data FROM facts WHERE slot = ? AND uid BETWEEN ? AND ?");
            let rows = query.bind(slot).bind(first).bind(last).fetch_all(connection).await?;
            rows.into_iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Outcome<Blobs>>()
        })?;
        let waiting = self.facts.iter().filter(|(s, uid, _)| *s == slot && (first..=last).contains(uid));
        found.extend(waiting.map(|(_, uid, facts)| (*uid, facts.to_vec())));
        Some(found)
    }

    pub(super) fn save(&mut self, runtime: &Runtime, save: &Save) -> Option<()> {
        self.slots.insert(save.name.clone(), save.slot);
        self.attempt(runtime, async |connection| {
            let mut transaction = connection.begin().await?;
            let head = sqlx::query("INSERT OR REPLACE INTO mailbox (slot, name, head) VALUES (?, ?, ?)");
            head.bind(save.slot).bind(&*save.name).bind(&*save.head).execute(&mut *transaction).await?;
            if save.all {
                sqlx::query("DELETE FROM page WHERE slot = ?").bind(save.slot).execute(&mut *transaction).await?;
            }
            for page in &save.pages.removed {
                let query = sqlx::query("DELETE FROM page WHERE slot = ? AND page = ?");
                query.bind(save.slot).bind(*page).execute(&mut *transaction).await?;
            }
            for (page, data) in &save.pages.changed {
                let query = sqlx::query("INSERT OR REPLACE INTO page (slot, page, data) VALUES (?, ?, ?)");
                query.bind(save.slot).bind(*page).bind(&**data).execute(&mut *transaction).await?;
            }
            for uid in &save.forgotten {
                let query = sqlx::query("DELETE FROM facts WHERE slot = ? AND uid = ?");
                query.bind(save.slot).bind(*uid).execute(&mut *transaction).await?;
            }
            transaction.commit().await
        })
    }

    /// Takes facts to be written later; gives how many wait.
    pub(super) fn keep(&mut self, limit: u64, key: (u32, Uid), facts: Arc<[u8]>) -> usize {
        self.facts_limit = limit;
        self.facts.push((key.0, key.1, facts));
        self.facts.len()
    }

    /// Writes the facts that wait; gives how many there were.
    pub(super) fn write_facts(&mut self, runtime: &Runtime) -> usize {
        let facts = std::mem::take(&mut self.facts);
        if facts.is_empty() {
            return 0;
        }
        self.facts_size += facts.iter().map(|(_, _, facts)| facts.len() as u64).sum::<u64>();
        let crowded = self.facts_size > self.facts_limit;
        let written = self.attempt(runtime, async |connection| {
            let mut transaction = connection.begin().await?;
            for (slot, uid, facts) in &facts {
                let query = sqlx::query("INSERT OR REPLACE INTO facts (slot, uid, data) VALUES (?, ?, ?)");
                query.bind(*slot).bind(*uid).bind(&**facts).execute(&mut *transaction).await?;
            }
            if crowded {
                // The oldest half.
                let query = "DELETE FROM facts WHERE rowid <= (SELECT (min(rowid) + max(rowid)) / 2 FROM facts)";
                sqlx::query(query).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            if crowded { facts_size(connection).await.map(Some) } else { Ok(None) }
        });
        if let Some(Some(size)) = written {
            self.facts_size = size;
        }
        facts.len()
    }

    pub(super) fn forget(&mut self, runtime: &Runtime, slot: u32) -> Option<()> {
        self.facts.retain(|(s, _, _)| *s != slot);
        self.attempt(runtime, async |connection| {
            sqlx::query("DELETE FROM facts WHERE slot = ?").bind(slot).execute(connection).await.map(drop)
        })
    }

    pub(super) fn rename(&mut self, runtime: &Runtime, from: &str, to: &str) -> Option<()> {
        if let Some(slot) = self.slots.remove(from) {
            self.slots.insert(to.to_owned(), slot);
        }
        self.attempt(runtime, async |connection| {
            let query = sqlx::query("UPDATE OR REPLACE mailbox SET name = ? WHERE name = ?");
            query.bind(to).bind(from).execute(connection).await.map(drop)
        })
    }

    pub(super) fn delete(&mut self, runtime: &Runtime, name: &str) -> Option<()> {
        let known = self.slots.remove(name);
        if let Some(slot) = known {
            self.facts.retain(|(s, _, _)| *s != slot);
        }
        self.attempt(runtime, async |connection| {
            let row = sqlx::query("SELECT slot FROM mailbox WHERE name = ?").bind(name).fetch_optional(&mut *connection).await?;
            let stored: Option<u32> = row.map(|row| row.try_get(0)).transpose()?;
            for slot in stored.into_iter().chain(known) {
                for query in ["DELETE FROM page WHERE slot = ?", "DELETE FROM facts WHERE slot = ?", "DELETE FROM mailbox WHERE slot = ?"] {
                    sqlx::query(query).bind(slot).execute(&mut *connection).await?;
                }
            }
            Ok(())
        })
    }

    /// Makes all that was written durable.
    pub(super) fn checkpoint(&mut self, runtime: &Runtime) -> Option<()> {
        self.attempt(runtime, async |connection| sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await.map(drop))
    }
}

/// Opens the file, makes the tables if it is new, and tells the highest slot and the size of all facts.
async fn connect(path: &Path) -> Outcome<(SqliteConnection, u32, u64)> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        // In KiB: pages are read and written in large pieces, a large cache would only hold them twice.
        .pragma("cache_size", "-256");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
    if version == 0 {
        let mut transaction = connection.begin().await?;
        for statement in SCHEMA {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    } else if version != VERSION {
        connection.close().await?;
        return Err(sqlx::Error::Protocol(format!("the index has version {version}, this program writes {VERSION}")));
    }
    let highest = sqlx::query("SELECT coalesce(max(slot), 0) FROM mailbox").fetch_one(&mut connection).await?.try_get(0)?;
    let size = facts_size(&mut connection).await?;
    Ok((connection, highest, size))
}

/// Writes down that a mailbox has a slot, unless that stands there.
async fn claim(connection: &mut SqliteConnection, slot: u32, name: &str) -> Outcome<()> {
    let query = sqlx::query("INSERT OR IGNORE INTO mailbox (slot, name) VALUES (?, ?)");
    query.bind(slot).bind(name).execute(connection).await.map(drop)
}

/// The file may have been made anew since the slots were given away.
async fn claim_all(connection: &mut SqliteConnection, slots: &HashMap<String, u32>) -> Outcome<()> {
    for (name, slot) in slots {
        claim(connection, *slot, name).await?;
    }
    Ok(())
}

async fn facts_size(connection: &mut SqliteConnection) -> Outcome<u64> {
    // An estimate will do: the sum would read everything.
    let row = sqlx::query("SELECT count(*) * coalesce((SELECT avg(length(data)) FROM (SELECT data FROM facts LIMIT 100)), 0) FROM facts");
    let size: f64 = row.fetch_one(connection).await?.try_get::<f64, _>(0).unwrap_or(0.0);
    Ok(size as u64)
}

/// SQLITE_CORRUPT and SQLITE_NOTADB, and tables that are not ours.
fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let primary = error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
            matches!(primary, Some(1 | 11 | 26))
        }
        sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_with_its_mailbox_after_a_kill_and_after_the_file_was_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.sqlite");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let slot = |db: &mut Db, name| db.head(&runtime, name).unwrap().slot;
        let mut db = Db::new(&path);
        let before = ["INBOX", "One", "Two"].map(|name| slot(&mut db, name));
        db.keep(1 << 20, (before[2], 7), Arc::from(*b"facts"));
        db.write_facts(&runtime);
        drop(db);
        let mut db = Db::new(&path);
        let after = ["Two", "INBOX", "One"].map(|name| slot(&mut db, name));
        assert_eq!(after, [before[2], before[0], before[1]]);
        assert_eq!(db.facts(&runtime, before[2], 0, 10).unwrap(), [(7, b"facts".to_vec())]);
        db.discard(&runtime);
        db.checkpoint(&runtime).unwrap();
        drop(db);
        let mut db = Db::new(&path);
        assert_eq!(["One", "Two", "INBOX"].map(|name| slot(&mut db, name)), [before[1], before[2], before[0]]);
    }
}
