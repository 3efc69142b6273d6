//! What all commands share: the session's state, its output, and the rules that hold whatever is done.

use std::sync::Arc;

use mail::{Keyword, ModSeq, Uid, UidSet};

use crate::content::Measured;
use crate::frame::Input;
use crate::output::Output;
use crate::reply::Reply;
use crate::session::{Notice, Peer, Remark, Settings, Step};
use crate::store::{self, Meta, Selected, Store};
use crate::verb::{State, Verb};

/// The least room for output, in octets.
const LEAST_ROOM: usize = 4096;

/// Extensions that change what the client is told (RFC 5161).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Enabled {
    /// MODSEQ in every FETCH (RFC 7162 section 3.1).
    pub(crate) condstore: bool,
    /// VANISHED instead of EXPUNGE (RFC 7162 section 3.2).
    pub(crate) qresync: bool,
}

/// The selected mailbox.
pub(crate) struct Open {
    pub(crate) view: Box<dyn Selected>,
    pub(crate) name: String,
    /// The keywords that the client was told of; a message's bits refer to them.
    pub(crate) keywords: Vec<Keyword>,
    /// What SEARCH RETURN (SAVE) found last (RFC 5182).
    pub(crate) saved: UidSet,
    /// The highest MODSEQ that the present command has told.
    pub(crate) told: ModSeq,
    /// What the last partial FETCH has found of a large message.
    pub(crate) measured: Option<Measured>,
}

/// What a command has come to.
pub(crate) enum Progress {
    /// The output buffer is full; there is more.
    Full,
    /// It waits for input or a notice.
    Starved,
    /// The driver has to do something first.
    Effect(Step),
    /// It is done.
    Done(Reply),
}

/// What the driver says after an effect.
pub(crate) enum Answer {
    /// To [`Step::Await`].
    Durable(store::Result<()>),
    /// To [`Step::Authenticate`].
    Login(Result<Box<dyn Store>, crate::session::LoginRefused>),
}

/// A command that takes more than one go: it waits, or has more to say than the buffer holds.
pub(crate) trait Task: Send {
    /// Goes on as far as it can.
    fn run(&mut self, core: &mut Core, input: &mut Input) -> Progress;

    /// Takes the driver's answer to its effect.
    fn answer(&mut self, _core: &mut Core, _answer: Answer) {}

    /// Whether the output so far ends within a response, so that nothing else may be said before the rest.
    fn is_amid(&self) -> bool {
        false
    }

    /// What it is, for time limits: a client in IDLE may be silent.
    fn idles(&self) -> bool {
        false
    }
}

/// What a command's function gives back when it was not refused.
pub(crate) enum Next {
    /// It is done.
    Reply(Reply),
    /// It goes on.
    Task(Box<dyn Task>),
}

impl From<Reply> for Next {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// What the function of a command gives back.
pub(crate) type Outcome = Result<Next, Reply>;

/// The state of a session.
pub(crate) struct Core {
    pub(crate) settings: Arc<Settings>,
    pub(crate) peer: Peer,
    pub(crate) notice: Notice,
    pub(crate) out: Output,
    pub(crate) store: Option<Box<dyn Store>>,
    pub(crate) selected: Option<Open>,
    pub(crate) enabled: Enabled,
    /// The present command.
    pub(crate) tag: Vec<u8>,
    pub(crate) verb: Option<&'static Verb>,
    pub(crate) uid: bool,
    /// There may be news of the selected mailbox.
    pub(crate) stirred: bool,
    /// Malformed commands in a row.
    pub(crate) errors: u32,
    pub(crate) login_failures: u32,
    /// No further command is taken; what is in the output is the last.
    pub(crate) leaving: bool,
    /// TLS begins when the tagged line is sent.
    pub(crate) starts_tls: bool,
    /// An IDLE ended without DONE, which may still come.
    pub(crate) stray_done: bool,
    pub(crate) remarks: Vec<Remark>,
}

impl Core {
    pub(crate) fn new(settings: Arc<Settings>, peer: Peer, notice: Notice) -> Self {
        Self {
            settings,
            peer,
            notice,
            out: Output::default(),
            store: None,
            selected: None,
            enabled: Enabled::default(),
            tag: Vec::new(),
            verb: None,
            uid: false,
            stirred: false,
            errors: 0,
            login_failures: 0,
            leaving: false,
            starts_tls: false,
            stray_done: false,
            remarks: Vec::new(),
        }
    }

    /// Which commands are allowed now.
    pub(crate) fn state(&self) -> State {
        match (&self.store, &self.selected) {
            (None, _) => State::NotAuthenticated,
            (Some(_), None) => State::Authenticated,
            (Some(_), Some(_)) => State::Selected,
        }
    }

    /// Whether the buffer holds as much as it should.
    pub(crate) fn full(&self) -> bool {
        self.out.bytes().len() >= self.room()
    }

    /// How much output may wait. A few lines always may, whatever the settings say.
    pub(crate) fn room(&self) -> usize {
        self.settings.limits.output_buffer.octets().max(LEAST_ROOM)
    }

    /// Whether passwords may be sent over this connection as they are.
    pub(crate) fn private(&self) -> bool {
        self.peer.tls || self.peer.loopback
    }

    /// The account's mail. The table of verbs lets no command that needs it run before log-in.
    pub(crate) fn store(&self) -> Result<&dyn Store, Reply> {
        self.store.as_deref().ok_or_else(|| Reply::bad("Log in first"))
    }

    /// The selected mailbox. The table of verbs lets no command that needs it run without.
    pub(crate) fn open(&mut self) -> Result<&mut Open, Reply> {
        self.selected.as_mut().ok_or_else(no_mailbox)
    }

    /// The same for looking only, with the output beside it.
    pub(crate) fn open_and_out(&mut self) -> Result<(&mut Open, &mut Output), Reply> {
        Ok((self.selected.as_mut().ok_or_else(no_mailbox)?, &mut self.out))
    }

    /// Says goodbye and takes no further command.
    pub(crate) fn bye(&mut self, text: &str) {
        if !self.leaving {
            self.out.text("* BYE ");
            self.out.remark(text);
            self.out.end();
        }
        self.leaving = true;
    }

    /// A command with MODSEQ in it came: from now on every FETCH tells MODSEQ (RFC 7162 section 3.1).
    pub(crate) fn enable_condstore(&mut self) {
        if std::mem::replace(&mut self.enabled.condstore, true) {
            return;
        }
        if let Some(open) = &self.selected {
            let highest = open.view.status().highest_modseq;
            self.tell_highest(highest);
        }
    }

    /// `* OK [HIGHESTMODSEQ n]`
    pub(crate) fn tell_highest(&mut self, highest: ModSeq) {
        self.out.text("* OK [HIGHESTMODSEQ ");
        self.out.number(highest);
        self.out.text("] Highest\r\n");
    }

    /// Says which HIGHESTMODSEQ the client may remember after news. It takes the highest MODSEQ that it saw, unless it is told
    /// otherwise (RFC 7162 section 6); that is too much if an expunge is kept back, or another message changed since the poll.
    pub(crate) fn end_of_news(&mut self) {
        let Some(open) = &mut self.selected else { return };
        let told = std::mem::take(&mut open.told);
        if told == 0 {
            return;
        }
        let highest = open.view.status().highest_modseq;
        if told > highest {
            self.tell_highest(highest);
        }
    }

    /// Closes the selected mailbox.
    pub(crate) fn unselect(&mut self) {
        if let Some(mut open) = self.selected.take() {
            open.view.watch(None);
        }
        self.stirred = false;
    }

    /// Tells a message's flags without being asked: `* 3 FETCH (UID 7 FLAGS (\Seen))`, with MODSEQ if that is enabled.
    /// `flags` is false for a change that the client knows of and that has only a new MODSEQ.
    pub(crate) fn tell_flags(&mut self, sequence: u32, uid: Uid, flags: bool) {
        let Some(open) = &mut self.selected else { return };
        let Some(meta) = open.view.meta(uid) else { return };
        open.learn(meta.keywords, &mut self.out);
        let out = &mut self.out;
        out.text("* ");
        out.number(sequence);
        out.text(" FETCH (UID ");
        out.number(uid);
        if self.enabled.condstore {
            out.text(" MODSEQ (");
            out.number(meta.modseq);
            out.byte(b')');
            open.told = open.told.max(meta.modseq);
        }
        if flags {
            out.text(" FLAGS ");
            open.flags(&meta, out);
        }
        out.text(")\r\n");
    }
}

fn no_mailbox() -> Reply {
    Reply::bad("Select a mailbox first")
}

impl Open {
    /// A mailbox just opened.
    pub(crate) fn new(view: Box<dyn Selected>, name: String) -> Self {
        let keywords = view.keywords();
        Self { view, name, keywords, saved: UidSet::new(), told: 0, measured: None }
    }

    /// Writes a message's flags, `\Recent` among them.
    pub(crate) fn flags(&self, meta: &Meta, out: &mut Output) {
        out.flags(self.view.is_recent(meta.uid), meta.flags, meta.keywords, &self.keywords);
    }

    /// Tells the keywords anew if `bits` has one that the client has not heard of.
    pub(crate) fn learn(&mut self, bits: u64, out: &mut Output) {
        let known = self.keywords.len() as u32;
        if bits.checked_shr(known).unwrap_or(0) != 0 {
            self.learn_all(out);
        }
    }

    /// Tells the keywords anew if there are more than the client has heard of.
    pub(crate) fn learn_all(&mut self, out: &mut Output) {
        learn(&*self.view, &mut self.keywords, out);
    }

    /// Tells the flags and keywords that there are.
    pub(crate) fn write_flags(&self, out: &mut Output) {
        write_flags(&self.keywords, self.view.read_only(), out);
    }
}

/// Tells the keywords anew if there are more than the client has heard of, which are in `known`.
pub(crate) fn learn(view: &dyn Selected, known: &mut Vec<Keyword>, out: &mut Output) {
    let keywords = view.keywords();
    if keywords.len() != known.len() {
        *known = keywords;
        write_flags(known, view.read_only(), out);
    }
}

/// `* FLAGS (...)` and `* OK [PERMANENTFLAGS (...)]`. The latter is empty where nothing can be changed, and has `\*` where a
/// new keyword can be made.
fn write_flags(keywords: &[Keyword], read_only: bool, out: &mut Output) {
    let all = mail::Flags::from_bits(u8::MAX);
    let bits = 1u64.checked_shl(keywords.len() as u32).map_or(u64::MAX, |bit| bit - 1);
    out.text("* FLAGS ");
    out.flags(false, all, bits, keywords);
    out.text("\r\n* OK [PERMANENTFLAGS ");
    if read_only {
        out.text("()] Read-only mailbox.\r\n");
        return;
    }
    out.flags(false, all, bits, keywords);
    if keywords.len() < 64 {
        out.vec().pop();
        out.text(" \\*)");
    }
    out.text("] Flags permitted.\r\n");
}
