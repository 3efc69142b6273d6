//! The log-in exchanges PLAIN (RFC 4616) and LOGIN, after base64 was taken off. What the client proves is checked elsewhere.

use mail::Secret;

/// The longest user name that is looked at, in octets.
const LONGEST_NAME: usize = 255;

/// What comes next in an exchange.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send this challenge and hand the answer to [`Exchange::answer`].
    Challenge(&'static [u8]),
    /// The client has said who it is.
    Complete(Credentials),
    /// The client's message is none of this mechanism, or it wants to act for another user, which nobody may.
    Malformed,
}

/// A name and a password, not yet checked.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The name as it was given.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// An exchange under way.
#[derive(Debug)]
pub enum Exchange {
    /// PLAIN, waiting for its only message.
    Plain,
    /// LOGIN, waiting for the name.
    LoginName,
    /// LOGIN, waiting for the password of this name.
    LoginPassword(String),
}

impl Exchange {
    /// Begins an exchange; `None` if the mechanism, in capitals, is not known. `initial` is the client's initial response.
    #[must_use]
    pub fn start(mechanism: &str, initial: Option<&Secret>) -> Option<(Self, Step)> {
        let (mut exchange, challenge): (Self, &'static [u8]) = match mechanism {
            "PLAIN" => (Self::Plain, b""),
            "LOGIN" => (Self::LoginName, b"Username:"),
            _ => return None,
        };
        let step = initial.map_or(Step::Challenge(challenge), |initial| exchange.answer(initial));
        Some((exchange, step))
    }

    /// Takes the client's answer to the last challenge.
    pub fn answer(&mut self, answer: &Secret) -> Step {
        match self {
            Self::Plain => plain(answer.expose()).unwrap_or(Step::Malformed),
            Self::LoginName => {
                let Some(name) = name(answer.expose()) else { return Step::Malformed };
                *self = Self::LoginPassword(name);
                Step::Challenge(b"Password:")
            }
            Self::LoginPassword(name) => Step::Complete(Credentials { name: std::mem::take(name), password: answer.clone() }),
        }
    }
}

/// `[authzid] NUL authcid NUL passwd`
fn plain(message: &[u8]) -> Option<Step> {
    let mut fields = message.split(|octet| *octet == 0);
    let (authzid, authcid, password) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || !(authzid.is_empty() || authzid == authcid) {
        return None;
    }
    Some(Step::Complete(Credentials { name: name(authcid)?, password: Secret::new(password) }))
}

fn name(octets: &[u8]) -> Option<String> {
    let fits = !octets.is_empty() && octets.len() <= LONGEST_NAME && !octets.contains(&0);
    std::str::from_utf8(octets).ok().filter(|_| fits).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mechanism: &str, initial: Option<&str>, answers: &[&str], expected: &str) {
        let initial = initial.map(Secret::new);
        let (mut exchange, mut step) = Exchange::start(mechanism, initial.as_ref()).unwrap();
        for answer in answers {
            assert!(matches!(step, Step::Challenge(_)), "{step:?}");
            step = exchange.answer(&Secret::new(*answer));
        }
        let shown = match step {
            Step::Complete(c) => format!("{}:{}", c.name, String::from_utf8_lossy(c.password.expose())),
            Step::Challenge(c) => format!("? {}", String::from_utf8_lossy(c)),
            Step::Malformed => "malformed".to_owned(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn plain() {
        check("PLAIN", Some("\0joe\0tea"), &[], "joe:tea");
        check("PLAIN", None, &["joe\0joe\0tea"], "joe:tea");
        check("PLAIN", None, &[], "? ");
        for bad in ["", "joe", "joe\0tea", "\0joe\0tea\0x", "boss\0joe\0tea", "\0\0tea"] {
            check("PLAIN", Some(bad), &[], "malformed");
        }
    }

    #[test]
    fn login() {
        check("LOGIN", None, &["joe", "tea"], "joe:tea");
        check("LOGIN", Some("joe"), &["tea"], "joe:tea");
        check("LOGIN", Some("joe"), &[], "? Password:");
        check("LOGIN", Some(""), &[], "malformed");
        assert!(Exchange::start("CRAM-MD5", None).is_none());
    }
}
