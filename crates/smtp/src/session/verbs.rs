//! What each command does. It is well-formed and may come now.

use mail::{Address, Recipient, Verdict};

use super::{Chunk, Hello, Phase, Question, Session, Transaction};
use crate::effect::{Closing, Effect, Refusal};
use crate::grammar::{Command, Mail, Rcpt, RcptPath};
use crate::{Now, Role};

const PARAMETER_NOT_OFFERED: &str = "555 5.5.4 Parameter not recognised";

impl Session {
    /// Carries a command out, or says why not.
    pub(super) fn obey(&mut self, command: Command, now: Now) {
        if let Err(objection) = self.objection(&command) {
            return match command {
                // The octets of the chunk come in any case; they are no commands.
                Command::Bdat { size, last } => self.swallow(size, last, objection),
                _ => self.refuse(objection),
            };
        }
        match command {
            Command::Helo(name) => self.hello(name, false),
            Command::Ehlo(name) => self.hello(name, true),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(rcpt) => self.rcpt(rcpt),
            Command::Data => self.data(now),
            Command::Bdat { size, last } => self.bdat(size, last, now),
            Command::Rset => self.rset(),
            Command::Noop => self.say("250 2.0.0 Ok"),
            // The same for everybody: strangers learn no names (RFC 5321 section 7.3).
            Command::Vrfy => self.say("252 2.5.0 Send mail to find out"),
            Command::Help => self.say("214 2.0.0 See RFC 5321"),
            Command::Quit => self.quit(),
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Foreign => self.foreign(),
        }
    }

    fn hello(&mut self, name: String, extended: bool) {
        if self.talks_early() {
            return;
        }
        self.end_transaction(Refusal::GivenUp);
        self.hello = Some(Hello { name, extended });
        if extended {
            self.capabilities();
        } else {
            let reply = format!("250 {}", self.settings.hostname);
            self.say(&reply);
        }
    }

    fn capabilities(&mut self) {
        let host = self.settings.hostname.to_string();
        let size = format!("SIZE {}", self.settings.limits.max_message_size.0);
        let login = format!("AUTH {}", self.settings.mechanisms.join(" "));
        let offers = [
            (host.as_str(), true),
            ("PIPELINING", true),
            (&size, true),
            ("STARTTLS", self.offers_encryption()),
            (&login, self.offers_login()),
            ("ENHANCEDSTATUSCODES", true),
            ("8BITMIME", true),
            ("DSN", self.settings.reports),
            ("SMTPUTF8", true),
        ];
        for (offer, _) in offers.into_iter().filter(|(_, offered)| *offered) {
            self.say(&format!("250-{offer}"));
        }
        self.say("250 CHUNKING");
    }

    fn mail(&mut self, mail: Mail) {
        let Mail { reverse_path, size, parameters, submitter } = mail;
        let report = parameters.returned.is_some() || parameters.envelope_id.is_some();
        if (report && !self.settings.reports) || (submitter && !self.offers_login() && self.account.is_none()) {
            return self.refuse(PARAMETER_NOT_OFFERED);
        }
        if size.is_some_and(|size| size > self.settings.limits.max_message_size.0) {
            return self.refuse("552 5.3.4 Message too big");
        }
        self.effects.push_back(Effect::CheckSender {
            sender: reverse_path.clone(),
            size,
            parameters: parameters.clone(),
            account: self.account.clone(),
        });
        let transaction =
            Transaction { reverse_path, size, parameters, recipients: Vec::new(), accepted: 0, refused: 0, message: None, id: None };
        self.question = Some(Question::Sender(Box::new(transaction)));
    }

    pub(super) fn sender_checked(&mut self, transaction: Box<Transaction>, verdict: Verdict) {
        if !self.turned_down(&verdict) {
            self.transaction = Some(transaction);
            self.say("250 2.1.0 Sender ok");
        }
    }

    fn rcpt(&mut self, rcpt: Rcpt) {
        let Some(transaction) = &self.transaction else { return };
        if (rcpt.notify.is_some() || rcpt.original.is_some()) && !self.settings.reports {
            return self.refuse(PARAMETER_NOT_OFFERED);
        }
        // Not an error of the client: it sends the rest in another message (RFC 5321 section 4.5.3.1.10).
        if transaction.accepted >= self.settings.limits.max_recipients {
            return self.say("452 4.5.3 Too many recipients");
        }
        let address = match rcpt.path {
            RcptPath::Postmaster => Address::new("postmaster", self.settings.hostname.clone()),
            RcptPath::Address(address) => Ok(address),
        };
        let Ok(address) = address else { return self.refuse("501 5.1.3 Malformed recipient address") };
        let plain = address.local().is_ascii() && address.domain().as_str().is_ascii();
        if !plain && !transaction.parameters.utf8 {
            return self.refuse("553 5.6.7 Address beyond ASCII without SMTPUTF8");
        }
        let recipient = Recipient { address, notify: rcpt.notify.unwrap_or_default(), original: rcpt.original };
        if transaction.recipients.iter().any(|known| known.address == recipient.address) {
            return self.recipient_checked(recipient, Verdict::Accept);
        }
        self.effects.push_back(Effect::CheckRecipient {
            sender: transaction.reverse_path.clone(),
            recipient: recipient.address.clone(),
            account: self.account.clone(),
        });
        self.question = Some(Question::Recipient(recipient));
    }

    pub(super) fn recipient_checked(&mut self, recipient: Recipient, verdict: Verdict) {
        let turned_down = self.turned_down(&verdict);
        let Some(transaction) = &mut self.transaction else { return };
        if turned_down {
            transaction.refused = transaction.refused.saturating_add(1);
            return;
        }
        transaction.accepted += 1;
        if !transaction.recipients.iter().any(|known| known.address == recipient.address) {
            transaction.recipients.push(recipient);
        }
        self.say("250 2.1.5 Recipient ok");
    }

    fn data(&mut self, now: Now) {
        if !self.talks_early() {
            self.begin(None, now);
        }
    }

    fn bdat(&mut self, size: u64, last: bool, now: Now) {
        let chunk = Chunk { left: size, last, refusal: None };
        if self.transaction.as_ref().is_some_and(|t| t.message.is_some()) {
            self.take_chunk(chunk);
        } else {
            self.begin(Some(chunk), now);
        }
    }

    fn rset(&mut self) {
        self.end_transaction(Refusal::GivenUp);
        self.say("250 2.0.0 Ok");
    }

    fn quit(&mut self) {
        self.say("221 2.0.0 Bye");
        self.close(Closing::Quit);
    }

    fn starttls(&mut self) {
        self.end_transaction(Refusal::GivenUp);
        self.hello = None;
        self.say("220 2.0.0 Begin TLS");
        self.flush();
        self.effects.push_back(Effect::StartTls);
        self.phase = Phase::Handshake;
        self.input.clear();
    }

    fn foreign(&mut self) {
        self.say("421 4.7.0 This is no web server");
        self.close(Closing::Foreign);
    }

    /// Whether a stranger did not wait for the reply to a command that has to be the last of a group (RFC 2920 section
    /// 3.1). Programs that do not listen do not send mail in good faith; the session is over.
    fn talks_early(&mut self) -> bool {
        let early = self.settings.role == Role::Relay && !self.input.rest().is_empty();
        if early {
            self.say("554 5.5.0 You did not wait for the reply");
            self.close(Closing::EarlyTalk);
        }
        early
    }
}
