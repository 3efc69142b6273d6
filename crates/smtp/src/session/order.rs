//! Which command may come when (RFC 5321 section 4.1.4), apart from what the commands do.

use super::Session;
use crate::Role;
use crate::grammar::Command;

/// How far a transaction has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none.
    None,
    /// MAIL was accepted.
    Sender,
    /// MAIL was accepted, and all recipients were refused.
    NobodyLeft,
    /// There is a recipient.
    Recipients,
    /// Chunks have come, but not the last one.
    Chunks,
}

const HELLO_FIRST: &str = "503 5.5.1 Say EHLO first";
const MAIL_FIRST: &str = "503 5.5.1 Send MAIL first";
const RCPT_FIRST: &str = "503 5.5.1 Send RCPT first";
const NOBODY_LEFT: &str = "554 5.5.1 No valid recipients";
const IN_CHUNKS: &str = "503 5.5.1 BDAT is under way: send its last chunk, or RSET";
const IN_TRANSACTION: &str = "503 5.5.1 Not within a mail transaction";

impl Session {
    /// The reply to a command that may not come now.
    pub(super) fn objection(&self, command: &Command) -> Result<(), &'static str> {
        match (command, self.stage()) {
            (Command::Mail(_) | Command::Auth { .. }, _) if self.hello.is_none() => Err(HELLO_FIRST),
            (Command::Mail(_), Stage::None) => self.login_missing(),
            (Command::Mail(_), _) => Err("503 5.5.1 MAIL was sent before"),
            (Command::Rcpt(_) | Command::Data | Command::Bdat { .. }, Stage::None) => Err(MAIL_FIRST),
            (Command::Rcpt(_) | Command::Data, Stage::Chunks) => Err(IN_CHUNKS),
            (Command::Data | Command::Bdat { .. }, Stage::Sender) => Err(RCPT_FIRST),
            (Command::Data | Command::Bdat { .. }, Stage::NobodyLeft) => Err(NOBODY_LEFT),
            (Command::StartTls, _) => self.encryption_not_offered(),
            (Command::Auth { .. }, stage) => self.login_not_offered().and(if stage == Stage::None { Ok(()) } else { Err(IN_TRANSACTION) }),
            _ => Ok(()),
        }
    }

    fn stage(&self) -> Stage {
        match &self.transaction {
            None => Stage::None,
            Some(transaction) if transaction.message.is_some() => Stage::Chunks,
            Some(transaction) if !transaction.recipients.is_empty() => Stage::Recipients,
            Some(transaction) if transaction.refused > 0 => Stage::NobodyLeft,
            Some(_) => Stage::Sender,
        }
    }

    /// Whether log-in is offered now: never in clear, where a stripped STARTTLS would cost the password.
    pub(super) fn offers_login(&self) -> bool {
        self.login_not_offered().is_ok()
    }

    /// Whether STARTTLS is offered now.
    pub(super) fn offers_encryption(&self) -> bool {
        self.encryption_not_offered().is_ok()
    }

    fn login_missing(&self) -> Result<(), &'static str> {
        match (self.settings.role, &self.account) {
            (Role::Relay, _) | (_, Some(_)) => Ok(()),
            _ if self.peer.tls.is_none() => Err("530 5.7.0 STARTTLS and log-in are needed here"),
            _ => Err("530 5.7.0 Log-in is needed here"),
        }
    }

    fn login_not_offered(&self) -> Result<(), &'static str> {
        match self.settings.role {
            Role::Relay => Err("502 5.5.1 No log-in on this port"),
            Role::Submission if self.peer.tls.is_none() => Err("538 5.7.11 Log-in needs encryption: send STARTTLS first"),
            Role::Submission if self.account.is_some() => Err("503 5.5.1 You are logged in"),
            Role::Submission if self.settings.mechanisms.is_empty() => Err("502 5.5.1 No log-in on this port"),
            Role::Submission => Ok(()),
        }
    }

    fn encryption_not_offered(&self) -> Result<(), &'static str> {
        match self.settings.starttls {
            _ if self.peer.tls.is_some() => Err("503 5.5.1 The session is encrypted"),
            true => Ok(()),
            false => Err("502 5.5.1 No encryption on this port"),
        }
    }
}
