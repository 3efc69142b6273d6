//! What belongs to a step of the trace: a JSON object, written straight into its text. Each message has two such lines at least, so
//! no tree of values is built for them. Keys are written as they come; they need no quoting.

use std::fmt::{Display, Write};

/// Room for the usual line.
const USUAL: usize = 384;

/// A JSON object that is being written.
#[derive(Debug)]
pub(crate) struct Details(String);

impl Details {
    /// An object without members.
    pub(crate) fn new() -> Self {
        Self(String::with_capacity(USUAL))
    }

    /// A member that is a text.
    pub(crate) fn text(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        quote(&mut self.0, value);
        self
    }

    /// A member that is a text, or null.
    pub(crate) fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.plain(key, "null"),
        }
    }

    /// A member that is a list of texts.
    pub(crate) fn texts(self, key: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        self.list(key, values, quote)
    }

    /// A member that is a number, or JSON already.
    pub(crate) fn plain(mut self, key: &str, value: impl Display) -> Self {
        self.key(key);
        plain(&mut self.0, value);
        self
    }

    /// A member that is a list of numbers, or of what is JSON already.
    pub(crate) fn plains(self, key: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        self.list(key, values, plain)
    }

    fn list<T>(mut self, key: &str, values: impl IntoIterator<Item = T>, write: impl Fn(&mut String, T)) -> Self {
        self.key(key);
        self.0.push('[');
        for (number, value) in values.into_iter().enumerate() {
            if number > 0 {
                self.0.push(',');
            }
            write(&mut self.0, value);
        }
        self.0.push(']');
        self
    }

    fn key(&mut self, key: &str) {
        self.0.push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// The object as text.
    pub(crate) fn end(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

fn plain(text: &mut String, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
}

fn quote(text: &mut String, value: impl Display) {
    text.push('"');
    let start = text.len();
    plain(text, value);
    if text.as_bytes()[start..].iter().any(|octet| matches!(octet, 0..0x20 | b'"' | b'\\')) {
        let value = text.split_off(start - 1);
        plain(text, serde_json::Value::from(&value[1..]));
    } else {
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_reads_as_the_values_that_went_in() {
        let odd = "a \"b\" \\ c\n\u{1}\u{7f} é \u{1f600}";
        let details = Details::new()
            .text("a", odd)
            .texts("b", ["", odd, "x"])
            .texts("c", [""; 0])
            .maybe("d", Some("y"))
            .maybe("e", None::<&str>)
            .plain("f", 7)
            .plains("g", [Details::new().text("a", 1).end(), Details::new().end()]);
        let expected = json!({"a": odd, "b": ["", odd, "x"], "c": [], "d": "y", "e": null, "f": 7, "g": [{"a": "1"}, {}]});
        assert_eq!(details.end(), expected.to_string());
    }
}
