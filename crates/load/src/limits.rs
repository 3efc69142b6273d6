//! What the machine can do at all: the bounds beside which the rates of mail servers are read.

use crate::error::Error;
use crate::report::Report;
use rustix::fs::{FallocateFlags, fallocate};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Octets of a message, as in most rows.
const MESSAGE: usize = 4096;
/// Octets of the preallocated log.
const LOG: u64 = 64 << 20;
/// Octets read or sent at once where bandwidth is measured.
const BLOCK: usize = 256 << 10;

/// Arguments of `load limits`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A folder on the file system that matters.
    folder: PathBuf,
    /// Seconds for each measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Measures one after another, in a folder of its own that is removed afterwards.
pub(crate) fn run(arguments: &Arguments) -> Result<Report, Error> {
    let folder = arguments.folder.join(format!("limits.{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|source| Error::io(folder.display().to_string(), source))?;
    let duration = Duration::from_secs_f64(arguments.seconds.clamp(0.01, 60.0));
    let measured = measure(&folder, duration).map_err(|source| Error::io("limits", source));
    let removed = fs::remove_dir_all(&folder).map_err(|source| Error::io(folder.display().to_string(), source));
    let report = measured?;
    removed.map(|()| report)
}

fn measure(folder: &Path, duration: Duration) -> io::Result<Report> {
    let mut report = Report::of("limits");
    let mut put = |name: &str, rate: f64| report.put(name, json!(rate.round()));
    put("create_write_fsync_rename_per_second_1", durable_files(folder, 1, duration)?);
    put("create_write_fsync_rename_per_second_16", durable_files(folder, 16, duration)?);
    put("create_write_rename_per_second_1", files(folder, "plain", duration, |_| Ok(()))?);
    put("fdatasync_per_second", log_syncs(folder, duration)?);
    put("page_cache_bytes_per_second", page_cache(folder, duration)?);
    put("loopback_bytes_per_second", stream(duration)?);
    let round_trips = round_trips(duration)?;
    put("loopback_round_trips_per_second", round_trips);
    report.put("loopback_round_trip_us", json!((1e7 / round_trips).round() / 10.0));
    Ok(report)
}

/// Repeats the action for the duration. Returns how often per second.
fn rate(duration: Duration, mut action: impl FnMut(u64) -> io::Result<()>) -> io::Result<f64> {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < duration {
        action(count)?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// Complete durable files per second over a number of threads.
fn durable_files(folder: &Path, threads: u32, duration: Duration) -> io::Result<f64> {
    thread::scope(|scope| {
        let each = |thread: u32| scope.spawn(move || files(folder, &thread.to_string(), duration, File::sync_all));
        let running: Vec<_> = (0..threads).map(each).collect();
        running.into_iter().try_fold(0.0, |sum, thread| {
            let found = thread.join().map_err(|_| io::Error::other("a thread stopped"))??;
            Ok(sum + found)
        })
    })
}

/// Creates, writes, syncs in some way, and renames files of the size of a message.
fn files(folder: &Path, prefix: &str, duration: Duration, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<f64> {
    let text = [b'x'; MESSAGE];
    let (temporary, last) = (folder.join(format!("{prefix}.tmp")), folder.join(prefix));
    rate(duration, |number| {
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        sync(&file)?;
        fs::rename(&temporary, last.with_extension(number.to_string()))
    })
}

/// Writes of one message and `fdatasync` per second, in a file whose blocks were written before.
fn log_syncs(folder: &Path, duration: Duration) -> io::Result<f64> {
    let path = folder.join("log");
    let log = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    fallocate(&log, FallocateFlags::empty(), 0, LOG)?;
    let zeros = vec![0; BLOCK];
    for position in (0..LOG).step_by(BLOCK) {
        log.write_all_at(&zeros, position)?;
    }
    log.sync_all()?;
    let text = [b'x'; MESSAGE];
    rate(duration, |number| {
        log.write_all_at(&text, number * MESSAGE as u64 % LOG)?;
        log.sync_data()
    })
}

/// Octets per second read from a file that is in memory.
fn page_cache(folder: &Path, duration: Duration) -> io::Result<f64> {
    let path = folder.join("cached");
    fs::write(&path, vec![b'x'; LOG as usize])?;
    let file = File::open(&path)?;
    let mut block = vec![0; BLOCK];
    let blocks = rate(duration, |number| file.read_exact_at(&mut block, number * BLOCK as u64 % LOG))?;
    Ok(blocks * BLOCK as f64)
}

/// Octets per second through a loopback connection.
fn stream(duration: Duration) -> io::Result<f64> {
    let (mut near, mut far) = pair()?;
    let reader = thread::spawn(move || io::copy(&mut far, &mut io::sink()));
    let block = vec![b'x'; BLOCK];
    let blocks = rate(duration, |_| near.write_all(&block))?;
    drop(near);
    reader.join().map_err(|_| io::Error::other("the reader stopped"))??;
    Ok(blocks * BLOCK as f64)
}

/// One octet there and back over loopback, per second.
fn round_trips(duration: Duration) -> io::Result<f64> {
    let (mut near, mut far) = pair()?;
    let echo = thread::spawn(move || -> io::Result<()> {
        let mut octet = [0];
        while far.read(&mut octet)? == 1 {
            far.write_all(&octet)?;
        }
        Ok(())
    });
    let found = rate(duration, |_| {
        near.write_all(b"x")?;
        near.read_exact(&mut [0])
    })?;
    drop(near);
    echo.join().map_err(|_| io::Error::other("the echo stopped"))??;
    Ok(found)
}

fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_and_tidies_up() {
        let root = tempfile::tempdir().unwrap();
        let report = run(&Arguments { folder: root.path().to_owned(), seconds: 0.02 }).unwrap();
        assert!(report.good());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn missing_folder() {
        assert!(run(&Arguments { folder: "/proc/nowhere".into(), seconds: 0.01 }).is_err());
    }
}
