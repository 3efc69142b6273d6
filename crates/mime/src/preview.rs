//! PREVIEW (RFC 8970): the first words of a message, for a list of messages.

use crate::html::html_to_text;
use crate::structure::{Kind, Part, Structure};

/// Characters of a preview.
const LENGTH: usize = 200;

/// Octets of text that are looked at for them; markup takes much of an HTML message.
const READ: usize = 1 << 17;

impl Structure<'_> {
    /// The first 200 characters of the message's first text, blanks run together. Lines that quote another message are left out if
    /// there are others. Empty if there is nothing to show.
    #[must_use]
    pub fn preview(&self) -> String {
        let Some(part) = self.first_text(self.root()) else { return String::new() };
        if part.kind == Kind::Message {
            let body = self.body(part);
            return shorten(&String::from_utf8_lossy(&body[..body.len().min(READ)]));
        }
        let text = self.text(part, READ);
        if part.content.is("text", "html") {
            return first_of(&[html_to_text(&text, true), html_to_text(&text, false)]);
        }
        let own: Vec<&str> = text.lines().filter(|line| !line.starts_with('>')).collect();
        first_of(&[own.join("\n"), text])
    }

    /// The text part, or forwarded message, that comes first.
    fn first_text<'s>(&'s self, part: &'s Part) -> Option<&'s Part> {
        match part.kind {
            Kind::Multipart => part.children.iter().find_map(|&child| {
                let child = &self.parts[child];
                if child.kind == Kind::Message { Some(child) } else { self.first_text(child) }
            }),
            Kind::Text => Some(part),
            _ => None,
        }
    }
}

fn first_of(texts: &[String]) -> String {
    texts.iter().map(|text| shorten(text)).find(|text| !text.is_empty()).unwrap_or_default()
}

/// Words with one space between each two, cut at [`LENGTH`] characters; NULs and marks without a width go.
fn shorten(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        if count > 0 {
            out.push(' ');
            count += 1;
        }
        for c in word.chars().filter(|c| !matches!(c, '\0' | '\u{200b}' | '\u{200c}' | '\u{feff}')) {
            if count >= LENGTH {
                break;
            }
            out.push(c);
            count += 1;
        }
        if count >= LENGTH {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(Structure::parse(raw.as_bytes()).preview(), expected, "{raw:?}");
    }

    #[test]
    fn shows_the_first_words() {
        check("\n\n  a\n\tb  c\n", "a b c");
        check("\n> quoted\nown\n", "own");
        check("\n> quoted\n", "> quoted");
        check("Content-Type: text/html\n\n<p>a</p><p>b", "a b");
        check("Content-Type: image/png\n\nabc", "");
        check("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n\nx\n--b\n\nhere\n--b--\n", "here");
        check(&format!("\n{}", "é".repeat(300)), &"é".repeat(200));
    }
}
