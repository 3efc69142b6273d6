//! Small clients for dialogues in the clear over loopback: one line says, another is heard.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::PASSWORD;

/// A connection that speaks in lines.
pub(crate) struct Talk {
    reader: BufReader<TcpStream>,
}

impl Talk {
    /// Connects; a server that is silent for a minute fails the test.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Sends octets as they are.
    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.reader.get_mut().write_all(octets).unwrap();
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }

    /// The next line without its end; empty at the end of the connection.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// An SMTP client.
pub(crate) struct Smtp(Talk);

impl Smtp {
    /// Connects, hears the greeting and says EHLO.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let mut smtp = Self(Talk::to(address));
        smtp.expect("220 ");
        smtp.ask("EHLO client.test", "250 ");
        smtp
    }

    /// Reads a whole reply, whose last line must begin so; gives that line.
    pub(crate) fn expect(&mut self, begin: &str) -> String {
        loop {
            let line = self.0.hear();
            if line.as_bytes().get(3) != Some(&b'-') {
                assert!(line.starts_with(begin), "expected {begin:?}, got {line:?}");
                return line;
            }
        }
    }

    /// Says a command whose reply must begin so.
    pub(crate) fn ask(&mut self, command: &str, begin: &str) -> String {
        self.0.say(command);
        self.expect(begin)
    }

    /// Sends one message (with CRLF or LF line ends) and gives the reply, whatever it is.
    pub(crate) fn send(&mut self, from: &str, to: &str, message: &[u8]) -> String {
        self.ask(&format!("MAIL FROM:<{from}>"), "250 ");
        self.ask(&format!("RCPT TO:<{to}>"), "250 ");
        self.ask("DATA", "354 ");
        let mut content = Vec::with_capacity(message.len());
        for line in message.split_inclusive(|b| *b == b'\n') {
            if line.starts_with(b".") {
                content.push(b'.');
            }
            content.extend_from_slice(line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l)));
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(b".\r\n");
        self.0.send(&content);
        self.expect("")
    }
}

/// An IMAP client.
pub(crate) struct Imap {
    talk: Talk,
    tag: u32,
}

impl Imap {
    /// Connects and logs in.
    pub(crate) fn to(address: SocketAddr, account: &str) -> Self {
        Self::with_password(address, account, PASSWORD)
    }

    /// Connects and logs in with this password.
    pub(crate) fn with_password(address: SocketAddr, account: &str, password: &str) -> Self {
        let mut imap = Self { talk: Talk::to(address), tag: 0 };
        let greeting = imap.talk.hear();
        assert!(greeting.starts_with("* OK"), "{greeting}");
        imap.ok(&format!("LOGIN {account} \"{password}\""));
        imap
    }

    /// Sends a command and gives all lines of the answer, literals joined to theirs, the tagged line last.
    pub(crate) fn command(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.talk.say(&format!("{tag} {command}"));
        let mut lines = Vec::new();
        loop {
            let line = self.response();
            let last = line.starts_with(&format!("{tag} "));
            assert!(!line.is_empty(), "{command}: the server hung up after {lines:?}");
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    /// Sends a command that must end in OK; gives the untagged lines.
    pub(crate) fn ok(&mut self, command: &str) -> Vec<String> {
        let mut lines = self.command(command);
        let last = lines.pop().unwrap();
        assert!(last.contains(" OK"), "{command}: {last}");
        lines
    }

    /// Appends a message to a mailbox.
    pub(crate) fn append(&mut self, mailbox: &str, message: &[u8]) {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.talk.say(&format!("{tag} APPEND \"{mailbox}\" {{{}+}}", message.len()));
        self.talk.send(message);
        self.talk.say("");
        let line = loop {
            let line = self.response();
            if !line.starts_with('*') {
                break line;
            }
        };
        assert!(line.starts_with(&format!("{tag} OK")), "{line}");
    }

    /// Reads one response with its literals.
    pub(crate) fn response(&mut self) -> String {
        let mut line = self.talk.hear();
        while let Some(length) = literal(&line) {
            let mut octets = vec![0; length];
            self.talk.reader.read_exact(&mut octets).unwrap();
            line.push_str(&String::from_utf8_lossy(&octets));
            line.push_str(&self.talk.hear());
        }
        line
    }

    /// Says a line that is no command of its own, such as DONE.
    pub(crate) fn say(&mut self, line: &str) {
        self.talk.say(line);
    }

    /// `UID FLAGS` of each message of a mailbox, as `1 \Seen $Work`, flags sorted.
    pub(crate) fn flags(&mut self, mailbox: &str) -> Vec<String> {
        self.ok(&format!("EXAMINE \"{mailbox}\""));
        let lines = self.ok("UID FETCH 1:* (UID FLAGS)");
        lines.iter().filter(|line| line.contains(" FETCH (")).map(|line| uid_and_flags(line)).collect()
    }

    /// The subjects of a mailbox's messages, in order; none if there is no such mailbox.
    pub(crate) fn subjects(&mut self, mailbox: &str) -> Vec<String> {
        if self.command(&format!("EXAMINE \"{mailbox}\"")).pop().unwrap().contains(" NO ") {
            return Vec::new();
        }
        let lines = self.ok("UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]");
        let subject = |line: &String| Some(line.split_once("Subject: ")?.1.lines().next()?.to_owned());
        lines.iter().filter_map(subject).collect()
    }
}

fn literal(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

fn uid_and_flags(line: &str) -> String {
    let after = |key: &str| line.split_once(key).map_or("", |(_, rest)| rest);
    let uid = after("UID ").split([' ', ')']).next().unwrap_or_default();
    let mut flags: Vec<_> = after("FLAGS (").split(')').next().unwrap_or_default().split_whitespace().collect();
    flags.retain(|flag| *flag != "\\Recent");
    flags.sort_unstable();
    [&[uid], flags.as_slice()].concat().join(" ")
}
