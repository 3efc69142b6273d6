//! The kinds of values a key can have, and how they are written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml_edit::Item;

/// A value that a key can have.
pub trait Setting: Sized {
    /// Reads it from the file.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    fn read(item: &Item) -> Result<Self, String>;

    /// Writes it as TOML.
    fn show(&self) -> String;
}

/// Quotes a text as a basic TOML string.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn text<'a>(item: &'a Item, expected: &str) -> Result<&'a str, String> {
    item.as_str().ok_or_else(|| format!("expected {expected}"))
}

impl Setting for bool {
    fn read(item: &Item) -> Result<Self, String> {
        item.as_bool().ok_or_else(|| "expected true or false".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    fn read(item: &Item) -> Result<Self, String> {
        text(item, "a text in quotes").map(str::to_owned)
    }

    fn show(&self) -> String {
        quote(self)
    }
}

impl Setting for PathBuf {
    fn read(item: &Item) -> Result<Self, String> {
        text(item, "a path in quotes").map(Self::from)
    }

    fn show(&self) -> String {
        quote(&self.to_string_lossy())
    }
}

/// Whole numbers, with the range that the type has.
macro_rules! number {
    ($($type:ty),*) => { $(
        impl Setting for $type {
            fn read(item: &Item) -> Result<Self, String> {
                let wrong = || format!("expected a whole number from 0 to {}", <$type>::MAX);
                item.as_integer().and_then(|n| <$type>::try_from(n).ok()).ok_or_else(wrong)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}
number!(u8, u16, u32, usize);

/// A number of octets; written as a number, or with a unit: `"64K"`, `"50M"`, `"2G"` (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// So many KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// The number of octets, at most what memory can address.
    #[must_use]
    pub fn octets(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Setting for Size {
    fn read(item: &Item) -> Result<Self, String> {
        let wrong = || "expected a size such as \"64K\", \"50M\" or \"2G\"".to_owned();
        if let Some(n) = item.as_integer() {
            return u64::try_from(n).map(Self).map_err(|_| wrong());
        }
        let text = item.as_str().ok_or_else(wrong)?.trim();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let shift = match text[digits.len()..].trim().trim_end_matches("iB").trim_end_matches('B') {
            "" => 0,
            "K" | "k" => 10,
            "M" => 20,
            "G" => 30,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        let units = [(30, "G"), (20, "M"), (10, "K")];
        let fits = |shift: &i32| self.0 > 0 && self.0.is_multiple_of(1 << shift);
        match units.iter().find(|(shift, _)| fits(shift)) {
            Some((shift, unit)) => format!("\"{}{unit}\"", self.0 >> shift),
            None => self.0.to_string(),
        }
    }
}

impl Setting for Duration {
    fn read(item: &Item) -> Result<Self, String> {
        let wrong = || "expected a time such as \"500ms\", \"30s\", \"5m\", \"2h\" or \"7d\"".to_owned();
        let text = item.as_str().ok_or_else(wrong)?.trim();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let millis = match text[digits.len()..].trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(millis).map(Self::from_millis).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        let millis = self.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        match units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit)) {
            Some((unit, name)) => format!("\"{}{name}\"", millis / unit),
            None => format!("\"{millis}ms\""),
        }
    }
}

/// Lists, each of whose entries is a text.
macro_rules! list {
    ($($type:ty, $expected:literal);*) => { $(
        impl Setting for Vec<$type> {
            fn read(item: &Item) -> Result<Self, String> {
                let wrong = || concat!("expected a list such as ", $expected).to_owned();
                let array = item.as_array().ok_or_else(wrong)?;
                array.iter().map(|v| v.as_str().and_then(|t| t.parse().ok()).ok_or_else(wrong)).collect()
            }

            fn show(&self) -> String {
                let entries: Vec<_> = self.iter().map(|entry| quote(&entry.to_string())).collect();
                format!("[{}]", entries.join(", "))
            }
        }
    )* };
}
list!(String, "[\"one\", \"two\"]"; SocketAddr, "[\"127.0.0.1:25\", \"[::]:25\"]");

/// A value out of a few that have names.
pub trait Choice: Copy + PartialEq + 'static {
    /// The values with their names.
    const ALL: &'static [(&'static str, Self)];
}

impl<T: Choice> Setting for T {
    fn read(item: &Item) -> Result<Self, String> {
        let found = item.as_str().and_then(|text| T::ALL.iter().find(|(name, _)| *name == text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = T::ALL.iter().map(|(name, _)| quote(name)).collect();
            format!("expected one of {}", names.join(", "))
        })
    }

    fn show(&self) -> String {
        T::ALL.iter().find(|(_, value)| value == self).map_or_else(String::new, |(name, _)| quote(name))
    }
}
