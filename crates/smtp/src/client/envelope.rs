//! The commands that bring an envelope over: which there are, in what order, and what their replies mean.

use std::fmt::Write;

use mail::{Enhanced, Notify, Recipient, Reply, Returned};

use super::capabilities::Capabilities;
use super::{Fate, Outgoing};

/// Commands under way at a time, so that neither side waits for the other to read (RFC 2920 section 3.1).
const WINDOW: usize = 50;

/// A command of the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// RSET, if the message before was not finished.
    Reset,
    Mail,
    Rcpt(usize),
    Data,
}

/// What the envelope comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is no more to it: commands may be due, or replies.
    Waiting,
    /// The server wants the content.
    Content,
    /// The server wants the content, but there is nobody to take it: an empty one ends this.
    EmptyContent,
}

/// A message on its way over.
#[derive(Debug)]
pub(super) struct Delivery {
    outgoing: Outgoing,
    capabilities: Capabilities,
    reset: bool,
    sent: usize,
    answered: usize,
    fates: Vec<Option<Fate>>,
    /// Recipients that the server accepted.
    accepted: Vec<bool>,
    /// No further command is sent.
    stopped: bool,
    progress: Progress,
}

impl Delivery {
    /// Begins; `reset` says that RSET has to come first.
    pub(super) fn new(outgoing: Outgoing, capabilities: Capabilities, reset: bool) -> Self {
        let count = outgoing.recipients.len();
        Self {
            outgoing,
            capabilities,
            reset,
            sent: 0,
            answered: 0,
            fates: vec![None; count],
            accepted: vec![false; count],
            stopped: false,
            progress: Progress::Waiting,
        }
    }

    /// Why the server cannot take the message at all.
    pub(super) fn obstacle(&self) -> Option<Reply> {
        let size = &self.outgoing.size;
        if self.is_international() && !self.capabilities.utf8 {
            return Some(Reply::new(550, Enhanced(5, 6, 7), "The next server takes no international mail"));
        }
        let most = self.capabilities.max_size;
        (most > 0 && *size > most).then(|| Reply::new(552, Enhanced(5, 3, 4), format!("The next server takes {most} octets at most")))
    }

    /// Adds the commands that may go out now to `out`.
    pub(super) fn fill(&mut self, out: &mut Vec<u8>) {
        let window = if self.capabilities.pipelining { WINDOW } else { 1 };
        while !self.stopped && self.sent - self.answered < window {
            let Some(step) = self.step(self.sent) else { break };
            let everybody_answered = self.sent == self.answered;
            if step == Step::Data && everybody_answered && !self.has_accepted() {
                self.stopped = true;
                break;
            }
            out.extend_from_slice(self.command(step).as_bytes());
            out.extend_from_slice(b"\r\n");
            self.sent += 1;
        }
    }

    /// Takes the reply to the oldest command that has none, and says how things stand.
    pub(super) fn answered(&mut self, reply: &Reply) -> Progress {
        let step = self.step(self.answered);
        self.answered += 1;
        let class = reply.code / 100;
        match step {
            Some(Step::Mail) if class != 2 => self.stop(&fate(reply)),
            Some(Step::Rcpt(index)) if class == 2 => self.accepted[index] = true,
            Some(Step::Rcpt(index)) => {
                self.fates[index].get_or_insert(fate(reply));
            }
            Some(Step::Data) if reply.code == 354 => {
                self.progress = if self.has_accepted() { Progress::Content } else { Progress::EmptyContent }
            }
            Some(Step::Data) => self.stop(&fate(reply)),
            _ => {}
        }
        std::mem::replace(&mut self.progress, Progress::Waiting)
    }

    /// Whether nothing is under way and nothing more will be sent.
    pub(super) fn is_over(&self) -> bool {
        self.sent == self.answered && (self.stopped || self.step(self.sent).is_none())
    }

    /// What is being waited for.
    pub(super) fn waits_for(&self) -> Option<Step> {
        self.step(self.answered)
    }

    /// Nothing was said of the other recipients: this is what became of them.
    pub(super) fn stop(&mut self, fate: &Fate) {
        self.stopped = true;
        for known in &mut self.fates {
            known.get_or_insert_with(|| fate.clone());
        }
    }

    /// The fates of all recipients.
    pub(super) fn into_fates(self) -> Vec<Fate> {
        let unknown = || Fate::Deferred(Reply::new(451, Enhanced(4, 5, 0), "The server left this open"));
        self.fates.into_iter().map(|fate| fate.unwrap_or_else(unknown)).collect()
    }

    fn has_accepted(&self) -> bool {
        self.accepted.iter().any(|accepted| *accepted)
    }

    fn step(&self, number: usize) -> Option<Step> {
        let number = match (number.checked_sub(usize::from(self.reset)), self.reset) {
            (Some(number), _) => number,
            (None, _) => return Some(Step::Reset),
        };
        let recipients = self.outgoing.recipients.len();
        match number {
            0 => Some(Step::Mail),
            n if n <= recipients => Some(Step::Rcpt(n - 1)),
            n if n == recipients + 1 => Some(Step::Data),
            _ => None,
        }
    }

    fn command(&self, step: Step) -> String {
        match step {
            Step::Reset => "RSET".to_owned(),
            Step::Mail => self.mail(),
            Step::Rcpt(index) => self.rcpt(&self.outgoing.recipients[index]),
            Step::Data => "DATA".to_owned(),
        }
    }

    fn mail(&self) -> String {
        let Outgoing { reverse_path, parameters, size, .. } = &self.outgoing;
        let offered = &self.capabilities;
        let mut line = format!("MAIL FROM:<{reverse_path}>");
        if offered.size {
            let _ = write!(line, " SIZE={size}");
        }
        if offered.eight_bit && parameters.eight_bit {
            line.push_str(" BODY=8BITMIME");
        }
        if offered.utf8 && self.is_international() {
            line.push_str(" SMTPUTF8");
        }
        if let Some(returned) = parameters.returned.filter(|_| offered.reports) {
            line.push_str(if returned == Returned::Full { " RET=FULL" } else { " RET=HDRS" });
        }
        if let Some(id) = parameters.envelope_id.as_ref().filter(|_| offered.reports) {
            let _ = write!(line, " ENVID={}", xtext(id));
        }
        line
    }

    /// Whether the next server needs SMTPUTF8 (RFC 6531 section 3.5).
    fn is_international(&self) -> bool {
        let plain = |r: &Recipient| r.address.to_string().is_ascii();
        self.outgoing.parameters.utf8 || !self.outgoing.reverse_path.to_string().is_ascii() || !self.outgoing.recipients.iter().all(plain)
    }

    fn rcpt(&self, recipient: &Recipient) -> String {
        let mut line = format!("RCPT TO:<{}>", recipient.address);
        if !self.capabilities.reports {
            return line;
        }
        if recipient.notify != Notify::default() {
            let _ = write!(line, " NOTIFY={}", notify(recipient.notify));
        }
        if let Some((kind, address)) = recipient.original.as_deref().and_then(|original| original.split_once(';')) {
            let _ = write!(line, " ORCPT={kind};{}", xtext(address));
        }
        line
    }
}

/// What a reply means for a recipient. Other classes than 2, 4 and 5 are the server's mistake.
pub(super) fn fate(reply: &Reply) -> Fate {
    match reply.code / 100 {
        2 => Fate::Delivered(reply.clone()),
        5 => Fate::Failed(reply.clone()),
        _ => Fate::Deferred(reply.clone()),
    }
}

fn notify(notify: Notify) -> String {
    let names = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let wanted: Vec<_> = names.iter().filter(|(wanted, _)| *wanted).map(|(_, name)| *name).collect();
    if wanted.is_empty() { "NEVER".to_owned() } else { wanted.join(",") }
}

/// Encodes as xtext (RFC 3461 section 4).
fn xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'+' | b'=' => {
                let _ = write!(encoded, "+{octet:02X}");
            }
            b'!'..=b'~' => encoded.push(char::from(octet)),
            _ => {
                let _ = write!(encoded, "+{octet:02X}");
            }
        }
    }
    encoded
}
