//! Carries a rule file out for one message.
//!
//! [`Evaluator::filter`] is the whole story: read the rule files, take each statement in turn, and end with a delivery, the
//! default folder, or a failure. The statements' parts are in the modules: conditions, actions, folders, assignments,
//! locks, and the end.

mod action;
mod assign;
mod condition;
mod finish;
mod folder;
mod lock;
mod log;
mod programs;
mod scope;

pub use log::calendar;

use std::path::PathBuf;
use std::sync::Arc;

use crate::host::{Host, Unreadable};
use crate::message::{Letter, Message};
use crate::outcome::{Delivery, Event, Origin, Outcome};
use crate::parse::ParseLimits;
use crate::prefilter::Candidates;
use crate::program::{Head, Kind, Phrase, Program, Recipe};
use crate::variables::{Settings, Variables};
use crate::words::{Complaint, Cursor, Mode, Reading, Scope, read};

/// What the filter is to do.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Variables that are set at the start (HOME, LOGNAME, SHELL, PATH, ORGMAIL ...).
    pub variables: Variables,
    /// Assignments made before the first rule file, as on procmail's command line: `NAME=value`, with substitutions.
    pub assignments: Vec<Vec<u8>>,
    /// A rule file that is carried out before all others, if it is there.
    pub system_file: Option<PathBuf>,
    /// Rule files; the first that can be read is used, those behind it only after a HOST that does not match.
    pub files: Vec<RuleFile>,
    /// `$1`, `$2` ...
    pub arguments: Vec<Vec<u8>>,
    /// `$0`.
    pub program_name: Vec<u8>,
    /// The current folder at the start.
    pub folder: PathBuf,
    /// A message that cannot be delivered is to be tried again (exit code 75), not bounced (73).
    pub soft_failure: bool,
    /// Content-Length fields have no meaning.
    pub berkeley: bool,
    /// Report each step in [`Outcome::events`].
    pub explain: bool,
}

/// Where a rule file's relative name starts, and what MAILDIR is if it is the first file that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// HOME.
    #[default]
    Home,
    /// The current folder.
    Current,
}

/// A rule file to be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name.
    pub name: PathBuf,
    /// Where the name starts.
    pub base: Base,
    /// It need not be there: nothing is logged when it is missing.
    pub optional: bool,
}

/// Why the rule files came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The message is delivered.
    Delivered,
    /// All statements were taken.
    File,
    /// HOST did not match.
    Host,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    End(End),
}

/// A rule file that is being carried out.
#[derive(Clone, Debug)]
struct Frame {
    program: Arc<Program>,
    next: usize,
    /// How many blocks were open when it began.
    depth: usize,
    name: Arc<[u8]>,
}

/// What the flags `A`, `a`, `E` and `e` look at.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    /// The last recipe without `A` and `a` matched.
    condition: bool,
    /// The last recipe matched, or one before it in a chain of `E`.
    previous: bool,
    /// The last action succeeded.
    success: bool,
}

/// All that a clone gets a copy of.
#[derive(Clone, Debug)]
struct State {
    variables: Variables,
    settings: Settings,
    message: Arc<Message>,
    folder: PathBuf,
    umask: u32,
    frames: Vec<Frame>,
    blocks: Vec<Chain>,
    chain: Chain,
    arguments: Vec<Vec<u8>>,
    /// The exit code of the last program that was waited for.
    exit_code: i32,
    /// The exit code of the last filter that was waited for; procmail forgets to clear it.
    filter_code: i32,
    score: i64,
    /// Continued header lines are joined at the moment.
    joined: bool,
    /// Nothing is added to the end of what is written.
    raw: bool,
    /// Octets that the last delivery wrote.
    written: usize,
    log: Option<(PathBuf, Vec<u8>)>,
    exit_code_assigned: bool,
    /// DELIVERED was set: whatever happens, the message counts as delivered.
    disclaimed: bool,
    entered: bool,
    local_lock: Option<Vec<u8>>,
    global_lock: Option<Vec<u8>>,
}

/// Carries rule files out.
pub struct Evaluator<'h> {
    host: &'h mut dyn Host,
    limits: &'h config::Filter,
    request: Request,
    state: State,
    steps: u32,
    clones: u32,
    /// Where a piece ended that the variables made longer or shorter than it was read.
    moved_to: Option<usize>,
    /// The flags of a recipe that had to be read again.
    head: Option<Head>,
    candidates: [Option<(usize, Option<Candidates>)>; 3],
    stamp: Option<u64>,
    here: Option<Origin>,
    events: Vec<Event>,
    deliveries: Vec<Delivery>,
    /// See [`Outcome::taken`].
    taken: bool,
}

impl<'h> Evaluator<'h> {
    /// Takes a message (LF line ends) and what to do with it.
    pub fn new(host: &'h mut dyn Host, limits: &'h config::Filter, mut request: Request, message: impl Into<Letter>) -> Self {
        let settings = Settings::default();
        let mut variables = std::mem::take(&mut request.variables);
        for (name, value) in settings.presets() {
            variables.preset(name, value);
        }
        variables.preset(b"HOST", host.hostname());
        variables.preset(b"PROCMAIL_VERSION", VERSION);
        variables.preset(b"COMSAT", &b"no"[..]);
        let state = State {
            variables,
            settings,
            message: Arc::new(Message::new(message.into(), request.berkeley)),
            folder: std::mem::take(&mut request.folder),
            umask: 0o77,
            frames: Vec::new(),
            blocks: Vec::new(),
            chain: Chain::default(),
            arguments: std::mem::take(&mut request.arguments),
            exit_code: 0,
            filter_code: 0,
            score: 0,
            joined: false,
            raw: false,
            written: 0,
            log: None,
            exit_code_assigned: false,
            disclaimed: false,
            entered: false,
            local_lock: None,
            global_lock: None,
        };
        let mut evaluator = Self {
            host,
            limits,
            request,
            state,
            steps: 0,
            clones: 0,
            moved_to: None,
            head: None,
            candidates: Default::default(),
            stamp: None,
            here: None,
            events: Vec::new(),
            deliveries: Vec::new(),
            taken: false,
        };
        evaluator.host.set_umask(evaluator.state.umask);
        evaluator.state.settings.default = evaluator.state.variables.text(b"DEFAULT").to_vec().into();
        if evaluator.state.settings.default.is_empty() {
            evaluator.state.settings.default = evaluator.state.variables.text(b"ORGMAIL").to_vec().into();
        }
        evaluator
    }

    /// Filters the message.
    #[must_use]
    pub fn filter(mut self) -> Outcome {
        for assignment in std::mem::take(&mut self.request.assignments) {
            if let Some(End::Host) = self.assign_argument(&assignment) {
                return self.outcome(0);
            }
        }
        if let Some(file) = self.request.system_file.take() {
            let file = RuleFile { name: file, base: Base::Home, optional: true };
            if self.open_first(&file, false) && self.run() == End::Delivered {
                let code = self.finish(End::Delivered);
                return self.outcome(code);
            }
        }
        let files = std::mem::take(&mut self.request.files);
        let mut end = End::File;
        let mut warn = true;
        for file in &files {
            end = End::File;
            if !self.open_first(file, warn) {
                warn = false;
                continue;
            }
            end = self.run();
            if end != End::Host {
                break;
            }
        }
        let code = self.finish(end);
        self.outcome(code)
    }

    fn outcome(self, code: i32) -> Outcome {
        Outcome { code, taken: self.taken, deliveries: self.deliveries, variables: self.state.variables, events: self.events }
    }

    /// Opens a rule file that was asked for, and makes MAILDIR what it is to be.
    fn open_first(&mut self, file: &RuleFile, warn: bool) -> bool {
        use std::os::unix::ffi::{OsStrExt, OsStringExt};
        let home = PathBuf::from(std::ffi::OsString::from_vec(self.state.variables.text(b"HOME").to_vec()));
        let path = if file.base == Base::Home { home.join(&file.name) } else { file.name.clone() };
        let name = path.as_os_str().as_bytes().to_vec();
        let full = self.state.folder.join(&path);
        let distrust = if file.base == Base::Home { self.host.distrust(&full) } else { None };
        if distrust.is_some() {
            self.notice_quoted("Suspicious rcfile", &name);
        }
        let program = match distrust.map_or_else(|| self.host.load(&full), |distrust| Err(distrust.into())) {
            Ok(program) => program,
            // procmail can open it, and finds nothing in it.
            Err(Unreadable::Io(error)) if error.kind() == std::io::ErrorKind::IsADirectory => None,
            Err(_) => {
                if warn && !file.optional {
                    self.notice_quoted("Couldn't read", &name);
                }
                return false;
            }
        };
        self.yell("Rcfile:", &name);
        if !self.state.entered {
            self.enter_first(file.base);
        }
        self.state.chain = Chain::default();
        self.state.blocks.clear();
        self.state.frames.clear();
        let program = program.unwrap_or_else(|| Arc::new(Program::empty()));
        let name = self.full_name(&name).into();
        self.state.frames.push(Frame { program, next: 0, depth: 0, name });
        true
    }

    /// MAILDIR for the first rule file: HOME or the current folder.
    fn enter_first(&mut self, base: Base) {
        let home = self.state.variables.text(b"HOME").to_vec();
        let name = if base == Base::Home && self.change_folder(&home) { home } else { b".".to_vec() };
        self.state.entered = true;
        self.set(b"MAILDIR", &name);
    }

    /// Carries the statements out until the files end.
    fn run(&mut self) -> End {
        loop {
            self.release_local_lock();
            self.steps += 1;
            if self.steps > self.limits.max_steps {
                self.notice("Too many steps, giving up on the rule files\n");
                return End::File;
            }
            let Some(frame) = self.state.frames.last_mut() else { return End::File };
            let program = Arc::clone(&frame.program);
            let Some(statement) = program.statements.get(frame.next) else {
                if !self.end_of_file() {
                    return End::File;
                }
                continue;
            };
            frame.next += 1;
            if self.request.explain || !matches!(statement.kind, Kind::Close) {
                self.here = Some(Origin { file: Arc::clone(&frame.name), line: statement.line });
            }
            let flow = match &statement.kind {
                Kind::Recipe(recipe) => self.recipe(&program, recipe),
                Kind::Assign(name, phrase) => self.assignment(&program, name, phrase),
                Kind::Remove(name) => self.assign(name, None),
                Kind::Close => self.close_block(),
                Kind::Junk(junk) => self.junk(junk),
            };
            if let Flow::End(end) = flow {
                return end;
            }
            self.follow_move(&program);
        }
    }

    /// Ends the file at hand; false if it was the last one.
    fn end_of_file(&mut self) -> bool {
        let Some(frame) = self.state.frames.pop() else { return false };
        if self.state.blocks.len() > frame.depth {
            self.state.blocks.truncate(frame.depth);
            self.notice("Missing closing brace\n");
        }
        !self.state.frames.is_empty()
    }

    fn close_block(&mut self) -> Flow {
        let depth = self.state.frames.last().map_or(0, |frame| frame.depth);
        if self.state.blocks.len() > depth {
            if let Some(chain) = self.state.blocks.pop() {
                self.state.chain.condition = chain.condition;
                self.state.chain.previous = chain.previous;
            }
        } else {
            self.notice("Closing brace unexpected\n");
        }
        Flow::Next
    }

    fn junk(&mut self, junk: &[u8]) -> Flow {
        self.skipped(junk);
        Flow::Next
    }

    /// Goes on where the last piece ended, if that is not where it was read to end.
    fn follow_move(&mut self, program: &Program) {
        let Some(at) = self.moved_to.take() else { return };
        self.reread(program, at, None);
    }

    fn reread(&mut self, program: &Program, at: usize, counted: Option<i64>) {
        let limits = ParseLimits { statements: self.limits.max_statements as usize };
        let resumed = Program::resumed(Arc::clone(&program.text), at, counted, limits);
        if let (Ok(resumed), Some(frame)) = (resumed, self.state.frames.last_mut()) {
            frame.program = Arc::new(resumed);
            frame.next = 0;
        }
    }

    /// Reads a piece with its substitutions.
    fn phrase(&mut self, program: &Program, phrase: &Phrase, prefix: &[u8], mode: Mode) -> Reading {
        let line_buffer = self.state.settings.line_buffer;
        if let Some(fixed) = phrase.fixed.as_ref().filter(|fixed| fixed.text.len() <= line_buffer) {
            for complaint in &phrase.complaints {
                self.complain(complaint.clone());
            }
            return fixed.clone();
        }
        let text = Arc::clone(&program.text);
        let mut cursor = Cursor::new(&text, phrase.at);
        let reading = read(&mut cursor, prefix.to_vec(), mode, false, line_buffer, self);
        if cursor.at != phrase.end {
            self.moved_to = Some(cursor.at);
        }
        reading
    }

    /// Complains about a piece that is skipped.
    fn skip_phrase(&mut self, phrase: &Phrase) {
        for complaint in &phrase.complaints {
            self.complain(complaint.clone());
        }
    }

    /// Reads a text with substitutions.
    fn read_text(&mut self, text: &[u8], mode: Mode) -> Reading {
        let line_buffer = self.state.settings.line_buffer;
        read(&mut Cursor::new(text, 0), Vec::new(), mode, false, line_buffer, self)
    }

    /// A recipe: its flags, its conditions, its action.
    fn recipe(&mut self, program: &Arc<Program>, recipe: &Recipe) -> Flow {
        let head = match (self.head.take(), &recipe.flags) {
            (Some(head), _) => head,
            (None, Some(head)) => {
                self.skip_phrase(&recipe.head);
                head.clone()
            }
            (None, None) => {
                let reading = self.phrase(program, &recipe.head, b"", Mode::Words);
                if reading.overflow {
                    return Flow::End(End::File);
                }
                let head = Head::read(&reading);
                let moved = self.moved_to.take();
                if moved.is_some() || head.counted() != recipe.counted {
                    self.reread(program, moved.unwrap_or(recipe.head.end), Some(head.counted()));
                    self.head = Some(head);
                    return Flow::Next;
                }
                head
            }
        };
        self.skipped(&head.leftover);
        let mut flags = head.flags;
        let matched = self.conditions(recipe, &mut flags);
        let missing = matches!(recipe.action, crate::program::Action::Missing);
        let matched = matched && !missing;
        if !flags.has(b'A') && !flags.has(b'a') {
            self.state.chain.condition = matched;
        }
        if !self.state.chain.previous || !flags.has(b'E') {
            self.state.chain.previous = matched;
        }
        self.event(|| Event::Recipe { matched });
        if missing {
            self.notice("Missing action\n");
            return Flow::Next;
        }
        self.act(program, recipe, &head, flags, matched)
    }

    /// Passes over a block: what is wrong in it is complained about nevertheless.
    fn skip_block(&mut self, program: &Program, recipe: &Recipe) {
        let Some(frame) = self.state.frames.last_mut() else { return };
        let inside = frame.next..recipe.behind.min(program.statements.len());
        frame.next = recipe.behind;
        if recipe.holds_recipes {
            self.state.score = 0;
        }
        if !recipe.noisy {
            return;
        }
        for statement in &program.statements[inside] {
            match &statement.kind {
                Kind::Recipe(recipe) => self.skip_recipe(recipe),
                Kind::Assign(_, phrase) => self.skip_phrase(phrase),
                Kind::Junk(junk) => self.skipped(junk),
                Kind::Remove(_) | Kind::Close => {}
            }
        }
    }

    fn skip_recipe(&mut self, recipe: &Recipe) {
        use crate::program::Action;
        self.skip_phrase(&recipe.head);
        let head = recipe.flags.clone().unwrap_or_default();
        self.skipped(&head.leftover);
        let mut flags = head.flags;
        self.flag_conflicts(&mut flags);
        if recipe.action.ignores_filter() && flags.has(b'f') {
            self.notice("Extraneous filter-flag ignored\n");
        }
        match &recipe.action {
            Action::Missing => self.notice("Missing action\n"),
            Action::End => self.notice("Incomplete recipe\n"),
            Action::Block => self.extraneous_block_flags(&head),
            Action::Forward(_, phrase) | Action::Folder(_, phrase) => self.skip_phrase(phrase),
            Action::Pipe(..) => {}
        }
    }

    /// Notes a step for the explanation.
    fn event(&mut self, make: impl FnOnce() -> Event) {
        if self.request.explain && self.events.len() < self.limits.max_steps as usize {
            let origin = self.here.clone().unwrap_or_default();
            self.events.push(Event::At(origin));
            let event = make();
            self.events.push(event);
        }
    }

    fn too_long(&mut self) {
        self.complain(Complaint::TooLong);
    }
}

/// What PROCMAIL_VERSION says: the version whose behaviour this is.
const VERSION: &[u8] = b"3.23pre";
