//! Variables: the environment of the programs that are run, and the settings that procmail reads from it.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::text::setting;

/// The environment. Names and values are octets without a zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(HashMap<Octets, Octets>);

/// A name or value. Those that stand in this program are not copied for each message.
type Octets = Cow<'static, [u8]>;

/// Room for the variables that there are without the rule file's own.
const USUAL: usize = 28;

impl Variables {
    /// No variables at all.
    #[must_use]
    pub fn new() -> Self {
        Self(HashMap::with_capacity(USUAL))
    }

    /// Sets one.
    pub fn set(&mut self, name: &[u8], value: impl Into<Vec<u8>>) {
        let value = Cow::Owned(value.into());
        match self.0.get_mut(name) {
            Some(old) => *old = value,
            None => _ = self.0.insert(Cow::Owned(name.to_vec()), value),
        }
    }

    /// Sets one whose name, and perhaps value, stands in a program.
    pub fn preset(&mut self, name: &'static [u8], value: impl Into<Cow<'static, [u8]>>) {
        self.0.insert(Cow::Borrowed(name), value.into());
    }

    /// Removes one.
    pub fn remove(&mut self, name: &[u8]) {
        self.0.remove(name);
    }

    /// The value, if the variable is set.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.get(name).map(|value| &**value)
    }

    /// The value, empty if the variable is not set.
    #[must_use]
    pub fn text(&self, name: &[u8]) -> &[u8] {
        self.get(name).unwrap_or_default()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// What procmail takes from the variables at the moment they are assigned.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// LOCKSLEEP, seconds.
    pub(crate) lock_sleep: i64,
    /// LOCKTIMEOUT, seconds; 0: locks never grow stale.
    pub(crate) lock_timeout: i64,
    /// SUSPEND, seconds.
    pub(crate) suspend: i64,
    /// TIMEOUT for programs, seconds; 0: none of the rule file's own.
    pub(crate) timeout: i64,
    /// VERBOSE.
    pub(crate) verbose: bool,
    /// LOGABSTRACT: 0 no, 1 yes, 2 all, -1 only into a LOGFILE.
    pub(crate) log_abstract: i64,
    /// LINEBUF.
    pub(crate) line_buffer: usize,
    pub(crate) shell_metas: Octets,
    pub(crate) lock_extension: Octets,
    pub(crate) message_prefix: Octets,
    pub(crate) trap: Octets,
    pub(crate) shell_flags: Octets,
    pub(crate) default: Octets,
    pub(crate) sendmail: Octets,
    pub(crate) sendmail_flags: Octets,
}

/// LINEBUF at the start.
pub(crate) const LINE_BUFFER: usize = 2048;
/// The smallest LINEBUF.
const LEAST_LINE_BUFFER: usize = 128;

impl Default for Settings {
    fn default() -> Self {
        Self {
            lock_sleep: 8,
            lock_timeout: 1024,
            suspend: 16,
            timeout: 960,
            verbose: false,
            log_abstract: -1,
            line_buffer: LINE_BUFFER,
            shell_metas: Cow::Borrowed(b"&|<>~;?*["),
            lock_extension: Cow::Borrowed(b".lock"),
            message_prefix: Cow::Borrowed(b"msg."),
            trap: Cow::Borrowed(b""),
            shell_flags: Cow::Borrowed(b"-c"),
            default: Cow::Borrowed(b""),
            sendmail: Cow::Borrowed(b"/usr/sbin/sendmail"),
            sendmail_flags: Cow::Borrowed(b"-oi"),
        }
    }
}

impl Settings {
    /// The settings that are variables from the start, with their values.
    pub(crate) fn presets(&self) -> [(&'static [u8], Octets); 7] {
        [
            (b"SHELLMETAS", self.shell_metas.clone()),
            (b"LOCKEXT", self.lock_extension.clone()),
            (b"MSGPREFIX", self.message_prefix.clone()),
            (b"SHELLFLAGS", self.shell_flags.clone()),
            (b"SENDMAIL", self.sendmail.clone()),
            (b"SENDMAILFLAGS", self.sendmail_flags.clone()),
            (b"LINEBUF", Cow::Owned(self.line_buffer.to_string().into_bytes())),
        ]
    }

    /// Takes an assignment over. `longest_line` bounds LINEBUF.
    pub(crate) fn assign(&mut self, name: &[u8], value: &[u8], longest_line: usize) {
        let number = |target: &mut i64| *target = setting(*target, value);
        match name {
            b"LOCKSLEEP" => number(&mut self.lock_sleep),
            b"LOCKTIMEOUT" => number(&mut self.lock_timeout),
            b"SUSPEND" => number(&mut self.suspend),
            b"TIMEOUT" => number(&mut self.timeout),
            b"LOGABSTRACT" => number(&mut self.log_abstract),
            b"VERBOSE" => self.verbose = setting(i64::from(self.verbose), value) != 0,
            b"LINEBUF" => {
                let asked = usize::try_from(setting(0, value)).unwrap_or(0);
                self.line_buffer = asked.clamp(LEAST_LINE_BUFFER, longest_line.max(LEAST_LINE_BUFFER));
            }
            b"SHELLMETAS" => self.shell_metas = Cow::Owned(value.to_vec()),
            b"LOCKEXT" => self.lock_extension = Cow::Owned(value.to_vec()),
            b"MSGPREFIX" => self.message_prefix = Cow::Owned(value.to_vec()),
            b"TRAP" => self.trap = Cow::Owned(value.to_vec()),
            b"SHELLFLAGS" => self.shell_flags = Cow::Owned(value.to_vec()),
            b"DEFAULT" => self.default = Cow::Owned(value.to_vec()),
            b"SENDMAIL" => self.sendmail = Cow::Owned(value.to_vec()),
            b"SENDMAILFLAGS" => self.sendmail_flags = Cow::Owned(value.to_vec()),
            _ => {}
        }
    }
}
