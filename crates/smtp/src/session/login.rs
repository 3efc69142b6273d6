//! AUTH (RFC 4954): the exchange on the wire. What the octets mean is the driver's to know.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::{Enhanced, Reply, Secret, Verdict};

use super::{Phase, Question, Session};
use crate::effect::{Answer, Closing, Effect};
use crate::frame::Frame;
use crate::grammar::decode_secret;

impl Session {
    pub(super) fn auth(&mut self, mechanism: String, initial: Option<Secret>) {
        self.input.wipe();
        if !self.settings.mechanisms.contains(&mechanism) {
            return self.refuse("504 5.5.4 Mechanism not offered");
        }
        self.effects.push_back(Effect::LoginStart { mechanism, initial });
        self.question = Some(Question::Login);
    }

    /// Takes the client's answer to a challenge.
    pub(super) fn exchange(&mut self) -> bool {
        let limit = self.settings.limits.max_command_line.octets();
        let answer = match self.input.line(limit) {
            Frame::Partial => return false,
            Frame::Line(b"*") => Err("501 5.7.0 Log-in given up".to_owned()),
            Frame::Line(line) => decode_secret(line).map_err(|error| error.to_string()),
            Frame::TooLong => Err("500 5.5.6 Line too long".to_owned()),
            Frame::BareLf => {
                self.say("500 5.5.2 Lone LF in a log-in: lines have to end in CR LF");
                self.close(Closing::BareLf);
                return true;
            }
        };
        self.input.wipe();
        self.deadline = None;
        self.phase = Phase::Command;
        match answer {
            Ok(secret) => {
                self.effects.push_back(Effect::LoginAnswer(secret));
                self.question = Some(Question::Login);
            }
            Err(reply) => self.refuse(&reply),
        }
        true
    }

    pub(super) fn login_answered(&mut self, answer: Answer) {
        match answer {
            Answer::Challenge(challenge) => {
                self.say(&format!("334 {}", STANDARD.encode(challenge)));
                self.phase = Phase::Exchange;
            }
            Answer::LoggedIn(account) => {
                self.account = Some(account);
                self.failed_logins = 0;
                self.say("235 2.7.0 Welcome");
            }
            Answer::Verdict(verdict) => self.login_failed(&verdict),
        }
    }

    fn login_failed(&mut self, verdict: &Verdict) {
        self.failed_logins += 1;
        if self.failed_logins >= self.settings.limits.max_login_failures {
            self.say("421 4.7.0 Too many failed log-ins");
            return self.close(Closing::Logins);
        }
        if !self.turned_down(verdict) {
            let reply = Reply::new(454, Enhanced(4, 7, 0), "Log-in is out of order, try again later");
            self.turned_down(&Verdict::Defer(reply));
        }
    }
}
