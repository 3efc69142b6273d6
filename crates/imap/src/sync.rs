//! News of the selected mailbox, and the rules of when and how they are told (RFC 3501 section 7.4.1, RFC 7162).
//!
//! A command ends with its news and its tagged line, in this order. EXPUNGE and VANISHED are never told during FETCH, STORE
//! and SEARCH by sequence number; the store keeps them for a later poll. What was told may be more than the client can
//! buffer, so that the telling is a task of its own.

use mail::UidSet;

use crate::core::Core;
use crate::reply::Reply;
use crate::store::{Change, Refusal};

/// What a command's end may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Nothing: the mailbox was just opened or closed, or the command has none.
    Nothing,
    /// All but expunges.
    Flags,
    /// Everything.
    All,
}

/// Changes that are being told.
pub(crate) struct Telling(std::iter::Peekable<std::vec::IntoIter<Change>>);

impl Telling {
    /// Asks the mailbox for its news.
    pub(crate) fn poll(core: &mut Core, expunges: bool) -> Self {
        core.stirred = false;
        let changes = match &mut core.selected {
            Some(open) => open.view.poll(expunges),
            None => Ok(Vec::new()),
        };
        let changes = changes.unwrap_or_else(|refusal| {
            lose(core, &refusal);
            Vec::new()
        });
        Self(changes.into_iter().peekable())
    }

    /// Tells as much as the buffer holds; true if that was all.
    pub(crate) fn tell(&mut self, core: &mut Core) -> bool {
        while let Some(change) = self.0.next() {
            match change {
                Change::Expunged { uid, .. } if core.enabled.qresync => {
                    let mut gone: UidSet = [uid].into_iter().collect();
                    while let Some(Change::Expunged { uid, .. }) = self.0.next_if(|c| matches!(c, Change::Expunged { .. })) {
                        gone.insert(uid);
                    }
                    core.out.text("* VANISHED ");
                    core.out.set(&gone);
                    core.out.end();
                }
                Change::Expunged { sequence, .. } => line(core, sequence, " EXPUNGE\r\n"),
                Change::Exists { count, recent } => {
                    line(core, count, " EXISTS\r\n");
                    line(core, recent, " RECENT\r\n");
                }
                Change::Flags { uid, sequence } => core.tell_flags(sequence, uid, true),
                Change::Keywords => {
                    if let Some(open) = &mut core.selected {
                        open.learn_all(&mut core.out);
                    }
                }
            }
            if core.full() {
                return self.0.peek().is_none();
            }
        }
        true
    }
}

/// `* 23 EXISTS` and the like.
pub(crate) fn line(core: &mut Core, number: u32, what: &str) {
    core.out.text("* ");
    core.out.number(number);
    core.out.text(what);
}

/// The mailbox was deleted or cannot be read any more: the session has to go (RFC 2180 section 3).
fn lose(core: &mut Core, refusal: &Refusal) {
    core.bye(match refusal {
        Refusal::Gone | Refusal::Nonexistent => "The selected mailbox was deleted",
        _ => "The selected mailbox cannot be read now",
    });
}

/// The end of a command: news, then the tagged line.
pub(crate) struct Finish {
    telling: Telling,
    reply: Reply,
}

impl Finish {
    /// Asks for the news that the present command may tell.
    pub(crate) fn new(core: &mut Core, reply: Reply, poll: Poll) -> Self {
        let telling = match poll {
            Poll::Nothing => Telling(Vec::new().into_iter().peekable()),
            Poll::Flags => Telling::poll(core, false),
            Poll::All => Telling::poll(core, true),
        };
        Self { telling, reply }
    }

    /// Tells what is to be told; then the tagged line, or `None` while the buffer is full.
    pub(crate) fn run(&mut self, core: &mut Core) -> Option<Reply> {
        if !self.telling.tell(core) {
            return None;
        }
        let mut reply = self.reply.clone();
        match &mut core.selected {
            Some(open) if reply.highest && core.enabled.condstore => {
                open.told = 0;
                reply.code = Some(format!("HIGHESTMODSEQ {}", open.view.status().highest_modseq).into());
            }
            _ => core.end_of_news(),
        }
        Some(reply)
    }
}
