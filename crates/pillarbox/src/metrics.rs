//! Counters, and the page that shows them in the OpenMetrics text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters once: field, name on the page, help text.
macro_rules! counters {
    ($($field:ident, $kind:literal, $help:literal;)*) => {
        /// What the daemon counts. All values are since the start.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $( #[doc = $help] pub(crate) $field: AtomicU64, )*
        }

        impl Metrics {
            /// The page, ending in `# EOF` (OpenMetrics 1.0).
            #[must_use]
            pub(crate) fn page(&self) -> String {
                let mut page = String::new();
                $( write_one(&mut page, stringify!($field), $kind, $help, self.$field.load(Ordering::Relaxed)); )*
                page + "# EOF\n"
            }
        }
    };
}

counters! {
    connections_smtp, "counter", "SMTP connections accepted.";
    connections_imap, "counter", "IMAP connections accepted.";
    connections_refused, "counter", "Connections refused by a limit.";
    sessions_open, "gauge", "Connections open now.";
    messages_accepted, "counter", "Messages taken into the journal over SMTP.";
    octets_accepted, "counter", "Octets of those messages.";
    messages_refused, "counter", "Messages refused after their data.";
    recipients_delivered, "counter", "Recipients delivered into a mailbox.";
    recipients_deferred, "counter", "Delivery attempts that were put off.";
    logins, "counter", "Log-ins that succeeded.";
    logins_refused, "counter", "Log-ins that failed or were put off.";
}

fn write_one(page: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    let suffix = if kind == "counter" { "_total" } else { "" };
    let _ = write!(page, "# TYPE pillarbox_{name} {kind}\n# HELP pillarbox_{name} {help}\npillarbox_{name}{suffix} {value}\n");
}

/// Counts a session as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenSession<'a>(&'a AtomicU64);

impl Metrics {
    /// One more session is open.
    pub(crate) fn open_session(&self) -> OpenSession<'_> {
        count(&self.sessions_open);
        OpenSession(&self.sessions_open)
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_open_metrics() {
        let metrics = Metrics::default();
        count(&metrics.logins);
        let page = metrics.page();
        assert!(
            page.contains("# TYPE pillarbox_logins counter\n# HELP pillarbox_logins Log-ins that succeeded.\npillarbox_logins_total 1\n")
        );
        assert!(page.ends_with("# EOF\n"));
    }
}
