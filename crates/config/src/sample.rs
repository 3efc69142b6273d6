//! The commented sample: every key with its description, at its default.

use std::fmt::Write;

use crate::Config;

impl Config {
    /// This configuration as a file, with every key's description as a comment above it.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            comment(&mut text, section.doc);
            let _ = writeln!(text, "[{}]\n", section.table);
            for (key, value) in section.keys.iter().zip(&section.values) {
                comment(&mut text, key.doc);
                let _ = writeln!(text, "{} = {value}\n", key.name);
            }
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    /// Only the keys that differ from their defaults, without comments: what a person would write.
    #[must_use]
    pub fn to_short_toml(&self) -> String {
        let mut text = String::new();
        for section in self.sections() {
            let changed = section.keys.iter().zip(&section.values).filter(|(key, value)| key.default != **value);
            let lines: Vec<_> = changed.map(|(key, value)| format!("{} = {value}\n", key.name)).collect();
            if !lines.is_empty() {
                let _ = write!(text, "[{}]\n{}\n", section.table, lines.concat());
            }
        }
        text
    }
}

fn comment(text: &mut String, doc: &[&str]) {
    for line in doc {
        let _ = writeln!(text, "#{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_reads_back_as_the_defaults() {
        let sample = Config::default().to_commented_toml();
        assert_eq!(Config::parse("sample", &sample).unwrap(), Config::default());
    }

    /// `config/pillarbox.toml` is installed as it is; `UPDATE_SAMPLE=1 cargo test -p config` writes it anew.
    #[test]
    fn the_shipped_sample_is_the_defaults_with_their_descriptions() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/pillarbox.toml");
        let sample = Config::default().to_commented_toml();
        if std::env::var_os("UPDATE_SAMPLE").is_some() {
            std::fs::write(path, &sample).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), sample, "run UPDATE_SAMPLE=1 cargo test -p config");
    }

    #[test]
    fn the_short_form_holds_what_was_changed_and_reads_back() {
        let mut config = Config::default();
        config.server.hostname = "a \"b\"\\".to_owned();
        let text = config.to_short_toml();
        assert_eq!(text, "[server]\nhostname = \"a \\\"b\\\"\\\\\"\n\n");
        assert_eq!(Config::parse("short", &text).unwrap(), config);
    }
}
