//! LOGIN (RFC 3501 section 6.2.3), and what all ways to log in have in common.

use mail::Secret;

use crate::capability;
use crate::core::{Answer, Core, Next, Outcome, Progress, Task};
use crate::frame::Input;
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::session::{Attempt, LoginRefused, Mechanism, Remark, Step};

/// LOGIN.
pub(crate) fn login(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.space()?;
    let name = cursor.astring()?;
    cursor.space()?;
    let secret = Secret::new(cursor.astring()?.into_owned());
    cursor.end()?;
    check_privacy(core)?;
    let name = text(&name)?;
    Ok(Next::Task(Box::new(LoggingIn::new(Attempt { mechanism: Mechanism::Command, name, authorization: None, secret }))))
}

/// Passwords may not be sent for others to read (RFC 3501 section 11.1). It is too late for this one, but it will not be
/// used, so that the client is set up anew rather than left so.
pub(crate) fn check_privacy(core: &Core) -> Result<(), Reply> {
    if core.private() {
        return Ok(());
    }
    Err(Reply::no("Encryption is needed before logging in.").code("PRIVACYREQUIRED"))
}

/// The longest name, in octets, as for SASL.
const LONGEST_NAME: usize = 255;

/// A name as text. One that is no UTF-8 is nobody's.
pub(crate) fn text(name: &[u8]) -> Result<String, Reply> {
    if name.len() > LONGEST_NAME {
        return Err(Reply::bad("Name too long."));
    }
    std::str::from_utf8(name).map(str::to_owned).map_err(|_| refused(LoginRefused::Credentials))
}

fn refused(why: LoginRefused) -> Reply {
    match why {
        LoginRefused::Credentials => Reply::no("Name or password is wrong.").code("AUTHENTICATIONFAILED"),
        LoginRefused::Authorization => Reply::no("No right to act for that account.").code("AUTHORIZATIONFAILED"),
        LoginRefused::Limit => Reply::no("Too many log-ins, try again later.").code("LIMIT"),
        LoginRefused::Unavailable => Reply::no("Log-in is not possible now, try again later.").code("UNAVAILABLE"),
    }
}

/// A log-in that is being checked.
pub(crate) struct LoggingIn {
    attempt: Option<Attempt>,
    reply: Option<Reply>,
}

impl LoggingIn {
    /// Has an attempt checked.
    pub(crate) fn new(attempt: Attempt) -> Self {
        Self { attempt: Some(attempt), reply: None }
    }
}

impl Task for LoggingIn {
    fn run(&mut self, _core: &mut Core, _input: &mut Input) -> Progress {
        match (self.attempt.take(), self.reply.take()) {
            (Some(attempt), _) => Progress::Effect(Step::Authenticate(attempt)),
            (None, Some(reply)) => Progress::Done(reply),
            (None, None) => Progress::Starved,
        }
    }

    fn answer(&mut self, core: &mut Core, answer: Answer) {
        let Answer::Login(result) = answer else { return };
        self.reply = Some(match result {
            Ok(store) => {
                core.store = Some(store);
                Reply::ok("Logged in").code(format!("CAPABILITY {}", capability::list(core)))
            }
            Err(why) => {
                core.login_failures += 1;
                if core.login_failures >= core.settings.limits.max_login_failures {
                    core.remarks.push(Remark::Ended("too many failed log-ins"));
                    core.bye("Too many failed log-ins");
                }
                refused(why)
            }
        });
    }
}
