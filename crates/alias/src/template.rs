//! The result of a rule, with places for the groups of its pattern: `$1`, `${1}`, `$(1)`, and `$$` for a dollar sign.

use crate::octets::spread;

/// A result, taken apart.
#[derive(Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Group(usize),
}

impl Template {
    /// Takes a result apart.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let text = spread(text);
        let mut rest = &*text;
        while let Some((before, after)) = rest.split_once('$') {
            push_text(&mut pieces, before);
            let (piece, next) = macro_name(after)?;
            match piece {
                Piece::Text(text) => push_text(&mut pieces, &text),
                Piece::Group(_) => pieces.push(piece),
            }
            rest = next;
        }
        push_text(&mut pieces, rest);
        Ok(Self { pieces })
    }

    /// The highest group that is asked for; 0 if none is.
    pub(crate) fn highest(&self) -> usize {
        let number = |piece: &Piece| if let Piece::Group(n) = piece { *n } else { 0 };
        self.pieces.iter().map(number).max().unwrap_or(0)
    }

    /// Puts in the groups; one that took no part in the match is empty.
    pub(crate) fn fill<'t>(&self, group: impl Fn(usize) -> Option<&'t str>) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Group(number) => group(*number).unwrap_or("").to_owned(),
            Piece::Text(text) => text.clone(),
        };
        self.pieces.iter().map(text).collect()
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Text(before)) => before.push_str(text),
        _ if text.is_empty() => {}
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// What follows a dollar sign, and the rest.
fn macro_name(text: &str) -> Result<(Piece, &str), String> {
    if let Some(rest) = text.strip_prefix('$') {
        return Ok((Piece::Text("$".to_owned()), rest));
    }
    let (name, rest) = match text.chars().next() {
        Some('{') => text[1..].split_once('}').ok_or("a brace after $ is open")?,
        Some('(') => text[1..].split_once(')').ok_or("a parenthesis after $ is open")?,
        _ => text.split_at(text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())),
    };
    let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    match name.parse::<usize>() {
        Ok(number @ 1..=999) if digits => Ok((Piece::Group(number), rest)),
        _ => Err(format!("${name} is no group; write ${{1}} before letters and digits, and $$ for a dollar sign")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_dollars() {
        let groups = ["", "one", "two"];
        for (text, expected) in [
            ("joe", Some("joe")),
            ("$1@x", Some("one@x")),
            ("$1-$(2)${1}$$1", Some("one-twoone$1")),
            ("$01", Some("one")),
            ("$3", Some("")),
            ("$$$$", Some("$$")),
            ("$1x", None),
            ("$1_2", None),
            ("$", None),
            ("$@", None),
            ("${1", None),
            ("${x}", None),
            ("$0", None),
            ("${1?a}", None),
        ] {
            let filled = Template::parse(text).map(|t| t.fill(|n| groups.get(n).copied()));
            assert_eq!(filled.ok().as_deref(), expected, "{text}");
        }
    }
}
