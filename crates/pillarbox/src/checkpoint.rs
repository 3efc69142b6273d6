//! Makes durable what released entries of the journal stand for: every file system that holds the data folder or a Maildir.
//!
//! No account holds up the others for long: a home that was never seen has nothing to be synced, and a disk that stays broken is
//! left out, with an error in the log, after [`PATIENCE`] passes.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use auth::Accounts;
use system::Disk;

/// So many passes, a second or more apart, fail for a disk that held mail before all others go on without it.
const PATIENCE: u32 = 60;

/// What asks the system.
type Ask<T> = Box<dyn Fn(&Path) -> io::Result<T> + Send + Sync>;

/// What is known of the file systems.
struct Checkpoint {
    device: Ask<u64>,
    sync: Ask<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The device that a path was on when it was last seen.
    devices: HashMap<PathBuf, u64>,
    /// How many passes in a row a device could not be synced.
    failures: HashMap<u64, u32>,
    /// Paths whose trouble was told.
    told: HashSet<PathBuf>,
}

/// What the journal calls before it uses room again.
pub(crate) fn checkpoint(disk: Arc<dyn Disk>, data: PathBuf, accounts: Accounts) -> Arc<dyn Fn() -> io::Result<()> + Send + Sync> {
    let device = Box::new(|path: &Path| std::fs::metadata(path).map(|found| found.dev()));
    let checkpoint = Checkpoint { device, sync: Box::new(move |path| disk.sync_all(path)), known: Mutex::default() };
    Arc::new(move || {
        let homes: Vec<_> = accounts.list().iter().map(|account| account.home.clone()).collect();
        checkpoint.run(&data, &homes)
    })
}

impl Checkpoint {
    fn run(&self, data: &Path, homes: &[PathBuf]) -> io::Result<()> {
        let mut synced = HashSet::from([(self.device)(data)?]);
        (self.sync)(data)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // The Maildir, or only its folder, may be on a disk of its own.
        let paths = homes.iter().flat_map(|home| [home.clone(), home.join("Maildir")]);
        let mut troubles = Vec::new();
        for path in paths {
            if let Err(error) = self.sync_once(&path, &mut known, &mut synced) {
                troubles.push((path, error));
            } else {
                known.told.remove(&path);
            }
        }
        known.failures.retain(|device, _| !synced.contains(device));
        known.judge(troubles, &synced)
    }

    fn sync_once(&self, path: &Path, known: &mut Known, synced: &mut HashSet<u64>) -> io::Result<()> {
        let device = match (self.device)(path) {
            // A home that nothing was ever delivered to has nothing to be synced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if synced.contains(&device) {
            known.devices.insert(path.to_owned(), device);
            return Ok(());
        }
        let outcome = (self.sync)(path);
        // What may not even be opened for that, and never could, is not where this daemon puts mail.
        if !outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            known.devices.insert(path.to_owned(), device);
        }
        outcome?;
        synced.insert(device);
        Ok(())
    }
}

impl Known {
    /// Whether what could not be synced matters: only if mail may be there, and nothing else has synced the same device.
    fn judge(&mut self, troubles: Vec<(PathBuf, io::Error)>, synced: &HashSet<u64>) -> io::Result<()> {
        let mut counted = HashSet::new();
        let mut outcome = Ok(());
        for (path, error) in troubles {
            let device = self.devices.get(&path).copied();
            if device.is_some_and(|device| synced.contains(&device)) {
                continue;
            }
            if self.told.insert(path.clone()) {
                tracing::error!(path = %path.display(), %error, "cannot be synced; what is written there may be lost by a power cut");
            }
            let Some(device) = device else { continue };
            let failures = self.failures.entry(device).or_default();
            *failures = failures.saturating_add(u32::from(counted.insert(device)));
            if *failures <= PATIENCE {
                outcome = Err(error);
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Devices and errors by path.
    #[derive(Default)]
    struct World {
        devices: HashMap<&'static str, Result<u64, io::ErrorKind>>,
        broken: HashSet<&'static str>,
        synced: Vec<PathBuf>,
    }

    fn world(devices: &[(&'static str, u64)]) -> (Arc<Mutex<World>>, Checkpoint) {
        let devices = devices.iter().map(|(path, device)| (*path, Ok(*device))).collect();
        let world = Arc::new(Mutex::new(World { devices, ..World::default() }));
        let (asked, syncing) = (world.clone(), world.clone());
        let device = Box::new(move |path: &Path| {
            let found = asked.lock().unwrap().devices.get(path.to_str().unwrap()).copied();
            found.unwrap_or(Err(io::ErrorKind::NotFound)).map_err(io::Error::from)
        });
        let sync = Box::new(move |path: &Path| {
            let mut world = syncing.lock().unwrap();
            if world.broken.contains(path.to_str().unwrap()) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            world.synced.push(path.to_owned());
            Ok(())
        });
        (world, Checkpoint { device, sync, known: Mutex::default() })
    }

    fn run(checkpoint: &Checkpoint) -> bool {
        checkpoint.run(Path::new("/data"), &["/a".into(), "/b".into()]).is_ok()
    }

    #[test]
    fn a_maildir_on_a_disk_of_its_own_is_synced() {
        let (world, checkpoint) = world(&[("/data", 1), ("/a", 1), ("/a/Maildir", 2), ("/b", 3), ("/b/Maildir", 3)]);
        assert!(run(&checkpoint));
        assert_eq!(world.lock().unwrap().synced, ["/data", "/a/Maildir", "/b"].map(PathBuf::from));
    }

    #[test]
    fn a_home_that_was_never_seen_holds_up_nobody() {
        let (world, checkpoint) = world(&[("/data", 1), ("/b", 2)]);
        world.lock().unwrap().devices.insert("/a", Err(io::ErrorKind::PermissionDenied));
        assert!(run(&checkpoint));
        assert_eq!(world.lock().unwrap().synced, ["/data", "/b"].map(PathBuf::from));
    }

    #[test]
    fn a_home_that_cannot_be_read_is_synced_by_way_of_its_maildir() {
        let (world, checkpoint) = world(&[("/data", 1), ("/a", 2), ("/a/Maildir", 2)]);
        world.lock().unwrap().broken.insert("/a");
        assert!(run(&checkpoint));
        assert_eq!(world.lock().unwrap().synced, ["/data", "/a/Maildir"].map(PathBuf::from));
        // It was on a device that others sync: nothing is in doubt when it cannot be looked at any more.
        world.lock().unwrap().devices.insert("/a", Err(io::ErrorKind::PermissionDenied));
        assert!(run(&checkpoint));
    }

    #[test]
    fn a_disk_that_held_mail_and_breaks_is_waited_for_but_not_for_ever() {
        let (world, checkpoint) = world(&[("/data", 1), ("/a", 2), ("/a/Maildir", 2)]);
        assert!(run(&checkpoint));
        world.lock().unwrap().broken.extend(["/a", "/a/Maildir"]);
        assert!((0..PATIENCE).all(|_| !run(&checkpoint)));
        assert!(run(&checkpoint), "all others go on");
        world.lock().unwrap().broken.clear();
        assert!(run(&checkpoint));
        world.lock().unwrap().devices.insert("/a", Err(io::ErrorKind::Other));
        world.lock().unwrap().devices.insert("/a/Maildir", Err(io::ErrorKind::Other));
        assert!(!run(&checkpoint), "it counts from the beginning");
    }
}
