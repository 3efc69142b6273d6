//! How many entries a second become durable: `append [FOLDER [SESSIONS [OCTETS [SECONDS]]]]`.
//!
//! Each session is a thread that commits an entry, waits until it is durable, releases it, and begins again.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::Journal;
use system::HostDisk;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let folder = PathBuf::from(arguments.first().map_or("/tmp/journal-append", String::as_str));
    let (sessions, octets, seconds) = (number(1, 20)?, number(2, 4096)?, number(3, 3)?);
    std::fs::create_dir_all(&folder)?;
    let (journal, _, _) = Journal::open(&folder, Arc::new(HostDisk), &config::Journal::default(), Arc::new(|| Ok(())))?;
    let body = vec![b'x'; usize::try_from(octets)?];
    let count = AtomicU64::new(0);
    let begun = Instant::now();
    let until = begun + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        for _ in 0..sessions {
            scope.spawn(|| {
                while Instant::now() < until {
                    let (id, durable) = journal.entry(1, b"header", &body);
                    if durable.wait().is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    journal.release(id);
                }
            });
        }
    });
    let taken = begun.elapsed().as_secs_f64();
    let status = journal.status();
    let entries = count.into_inner();
    let rate = entries as f64 / taken;
    writeln!(
        io::stdout(),
        "{entries} entries in {taken:.2} s: {rate:.0}/s, {} syncs, {} segments",
        status.syncs,
        status.segments + status.free
    )?;
    journal.close();
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
