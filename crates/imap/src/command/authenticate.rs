//! AUTHENTICATE PLAIN and LOGIN (RFC 3501 section 6.2.2, RFC 4616, RFC 4959).

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use mail::Secret;
use zeroize::Zeroizing;

use crate::command::login::{LoggingIn, check_privacy, text};
use crate::core::{Answer, Core, Next, Outcome, Progress, Task};
use crate::frame::Input;
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::session::{Attempt, Mechanism};

/// The longest line of an exchange, in octets: a name, an account and a password of 255 octets each fit many times over.
const LONGEST_LINE: usize = 8192;

/// Some clients leave the padding off.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// AUTHENTICATE.
pub(crate) fn authenticate(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let name = cursor.atom()?;
    let mechanism = match name.to_ascii_uppercase().as_slice() {
        b"PLAIN" => Mechanism::Plain,
        b"LOGIN" => Mechanism::Login,
        _ => return Err(Reply::no("Unsupported authentication mechanism.").code("CANNOT")),
    };
    let initial = if cursor.take(b' ') { Some(cursor.span(|b| b > b' ')) } else { None };
    cursor.end()?;
    check_privacy(core)?;
    let mut exchange = Exchange { mechanism, name: None, prompted: false, login: None };
    match initial {
        // One `=` stands for the empty response (RFC 4959 section 3).
        Some(b"=") => exchange.response(&[])?,
        Some(response) => exchange.response(&decode(response)?)?,
        None => {}
    }
    Ok(Next::Task(Box::new(exchange)))
}

fn decode(response: &[u8]) -> Result<Zeroizing<Vec<u8>>, Reply> {
    BASE64.decode(response).map(Zeroizing::new).map_err(|_| Reply::bad("Invalid base64 data."))
}

/// A SASL exchange.
struct Exchange {
    mechanism: Mechanism,
    /// LOGIN's first response.
    name: Option<String>,
    /// The client was asked for its next response.
    prompted: bool,
    /// All is said; the log-in is being checked.
    login: Option<LoggingIn>,
}

impl Exchange {
    /// Takes a response of the client.
    fn response(&mut self, response: &[u8]) -> Result<(), Reply> {
        self.prompted = false;
        let (name, authorization, secret) = match (self.mechanism, self.name.take()) {
            (Mechanism::Login, None) => {
                self.name = Some(text(response)?);
                return Ok(());
            }
            (Mechanism::Login, Some(name)) => (name, None, Secret::new(response)),
            _ => plain(response)?,
        };
        self.login = Some(LoggingIn::new(Attempt { mechanism: self.mechanism, name, authorization, secret }));
        Ok(())
    }

    fn prompt(&mut self, core: &mut Core) {
        self.prompted = true;
        core.out.text(match (self.mechanism, &self.name) {
            (Mechanism::Login, None) => "+ VXNlcm5hbWU6\r\n",
            (Mechanism::Login, Some(_)) => "+ UGFzc3dvcmQ6\r\n",
            _ => "+ \r\n",
        });
    }
}

/// `authorization NUL name NUL password`.
fn plain(response: &[u8]) -> Result<(String, Option<String>, Secret), Reply> {
    let mut parts = response.splitn(3, |b| *b == 0);
    let (Some(authorization), Some(name), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Reply::bad("Invalid response for PLAIN."));
    };
    let (authorization, name) = (text(authorization)?, text(name)?);
    let authorization = Some(authorization).filter(|account| !account.is_empty() && *account != name);
    Ok((name, authorization, Secret::new(secret)))
}

impl Task for Exchange {
    fn run(&mut self, core: &mut Core, input: &mut Input) -> Progress {
        loop {
            if let Some(login) = &mut self.login {
                return login.run(core, input);
            }
            if !self.prompted {
                self.prompt(core);
            }
            let length = match input.line(LONGEST_LINE) {
                Ok(Some(length)) => length,
                Ok(None) => return Progress::Starved,
                Err(()) => {
                    core.bye("Authentication response too long");
                    return Progress::Done(Reply::bad("Authentication response too long."));
                }
            };
            let line = input.front()[..length].trim_ascii_end();
            let done = match line {
                b"*" => Err(Reply::bad("Authentication cancelled.")),
                _ => decode(line).and_then(|response| self.response(&response)),
            };
            input.wipe(length);
            input.consume(length);
            if let Err(reply) = done {
                return Progress::Done(reply);
            }
        }
    }

    fn answer(&mut self, core: &mut Core, answer: Answer) {
        if let Some(login) = &mut self.login {
            login.answer(core, answer);
        }
    }
}
