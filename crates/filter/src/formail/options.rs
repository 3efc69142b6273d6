//! formail's command line.

use std::path::PathBuf;

use super::fields::name_length;

/// How a mailbox is split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// The program that gets each message; empty: the standard output.
    pub program: Vec<Vec<u8>>,
    /// A new message may begin on any line (`-e`).
    pub anywhere: bool,
    /// Messages need no `From ` line (`-d`).
    pub digest: bool,
    /// The input is an RMAIL file of old (`-B`).
    pub babyl: bool,
    /// How many fields in a row make a header (`-m`).
    pub least_fields: usize,
    /// Content-Length is not heeded (`-Y`, `-d`).
    pub(super) ignores_length: bool,
    /// How many programs may run at a time was said (`-n`).
    pub parallel: bool,
    /// Messages that are passed over (`+n`).
    pub skip: usize,
    /// The most messages that are taken (`-n`).
    pub total: Option<usize>,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) keep_from_lines: bool,
    pub(super) quote: Vec<u8>,
    pub(super) berkeley: bool,
    pub(super) join: bool,
    pub(super) tidy: bool,
    pub(super) force: bool,
    pub(super) reply: bool,
    pub(super) keep_body: bool,
    pub(super) trust: bool,
    pub(super) summary: Option<Vec<u8>>,
    pub(super) extract: Vec<Vec<u8>>,
    pub(super) extract_whole: Vec<Vec<u8>>,
    pub(super) add_missing: Vec<Vec<u8>>,
    pub(super) add: Vec<Vec<u8>>,
    pub(super) rename_old: Vec<Vec<u8>>,
    pub(super) replace: Vec<Vec<u8>>,
    pub(super) first: Vec<Vec<u8>>,
    pub(super) last: Vec<Vec<u8>>,
    pub(super) rename: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) cache: Option<(usize, PathBuf)>,
    /// Version and nothing else (`-v`).
    pub version: bool,
    /// Split the input (`-s`).
    pub split: Option<Split>,
}

/// How the command is used.
const USAGE: &str = "\
Usage: formail [-vbczfrktqY] [-D nnn idcache] [-p prefix] [-l folder]
\t[-xXaAiIuU field] [-R ofield nfield]
   Or: formail [+nnn] [-nnn] [-bczfrktedqBY] [-D nnn idcache] [-p prefix]
\t[-n [nnn]] [-m nnn] [-l folder] [-xXaAiIuU field] [-R ofield nfield]
\t-s [prg [arg ...]]
";

impl Default for Options {
    fn default() -> Self {
        Self {
            keep_from_lines: false,
            quote: b">".to_vec(),
            berkeley: false,
            join: false,
            tidy: false,
            force: false,
            reply: false,
            keep_body: false,
            trust: false,
            summary: None,
            extract: Vec::new(),
            extract_whole: Vec::new(),
            add_missing: Vec::new(),
            add: Vec::new(),
            rename_old: Vec::new(),
            replace: Vec::new(),
            first: Vec::new(),
            last: Vec::new(),
            rename: Vec::new(),
            cache: None,
            version: false,
            split: None,
        }
    }
}

type Arguments<'a> = dyn Iterator<Item = Vec<u8>> + 'a;

impl Options {
    /// Reads the arguments behind the command's name.
    ///
    /// # Errors
    /// What the user is told.
    pub fn read(arguments: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut split = Split::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.split_first() {
                Some((b'+', number)) => split.skip = whole(number)?,
                Some((b'-', letters)) if letters.first().is_some_and(u8::is_ascii_digit) => split.total = Some(whole(letters)?),
                Some((b'-', letters)) => {
                    if options.letters(letters, &mut arguments, &mut split)? {
                        split.program = arguments.by_ref().collect();
                        split.least_fields = if split.least_fields == 0 { 2 } else { split.least_fields };
                        split.ignores_length = options.berkeley || split.digest;
                        options.split = Some(std::mem::take(&mut split));
                    }
                }
                _ => return Err(USAGE.to_owned()),
            }
        }
        options.checked(&split)
    }

    /// Whether the exit code tells of a duplicate, and nothing is written (`-D` without `-s`).
    #[must_use]
    pub fn looks_for_duplicates(&self) -> bool {
        self.cache.is_some() && self.split.is_none()
    }

    fn checked(self, unused: &Split) -> Result<Self, String> {
        let extracts = !self.extract.is_empty() || !self.extract_whole.is_empty();
        let only_split = unused.anywhere || unused.digest || unused.babyl || unused.parallel || unused.least_fields > 0;
        let pointless_keep = self.keep_body && !self.reply && !extracts;
        if only_split || pointless_keep || (extracts && self.summary.is_some()) {
            return Err(USAGE.to_owned());
        }
        Ok(self)
    }

    /// Takes the letters of one argument; true behind `-s`.
    fn letters(&mut self, letters: &[u8], arguments: &mut Arguments<'_>, split: &mut Split) -> Result<bool, String> {
        for (place, letter) in letters.iter().enumerate() {
            let rest = &letters[place + 1..];
            match letter {
                b'b' => self.keep_from_lines = true,
                b'Y' => self.berkeley = true,
                b'c' => self.join = true,
                b'z' => self.tidy = true,
                b'f' => self.force = true,
                b'r' => self.reply = true,
                b'k' => self.keep_body = true,
                b't' => self.trust = true,
                b'v' => self.version = true,
                b'e' => split.anywhere = true,
                b'd' => split.digest = true,
                b'B' => split.babyl = true,
                b'q' if rest.first() == Some(&b'-') => return Ok(false),
                b'q' => {}
                // Programs are run one after the other in any case. A number may be next, here or in the next argument.
                b'n' => {
                    split.parallel = true;
                    if rest.is_empty() {
                        whole(&arguments.next().ok_or_else(|| USAGE.to_owned())?)?;
                    }
                    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
                    return self.letters(&rest[digits..], arguments, split);
                }
                b's' => return Ok(true),
                _ => {
                    self.valued(*letter, rest, arguments, split)?;
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// An option with a value.
    fn valued(&mut self, letter: u8, rest: &[u8], arguments: &mut Arguments<'_>, split: &mut Split) -> Result<(), String> {
        let mut next = || arguments.next().ok_or_else(|| USAGE.to_owned());
        let value = if rest.is_empty() { next()? } else { rest.to_vec() };
        match letter {
            b'a' | b'A' => named(&value, is_prefix_of_resent(&value))?,
            b'x' | b'X' | b'i' | b'I' | b'u' | b'U' => named(&value, true)?,
            _ => {}
        }
        match letter {
            b'p' => self.quote = value,
            b'l' => self.summary = Some(value),
            b'x' => self.extract.push(value),
            b'X' => self.extract_whole.push(value),
            b'a' => self.add_missing.push(value),
            b'A' => self.add.push(value),
            b'i' => self.rename_old.push(value),
            b'I' => self.replace.push(value),
            b'u' => self.first.push(value),
            b'U' => self.last.push(value),
            b'm' => split.least_fields = whole(&value)?,
            b'D' => {
                let path = PathBuf::from(to_os(next()?));
                // The file is there even if the rest of the command line is wrong; a problem shows when it is used.
                let _ = std::fs::OpenOptions::new().append(true).create(true).open(&path);
                self.cache = Some((whole(&value)?, path));
            }
            b'R' => {
                let old = value;
                let new = next()?;
                if name_length(&old).is_some_and(|length| length < old.len()) {
                    return Err(USAGE.to_owned());
                }
                named(&old, true)?;
                // A whole name becomes a whole one.
                named(&new, name_length(&old).is_none())?;
                self.rename.push((old, new));
            }
            _ => return Err(USAGE.to_owned()),
        }
        Ok(())
    }
}

/// Demands a field's name; with `bare`, one without a colon will do.
fn named(text: &[u8], bare: bool) -> Result<(), String> {
    let plain = |text: &[u8]| !text.iter().any(|octet| octet.is_ascii_control() || matches!(octet, b' ' | b':'));
    if name_length(text).is_some() || (bare && plain(text)) {
        return Ok(());
    }
    Err(format!("formail: Invalid field-name: \"{}\"\n{USAGE}", String::from_utf8_lossy(text)))
}

/// `-a Resent-` chooses which fields name the sender.
fn is_prefix_of_resent(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"Resent-")
}

fn to_os(octets: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(octets)
}

fn whole(digits: &[u8]) -> Result<usize, String> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(|| USAGE.to_owned())
}
