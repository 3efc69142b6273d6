//! The change of a table on the disk.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{Change, EditError};

/// How often the file may be replaced by others between opening and locking it.
const TRIES: usize = 100;

/// Reads a regular file whole; for [`crate::Resolver::load`].
///
/// # Errors
/// As the system says; also if it is no regular file, so that a pipe cannot hold up a reload.
pub fn read_file(path: &str) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    fs::read(path)
}

fn at(path: &Path) -> impl Fn(io::Error) -> EditError + use<'_> {
    |source| EditError::File { path: path.display().to_string(), source }
}

/// Reads a table's text.
pub(super) fn read_text(path: &str) -> Result<String, EditError> {
    let octets = read_file(path).map_err(at(Path::new(path)))?;
    String::from_utf8(octets).map_err(|_| EditError::NotText(path.to_owned()))
}

/// Applies a change to a file's text. With `create`, a file that is not there is an empty one.
pub(super) fn change(path: &str, create: bool, edit: impl Fn(&str) -> Result<(String, Change), EditError>) -> Result<Change, EditError> {
    // The link's target is changed, not the link.
    let path = match fs::canonicalize(path) {
        Ok(found) => found,
        Err(error) if create && error.kind() == io::ErrorKind::NotFound => PathBuf::from(path),
        Err(error) => return Err(at(Path::new(path))(error)),
    };
    let mut old = lock(&path, create).map_err(at(&path))?;
    let mut octets = Vec::new();
    let mut metadata = None;
    if let Some(file) = &mut old {
        metadata = Some(file.metadata().map_err(at(&path))?);
        file.read_to_end(&mut octets).map_err(at(&path))?;
    }
    let text = String::from_utf8(octets).map_err(|_| EditError::NotText(path.display().to_string()))?;
    let (new, change) = edit(&text)?;
    if change != Change::Nothing {
        replace(&path, &new, metadata.as_ref()).map_err(at(&path))?;
    }
    Ok(change)
}

/// Opens and locks the file that is at the path at the moment the lock is held; `None` if it is still to be made.
fn lock(path: &Path, create: bool) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("this is no regular file"));
        }
        flock(&file, FlockOperation::LockExclusive)?;
        let (ours, there) = (file.metadata()?, fs::metadata(path)?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok(Some(file));
        }
    }
    Err(io::Error::other("the file is replaced again and again"))
}

/// Writes a new file beside the old one and puts it in its place.
fn replace(path: &Path, text: &str, old: Option<&Metadata>) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let temporary = folder.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    let written = write(&temporary, text, old).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, text: &str, old: Option<&Metadata>) -> io::Result<()> {
    let mode = old.map_or(0o644, |old| old.mode() & 0o7777);
    let mut file = File::options().write(true).create_new(true).mode(mode & 0o700 | 0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::{add, list, remove};

    #[test]
    fn a_file_keeps_its_mode_and_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let link = folder.path().join("virtual");
        fs::write(&real, "# mine\nvirt.example x\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let map = format!("hash:{}", link.display());
        assert_eq!(add(&map, "a@virt.example", &["joe".to_owned()]).unwrap(), Change::Added(3));
        assert_eq!(add(&map, "a@virt.example", &["joe".to_owned()]).unwrap(), Change::Nothing);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert_eq!(list(&map).unwrap().len(), 2);
        assert_eq!(remove(&map, "a@virt.example", &[]).unwrap(), Change::Removed(3));
        assert_eq!(fs::read_to_string(&real).unwrap(), "# mine\nvirt.example x\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn tables_of_patterns_and_missing_files_are_refused() {
        assert!(matches!(add("regexp:/x", "a", &[]), Err(EditError::Kind { .. })));
        let folder = tempfile::tempdir().unwrap();
        let map = format!("hash:{}/virtual", folder.path().display());
        assert!(matches!(remove(&map, "a", &[]), Err(EditError::File { .. })));
        assert_eq!(add(&map, "a@x", &["joe".to_owned()]).unwrap(), Change::Added(1));
        let pipe = format!("hash:{}", folder.path().display());
        assert!(matches!(add(&pipe, "a@x", &["joe".to_owned()]), Err(EditError::File { .. })));
    }

    #[test]
    fn changes_at_the_same_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let map = format!("hash:{}/virtual", folder.path().display());
        add(&map, "virt.example", &["x".to_owned()]).unwrap();
        // One process takes turns by the lock; the temporary file's name holds its id, so threads take turns here.
        for n in 0..20 {
            add(&map, &format!("a{n}@virt.example"), &["joe".to_owned()]).unwrap();
        }
        assert_eq!(list(&map).unwrap().len(), 21);
    }
}
