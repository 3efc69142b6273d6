//! The change of a table as a change of text.

use std::ops::Range;

use super::{Change, EditError};
use crate::fold;
use crate::lines::{is_space, trim};
use crate::list;
use crate::table;
use crate::token::quoted_form;

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of its first line, from 1.
    pub line: u32,
    /// The key as it is written.
    pub key: String,
    /// The value as it is written, continuation lines joined.
    pub value: String,
}

impl Entry {
    /// The addresses of the value, as they are written.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        list::addresses(&self.value).iter().map(|tokens| quoted_form(tokens)).collect()
    }
}

/// A logical line with the places of its physical lines, their ends left out.
struct Block {
    number: u32,
    parts: Vec<Range<usize>>,
}

impl Block {
    fn join(&self, text: &str) -> String {
        self.parts.iter().map(|part| &text[part.clone()]).collect()
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut start = 0;
    for (number, line) in (1u32..).zip(text.split('\n')) {
        let part = start..start + line.len();
        start += line.len() + 1;
        let bare = trim(line);
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        match blocks.last_mut() {
            Some(block) if line.bytes().next().is_some_and(is_space) => block.parts.push(part),
            _ => blocks.push(Block { number, parts: vec![part] }),
        }
    }
    blocks
}

/// The lines that can be used.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let entry = |block: &Block| {
        let line = block.join(text);
        let (key, value) = table::split(line.as_bytes()).ok()?;
        Some(Entry { line: block.number, key: key.to_owned(), value: value.to_owned() })
    };
    blocks(text).iter().filter_map(entry).collect()
}

/// The first line with this key.
fn find(text: &str, key: &str) -> Option<(Block, Entry)> {
    let wanted = folded_key(key);
    blocks(text).into_iter().find_map(|block| {
        let line = block.join(text);
        let (found, value) = table::split(line.as_bytes()).ok()?;
        let entry = Entry { line: block.number, key: found.to_owned(), value: value.to_owned() };
        (folded_key(found) == wanted).then_some((block, entry))
    })
}

fn folded_key(key: &str) -> String {
    let mut folded = String::new();
    fold::key_into(&mut folded, key);
    folded
}

pub(super) fn add(text: &str, key: &str, targets: &[String]) -> Result<(String, Change), EditError> {
    check_key(key)?;
    targets.iter().try_for_each(|target| check_target(target))?;
    let Some((block, entry)) = find(text, key) else { return Ok(append(text, key, targets)) };
    let there: Vec<_> = list::addresses(&entry.value).iter().map(|t| folded_key(&quoted_form(t))).collect();
    let new: Vec<_> = targets.iter().filter(|target| !there.contains(&folded_key(target))).map(String::as_str).collect();
    let Some(last) = block.parts.last().filter(|_| !new.is_empty()) else { return Ok((text.to_owned(), Change::Nothing)) };
    let line = &text[last.clone()];
    let written = line.trim_end_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    let joint = if written.ends_with(',') { " " } else { ", " };
    let at = last.start + written.len();
    Ok((format!("{}{joint}{}{}", &text[..at], new.join(", "), &text[at..]), Change::Changed(entry.line)))
}

/// A new line at the end, its value in the column of the line before.
fn append(text: &str, key: &str, targets: &[String]) -> (String, Change) {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut new = text.to_owned();
    if !new.is_empty() && !new.ends_with('\n') {
        new.push_str(end);
    }
    let number = u32::try_from(new.matches('\n').count() + 1).unwrap_or(u32::MAX);
    let column = entries(text).last().and_then(|last| value_column(text, last)).unwrap_or(0);
    let tab = text.lines().last().is_some_and(|line| line.contains('\t'));
    new.push_str(key);
    let width = key.chars().count();
    new.push_str(&if tab { "\t".to_owned() } else { " ".repeat(column.saturating_sub(width).max(1)) });
    new.push_str(&targets.join(", "));
    new.push_str(end);
    (new, Change::Added(number))
}

/// The column in which an entry's value begins, if it begins in the entry's first line.
fn value_column(text: &str, entry: &Entry) -> Option<usize> {
    let after = text.lines().nth(entry.line as usize - 1)?.get(entry.key.len()..)?;
    let gap = after.find(|c: char| c != ' ')?;
    Some(entry.key.chars().count() + gap)
}

pub(super) fn remove(text: &str, key: &str, targets: &[String]) -> Result<(String, Change), EditError> {
    let (block, entry) = find(text, key).ok_or_else(|| EditError::NoKey(key.to_owned()))?;
    if targets.is_empty() {
        return Ok((without(text, &block.parts), Change::Removed(entry.line)));
    }
    let words: Vec<_> = entry.value.split(|c: char| c == ',' || u8::try_from(c).is_ok_and(is_space)).filter(|w| !w.is_empty()).collect();
    if entry.value.contains(['"', '(', '<', ';', '\\']) {
        return Err(EditError::Complicated(entry.key));
    }
    for target in targets {
        if !words.iter().any(|word| fold::same(word, target)) {
            return Err(EditError::NoTarget { key: entry.key, target: target.clone() });
        }
    }
    let left: Vec<_> = words.into_iter().filter(|word| !targets.iter().any(|target| fold::same(word, target))).collect();
    let Some((first, more)) = block.parts.split_first().filter(|_| !left.is_empty()) else {
        return Ok((without(text, &block.parts), Change::Removed(entry.line)));
    };
    let rest = without(&text[first.end..], &more.iter().map(|p| p.start - first.end..p.end - first.end).collect::<Vec<_>>());
    let line = &text[first.clone()];
    let after = &line[entry.key.len()..];
    let gap: String = after.chars().take_while(|c| u8::try_from(*c).is_ok_and(|b| is_space(b) && b != b'\r')).collect();
    let gap = if gap.is_empty() { " ".to_owned() } else { gap };
    let return_sign = if line.ends_with('\r') { "\r" } else { "" };
    let head = &text[..first.start + entry.key.len()];
    Ok((format!("{head}{gap}{}{return_sign}{rest}", left.join(", ")), Change::Changed(entry.line)))
}

/// The text without these lines and their ends.
fn without(text: &str, parts: &[Range<usize>]) -> String {
    let mut left = String::with_capacity(text.len());
    let mut at = 0;
    for part in parts {
        left.push_str(&text[at..part.start]);
        at = (part.end + 1).min(text.len());
    }
    left.push_str(&text[at..]);
    left
}

fn check_key(key: &str) -> Result<(), EditError> {
    let wrong = |message: &str| Err(EditError::Key { key: key.to_owned(), message: message.to_owned() });
    if key.starts_with('#') || key.chars().any(char::is_control) {
        return wrong("a key does not begin with # and has no control characters");
    }
    match table::split(format!("{key} x").as_bytes()) {
        Ok((found, "x")) if found == key => table::doubt(key).map_or(Ok(()), |message| wrong(&message)),
        Ok(_) => wrong("white space belongs in quotes"),
        Err(message) => wrong(message),
    }
}

fn check_target(target: &str) -> Result<(), EditError> {
    let single = list::addresses(target).len() == 1 && !target.chars().any(char::is_control);
    if single { Ok(()) } else { Err(EditError::Target(target.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# family\nvirt.example         x\n\ninfo@virt.example    joe,\n  # also\n  jane\n# end\nbob@virt.example     bob";

    fn targets(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn check_add(text: &str, key: &str, names: &[&str], expected: &str) {
        assert_eq!(add(text, key, &targets(names)).unwrap().0, expected);
    }

    #[test]
    fn a_target_joins_the_line_that_is_there() {
        check_add(FILE, "INFO@virt.example", &["bob"], &FILE.replace("  jane\n", "  jane, bob\n"));
        check_add(FILE, "info@virt.example", &["JOE", "jane"], FILE);
        check_add("a@x joe, \r\n", "a@x", &["jane"], "a@x joe, jane \r\n");
    }

    #[test]
    fn a_new_key_gets_a_line_at_the_end() {
        check_add(FILE, "new@virt.example", &["joe", "out@ext.example"], &format!("{FILE}\nnew@virt.example     joe, out@ext.example\n"));
        check_add("", "a@x", &["joe"], "a@x joe\n");
        check_add("a@x\tjoe\r\n", "b@x", &["joe"], "a@x\tjoe\r\nb@x\tjoe\r\n");
        assert_eq!(add("a x\nb y\n", "c", &targets(&["z"])).unwrap().1, Change::Added(3));
    }

    #[test]
    fn what_cannot_be_a_line_is_refused() {
        for key in ["", "#a", "a b", "a\nb", "\"a", "\"plain\"@x", "x."] {
            assert!(add(FILE, key, &targets(&["joe"])).is_err(), "{key:?}");
        }
        for target in ["", "a b", "a,b", "joe\nx y", "(c)"] {
            assert!(add(FILE, "a@x", &targets(&[target])).is_err(), "{target:?}");
        }
    }

    #[test]
    fn lines_and_targets_go() {
        let text = |key: &str, names: &[&str]| remove(FILE, key, &targets(names)).map(|r| r.0);
        assert_eq!(text("info@virt.example", &[]).unwrap(), FILE.replace("info@virt.example    joe,\n", "").replace("  jane\n", ""));
        let one = FILE.replace("\n  jane\n", "\n").replace("joe,\n", "jane\n");
        assert_eq!(text("info@virt.example", &["Joe"]).unwrap(), one);
        assert_eq!(text("bob@virt.example", &["bob"]).unwrap(), FILE.replace("bob@virt.example     bob", ""));
        assert!(matches!(text("gone@virt.example", &[]), Err(EditError::NoKey(_))));
        assert!(matches!(text("bob@virt.example", &["joe"]), Err(EditError::NoTarget { .. })));
        assert!(matches!(remove("a@x \"b c\"@y, d\n", "a@x", &targets(&["d"])), Err(EditError::Complicated(_))));
        assert_eq!(remove("a@x b, d\r\n", "a@x", &targets(&["b"])).unwrap().0, "a@x d\r\n");
    }

    #[test]
    fn what_is_listed_is_what_is_looked_up() {
        let found = entries(FILE);
        assert_eq!(found.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 4, 8]);
        assert_eq!(found[1].value, "joe,  jane");
        assert_eq!(found[1].targets(), ["joe", "jane"]);
    }
}
