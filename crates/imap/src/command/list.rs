//! LIST (RFC 3501 section 6.3.8) with LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819) and SPECIAL-USE (RFC 6154).

use std::collections::{BTreeMap, HashSet};

use crate::command::status;
use crate::core::{Core, Outcome};
use crate::output::Output;
use crate::parse::{Cursor, Parse, Syntax};
use crate::pattern::{Pattern, SEPARATOR};
use crate::reply::Reply;
use crate::store::{Listed, Store};

/// Characters of all patterns of one command. Each may have to be compared with each character of each name.
pub(crate) const LONGEST_PATTERNS: usize = 2_000;

/// What is asked for.
#[derive(Debug, Default)]
struct Options {
    /// Only subscribed names, existing or not.
    subscribed: bool,
    /// Also names that have a subscribed one below them which is not listed itself.
    recursive: bool,
    /// Only mailboxes with a use.
    special_use: bool,
    /// Tell which names are subscribed.
    tell_subscribed: bool,
    /// The counts to tell with each mailbox.
    status: Vec<status::Item>,
}

/// LIST.
pub(crate) fn list(core: &mut Core, cursor: &mut Cursor<'_>) -> Outcome {
    let mut options = Options::default();
    cursor.space()?;
    let mut extended = cursor.peek() == Some(b'(');
    if extended {
        select_options(cursor, &mut options)?;
        cursor.space()?;
    }
    let reference = cursor.pattern()?;
    cursor.space()?;
    let texts = if cursor.peek() == Some(b'(') {
        extended = true;
        cursor.list(Cursor::pattern)?
    } else {
        vec![cursor.pattern()?]
    };
    if cursor.take(b' ') && !cursor.at_end() {
        extended = true;
        return_options(cursor, &mut options)?;
    }
    cursor.end()?;
    if !extended && texts.iter().all(String::is_empty) {
        core.out.text("* LIST (\\Noselect) \".\" \"\"\r\n");
        return Ok(Reply::ok("List completed.").into());
    }
    let patterns: Vec<_> = texts.iter().filter(|text| !text.is_empty()).map(|text| Pattern::new(&format!("{reference}{text}"))).collect();
    if patterns.iter().map(Pattern::length).sum::<usize>() > LONGEST_PATTERNS {
        return Err(Reply::no("The patterns are too long.").code("LIMIT"));
    }
    let found = Names::gather(core.store()?, &options)?.matching(&patterns, &options);
    for name in &found {
        name.write(&mut core.out);
        if !options.status.is_empty() && name.selectable {
            // A mailbox that went meanwhile has no counts (RFC 5819 section 2).
            if let Ok(counts) = core.store()?.status(&name.name) {
                status::write(core, &name.name, &options.status, &counts);
            }
        }
    }
    Ok(Reply::ok("List completed.").into())
}

/// `(SUBSCRIBED RECURSIVEMATCH ...)`
fn select_options(cursor: &mut Cursor<'_>, options: &mut Options) -> Parse<()> {
    cursor.list(|cursor| {
        match cursor.word()?.to_ascii_uppercase().as_slice() {
            b"SUBSCRIBED" => (options.subscribed, options.tell_subscribed) = (true, true),
            b"RECURSIVEMATCH" => options.recursive = true,
            b"SPECIAL-USE" => options.special_use = true,
            b"REMOTE" => {}
            _ => return Err(Syntax("Unknown selection option")),
        }
        Ok(())
    })?;
    if options.recursive && !options.subscribed && !options.special_use {
        return Err(Syntax("RECURSIVEMATCH needs another selection option"));
    }
    Ok(())
}

/// `RETURN (CHILDREN ...)`. Children and uses are told in any case.
fn return_options(cursor: &mut Cursor<'_>, options: &mut Options) -> Parse<()> {
    if !cursor.word()?.eq_ignore_ascii_case(b"RETURN") {
        return Err(Syntax("Expected RETURN"));
    }
    cursor.space()?;
    cursor.list(|cursor| {
        match cursor.word()?.to_ascii_uppercase().as_slice() {
            b"SUBSCRIBED" => options.tell_subscribed = true,
            b"CHILDREN" | b"SPECIAL-USE" => {}
            b"STATUS" => {
                cursor.space()?;
                options.status = status::items(cursor)?;
            }
            _ => return Err(Syntax("Unknown return option")),
        }
        Ok(())
    })?;
    Ok(())
}

/// All names above a name: `a.b` and `a` for `a.b.c`.
pub(crate) fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.rmatch_indices(SEPARATOR).map(|(at, _)| &name[..at]).filter(|above| !above.is_empty())
}

/// All names of an account.
struct Names {
    mailboxes: Vec<Listed>,
    /// Asked for only if it matters.
    subscribed: HashSet<String>,
}

/// A name that is listed.
#[derive(Debug)]
struct Found {
    name: String,
    selectable: bool,
    exists: bool,
    subscribed: bool,
    children: bool,
    special_use: Option<mail::SpecialUse>,
    /// There is a subscribed name below it.
    child_info: bool,
}

impl Names {
    fn gather(store: &dyn Store, options: &Options) -> Result<Self, Reply> {
        let subscribed = if options.tell_subscribed { store.subscriptions()?.into_iter().collect() } else { HashSet::new() };
        Ok(Self { mailboxes: store.mailboxes()?, subscribed })
    }

    /// The names that are asked for: INBOX first, then as the store has sorted them.
    fn matching(self, patterns: &[Pattern], options: &Options) -> Vec<Found> {
        let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        let parents: HashSet<&str> = self.mailboxes.iter().flat_map(|mailbox| superiors(&mailbox.name)).collect();
        let mut below: HashSet<&str> = HashSet::new();
        if options.recursive && options.subscribed {
            below = self.subscribed.iter().filter(|name| !matches(name)).flat_map(|name| superiors(name)).collect();
        }
        let found = |name: &str, mailbox: Option<&Listed>| Found {
            name: name.to_owned(),
            selectable: mailbox.is_some_and(|m| m.selectable),
            exists: mailbox.is_some(),
            subscribed: self.subscribed.contains(name),
            children: parents.contains(name),
            special_use: mailbox.and_then(|m| m.special_use),
            child_info: below.contains(name),
        };
        let wanted = |name: &Found| {
            (!options.subscribed || name.subscribed || name.child_info) && (!options.special_use || name.special_use.is_some())
        };
        let existing = self.mailboxes.iter().filter(|m| matches(&m.name)).map(|m| found(&m.name, Some(m)));
        let mut list: Vec<_> = existing.filter(wanted).collect();
        if options.subscribed {
            let known: HashSet<&str> = self.mailboxes.iter().map(|m| m.name.as_str()).collect();
            let names = self.subscribed.iter().map(String::as_str).chain(below.iter().copied());
            let missing: BTreeMap<&str, ()> = names.filter(|name| !known.contains(name) && matches(name)).map(|name| (name, ())).collect();
            list.extend(missing.keys().map(|name| found(name, None)).filter(wanted));
        }
        list
    }
}

impl Found {
    fn write(&self, out: &mut Output) {
        out.text("* LIST (");
        out.text(match (self.exists, self.selectable) {
            (false, _) => "\\NonExistent ",
            (true, false) => "\\Noselect ",
            (true, true) => "",
        });
        if self.subscribed {
            out.text("\\Subscribed ");
        }
        out.text(if self.children { "\\HasChildren" } else { "\\HasNoChildren" });
        if let Some(special_use) = self.special_use {
            out.byte(b' ');
            out.text(special_use.name());
        }
        out.text(") \".\" ");
        out.mailbox(&self.name);
        if self.child_info {
            out.text(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        out.end();
    }
}
