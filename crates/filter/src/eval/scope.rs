//! What substitutions find.

use super::Evaluator;
use crate::words::{Complaint, Scope};

impl Scope for Evaluator<'_> {
    fn variable(&self, name: &[u8]) -> Option<Vec<u8>> {
        match name.first() {
            Some(b'0') => Some(self.request.program_name.clone()),
            Some(digit) if digit.is_ascii_digit() => self.state.arguments.get(usize::from(digit - b'1')).cloned(),
            _ => self.state.variables.get(name).map(<[u8]>::to_vec),
        }
    }

    fn pseudo(&self, sign: u8) -> Vec<u8> {
        match sign {
            b'$' => self.host.process().to_string().into_bytes(),
            b'?' => self.state.exit_code.to_string().into_bytes(),
            b'#' => self.state.arguments.len().to_string().into_bytes(),
            b'=' => self.state.score.to_string().into_bytes(),
            b'_' => self.state.frames.last().map(|frame| frame.name.to_vec()).unwrap_or_default(),
            _ => self.state.variables.text(b"LASTFOLDER").to_vec(),
        }
    }

    fn output(&mut self, command: &[u8], longest: usize) -> Vec<u8> {
        self.command_output(command, longest)
    }

    fn complain(&mut self, complaint: Complaint) {
        match complaint {
            Complaint::UnexpectedEnd => self.notice("Unexpected EOL\n"),
            Complaint::BadSubstitution(name) => self.notice_quoted("Bad substitution of", &name),
            Complaint::TooLong => {
                self.notice("Exceeded LINEBUF\n");
                self.set(b"PROCMAIL_OVERFLOW", b"yes");
            }
        }
    }
}
