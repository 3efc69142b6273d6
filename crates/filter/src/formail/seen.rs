//! The cache of message ids (`-D`), in formail's own format: texts ended by a zero each, an empty one where the next goes.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};

/// The largest cache that is read.
const LARGEST: u64 = 64 << 20;

/// Whether `key` was seen before; if not, it is now. The file is made also without a key. It grows to about `longest` octets and
/// then begins again.
pub(super) fn seen(path: &Path, longest: usize, key: Option<&[u8]>) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let Some(key) = key else { return Ok(false) };
    fcntl_lock(&file, FlockOperation::LockExclusive)?;
    let mut text = Vec::new();
    (&file).take(LARGEST).read_to_end(&mut text)?;
    let mut insert = text.len();
    let mut at = 0;
    while at < text.len() {
        let end = memchr::memchr(0, &text[at..]).map_or(text.len(), |zero| at + zero);
        if end == at {
            insert = insert.min(at);
        } else if &text[at..end] == key {
            return Ok(true);
        }
        at = end + 1;
    }
    if insert >= longest {
        insert = 0;
    }
    file.seek(SeekFrom::Start(insert as u64))?;
    file.write_all(&[key, b"\0\0"].concat())?;
    Ok(false)
}
