//! IDLE (RFC 2177).

use crate::core::{Core, Next, Outcome, Progress, Task};
use crate::frame::Input;
use crate::parse::Cursor;
use crate::reply::Reply;
use crate::sync::Telling;

/// The longest line that may end IDLE, in octets.
const LONGEST_LINE: usize = 64;

/// IDLE.
pub(crate) fn idle(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    cursor.end()?;
    core.out.text("+ idling\r\n");
    let notice = core.notice.clone();
    if let Some(open) = &mut core.selected {
        open.view.watch(Some(notice));
    }
    // What changed before the watch began is told at once.
    core.stirred = true;
    Ok(Next::Task(Box::new(Idling(None))))
}

struct Idling(Option<Telling>);

impl Task for Idling {
    fn run(&mut self, core: &mut Core, input: &mut Input) -> Progress {
        loop {
            if let Some(telling) = &mut self.0 {
                if !telling.tell(core) {
                    return Progress::Full;
                }
                core.end_of_news();
                self.0 = None;
            }
            if let Some(reply) = end(core, input) {
                if let Some(open) = &mut core.selected {
                    open.view.watch(None);
                }
                return Progress::Done(reply);
            }
            if !core.stirred || core.leaving {
                return Progress::Starved;
            }
            self.0 = Some(Telling::poll(core, true));
        }
    }

    fn idles(&self) -> bool {
        true
    }
}

/// Whether the client has ended it. Any other line than DONE ends it as well and is then taken for the command that it
/// is, so that every tag gets its answer; the DONE that may follow is passed over.
fn end(core: &mut Core, input: &mut Input) -> Option<Reply> {
    let length = match input.line(LONGEST_LINE) {
        Ok(length) => length?,
        Err(()) => 0,
    };
    if input.front()[..length].trim_ascii_end().eq_ignore_ascii_case(b"DONE") {
        input.consume(length);
        return Some(Reply::ok("Idle completed."));
    }
    core.stray_done = true;
    Some(Reply::bad("Expected DONE."))
}
