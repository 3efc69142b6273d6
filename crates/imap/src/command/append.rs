//! APPEND (RFC 3501 section 6.3.11) with MULTIAPPEND (RFC 3502) and APPENDUID (RFC 4315).
//!
//! The messages never stand in the input buffer as a whole: from the announcement of its literal on, a message streams
//! into the store's [`Upload`]. What is refused is refused before a client that waits sends it; from one that does not
//! wait it is read and forgotten, and answered then (RFC 7888 section 4).

use crate::command::store::{Named, flags};
use crate::command::swallow::Swallow;
use crate::core::{Answer, Core, Outcome, Progress, Task};
use crate::date;
use crate::frame::{Input, Literal, announcement};
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::session::Step;
use crate::store::{self, Appended, Pending, Refusal, Upload};

/// APPEND without a message.
pub(crate) fn without_literal(_core: &mut Core, _cursor: &mut Cursor<'_>) -> Outcome {
    Err(Reply::bad("Missing message literal"))
}

/// APPEND up to a literal. `None` if that is not a message yet, but the mailbox's name.
pub(crate) fn begin(core: &mut Core, cursor: &mut Cursor<'_>, literal: &Literal) -> Result<Option<Box<dyn Task>>, Reply> {
    cursor.space()?;
    if cursor.rest().is_empty() {
        return Ok(None);
    }
    let mailbox = cursor.mailbox()?;
    cursor.space()?;
    let about = About::parse(cursor)?;
    let mut task = Append { upload: None, left: 0, count: 0, stage: Stage::Message };
    check_size(core, literal)?;
    task.upload = Some(core.store()?.upload(&mailbox).map_err(Reply::try_create)?);
    task.next_message(core, &about, literal)?;
    Ok(Some(Box::new(task)))
}

/// What is said of a message before its literal.
struct About {
    named: Named,
    internal_date: Option<i64>,
}

impl About {
    /// `[flags SP] [date SP]`, up to the literal at the end.
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Reply> {
        let mut about = Self { named: Named::default(), internal_date: None };
        if cursor.peek() == Some(b'(') {
            about.named = flags(cursor)?;
            cursor.space()?;
        }
        if cursor.peek() == Some(b'"') {
            about.internal_date = Some(date::date_time(cursor)?);
            cursor.space()?;
        }
        if cursor.rest().is_empty() { Ok(about) } else { Err(Reply::bad("Invalid APPEND argument")) }
    }
}

fn check_size(core: &Core, literal: &Literal) -> Result<(), Reply> {
    if literal.size == 0 {
        return Err(Reply::no("A message cannot be empty."));
    }
    if literal.size > core.settings.limits.max_message_size.0 {
        return Err(Reply::no("The message is too large.").code("TOOBIG"));
    }
    Ok(())
}

/// What comes next.
enum Stage {
    /// Octets of a message.
    Message,
    /// The line behind it: its end, or the announcement of another one.
    Line,
    /// The messages are on their way to the disk.
    Durable(Appended, Option<Pending>, Option<store::Result<()>>),
    /// It failed; the rest is read and forgotten.
    Failed(Swallow),
}

/// Messages on their way in.
struct Append {
    upload: Option<Box<dyn Upload>>,
    /// Octets of the present message that are still to come.
    left: u64,
    count: u32,
    stage: Stage,
}

impl Append {
    /// Makes ready for a message, and asks the client for it if it waits.
    fn next_message(&mut self, core: &mut Core, about: &About, literal: &Literal) -> Result<(), Reply> {
        check_size(core, literal)?;
        self.count += 1;
        if self.count > core.settings.limits.max_append_messages {
            return Err(Reply::no("Too many messages in one command.").code("LIMIT"));
        }
        let upload = self.upload.as_mut().ok_or(Refusal::Unavailable)?;
        upload.begin(about.named.flags, &about.named.keywords, about.internal_date).map_err(Reply::try_create)?;
        self.left = literal.size;
        self.stage = Stage::Message;
        if literal.waits {
            core.out.text("+ OK\r\n");
        }
        Ok(())
    }

    /// Gives what has come in to the store; false while more of the message is missing.
    fn message(&mut self, input: &mut Input) -> bool {
        let here = input.front().len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let written = match &mut self.upload {
            Some(upload) if here > 0 => upload.write(&input.front()[..here]),
            _ => Ok(()),
        };
        input.consume(here);
        self.left -= here as u64;
        if let Err(refusal) = written {
            self.fail(self.left, Reply::try_create(refusal));
            return true;
        }
        if self.left == 0 {
            self.stage = Stage::Line;
        }
        self.left == 0
    }

    /// Gives up: what was uploaded is dropped, what is still to come is read and forgotten.
    fn fail(&mut self, left: u64, reply: Reply) {
        self.upload = None;
        self.stage = Stage::Failed(Swallow::literal(left, reply));
    }

    /// The line behind a message. `None` while it is not complete, an error if it ends the command.
    fn line(&mut self, core: &mut Core, input: &mut Input) -> Option<Result<(), Reply>> {
        let length = match input.line(core.settings.limits.max_command_size.octets()) {
            Ok(Some(length)) => length,
            Ok(None) => return None,
            Err(()) => {
                self.fail(0, Reply::bad("Command too long").code("TOOBIG"));
                return Some(Ok(()));
            }
        };
        let line = input.front()[..length].to_vec();
        input.consume(length);
        let Some(literal) = announcement(&line) else {
            return Some(Cursor::new(&line).end().map_err(Reply::from).and_then(|()| self.commit()));
        };
        let mut cursor = Cursor::new(&line[..literal.at]);
        let about = cursor.space().map_err(Reply::from).and_then(|()| About::parse(&mut cursor));
        match about.and_then(|about| self.next_message(core, &about, &literal)) {
            Ok(()) => {}
            Err(reply) if literal.waits => return Some(Err(reply)),
            Err(reply) => self.fail(literal.size, reply),
        }
        Some(Ok(()))
    }

    fn commit(&mut self) -> Result<(), Reply> {
        let upload = self.upload.take().ok_or(Refusal::Unavailable)?;
        let (appended, pending) = upload.commit().map_err(Reply::try_create)?;
        self.stage = Stage::Durable(appended, Some(pending), None);
        Ok(())
    }
}

impl Task for Append {
    fn run(&mut self, core: &mut Core, input: &mut Input) -> Progress {
        loop {
            match &mut self.stage {
                Stage::Message => {
                    if !self.message(input) {
                        return Progress::Starved;
                    }
                }
                Stage::Line => match self.line(core, input) {
                    None => return Progress::Starved,
                    Some(Err(reply)) => return Progress::Done(reply),
                    Some(Ok(())) => {}
                },
                Stage::Durable(appended, pending, result) => {
                    return match (pending.take(), result.take()) {
                        (Some(pending), _) => Progress::Effect(Step::Await(pending)),
                        (None, Some(Ok(()))) => Progress::Done(stored(appended)),
                        (None, Some(Err(refusal))) => Progress::Done(Reply::try_create(refusal)),
                        (None, None) => Progress::Starved,
                    };
                }
                Stage::Failed(swallow) => return swallow.run(core, input),
            }
        }
    }

    fn answer(&mut self, _core: &mut Core, answer: Answer) {
        if let (Stage::Durable(_, _, result), Answer::Durable(durable)) = (&mut self.stage, answer) {
            *result = Some(durable);
        }
    }
}

fn stored(appended: &Appended) -> Reply {
    Reply::ok("Append completed.").code(format!("APPENDUID {} {}", appended.uid_validity, appended.uids))
}
