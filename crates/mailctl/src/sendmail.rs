//! `mailctl sendmail`, also under the name `sendmail`: hands a message from standard input to the daemon.
//!
//! The options that mail programs use are taken: `-f`, `-F`, `-i`, `-oi`, `-t`, `-v`, `-B`; others of the old program that
//! mean nothing here are ignored. The message goes over the daemon's own SMTP port.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pillarbox::control::{AskError, ask};
use pillarbox::instance::Layout;
use serde_json::json;

use crate::instance::{EX_DATAERR, EX_TEMPFAIL, EX_UNAVAILABLE, fail, load};

/// How long the daemon may be silent.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    sender: Option<String>,
    recipients: Vec<String>,
    from_header: bool,
    dots_are_text: bool,
}

impl Request {
    fn parse(arguments: &[String]) -> Self {
        let mut request = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--" => request.recipients.extend(rest.by_ref().cloned()),
                "-t" => request.from_header = true,
                "-i" | "-oi" => request.dots_are_text = true,
                "-f" | "-r" => request.sender = rest.next().cloned(),
                "-F" | "-B" | "-h" | "-N" | "-R" | "-V" | "-o" | "-O" => drop(rest.next()),
                option if option.starts_with("-f") || option.starts_with("-r") => request.sender = Some(option[2..].to_owned()),
                option if option.starts_with('-') => {}
                recipient => request.recipients.push(recipient.to_owned()),
            }
        }
        request
    }
}

/// Sends standard input as the arguments say.
pub(crate) fn run(path: &Path, arguments: &[String]) -> ExitCode {
    let (config, layout) = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let mut request = Request::parse(arguments);
    let mut message = Vec::new();
    if let Err(error) = read_message(&request, &mut message) {
        return fail(EX_DATAERR, format!("standard input: {error}"));
    }
    if request.from_header {
        request.recipients.extend(addresses_of_header(&message));
    }
    if request.recipients.is_empty() {
        return fail(EX_DATAERR, "nobody to send to: name a recipient, or give -t with a To: header");
    }
    let server = match server(&layout) {
        Ok(server) => server,
        Err(error) => return fail(EX_TEMPFAIL, error),
    };
    let hostname = &config.server.hostname;
    request.recipients = request.recipients.iter().flat_map(|recipient| complete(recipient, hostname)).collect();
    // An empty sender is one: -f '<>' is how reports are sent.
    let sender = request.sender.clone().unwrap_or_else(user);
    let sender = complete(&sender, hostname).into_iter().next().unwrap_or_default();
    match submit(server, &config.server.hostname, &sender, &request.recipients, &message) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refused::Io(error)) => fail(EX_TEMPFAIL, format!("{server}: {error}")),
        Err(Refused::Reply(reply)) if reply.starts_with('4') => fail(EX_TEMPFAIL, reply),
        Err(Refused::Reply(reply)) => fail(EX_UNAVAILABLE, reply),
    }
}

/// Where the running daemon takes mail. An address that means every interface is reached over loopback.
fn server(layout: &Layout) -> Result<SocketAddr, AskError> {
    let answer = ask(layout, &json!({"command": "smtp-address"}))?;
    let address = answer["address"].as_str().and_then(|address| address.parse::<SocketAddr>().ok());
    let mut address = address.ok_or_else(|| AskError::Refused("the daemon takes no mail: server.smtp is empty".to_owned()))?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(address)
}

/// The addresses of an argument: several may stand between commas, in angle brackets or not, and a bare name is one of this host.
fn complete(argument: &str, hostname: &str) -> Vec<String> {
    let plain = |part: &str| part.trim().trim_start_matches('<').trim_end_matches('>').trim().to_owned();
    // A comma within quotes belongs to a local part.
    let parts = if argument.contains('"') { vec![plain(argument)] } else { argument.split(',').map(plain).collect() };
    let named = parts.into_iter().filter(|part| !part.is_empty());
    named.map(|part| if part.contains('@') { part } else { format!("{part}@{hostname}") }).collect()
}

fn user() -> String {
    std::env::var("LOGNAME").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "postmaster".to_owned())
}

/// Reads to the end, or, without `-i`, to a line with a dot alone.
fn read_message(request: &Request, message: &mut Vec<u8>) -> io::Result<()> {
    let mut input = io::stdin().lock();
    if request.dots_are_text {
        input.read_to_end(message)?;
        return Ok(());
    }
    loop {
        let start = message.len();
        input.read_until(b'\n', message)?;
        let line = message[start..].trim_ascii_end();
        if message.len() == start || line == b"." {
            message.truncate(start);
            return Ok(());
        }
    }
}

/// The addresses in To, Cc and Bcc.
fn addresses_of_header(message: &[u8]) -> Vec<String> {
    let named = mime::header::fields(message).filter(|field| [&b"to"[..], b"cc", b"bcc"].iter().any(|name| field.is(name)));
    let all = named.flat_map(|field| mime::addresses(&field.text()));
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    all.filter_map(|address| Some((text(address.mailbox?), address.host.map(text))))
        .map(|(local, host)| host.map_or_else(|| local.clone(), |host| format!("{local}@{host}")))
        .collect()
}

/// Why the daemon did not take the message.
enum Refused {
    Io(io::Error),
    Reply(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn submit(server: SocketAddr, helo: &str, sender: &str, recipients: &[String], message: &[u8]) -> Result<(), Refused> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    expect(&mut replies)?;
    let mut say = |text: &str| -> Result<(), Refused> {
        stream.write_all(format!("{text}\r\n").as_bytes())?;
        expect(&mut replies)
    };
    say(&format!("EHLO {helo}"))?;
    say(&format!("MAIL FROM:<{sender}>"))?;
    for recipient in recipients {
        say(&format!("RCPT TO:<{recipient}>"))?;
    }
    say("DATA")?;
    let mut content = Vec::with_capacity(message.len() + message.len() / 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            content.push(b'.');
        }
        content.extend_from_slice(line.strip_suffix(b"\n").map_or(line, |l| l.strip_suffix(b"\r").unwrap_or(l)));
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b".\r\nQUIT\r\n");
    stream.write_all(&content)?;
    expect(&mut replies)
}

/// Reads one reply, of several lines perhaps; 2xx and 3xx are good.
fn expect(replies: &mut impl BufRead) -> Result<(), Refused> {
    loop {
        let mut line = String::new();
        if replies.take(4096).read_line(&mut line)? == 0 {
            return Err(Refused::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        if line.as_bytes().get(3) == Some(&b'-') {
            continue;
        }
        let good = line.starts_with('2') || line.starts_with('3');
        return if good { Ok(()) } else { Err(Refused::Reply(line.trim_end().to_owned())) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_are_of_this_host() {
        for (argument, expected) in [
            ("joe", "joe@h.example"),
            ("joe@x.example", "joe@x.example"),
            ("<joe>", "joe@h.example"),
            ("joe, <a@b.example>,", "joe@h.example a@b.example"),
            ("\"a,b\"@x.example", "\"a,b\"@x.example"),
            ("<>", ""),
        ] {
            assert_eq!(complete(argument, "h.example").join(" "), expected, "{argument}");
        }
    }

    #[test]
    fn the_command_lines_of_mail_programs_are_understood() {
        let parse = |line: &str| Request::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let mutt = parse("-oem -oi -f joe@example.org -- a@b.example c@d.example");
        assert_eq!((mutt.sender.as_deref(), mutt.recipients.len(), mutt.dots_are_text), (Some("joe@example.org"), 2, true));
        let cron = parse("-i -FCronDaemon -B8BITMIME -oem joe");
        assert_eq!((cron.recipients, cron.sender), (vec!["joe".to_owned()], None));
        assert!(parse("-t -fme@x.example").from_header);
    }
}
