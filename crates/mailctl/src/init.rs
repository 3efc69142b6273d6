//! `mailctl init`: a self-contained instance under a folder, ready to run.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use config::Config;
use mail::Domain;

use crate::instance::{EX_CANTCREAT, EX_DATAERR, fail, print};

/// How long the self-signed certificate is good for, in years from 2026 on; it is for trying out.
const CERTIFICATE_END: i32 = 2046;

/// The first lines of a new map of virtual aliases.
const VIRTUAL: &str = "\
# Virtual aliases, as virtual(5) of Postfix describes them. No postmap: a change counts at once.
#
#   example.org          this line makes example.org a domain of ours
#   joe@example.org      joe
#   info@example.org     joe, someone@elsewhere.example
#   @example.org         joe
";

/// Where the new instance is and how it is reached.
#[derive(Args)]
pub(crate) struct InitArgs {
    /// The folder of the instance; made if missing
    folder: PathBuf,
    /// The name this machine has in the mail world
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    hostname: String,
    /// Where other servers bring mail
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2525")]
    smtp: Vec<SocketAddr>,
    /// Where users hand in mail, with STARTTLS
    #[arg(long, value_name = "ADDRESS")]
    submission: Vec<SocketAddr>,
    /// Where users hand in mail, with TLS from the start
    #[arg(long, value_name = "ADDRESS")]
    submissions: Vec<SocketAddr>,
    /// Where users read mail, with STARTTLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2143")]
    imap: Vec<SocketAddr>,
    /// Where users read mail, with TLS from the start
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2993")]
    imaps: Vec<SocketAddr>,
}

pub(crate) fn run(args: &InitArgs) -> ExitCode {
    if args.hostname.parse::<Domain>().is_err() {
        return fail(EX_DATAERR, format!("{:?} is no host name; give the full name, such as mail.example.net", args.hostname));
    }
    let file = args.folder.join("pillarbox.toml");
    if file.exists() {
        return fail(EX_CANTCREAT, format!("{} is there already: this folder holds an instance, which stays as it is", file.display()));
    }
    match make(args, &file) {
        Ok(()) => {
            print(format_args!("made {}", file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(EX_CANTCREAT, format!("cannot make an instance in {}: {error}", args.folder.display())),
    }
}

/// The configuration comes last: with it, the folder is an instance.
fn make(args: &InitArgs, file: &Path) -> io::Result<()> {
    let folder = |path: PathBuf| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    folder(args.folder.join("data"))?;
    folder(args.folder.join("tls"))?;
    make_certificate(&args.hostname, &args.folder.join("tls"))?;
    let map = args.folder.join("virtual");
    if !map.exists() {
        write(&map, 0o644, VIRTUAL.as_bytes())?;
    }
    write(file, 0o644, configuration(args).to_short_toml().as_bytes())
}

fn configuration(args: &InitArgs) -> Config {
    let mut config = Config::default();
    config.server.hostname.clone_from(&args.hostname);
    config.server.data = "data".into();
    config.server.smtp.clone_from(&args.smtp);
    config.server.submission.clone_from(&args.submission);
    config.server.submissions.clone_from(&args.submissions);
    config.server.imap.clone_from(&args.imap);
    config.server.imaps.clone_from(&args.imaps);
    config.server.tls_certificate = "tls/certificate.pem".into();
    config.server.tls_key = "tls/key.pem".into();
    config.alias.maps = vec!["hash:virtual".to_owned()];
    config
}

fn make_certificate(hostname: &str, folder: &Path) -> io::Result<()> {
    let names = vec![hostname.to_owned(), "localhost".to_owned()];
    let mut parameters = rcgen::CertificateParams::new(names).map_err(io::Error::other)?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, hostname);
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(CERTIFICATE_END, 1, 1);
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let certificate = parameters.self_signed(&key).map_err(io::Error::other)?;
    write(&folder.join("key.pem"), 0o600, key.serialize_pem().as_bytes())?;
    write(&folder.join("certificate.pem"), 0o644, certificate.pem().as_bytes())
}

fn write(path: &Path, mode: u32, octets: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}
