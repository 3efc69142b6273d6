//! `dovecot-uidvalidity`: the highest UIDVALIDITY given so far, so that a mailbox that is made again under an old name gets
//! a higher one. The number stands as eight hexadecimal digits in the file and in the name of an empty file beside it.
//!
//! A Maildir may have hundreds of folders that get theirs at the same time, so numbers are written down as given away in blocks.

use std::ops::Range;
use std::path::Path;
use std::sync::PoisonError;

use mail::UidValidity;
use system::{Create, Disk};

use crate::dotlock::Locks;
use crate::error::{At, Result};
use crate::uidlist::{Stamp, stamp_of};

/// The file's name in the Maildir's root.
pub const FILE: &str = "dovecot-uidvalidity";

/// How many numbers are written down as given away at once.
const BLOCK: UidValidity = 64;

/// What is left of the last block.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    left: Range<UidValidity>,
    /// The file as it was written: another program that takes a number changes it.
    stamp: Stamp,
}

/// A UIDVALIDITY that no mailbox under `root` had before: the time in seconds, or more if that was given away.
///
/// # Errors
/// Those of the disk and of the lock.
pub fn next(locks: &Locks, root: &Path) -> Result<UidValidity> {
    let path = root.join(FILE);
    let _lock = locks.take(&path)?;
    let (disk, clock) = (locks.disk(), locks.clock());
    let now = UidValidity::try_from(clock.seconds()).unwrap_or(UidValidity::MAX);
    let mut reserve = locks.reserve.lock().unwrap_or_else(PoisonError::into_inner);
    // Numbers that the time has caught up with are left out: a mailbox that came from elsewhere may have one of them.
    let left = reserve.left.start >= now && stamp_of(disk, &path).is_ok_and(|stamp| stamp == reserve.stamp);
    if let Some(next) = reserve.left.next().filter(|_| left) {
        return Ok(next);
    }
    let text = disk.open(&path, Create::Read).and_then(|file| file.read_all(64)).unwrap_or_default();
    let named = highest_name(disk, root);
    let last = parse(&text).into_iter().chain(named).max().unwrap_or(0);
    let next = now.max(last.saturating_add(1)).max(1);
    let highest = next.saturating_add(BLOCK - 1);
    system::replace(disk, &path, format!("{highest:08x}").as_bytes()).at(&path)?;
    *reserve = Reserve { left: next.saturating_add(1)..highest.saturating_add(1), stamp: stamp_of(disk, &path)? };
    let beside = |validity: UidValidity| root.join(format!("{FILE}.{validity:08x}"));
    // Only a help for Dovecot when the file is lost: that it cannot be made is no reason to stop.
    let renamed = named.is_some_and(|old| disk.rename(&beside(old), &beside(highest)).is_ok());
    if !renamed && let Err(error) = disk.open(&beside(highest), Create::Missing) {
        tracing::debug!(%error, "cannot make the second record of UIDVALIDITY");
    }
    Ok(next)
}

fn parse(text: &[u8]) -> Option<UidValidity> {
    let digits = std::str::from_utf8(text).ok()?;
    (digits.len() == 8).then(|| UidValidity::from_str_radix(digits, 16).ok())?
}

fn highest_name(disk: &dyn Disk, root: &Path) -> Option<UidValidity> {
    let mut highest = None;
    let result = disk.list(root, &mut |entry| {
        let name = entry.name.as_encoded_bytes();
        let number = name.strip_prefix(FILE.as_bytes()).and_then(|rest| parse(rest.strip_prefix(b".")?));
        highest = highest.max(number);
    });
    result.ok().and(highest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use system::{FixedClock, HostDisk};

    #[test]
    fn numbers_ascend_also_when_the_clock_stands_or_the_file_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let clock = Arc::new(FixedClock::at(1_000_000_000));
        let locks = Locks::new(Arc::new(HostDisk), clock.clone(), folder.path(), Duration::ZERO);
        let next = || super::next(&locks, folder.path()).unwrap();
        assert_eq!((next(), next()), (1_000, 1_001));
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        // The name beside it tells how far the block went.
        assert_eq!((next(), next()), (1_064, 1_065));
        assert!(folder.path().join("dovecot-uidvalidity.00000467").exists());
        clock.set(5_000_000_000);
        assert_eq!(next(), 5_000);
        assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), "000013c7");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        // Another program took one, as Dovecot does.
        std::fs::write(folder.path().join(FILE), "000013c9").unwrap();
        assert_eq!(next(), 5_066);
        assert_eq!((1..BLOCK).map(|_| next()).max(), Some(5_066 + 63));
        assert_eq!(next(), 5_066 + 64);
    }
}
