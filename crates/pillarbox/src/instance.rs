//! Where things are: the folders and files of one instance, derived from its configuration file.

use std::path::{Path, PathBuf};

use config::{Config, Problem};

/// Why a configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is wrong; every problem of it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

/// Reads a configuration file and makes its relative paths absolute, seen from the file's folder.
///
/// # Errors
/// [`LoadError`]; the exit status that belongs to it is 78 (EX_CONFIG).
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read { path: name.clone(), source })?;
    let mut config = Config::parse(&name, &text).map_err(LoadError::Problems)?;
    let base = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = base.parent().unwrap_or(Path::new("/")).to_owned();
    for relative in [&mut config.server.data, &mut config.server.tls_certificate, &mut config.server.tls_key] {
        if !relative.as_os_str().is_empty() {
            *relative = base.join(&relative);
        }
    }
    config.alias.maps = config.alias.maps.iter().map(|map| absolute_map(map, &base)).collect();
    Ok(config)
}

/// Makes the path of a map such as `hash:virtual` absolute.
fn absolute_map(map: &str, base: &Path) -> String {
    match map.split_once(':') {
        Some((kind, path)) => format!("{kind}:{}", base.join(path).display()),
        None => base.join(map).display().to_string(),
    }
}

/// The places under the data folder.
#[derive(Clone, Debug)]
pub struct Layout {
    data: PathBuf,
}

impl Layout {
    /// The layout of the instance with this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self { data: config.server.data.clone() }
    }

    /// The data folder itself.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The accounts' database.
    #[must_use]
    pub fn accounts(&self) -> PathBuf {
        self.data.join("accounts.db")
    }

    /// The journal's folder.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.data.join("journal")
    }

    /// Messages that stay longer than the journal should hold them.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.data.join("queue")
    }

    /// The folder of an account's index: a cache.
    #[must_use]
    pub fn index(&self, account: &str) -> PathBuf {
        self.data.join("index").join(account)
    }

    /// What rules forward mail with: a link to `mailctl`, which answers to this name.
    #[must_use]
    pub fn sendmail(&self) -> PathBuf {
        self.programs().join("sendmail")
    }

    /// The folder of that link.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        self.data.join("bin")
    }

    /// The folder of the indexes.
    #[must_use]
    pub fn indexes(&self) -> PathBuf {
        self.data.join("index")
    }

    /// The home that an account gets if none is named.
    #[must_use]
    pub fn home(&self, account: &str) -> PathBuf {
        self.data.join("homes").join(account)
    }

    /// The folder of the records that `mailctl trace` reads.
    #[must_use]
    pub fn trace(&self) -> PathBuf {
        self.data.join("trace")
    }

    /// The socket on which `mailctl` speaks with the daemon.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.data.join("control")
    }

    /// What a request over that socket must carry: programs of rule files can connect, but cannot read this.
    #[must_use]
    pub fn control_key(&self) -> PathBuf {
        self.data.join("control-key")
    }

    /// The lock that one daemon holds.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    /// The file that tells which version wrote the data folder.
    #[must_use]
    pub fn version(&self) -> PathBuf {
        self.data.join("version")
    }
}
