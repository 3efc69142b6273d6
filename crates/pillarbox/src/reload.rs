//! Which keys of the configuration count at once when it is read again, and which after a restart.

use config::Config;

/// Sections that are read anew by what they are for: sessions and messages that begin later.
const AT_ONCE: [&str; 4] = ["alias", "filter", "imap", "smtp"];

/// Keys of the section `server` that count at once.
const AT_ONCE_IN_SERVER: [&str; 3] = ["hostname", "tls_certificate", "tls_key"];

/// The keys, as `section.key`, that differ and that only a restart puts in force.
pub(crate) fn after_restart(running: &Config, new: &Config) -> Vec<String> {
    let mut later = Vec::new();
    for (old, new) in running.sections().into_iter().zip(new.sections()) {
        if AT_ONCE.contains(&new.table) {
            continue;
        }
        let values = new.keys.iter().zip(old.values.iter().zip(&new.values));
        let changed = values.filter(|(_, (old, new))| old != new).map(|(key, _)| key.name);
        let waits = |name: &&str| !(new.table == "server" && AT_ONCE_IN_SERVER.contains(name));
        later.extend(changed.filter(waits).map(|name| format!("{}.{name}", new.table)));
    }
    later
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_reads_counts_at_once() {
        let check = |change: &dyn Fn(&mut Config), expected: &[&str]| {
            let mut new = Config::default();
            change(&mut new);
            assert_eq!(after_restart(&Config::default(), &new), expected);
        };
        check(&|_| {}, &[]);
        check(&|config| config.smtp.max_errors += 1, &[]);
        check(&|config| config.server.tls_key = "x".into(), &[]);
        check(&|config| config.server.data = "x".into(), &["server.data"]);
        check(&|config| config.queue.deliveries += 1, &["queue.deliveries"]);
    }
}
