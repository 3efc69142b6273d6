//! Command lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::{Notify, Parameters, ReversePath, Secret};

use super::{CommandError, RcptPath, parameters, path};

/// A command that is well-formed by itself. Whether it may come now is another question.
#[derive(Clone, Debug)]
pub enum Command {
    /// `HELO name`.
    Helo(String),
    /// `EHLO name`.
    Ehlo(String),
    /// `MAIL FROM:<path> parameters`.
    Mail(Mail),
    /// `RCPT TO:<path> parameters`.
    Rcpt(Rcpt),
    /// `DATA`.
    Data,
    /// `BDAT size [LAST]`; the octets of the chunk follow the line.
    Bdat {
        /// Octets in the chunk.
        size: u64,
        /// The message ends with it.
        last: bool,
    },
    /// `RSET`.
    Rset,
    /// `NOOP`, whatever follows it.
    Noop,
    /// `VRFY text`.
    Vrfy,
    /// `HELP`, whatever follows it.
    Help,
    /// `QUIT`.
    Quit,
    /// `STARTTLS`.
    StartTls,
    /// `AUTH mechanism [initial response]`.
    Auth {
        /// The mechanism, in capitals.
        mechanism: String,
        /// The initial response, decoded; `=` stands for an empty one.
        initial: Option<Secret>,
    },
    /// The client speaks HTTP: a web page makes a browser send mail.
    Foreign,
}

/// MAIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub reverse_path: ReversePath,
    /// `SIZE`, in octets; more than 2^64 - 1 becomes that. Zero, "unknown", is `None`.
    pub size: Option<u64>,
    /// What else was asked for.
    pub parameters: Parameters,
    /// `AUTH=` was given (RFC 4954 section 5); it is read and not believed.
    pub submitter: bool,
}

/// RCPT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient.
    pub path: RcptPath,
    /// `NOTIFY`, if given.
    pub notify: Option<Notify>,
    /// `ORCPT`, decoded.
    pub original: Option<String>,
}

impl Command {
    /// Parses a line without its end. Never panics, whatever the octets.
    ///
    /// # Errors
    /// [`CommandError`], whose text is the reply.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = line.trim_ascii_end();
        let text = std::str::from_utf8(line).map_err(|_| CommandError::Garbage)?;
        if text.chars().any(char::is_control) {
            return Err(CommandError::Garbage);
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim_start_matches(' ');
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => client_name(rest).map(Self::Ehlo).ok_or(CommandError::Syntax("EHLO domain")),
            "HELO" => client_name(rest).map(Self::Helo).ok_or(CommandError::Syntax("HELO domain")),
            "MAIL" => mail(rest).map(Self::Mail),
            "RCPT" => rcpt(rest).map(Self::Rcpt),
            "DATA" => alone(rest, Self::Data, "DATA"),
            "BDAT" => bdat(rest).ok_or(CommandError::Syntax("BDAT size [LAST]")),
            "RSET" => alone(rest, Self::Rset, "RSET"),
            "NOOP" => Ok(Self::Noop),
            "VRFY" if rest.is_empty() => Err(CommandError::Syntax("VRFY address")),
            "VRFY" => Ok(Self::Vrfy),
            "HELP" => Ok(Self::Help),
            "QUIT" => alone(rest, Self::Quit, "QUIT"),
            "STARTTLS" => alone(rest, Self::StartTls, "STARTTLS"),
            "AUTH" => auth(rest),
            "EXPN" | "SEND" | "SOML" | "SAML" | "TURN" | "ETRN" | "ATRN" | "BURL" => Err(CommandError::NotImplemented),
            "GET" | "POST" | "PUT" | "HEAD" | "OPTIONS" | "CONNECT" | "DELETE" | "PATCH" | "PRI" | "HOST:" | "CONTENT-TYPE:" => {
                Ok(Self::Foreign)
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

fn alone(rest: &str, command: Command, syntax: &'static str) -> Result<Command, CommandError> {
    if rest.is_empty() { Ok(command) } else { Err(CommandError::Syntax(syntax)) }
}

/// What a client calls itself. Many call themselves something that is no domain, such as the name that somebody gave his
/// computer, and their mail is good. What would mean something in a header is replaced by `?`.
fn client_name(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > 255 || text.contains(' ') {
        return None;
    }
    let harmless = |c: char| if c.is_ascii_alphanumeric() || "-._:".contains(c) { c } else { '?' };
    let safe = |name: &str| name.chars().map(harmless).collect::<String>();
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => Some(format!("[{}]", safe(address))),
        None => Some(safe(text)),
    }
}

/// What follows `FROM:` or `TO:`, in any case.
fn after_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (found, rest) = text.split_at_checked(keyword.len())?;
    found.eq_ignore_ascii_case(keyword).then_some(rest)
}

fn mail(rest: &str) -> Result<Mail, CommandError> {
    let rest = after_keyword(rest, "FROM:").ok_or(CommandError::Syntax("MAIL FROM:<address>"))?;
    let (path, rest) = path::split(rest).ok_or(CommandError::BadSender)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => path::address(path).map(ReversePath::Address).ok_or(CommandError::BadSender)?,
    };
    let mut mail = Mail { reverse_path, size: None, parameters: Parameters::default(), submitter: false };
    for parameter in parameters::split(rest)? {
        mail.set(&parameter.name, parameter.value)?;
    }
    if !path.is_ascii() && !mail.parameters.utf8 {
        return Err(CommandError::NeedsUtf8);
    }
    Ok(mail)
}

impl Mail {
    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), CommandError> {
        match name {
            "SIZE" => self.size = value.and_then(parameters::size).ok_or(CommandError::BadParameter("SIZE")).map(Some)?.filter(|n| *n > 0),
            "BODY" => self.parameters.eight_bit = value.and_then(parameters::body).ok_or(CommandError::BadParameter("BODY"))?,
            "SMTPUTF8" if value.is_none() => self.parameters.utf8 = true,
            "SMTPUTF8" => return Err(CommandError::BadParameter("SMTPUTF8")),
            "RET" => self.parameters.returned = Some(value.and_then(parameters::returned).ok_or(CommandError::BadParameter("RET"))?),
            "ENVID" => {
                self.parameters.envelope_id = Some(value.and_then(parameters::envelope_id).ok_or(CommandError::BadParameter("ENVID"))?)
            }
            "AUTH" => self.submitter = value.and_then(parameters::xtext).map(|_| true).ok_or(CommandError::BadParameter("AUTH"))?,
            _ => return Err(CommandError::UnknownParameter),
        }
        Ok(())
    }
}

fn rcpt(rest: &str) -> Result<Rcpt, CommandError> {
    let rest = after_keyword(rest, "TO:").ok_or(CommandError::Syntax("RCPT TO:<address>"))?;
    let (path, rest) = path::split(rest).ok_or(CommandError::BadRecipient)?;
    let path = if path.eq_ignore_ascii_case("postmaster") {
        RcptPath::Postmaster
    } else {
        path::address(path).map(RcptPath::Address).ok_or(CommandError::BadRecipient)?
    };
    let mut rcpt = Rcpt { path, notify: None, original: None };
    for parameter in parameters::split(rest)? {
        let value = parameter.value;
        match parameter.name.as_str() {
            "NOTIFY" => rcpt.notify = Some(value.and_then(parameters::notify).ok_or(CommandError::BadParameter("NOTIFY"))?),
            "ORCPT" => rcpt.original = Some(value.and_then(parameters::original).ok_or(CommandError::BadParameter("ORCPT"))?),
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    Ok(rcpt)
}

fn bdat(rest: &str) -> Option<Command> {
    let (size, end) = rest.split_once(' ').unwrap_or((rest, ""));
    let last = end.trim_start_matches(' ').eq_ignore_ascii_case("LAST");
    let good = (last || end.is_empty()) && !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
    good.then(|| size.parse().ok()).flatten().map(|size| Command::Bdat { size, last })
}

fn auth(rest: &str) -> Result<Command, CommandError> {
    let (mechanism, initial) = rest.split_once(' ').map_or((rest, None), |(m, i)| (m, Some(i)));
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if mechanism.is_empty() || mechanism.len() > 20 || !mechanism.bytes().all(good) {
        return Err(CommandError::Syntax("AUTH mechanism [initial-response]"));
    }
    let initial = match initial {
        None => None,
        Some("=") => Some(Secret::new([])),
        Some(text) => Some(decode_secret(text.as_bytes())?),
    };
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

/// Decodes base64 (RFC 4648 section 4, padding required).
pub(crate) fn decode_secret(text: &[u8]) -> Result<Secret, CommandError> {
    STANDARD.decode(text).map(Secret::new).map_err(|_| CommandError::BadBase64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, expected: &str) {
        let found = match Command::parse(line.as_bytes()) {
            Ok(command) => format!("{command:?}"),
            Err(error) => error.to_string(),
        };
        assert!(found.starts_with(expected), "{line:?}: {found}");
    }

    #[test]
    fn verbs_and_their_arguments() {
        check("eHlO client.test", "Ehlo(\"client.test\")");
        check("HELO  [IPv6:::1] ", "Helo(\"[IPv6:::1]\")");
        check("DATA", "Data");
        check("DATA now", "501 5.5.4");
        check("RSET \t", "Rset");
        check("NOOP some words", "Noop");
        check("VRFY", "501");
        check("VRFY joe", "Vrfy");
        check("HELP me", "Help");
        check("STARTTLS now", "501");
        check("QUIT", "Quit");
        check("bdat 0 last", "Bdat { size: 0, last: true }");
        check("BDAT 12", "Bdat { size: 12, last: false }");
        for line in ["BDAT", "BDAT abc", "BDAT -1", "BDAT 1 FIRST", "BDAT 99999999999999999999999", "BDAT +1"] {
            check(line, "501");
        }
        for line in ["", " ", "XYZZY", "MAI FROM", "MAIL:", "\u{fc}"] {
            check(line, "500 5.5.1");
        }
        check("EXPN x", "502");
        check("POST / HTTP/1.1", "Foreign");
        check("NOOP a\rb", "500 5.5.2");
        check("NOOP a\0b", "500 5.5.2");
    }

    #[test]
    fn client_names_that_cannot_disturb_a_header() {
        for name in ["a", "my_pc", "192.0.2.1", "[192.0.2.1]", "[IPv6:::1]", "a.b-c.test", "-", "localhost."] {
            check(&format!("EHLO {name}"), &format!("Ehlo({name:?})"));
        }
        check("EHLO B\u{fc}ro-PC", "Ehlo(\"B?ro-PC\")");
        check("EHLO <script>", "Ehlo(\"?script?\")");
        check("EHLO [a](b)", "Ehlo(\"?a??b?\")");
        check("EHLO [(;]", "Ehlo(\"[??]\")");
        for name in ["", "(){ :; }", "a b"] {
            check(&format!("EHLO {name}"), "501");
        }
        check(&format!("EHLO {}", "x".repeat(256)), "501");
    }

    #[test]
    fn mail_and_its_parameters() {
        check("MAIL FROM:<>", "Mail(Mail { reverse_path: Null, size: None");
        check(
            "mAiL fRoM: <s@client.test> bOdY=8bitMIME sIzE=100",
            "Mail(Mail { reverse_path: Address(Address(s@client.test)), size: Some(100)",
        );
        check("MAIL FROM:<s@client.test> SIZE=0 BODY=7BIT", "Mail(Mail { reverse_path: Address(Address(s@client.test)), size: None");
        check("MAIL FROM:<j\u{f6}rg@client.test>", "553 5.6.7");
        check("MAIL FROM:<j\u{f6}rg@client.test> SMTPUTF8", "Mail");
        check("MAIL FROM:<s@client.test> RET=HDRS ENVID=QQ314159 AUTH=<>", "Mail");
        for line in ["MAIL", "MAIL FROM", "MAIL <s@client.test>", "MAIL TO:<s@client.test>", "MAIL FROM <s@client.test>"] {
            check(line, "501 5.5.4");
        }
        for line in
            ["MAIL FROM:nonsense", "MAIL FROM:s@client.test", "MAIL FROM:<s@client.test", "MAIL FROM:<s@@client.test>", "MAIL FROM:<s>"]
        {
            check(line, "501 5.1.7");
        }
        for parameter in [
            "SIZE",
            "SIZE=",
            "SIZE=-1",
            "BODY=FOO",
            "BODY=",
            "BODY=BINARYMIME",
            "SMTPUTF8=yes",
            "RET=XX",
            "RET=FULL RET=HDRS",
            "ENVID=a+0D+0A",
            "=",
            "SIZE=1=2",
        ] {
            check(&format!("MAIL FROM:<s@client.test> {parameter}"), "501 5.5.4");
        }
        check("MAIL FROM:<s@client.test> FROB=1", "555");
    }

    #[test]
    fn rcpt_and_its_parameters() {
        check("RCPT TO:<PostMaster>", "Rcpt(Rcpt { path: Postmaster");
        check("RCPT TO:<a@b.test> NOTIFY=NEVER ORCPT=rfc822;joe+2Bx@example.org", "Rcpt");
        for line in ["RCPT TO:<>", "RCPT TO:<joe>", "RCPT TO:<a@b.test>,<c@b.test>", "RCPT TO:<\u{fc}(@b.test>"] {
            check(line, "501 5.1.3");
        }
        check("RCPT TO:<a@b.test> NOTIFY=", "501 5.5.4");
        check("RCPT TO:<a@b.test> SIZE=1", "555");
    }

    #[test]
    fn log_in_lines_show_no_secret() {
        check("AUTH plain AGpvZQBzZWNyZXQ=", "Auth { mechanism: \"PLAIN\", initial: Some(Secret(..)) }");
        check("AUTH PLAIN =", "Auth { mechanism: \"PLAIN\", initial: Some");
        check("AUTH LOGIN", "Auth { mechanism: \"LOGIN\", initial: None }");
        for line in ["AUTH", "AUTH ", "AUTH !!", "AUTH ABCDEFGHIJKLMNOPQRSTUV"] {
            check(line, "501 5.5.4");
        }
        for line in ["AUTH PLAIN !!!", "AUTH PLAIN abc", "AUTH PLAIN ====", "AUTH PLAIN A", "AUTH PLAIN AA== AA=="] {
            check(line, "501 5.5.2");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn no_path_holds_what_could_end_a_header(path in "[a-z@<>\". \\\\:,\\[\\]]{0,30}") {
            if let Ok(Command::Mail(mail)) = Command::parse(format!("MAIL FROM:<{path}>").as_bytes()) {
                let text = mail.reverse_path.to_string();
                prop_assert!(!text.chars().any(char::is_control));
                let again = Command::parse(format!("MAIL FROM:<{text}>").as_bytes());
                prop_assert!(matches!(again, Ok(Command::Mail(same)) if same == mail));
            }
        }
    }
}
