//! How a command ends: the tagged OK, NO or BAD with its response code (RFC 3501 section 7.1, RFC 5530).

use std::borrow::Cow;

use crate::output::Output;
use crate::store::Refusal;

/// The three ways in which a command can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Done.
    Ok,
    /// Understood, but not done.
    No,
    /// Not understood.
    Bad,
}

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) condition: Condition,
    /// The response code without its brackets.
    pub(crate) code: Option<Cow<'static, str>>,
    pub(crate) text: Cow<'static, str>,
    /// The code is to be HIGHESTMODSEQ as it is when all changes were told (RFC 7162 section 3.1.2.1).
    pub(crate) highest: bool,
}

impl Reply {
    fn new(condition: Condition, text: impl Into<Cow<'static, str>>) -> Self {
        Self { condition, code: None, text: text.into(), highest: false }
    }

    /// Done.
    pub(crate) fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Condition::Ok, text)
    }

    /// Understood, but not done.
    pub(crate) fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Condition::No, text)
    }

    /// Not understood.
    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Condition::Bad, text)
    }

    /// The same with a response code.
    pub(crate) fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// A refusal where a mailbox that is missing could be created: APPEND, COPY, MOVE (RFC 3501 section 6.3.11).
    pub(crate) fn try_create(refusal: Refusal) -> Self {
        let missing = refusal == Refusal::Nonexistent;
        let reply = Self::from(refusal);
        if missing { reply.code("TRYCREATE") } else { reply }
    }

    /// Writes it behind its tag.
    pub(crate) fn write(&self, tag: &[u8], out: &mut Output) {
        out.raw(tag);
        out.text(match self.condition {
            Condition::Ok => " OK ",
            Condition::No => " NO ",
            Condition::Bad => " BAD ",
        });
        if let Some(code) = &self.code {
            out.byte(b'[');
            out.text(code);
            out.raw(b"] ");
        }
        out.remark(&self.text);
        out.end();
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Nonexistent | Refusal::Gone => "NONEXISTENT",
            Refusal::AlreadyExists => "ALREADYEXISTS",
            Refusal::BadName(_) => "CANNOT",
            Refusal::HasChildren => "HASCHILDREN",
            Refusal::ReadOnly => "READ-ONLY",
            Refusal::Limit(_) => "LIMIT",
            Refusal::Expunged => "EXPUNGEISSUED",
            Refusal::Unavailable => "UNAVAILABLE",
        };
        let mut text = refusal.to_string();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::no(text).code(code)
    }
}
