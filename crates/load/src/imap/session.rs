//! One IMAP connection: commands go out, answers are counted, and nothing is kept that nobody asked for.

use crate::error::{Error, short};
use crate::wire::{Target, Wire};

/// A connection after its greeting.
pub(crate) struct Session {
    wire: Wire,
    tag: u64,
    literal_plus: bool,
    commands: u64,
    answers: u64,
}

/// Who logs in.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// The account's name.
    pub(crate) user: String,
    /// Its password.
    pub(crate) password: String,
}

/// What a session has moved since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    /// Commands sent.
    pub(crate) commands: u64,
    /// Untagged answers.
    pub(crate) answers: u64,
    /// Octets received.
    pub(crate) received: u64,
}

impl Session {
    /// Connects and reads the greeting.
    pub(crate) async fn connect(target: &Target) -> Result<Self, Error> {
        let mut wire = Wire::connect(target).await?;
        let greeting = wire.line().await?;
        if !greeting.starts_with(b"* OK") {
            return Err(Error::refused("greeting", greeting));
        }
        Ok(Self { wire, tag: 0, literal_plus: false, commands: 0, answers: 0 })
    }

    /// Connects and logs in.
    pub(crate) async fn log_in(target: &Target, login: &Login) -> Result<Self, Error> {
        let mut session = Self::connect(target).await?;
        session.command(&format!("LOGIN {} {}", quoted(&login.user), quoted(&login.password))).await?;
        Ok(session)
    }

    /// Asks for the capabilities, to use non-synchronising literals where they are offered.
    pub(crate) async fn discover(&mut self) -> Result<(), Error> {
        let mut found = false;
        self.each("CAPABILITY", |line| found |= line.windows(8).any(|word| word == b"LITERAL+")).await?;
        self.literal_plus = found;
        Ok(())
    }

    /// What was moved so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals { commands: self.commands, answers: self.answers, received: self.wire.received() }
    }

    /// Sends a command and waits for its OK.
    pub(crate) async fn command(&mut self, text: &str) -> Result<(), Error> {
        self.each(text, |_| {}).await
    }

    /// Sends a command, shows the first line of each untagged answer and at last the tagged one, and waits for OK.
    pub(crate) async fn each(&mut self, text: &str, show: impl FnMut(&[u8])) -> Result<(), Error> {
        let tag = self.next_tag();
        self.wire.send(format!("{tag} {text}\r\n").as_bytes()).await?;
        self.finish(&tag, text, show).await
    }

    /// Stores a message. Returns its UID if the server says so.
    pub(crate) async fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> Result<Option<u32>, Error> {
        let (tag, plus) = (self.next_tag(), if self.literal_plus { "+" } else { "" });
        let head = format!("{tag} APPEND {} ({flags}) {{{}{plus}}}\r\n", quoted(mailbox), message.len());
        let mut out = head.into_bytes();
        if !self.literal_plus {
            self.wire.send(&out).await?;
            self.continuation("APPEND").await?;
            out.clear();
        }
        out.extend_from_slice(message);
        out.extend_from_slice(b"\r\n");
        self.wire.send(&out).await?;
        let mut uid = None;
        self.finish(&tag, "APPEND", |line| uid = uid.or_else(|| append_uid(line))).await?;
        Ok(uid)
    }

    /// Begins to idle.
    pub(crate) async fn idle(&mut self) -> Result<String, Error> {
        let tag = self.next_tag();
        self.wire.send(format!("{tag} IDLE\r\n").as_bytes()).await?;
        self.continuation("IDLE").await?;
        self.wire.rest();
        Ok(tag)
    }

    /// While idling: waits until the server tells of more messages than this. Returns the new number.
    pub(crate) async fn more_than(&mut self, known: u64) -> Result<u64, Error> {
        loop {
            if let Some(now) = exists(self.wire.line().await?)
                && now > known
            {
                return Ok(now);
            }
        }
    }

    /// Ends idling.
    pub(crate) async fn done(&mut self, tag: &str) -> Result<(), Error> {
        self.wire.send(b"DONE\r\n").await?;
        self.finish(tag, "IDLE", |_| {}).await
    }

    /// Logs out and waits until the server has closed the connection.
    pub(crate) async fn log_out(mut self) -> Result<(), Error> {
        self.command("LOGOUT").await?;
        self.wire.closed().await;
        Ok(())
    }

    fn next_tag(&mut self) -> String {
        self.tag += 1;
        self.commands += 1;
        format!("a{}", self.tag)
    }

    async fn continuation(&mut self, command: &str) -> Result<(), Error> {
        loop {
            let line = self.wire.line().await?;
            if line.starts_with(b"+") {
                return Ok(());
            }
            if !line.starts_with(b"* ") {
                return Err(Error::refused(command, line));
            }
        }
    }

    /// Reads answers up to the tagged one.
    async fn finish(&mut self, tag: &str, command: &str, mut show: impl FnMut(&[u8])) -> Result<(), Error> {
        loop {
            let line = self.wire.line().await?;
            let tagged = line.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
            if let Some(status) = tagged {
                show(line);
                return if status.starts_with(b"OK") { Ok(()) } else { Err(Error::refused(command, status)) };
            }
            if !line.starts_with(b"* ") {
                return Err(Error::Protocol(short(line)));
            }
            show(line);
            let literal = literal(line);
            self.answers += 1;
            self.pass(literal).await?;
        }
    }

    /// Reads on to the end of an answer that holds literals.
    async fn pass(&mut self, mut literal: Option<u64>) -> Result<(), Error> {
        while let Some(length) = literal {
            self.wire.skip(length).await?;
            literal = self::literal(self.wire.line().await?);
        }
        Ok(())
    }
}

/// A string as a quoted one.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The length of the literal that this line announces at its end.
fn literal(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', inner)?;
    number(&inner[open + 1..])
}

/// The number of `* N EXISTS`.
pub(crate) fn exists(line: &[u8]) -> Option<u64> {
    number(line.strip_prefix(b"* ")?.strip_suffix(b" EXISTS")?)
}

/// The UID of `* N FETCH (... UID n ...)`.
pub(crate) fn fetched_uid(line: &[u8]) -> Option<u32> {
    number_after(line, b"UID ")
}

/// The UID of `OK [APPENDUID validity uid]`.
fn append_uid(line: &[u8]) -> Option<u32> {
    let at = memchr::memmem::find(line, b"[APPENDUID ")?;
    let rest = &line[at + 11..];
    number_after(rest, b" ")
}

fn number_after(line: &[u8], label: &[u8]) -> Option<u32> {
    let start = memchr::memmem::find(line, label)? + label.len();
    let digits = line[start..].iter().take_while(|octet| octet.is_ascii_digit()).count();
    number(&line[start..start + digits]).and_then(|number| u32::try_from(number).ok())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        for (line, expected) in
            [("* 1 FETCH (BODY[] {12}", Some(12)), ("* 1 FETCH (A {1}) ", None), ("* OK {}", None), ("* OK {x}", None), ("}", None)]
        {
            assert_eq!(literal(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn numbers_in_answers() {
        assert_eq!(exists(b"* 23 EXISTS"), Some(23));
        assert_eq!(exists(b"* 23 RECENT"), None);
        assert_eq!(fetched_uid(b"* 3 FETCH (UID 77 FLAGS (\\Seen))"), Some(77));
        assert_eq!(fetched_uid(b"* 3 FETCH (FLAGS (\\Seen) UID 78)"), Some(78));
        assert_eq!(append_uid(b"a1 OK [APPENDUID 1700000000 4711] done"), Some(4711));
        assert_eq!(append_uid(b"a1 OK done"), None);
    }

    #[test]
    fn quoting() {
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
