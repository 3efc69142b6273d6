//! COPY (RFC 3501 section 6.4.7) with COPYUID (RFC 4315), and the waiting that MOVE shares with it.

use std::fmt::Write;

use mail::{Uid, UidSet};

use crate::core::{Answer, Core, Next, Outcome, Progress, Task};
use crate::frame::Input;
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::sequence::{Numbers, uids_at};
use crate::session::Step;
use crate::store::{self, Copied, Pending};

/// COPY.
pub(crate) fn copy(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    let (uids, target) = arguments(core, cursor)?;
    if uids.is_empty() {
        return Ok(Reply::ok("No messages copied.").into());
    }
    let (copied, pending) = core.open()?.view.copy(&uids, &target).map_err(Reply::try_create)?;
    Ok(Next::Task(Box::new(Copying { copied, pending: Some(pending), result: None, moves: false })))
}

/// The messages and the target.
pub(crate) fn arguments(core: &mut Core, cursor: &mut Cursor<'_>) -> Result<(Vec<Uid>, String), Reply> {
    cursor.space()?;
    let numbers = Numbers::parse(cursor)?;
    cursor.space()?;
    let target = cursor.mailbox()?;
    cursor.end()?;
    let uid = core.uid;
    let open = core.open()?;
    let uids = open.view.uids();
    let sequence = if uid { numbers.positions(uids, &open.saved) } else { numbers.sequence(uids, &open.saved)? };
    Ok((uids_at(&sequence, uids), target))
}

/// Copies, or moved messages, on their way to the disk.
pub(crate) struct Copying {
    pub(crate) copied: Copied,
    pub(crate) pending: Option<Pending>,
    pub(crate) result: Option<store::Result<()>>,
    pub(crate) moves: bool,
}

impl Task for Copying {
    fn run(&mut self, core: &mut Core, _input: &mut Input) -> Progress {
        if let Some(pending) = self.pending.take() {
            return Progress::Effect(Step::Await(pending));
        }
        match self.result.take() {
            None => Progress::Starved,
            Some(Err(refusal)) => Progress::Done(Reply::try_create(refusal)),
            Some(Ok(())) if self.moves => {
                // The client must know where they are before it hears that they are gone (RFC 6851 section 4.3).
                if let Some(code) = copyuid(&self.copied) {
                    core.out.text("* OK [");
                    core.out.text(&code);
                    core.out.text("] Moved UIDs.\r\n");
                }
                let mut reply = Reply::ok("Move completed.");
                reply.highest = core.enabled.qresync;
                Progress::Done(reply)
            }
            Some(Ok(())) => {
                let reply = Reply::ok("Copy completed.");
                Progress::Done(match copyuid(&self.copied) {
                    Some(code) => reply.code(code),
                    None => reply,
                })
            }
        }
    }

    fn answer(&mut self, _core: &mut Core, answer: Answer) {
        if let Answer::Durable(result) = answer {
            self.result = Some(result);
        }
    }
}

/// `COPYUID validity from to`, if anything was copied. Both sets have as many members, in ascending order.
fn copyuid(copied: &Copied) -> Option<String> {
    if copied.from.is_empty() {
        return None;
    }
    let set = |uids: &[Uid]| uids.iter().copied().collect::<UidSet>();
    let mut code = String::new();
    write!(code, "COPYUID {} {} {}", copied.uid_validity, set(&copied.from), set(&copied.to)).ok()?;
    Some(code)
}
