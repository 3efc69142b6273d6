//! Fills mailboxes with made-up mail: as files of a Maildir, or by APPEND.

use crate::error::Error;
use crate::imap::{Login, Session, quoted};
use crate::message::{self, Sketch};
use crate::random::Random;
use crate::report::{Moved, Report, Tally};
use crate::wire::Target;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Arguments of `load fill`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write the messages into this Maildir.
    #[arg(long, conflicts_with = "to")]
    maildir: Option<PathBuf>,
    /// Store them by IMAP, host:port.
    #[arg(long, requires_all = ["user", "password"])]
    to: Option<String>,
    /// Account for --to.
    #[arg(long)]
    user: Option<String>,
    /// Its password.
    #[arg(long)]
    password: Option<String>,
    /// Mailbox for --to; made if missing.
    #[arg(long, default_value = "INBOX")]
    mailbox: String,
    /// Messages in the mailbox, and in each of the folders.
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Octets of a message; with --spread the median.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// Sizes as in a person's mail: most near the median, some a thousand times as large.
    #[arg(long)]
    spread: bool,
    /// With --maildir: fill this many folders (`archive.0000` ...) instead of the mailbox itself.
    #[arg(long, default_value_t = 0)]
    folders: u64,
    /// Seed of texts, sizes and flags.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Largest message of `--spread`.
const LARGEST: usize = 4 << 20;

/// Fills.
pub(crate) async fn run(arguments: Arguments) -> Result<Report, Error> {
    let tally = Tally::start();
    match (&arguments.maildir, &arguments.to) {
        (Some(maildir), None) => fill_files(&arguments, maildir, &tally)?,
        (None, Some(to)) => append(&arguments, to, &tally).await?,
        _ => return Err(Error::Usage("fill needs either --maildir or --to".into())),
    }
    Ok(tally.report("fill"))
}

impl Arguments {
    /// The size of one message.
    fn size_of(&self, random: &mut Random) -> usize {
        if !self.spread {
            return self.size;
        }
        // Half are up to the median, and each doubling beyond is half as frequent.
        let doublings = random.next().trailing_ones().min(11);
        let base = self.size << doublings;
        (base / 2 + random.index(base / 2 + 1)).min(LARGEST)
    }

    fn message(&self, number: u64) -> Vec<u8> {
        let mut random = Random::new(self.seed ^ number << 1);
        let size = self.size_of(&mut random);
        let mut out = Vec::new();
        message::write(&Sketch { number, seed: self.seed, size, from: "a@load.example", to: "b@load.example", plain: false }, &mut out);
        out
    }
}

fn fill_files(arguments: &Arguments, maildir: &Path, tally: &Tally) -> Result<(), Error> {
    if arguments.folders == 0 {
        return fill_folder(arguments, maildir, 0, tally);
    }
    make_folder(maildir)?;
    for folder in 0..arguments.folders {
        let path = maildir.join(format!(".archive.{folder:04}"));
        make_folder(&path)?;
        File::create(path.join("maildirfolder")).map_err(|source| Error::io(path.display().to_string(), source))?;
        fill_folder(arguments, &path, folder * arguments.messages, tally)?;
    }
    Ok(())
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let make = |leaf: &str| fs::create_dir_all(folder.join(leaf));
    ["cur", "new", "tmp"].into_iter().try_for_each(make).map_err(|source| Error::io(folder.display().to_string(), source))
}

fn fill_folder(arguments: &Arguments, folder: &Path, first: u64, tally: &Tally) -> Result<(), Error> {
    make_folder(folder)?;
    for number in first..first + arguments.messages {
        let start = Instant::now();
        let bytes = write_file(arguments, folder, number).map_err(|source| Error::io(folder.display().to_string(), source))?;
        tally.record("file", start.elapsed(), Moved { commands: 0, items: 1, bytes });
    }
    Ok(())
}

/// Writes one message under a name as Dovecot and other Maildir programs make it, with its date as the file's.
fn write_file(arguments: &Arguments, folder: &Path, number: u64) -> std::io::Result<u64> {
    let wide = arguments.message(number);
    let text = message::with_bare_line_ends(&wide);
    let date = message::date(number);
    let flags = ["", "S", "S", "S", "RS", "FS", "S", "S"][usize::try_from(number % 8).unwrap_or(0)];
    let name = format!("{date}.M{}P{}Q{number}.load,S={},W={}:2,{flags}", number % 1_000_000, arguments.seed, text.len(), wide.len());
    let mut file = File::create(folder.join("cur").join(name))?;
    file.write_all(&text)?;
    file.set_modified(UNIX_EPOCH + Duration::from_secs(date))?;
    Ok(text.len() as u64)
}

async fn append(arguments: &Arguments, to: &str, tally: &Tally) -> Result<(), Error> {
    let target = Target { address: to.to_owned(), tls: false, patience: Duration::from_secs(120) };
    let login = Login { user: arguments.user.clone().unwrap_or_default(), password: arguments.password.clone().unwrap_or_default() };
    let mut session = Session::log_in(&target, &login).await?;
    session.discover().await?;
    match session.command(&format!("CREATE {}", quoted(&arguments.mailbox))).await {
        Ok(()) | Err(Error::Refused { .. }) => {}
        Err(error) => return Err(error),
    }
    for number in 0..arguments.messages {
        let (start, message) = (Instant::now(), arguments.message(number));
        session.append(&arguments.mailbox, "", &message).await?;
        tally.record("append", start.elapsed(), Moved { commands: 1, items: 1, bytes: message.len() as u64 });
    }
    tally.stop();
    session.log_out().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[tokio::test]
    async fn folders_with_sizes_in_their_names() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_str().unwrap();
        let line = ["fill", "--maildir", path, "--folders", "3", "--messages", "20", "--spread", "--size", "1000"];
        let report = run(Line::parse_from(line).arguments).await.unwrap();
        assert!(report.good());
        let mut files = 0;
        for entry in fs::read_dir(root.path().join(".archive.0002/cur")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = fs::read(entry.path()).unwrap();
            let virtual_size = text.len() + text.iter().filter(|octet| **octet == b'\n').count();
            assert!(name.contains(&format!(",S={},W={virtual_size}:2,", text.len())), "{name}");
            files += 1;
        }
        assert_eq!(files, 20);
    }

    #[tokio::test]
    async fn one_place_only() {
        assert!(run(Line::parse_from(["fill"]).arguments).await.is_err());
    }
}
