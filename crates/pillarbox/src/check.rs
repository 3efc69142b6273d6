//! Finds what is wrong with a configuration beyond its syntax, for `mailctl config check` and before anything is started.

use std::io;

use config::Config;
use mail::Domain;
use serde_json::{Value, json};
use system::HostDisk;

use crate::instance::Layout;
use crate::tls::Tls;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What has to be mended before the daemon starts.
    pub errors: Vec<String>,
    /// Lines of alias maps that cannot be used. The daemon starts without them, and puts off mail that they may concern.
    pub map_errors: Vec<String>,
    /// What works, but may not be meant so.
    pub remarks: Vec<String>,
}

/// Checks everything that can be checked without starting.
#[must_use]
pub fn all(config: &Config, layout: &Layout) -> Findings {
    let mut findings = Findings::default();
    let server = &config.server;
    if server.hostname.parse::<Domain>().is_err() {
        findings
            .errors
            .push(format!("server.hostname: {:?} is no host name; write the full name, such as \"mail.example.net\"", server.hostname));
    }
    if server.smtp.is_empty() {
        findings.remarks.push("server.smtp is empty: no mail can come in from other servers".to_owned());
    }
    if server.tls_certificate.as_os_str().is_empty() {
        let needed = [("imaps", &server.imaps), ("submissions", &server.submissions)];
        for (name, _) in needed.iter().filter(|(_, addresses)| !addresses.is_empty()) {
            findings.errors.push(format!("server.{name} needs a certificate: set server.tls_certificate and server.tls_key"));
        }
    } else if let Err(error) = Tls::default().load(server) {
        findings.errors.push(format!("server.tls_certificate: {error}"));
    }
    if server.metrics.iter().any(|address| !address.ip().is_loopback()) {
        findings.errors.push("server.metrics: the page is for this machine alone; use an address such as \"127.0.0.1:9925\"".to_owned());
    }
    if server.data.exists() && !server.data.is_dir() {
        findings.errors.push(format!("server.data: {} is no folder", server.data.display()));
    }
    crate::maps::check(config, layout, &mut findings);
    findings
}

/// Reads the whole journal of an instance without changing it.
///
/// # Errors
/// If its folder or a segment cannot be read.
pub fn journal(layout: &Layout) -> io::Result<Value> {
    let report = journal::verify(&layout.journal(), &HostDisk).map_err(io::Error::other)?;
    Ok(json!({
        "segments": report.segments,
        "records": report.records,
        "entries": report.entries,
        "damage": report.damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}
