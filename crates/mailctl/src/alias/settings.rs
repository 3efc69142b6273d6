//! A resolver from a JSON file that has Postfix's parameters, to compare the two on the same maps.

use std::net::IpAddr;
use std::path::Path;

use alias::Resolver;
use serde::Deserialize;

/// The parameters, named as in main.cf.
#[derive(Debug, Deserialize)]
struct Settings {
    myhostname: String,
    #[serde(default)]
    myorigin: String,
    #[serde(default)]
    mydestination: Vec<String>,
    #[serde(default)]
    interfaces: Vec<IpAddr>,
    #[serde(default)]
    recipient_delimiter: String,
    #[serde(default)]
    propagate_unmatched_extensions: Vec<String>,
    #[serde(default)]
    virtual_alias_maps: Vec<String>,
    virtual_alias_domains: Option<Vec<String>>,
    #[serde(default)]
    local_users: Vec<String>,
}

/// Reads the file, and its maps from the file's folder; gives the resolver and the accounts.
pub(super) fn load(file: &Path) -> Result<(Resolver, Vec<String>), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let settings: Settings = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let section = config::Alias {
        maps: settings.virtual_alias_maps,
        origin: settings.myorigin,
        recipient_delimiter: settings.recipient_delimiter,
        propagate_unmatched_extensions: settings.propagate_unmatched_extensions.iter().any(|name| name == "virtual"),
        ..config::Alias::default()
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    let read = |path: &str| alias::read_file(&folder.join(path).to_string_lossy());
    let loaded = Resolver::load(&section, &settings.myhostname, &settings.interfaces, &read);
    for problem in loaded.problems() {
        super::remark(problem);
    }
    let resolver = loaded.lenient().with_destinations(&settings.mydestination);
    let resolver = match settings.virtual_alias_domains {
        Some(domains) => resolver.with_domains(&domains),
        None => resolver,
    };
    Ok((resolver, settings.local_users.iter().map(|user| user.to_lowercase()).collect()))
}
