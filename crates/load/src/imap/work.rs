//! What a client can do to its mailbox: one function for each kind of work, and the mix of a day.

use super::session::{Login, Session, exists, fetched_uid, quoted};
use crate::error::Error;
use crate::message::{self, Sketch, WORDS};
use crate::random::Random;
use crate::wire::Target;
use std::collections::HashSet;
use std::ops::Range;

/// The flags that are changed.
const FLAGS: [&str; 3] = ["\\Flagged", "\\Seen", "\\Answered"];

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Work {
    /// Connect, log in, log out.
    Login,
    /// SELECT.
    Select,
    /// SELECT, then the flags of all messages.
    Open,
    /// STATUS of one mailbox after another.
    Status,
    /// LIST of all mailboxes.
    List,
    /// NOOP.
    Noop,
    /// FETCH of UID and FLAGS.
    FetchFlags,
    /// FETCH of ENVELOPE.
    FetchEnvelope,
    /// FETCH of BODYSTRUCTURE.
    FetchBodystructure,
    /// FETCH of four header fields.
    FetchHeaders,
    /// FETCH of whole messages.
    FetchBody,
    /// Set or clear a flag.
    Store,
    /// COPY to another mailbox.
    Copy,
    /// MOVE to another mailbox.
    Move,
    /// Mark as deleted, and expunge.
    Expunge,
    /// APPEND.
    Append,
    /// SEARCH in the Subject.
    SearchHeader,
    /// SEARCH in the whole text.
    SearchText,
    /// SORT by date.
    Sort,
    /// THREAD by references.
    Thread,
    /// Begin and end IDLE.
    Idle,
    /// All of them as often as in a random stress test of many clients.
    Mixed,
    /// From the end of a message in SMTP to its notice in IDLE.
    IdleLatency,
    /// Hold idle sessions until standard input ends.
    IdleMemory,
}

/// The mix of a day, in percent. Fetches take one to six messages, the others one.
const MIX: [(u64, Work); 17] = [
    (9, Work::FetchFlags),
    (6, Work::FetchEnvelope),
    (5, Work::FetchBodystructure),
    (6, Work::FetchHeaders),
    (6, Work::FetchBody),
    (18, Work::Store),
    (6, Work::SearchHeader),
    (3, Work::SearchText),
    (12, Work::Append),
    (5, Work::Copy),
    (5, Work::Move),
    (7, Work::Expunge),
    (5, Work::Status),
    (2, Work::List),
    (1, Work::Noop),
    (2, Work::Select),
    (2, Work::Idle),
];
/// In the mix, a client with fewer messages of its own than this appends one instead.
const FEW: usize = 8;

impl Work {
    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Select => "select",
            Self::Open => "open",
            Self::Status => "status",
            Self::List => "list",
            Self::Noop => "noop",
            Self::FetchFlags => "fetch-flags",
            Self::FetchEnvelope => "fetch-envelope",
            Self::FetchBodystructure => "fetch-bodystructure",
            Self::FetchHeaders => "fetch-headers",
            Self::FetchBody => "fetch-body",
            Self::Store => "store",
            Self::Copy => "copy",
            Self::Move => "move",
            Self::Expunge => "expunge",
            Self::Append => "append",
            Self::SearchHeader => "search-header",
            Self::SearchText => "search-text",
            Self::Sort => "sort",
            Self::Thread => "thread",
            Self::Idle => "idle",
            Self::Mixed => "mixed",
            Self::IdleLatency => "idle-latency",
            Self::IdleMemory => "idle-memory",
        }
    }

    /// Whether it takes messages away, so that each client needs its own.
    fn consumes(self) -> bool {
        matches!(self, Self::Move | Self::Expunge | Self::Mixed)
    }

    /// Whether it needs to know the UIDs of the mailbox.
    fn needs_uids(self) -> bool {
        self.consumes() || matches!(self, Self::Store | Self::Copy)
    }

    /// What is fetched, for the kinds that fetch.
    fn items(self) -> Option<&'static str> {
        Some(match self {
            Self::FetchFlags => "(UID FLAGS)",
            Self::FetchEnvelope => "ENVELOPE",
            Self::FetchBodystructure => "BODYSTRUCTURE",
            Self::FetchHeaders => "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]",
            Self::FetchBody => "BODY.PEEK[]",
            _ => return None,
        })
    }
}

/// How a client works.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) target: Target,
    /// The mailbox.
    pub(crate) mailbox: String,
    /// Where COPY and MOVE go.
    pub(crate) other: String,
    /// Messages of one command; 0 for all.
    pub(crate) chunk: u64,
    /// Octets of an appended message.
    pub(crate) size: usize,
    /// The seed.
    pub(crate) seed: u64,
}

/// One client with its session.
pub(crate) struct Client {
    /// How it works.
    plan: Plan,
    login: Login,
    session: Option<Session>,
    random: Random,
    index: u64,
    messages: u64,
    uids: Vec<u32>,
    mailboxes: Vec<String>,
    appended: u64,
    /// The flags that are set, as far as this client knows.
    flagged: HashSet<(u32, &'static str)>,
}

impl Client {
    /// Logs in and does what has to be done before the clock starts.
    pub(crate) async fn prepare(plan: &Plan, work: Work, login: Login, place: Range<u64>) -> Result<Self, Error> {
        let index = place.start;
        let random = Random::new(plan.seed.wrapping_add(index));
        let (session, uids, mailboxes, flagged) = (None, Vec::new(), Vec::new(), HashSet::new());
        let mut client = Self { plan: plan.clone(), login, session, random, index, messages: 0, uids, mailboxes, appended: 0, flagged };
        if work == Work::Login {
            return Ok(client);
        }
        client.log_in().await?;
        if matches!(work, Work::Status | Work::Mixed) {
            client.learn_mailboxes().await?;
        }
        if matches!(work, Work::Copy | Work::Move | Work::Mixed) && index == 0 {
            let create = format!("CREATE {}", quoted(&plan.other));
            let made = client.session()?.command(&create).await;
            made.or_else(|error| if matches!(error, Error::Refused { .. }) { Ok(()) } else { Err(error) })?;
        }
        if !matches!(work, Work::Status | Work::List) {
            client.select().await?;
        }
        if work.needs_uids() {
            client.learn_uids(work.consumes().then_some(place)).await?;
        }
        Ok(client)
    }

    /// The session, for work that needs it.
    pub(crate) fn session(&mut self) -> Result<&mut Session, Error> {
        self.session.as_mut().ok_or(Error::Closed)
    }

    /// Messages in the selected mailbox.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Logs out.
    pub(crate) async fn leave(&mut self) -> Result<(), Error> {
        match self.session.take() {
            Some(session) => session.log_out().await,
            None => Ok(()),
        }
    }

    /// Does one piece of work. Returns what it was, or None if there is nothing left to do it to.
    pub(crate) async fn perform(&mut self, work: Work) -> Result<Option<Work>, Error> {
        let work = if work == Work::Mixed { self.choose() } else { work };
        match work {
            Work::Login => self.visit().await?,
            Work::Select => self.select().await?,
            Work::Open => self.open().await?,
            Work::Status => self.status().await?,
            Work::List => self.session()?.command("LIST \"\" \"*\"").await?,
            Work::Noop => self.session()?.command("NOOP").await?,
            Work::Store => self.store().await?,
            Work::Copy => self.copy().await?,
            Work::Move => return self.move_one().await,
            Work::Expunge => return self.expunge().await,
            Work::Append => self.append().await?,
            Work::SearchHeader | Work::SearchText | Work::Sort | Work::Thread => self.search(work).await?,
            Work::Idle => self.idle().await?,
            _ => self.fetch(work).await?,
        }
        Ok(Some(work))
    }

    /// The next work of the mix.
    fn choose(&mut self) -> Work {
        let mut left = self.random.below(MIX.iter().map(|(weight, _)| weight).sum());
        let drawn = MIX.iter().find(|(weight, _)| {
            let found = left < *weight;
            left = left.saturating_sub(*weight);
            found
        });
        let work = drawn.map_or(Work::Noop, |(_, work)| *work);
        if self.uids.len() < FEW && !matches!(work, Work::Select | Work::Status | Work::List) { Work::Append } else { work }
    }

    async fn log_in(&mut self) -> Result<(), Error> {
        let mut session = Session::log_in(&self.plan.target, &self.login).await?;
        session.discover().await?;
        self.session = Some(session);
        Ok(())
    }

    async fn visit(&mut self) -> Result<(), Error> {
        Session::log_in(&self.plan.target, &self.login).await?.log_out().await
    }

    async fn select(&mut self) -> Result<(), Error> {
        let command = format!("SELECT {}", quoted(&self.plan.mailbox));
        let mut messages = 0;
        self.session()?.each(&command, |line| messages = exists(line).unwrap_or(messages)).await?;
        self.messages = messages;
        Ok(())
    }

    async fn open(&mut self) -> Result<(), Error> {
        self.select().await?;
        if self.messages > 0 { self.session()?.command("FETCH 1:* (UID FLAGS)").await } else { Ok(()) }
    }

    async fn learn_mailboxes(&mut self) -> Result<(), Error> {
        let mut names = Vec::new();
        self.session()?.each("LIST \"\" \"*\"", |line| names.extend(listed(line))).await?;
        self.mailboxes = names;
        Ok(())
    }

    /// Learns the UIDs and flags; of a mailbox whose messages are taken away only every so many, beginning with its own index.
    async fn learn_uids(&mut self, place: Option<Range<u64>>) -> Result<(), Error> {
        let (mut uids, mut flagged) = (Vec::new(), HashSet::new());
        if self.messages > 0 {
            let learn = |line: &[u8]| {
                let Some(uid) = fetched_uid(line) else { return };
                uids.push(uid);
                flagged.extend(FLAGS.iter().filter(|flag| memchr::memmem::find(line, flag.as_bytes()).is_some()).map(|flag| (uid, *flag)));
            };
            self.session()?.each("FETCH 1:* (UID FLAGS)", learn).await?;
        }
        self.flagged = flagged;
        if let Some(Range { start, end }) = place {
            let mut position = 0;
            uids.retain(|_| {
                position += 1;
                position % end.max(1) == start
            });
        }
        self.uids = uids;
        Ok(())
    }

    async fn status(&mut self) -> Result<(), Error> {
        let name = self.random.pick(&self.mailboxes).cloned().unwrap_or_else(|| quoted(&self.plan.mailbox));
        self.session()?.command(&format!("STATUS {name} (MESSAGES UNSEEN UIDNEXT)")).await
    }

    async fn fetch(&mut self, work: Work) -> Result<(), Error> {
        let items = work.items().ok_or_else(|| Error::Usage(format!("{} is not for this", work.name())))?;
        let command = if self.uids.is_empty() { self.range(items) } else { self.some(items) };
        self.session()?.command(&command).await
    }

    /// A FETCH of a stretch of the mailbox.
    fn range(&mut self, items: &str) -> String {
        let chunk = if self.plan.chunk == 0 { self.messages } else { self.plan.chunk.min(self.messages) };
        let first = 1 + self.random.below(self.messages.saturating_sub(chunk) + 1);
        format!("FETCH {first}:{} {items}", first + chunk.saturating_sub(1))
    }

    /// A UID FETCH of one to six of the client's own messages.
    fn some(&mut self, items: &str) -> String {
        let (first, count) = (self.random.index(self.uids.len()), 1 + self.random.index(6));
        let chosen: Vec<String> = self.uids.iter().skip(first).take(count).map(u32::to_string).collect();
        format!("UID FETCH {} {items}", chosen.join(","))
    }

    fn any_uid(&mut self) -> Result<u32, Error> {
        self.random.pick(&self.uids).copied().ok_or_else(|| Error::Usage("the mailbox is empty".into()))
    }

    /// Sets a flag of some message, or takes it away if it is set: either way there is something to change.
    async fn store(&mut self) -> Result<(), Error> {
        let uid = self.any_uid()?;
        let flag = FLAGS[self.random.index(FLAGS.len())];
        let sign = if self.flagged.remove(&(uid, flag)) { '-' } else { '+' };
        if sign == '+' {
            self.flagged.insert((uid, flag));
        }
        self.session()?.command(&format!("UID STORE {uid} {sign}FLAGS ({flag})")).await
    }

    async fn copy(&mut self) -> Result<(), Error> {
        let (uid, other) = (self.any_uid()?, quoted(&self.plan.other));
        self.session()?.command(&format!("UID COPY {uid} {other}")).await
    }

    async fn move_one(&mut self) -> Result<Option<Work>, Error> {
        let (Some(uid), other) = (self.uids.pop(), quoted(&self.plan.other)) else { return Ok(None) };
        self.session()?.command(&format!("UID MOVE {uid} {other}")).await?;
        Ok(Some(Work::Move))
    }

    async fn expunge(&mut self) -> Result<Option<Work>, Error> {
        let Some(uid) = self.uids.pop() else { return Ok(None) };
        let session = self.session()?;
        session.command(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)")).await?;
        session.command(&format!("UID EXPUNGE {uid}")).await?;
        Ok(Some(Work::Expunge))
    }

    async fn append(&mut self) -> Result<(), Error> {
        let mut text = Vec::new();
        let number = self.index << 32 | self.appended;
        let Plan { seed, size, .. } = self.plan;
        message::write(&Sketch { number, seed, size, from: "a@load.example", to: "b@load.example", plain: false }, &mut text);
        self.appended += 1;
        let mailbox = self.plan.mailbox.clone();
        let uid = self.session()?.append(&mailbox, "\\Seen", &text).await?;
        self.uids.extend(uid);
        Ok(())
    }

    async fn search(&mut self, work: Work) -> Result<(), Error> {
        let [one, two] = [0; 2].map(|_| *self.random.pick(&WORDS).unwrap_or(&"words"));
        let command = match work {
            Work::SearchHeader => format!("SEARCH SUBJECT \"{one}\""),
            Work::SearchText => format!("SEARCH TEXT \"{one} {two}\""),
            Work::Sort => "SORT (DATE) UTF-8 ALL".to_owned(),
            _ => "THREAD REFERENCES UTF-8 ALL".to_owned(),
        };
        self.session()?.command(&command).await
    }

    async fn idle(&mut self) -> Result<(), Error> {
        let session = self.session()?;
        let tag = session.idle().await?;
        session.done(&tag).await
    }
}

/// The mailbox name of a LIST answer, as it was sent, if it can be selected. A name in a literal is left out.
fn listed(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("* LIST (")?;
    let (attributes, rest) = text.split_once(") ")?;
    let name = rest.split_once(' ')?.1;
    let selectable = !attributes.to_ascii_lowercase().contains("\\noselect") && !attributes.to_ascii_lowercase().contains("\\nonexistent");
    (selectable && !name.ends_with('}')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_answers() {
        for (line, expected) in [
            ("* LIST (\\HasNoChildren) \".\" INBOX", Some("INBOX")),
            ("* LIST () \".\" \"archive 2004.07\"", Some("\"archive 2004.07\"")),
            ("* LIST (\\Noselect \\HasChildren) \".\" archive", None),
            ("* LIST (\\HasNoChildren) \".\" {3}", None),
            ("a1 OK done", None),
        ] {
            assert_eq!(listed(line.as_bytes()).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_mix_is_a_hundred() {
        assert_eq!(MIX.iter().map(|(weight, _)| weight).sum::<u64>(), 100);
    }
}
