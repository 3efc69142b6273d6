//! What `mailctl` may ask of the running daemon.

use std::sync::Arc;

use mail::MessageId;
use queue::{Progress, Summary};
use serde_json::{Value, json};

use crate::control::Answers;
use crate::house::House;
use crate::listen::{Listener, Service};

/// Answers requests over the control socket.
pub(crate) struct Commands {
    house: Arc<House>,
    listeners: Vec<Value>,
}

impl Commands {
    pub(crate) fn new(house: Arc<House>, listeners: &[Listener]) -> Self {
        let describe = |l: &Listener| json!({"service": l.service.name(), "address": l.address.to_string()});
        Self { house, listeners: listeners.iter().map(describe).collect() }
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "hostname": self.house.hostname().to_string(),
            "listeners": self.listeners,
            "queue": self.house.queue.count(),
            "sessions": self.house.metrics.sessions_open.load(std::sync::atomic::Ordering::Relaxed),
        })
    }

    fn journal_status(&self) -> Value {
        let status = self.house.journal.status();
        json!({
            "folder": status.folder,
            "segments": status.segments,
            "free_segments": status.free,
            "most_segments": status.most_segments,
            "segment_size": status.segment_size,
            "entries": status.entries,
            "stored_octets": status.stored,
            "memory_octets": status.memory,
            "waiting_octets": status.waiting,
            "committed": status.committed,
            "syncs": status.syncs,
            "written_octets": status.written,
            "checkpoints": status.checkpoints,
            "damaged_places": status.damage,
            "failure": status.failure.map(|error| error.to_string()),
        })
    }

    fn on_message(&self, request: &Value, act: impl Fn(MessageId) -> queue::Result<()>) -> Value {
        let Some(id) = request["id"].as_str().and_then(|id| id.parse().ok()) else {
            return json!({"error": "a message id has thirteen digits or capital letters; see: mailctl queue list"});
        };
        act(id).map_or_else(|error| json!({"error": error.to_string()}), |()| json!({"done": true}))
    }
}

impl Answers for Commands {
    /// Where mail is taken is no secret: the ports can be seen by everybody. What uses it goes through all checks of SMTP.
    fn answer_stranger(&self, request: &Value) -> Value {
        let smtp = || self.listeners.iter().find(|listener| listener["service"] == Service::Smtp.name());
        match request["command"].as_str() {
            Some("smtp-address") => json!({"address": smtp().map(|listener| &listener["address"])}),
            _ => json!({"error": "this needs the key in the file control-key of the data folder, which programs of rules cannot read"}),
        }
    }

    fn answer(&self, request: &Value) -> Value {
        let queue = &self.house.queue;
        match request["command"].as_str() {
            Some("smtp-address") => self.answer_stranger(request),
            Some("status") => self.status(),
            Some("reload") => {
                self.house.reload().map_or_else(|error| json!({"error": error}), |later| json!({"done": true, "after_restart": later}))
            }
            Some("refresh-accounts") => {
                let refreshed = tokio::runtime::Handle::current().block_on(self.house.refresh_accounts());
                refreshed.map_or_else(|error| json!({"error": error.to_string()}), |()| json!({"done": true}))
            }
            Some("journal-status") => self.journal_status(),
            Some("move-messages") => crate::sorting::carry_out(&self.house, request)
                .map_or_else(|error| json!({"error": error}), |moved| json!({"moved": moved})),
            Some("queue-list") => json!({"messages": queue.list().iter().map(describe).collect::<Vec<_>>()}),
            Some("queue-retry") => self.on_message(request, |id| queue.retry(id)),
            Some("queue-release") => self.on_message(request, |id| queue.release(id)),
            Some("queue-hold") => self.on_message(request, |id| queue.hold(id)),
            Some("queue-delete") => self.on_message(request, |id| queue.delete(id)),
            _ => json!({"error": "this daemon does not know that command; are mailctl and pillarbox of the same version?"}),
        }
    }
}

fn describe(summary: &Summary) -> Value {
    let envelope = &summary.envelope;
    let recipients = envelope.recipients.iter().zip(&summary.progress).zip(&summary.tries);
    let recipients = recipients.map(|((recipient, progress), tries)| {
        let (state, reason, until) = match progress {
            Progress::Ready => ("ready", None, None),
            Progress::Delivering => ("delivering", None, None),
            Progress::Deferred { until, reason } => ("deferred", Some(reason), Some(until / 1_000_000)),
            Progress::Held { reason } => ("held", Some(reason), None),
            Progress::Done => ("done", None, None),
        };
        json!({"address": recipient.address.to_string(), "state": state, "reason": reason, "until": until, "tries": tries})
    });
    json!({
        "id": envelope.id.to_string(),
        "sender": envelope.reverse_path.to_string(),
        "accepted": envelope.id.micros() / 1_000_000,
        "recipients": recipients.collect::<Vec<_>>(),
    })
}
