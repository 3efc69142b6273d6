//! `docs/config.md` and `docs/man/pillarbox.toml.5` are made from the keys' doc comments, so that a key is described once.
//! `UPDATE_DOCS=1 cargo test -p config` writes them anew; otherwise they are compared.

use std::fmt::Write;

use config::{Config, Described};

/// What both pages say before the keys; names stand between backticks.
const ABOUT: [&str; 6] = [
    "The configuration of an instance is one file in TOML, `/etc/pillarbox/pillarbox.toml` unless `--config FILE` or the \
     variable `PILLARBOX_CONFIG` names another. Every key has a default; what a file leaves out has it. `mailctl init` writes a file \
     with the keys that it has to set, and `mailctl config show` prints all keys with the values in force.",
    "A path that is not absolute starts at the folder of the configuration file; so do the paths of maps.",
    "A size is a number of octets, or a text with a unit: \"64K\", \"50M\", \"2G\" (powers of 1024). A time is a text with a \
     unit: \"500ms\", \"30s\", \"5m\", \"2h\", \"7d\". An address is \"127.0.0.1:25\" or \"[::]:25\".",
    "An unknown key or section, a value of the wrong kind and a value out of range are errors. `mailctl config check` reports all \
     of them in one pass, each with file, line, column and the nearest key that exists, and ends with exit status 78; the daemon \
     then does not start.",
    "After SIGHUP, or `mailctl reload`, the daemon reads the file again. A file with errors leaves the old configuration in \
     force. Where the daemon listens, its data folder and the sections `auth`, `journal` and `queue` count from its next \
     start; limits of sessions count for new sessions.",
    "Map files and certificates are read again by themselves when they change.",
];

/// A small file, for the man page and the guide.
const EXAMPLE: &str = "\
[server]
hostname = \"mail.example.net\"
data = \"/var/lib/pillarbox/data\"
tls_certificate = \"/etc/letsencrypt/live/mail.example.net/fullchain.pem\"
tls_key = \"/etc/letsencrypt/live/mail.example.net/privkey.pem\"

[alias]
maps = [\"hash:/etc/postfix/virtual\"]

[smtp]
max_message_size = \"50M\"
";

/// The lines of a doc comment as one paragraph.
fn paragraph(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn markdown(sections: &[Described]) -> String {
    let mut page =
        "# Configuration\n\n<!-- Made from the doc comments in crates/config/src by UPDATE_DOCS=1 cargo test -p config. -->\n".to_owned();
    for text in ABOUT {
        let _ = write!(page, "\n{text}\n");
    }
    page.push_str("\nAn example:\n\n");
    for line in EXAMPLE.lines() {
        page.push_str(format!("    {line}").trim_end());
        page.push('\n');
    }
    for section in sections {
        let _ = write!(page, "\n## [{}]\n\n{}\n", section.table, paragraph(section.doc));
        for key in &section.keys {
            let _ = write!(page, "\n- **{}** = `{}`\\\n  {}\n", key.name, key.default, paragraph(key.doc));
        }
    }
    page
}

/// Text as roff has it: signs that it would turn into others, and a line that must not look like a request.
fn roff(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            other => out.push(other),
        }
    }
    if out.starts_with('.') { format!("\\&{out}") } else { out }
}

/// The same, with what stands between backticks in bold.
fn roff_with_names(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(place, part)| if place % 2 == 1 { format!("\\fB{}\\fR", roff(part)) } else { roff(part) }).collect()
}

fn man_page(sections: &[Described]) -> String {
    let mut page = ".\\\" Made from the doc comments in crates/config/src by UPDATE_DOCS=1 cargo test \\-p config.\n\
                    .TH PILLARBOX.TOML 5 2026-11-22 Pillarbox \"File formats\"\n\
                    .SH NAME\npillarbox.toml \\- configuration of the Pillarbox mail server\n\
                    .SH DESCRIPTION\n"
        .to_owned();
    for (place, text) in ABOUT.iter().enumerate() {
        page.push_str(if place == 0 { "" } else { ".PP\n" });
        let _ = writeln!(page, "{}", roff_with_names(text));
    }
    page.push_str(".SH KEYS\n");
    for section in sections {
        let _ = write!(page, ".SS [{}]\n{}\n", section.table, roff(&paragraph(section.doc)));
        for key in &section.keys {
            let _ = write!(page, ".TP\n\\fB{}\\fR = {}\n{}\n", key.name, roff(&key.default), roff(&paragraph(key.doc)));
        }
    }
    page.push_str(".SH EXAMPLE\n.nf\n");
    for line in EXAMPLE.lines() {
        let _ = writeln!(page, "{}", roff(line));
    }
    page.push_str(
        ".fi\n.SH SEE ALSO\n.BR mailctl (1),\n.BR virtual\\-pillarbox (5),\n.BR procmailrc\\-pillarbox (5),\n.BR pillarbox (8)\n",
    );
    page
}

/// Compares a page with the file, or writes it.
fn check(file: &str, page: &str) {
    let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/{file} is not what the doc comments say; run UPDATE_DOCS=1 cargo test -p config");
}

#[test]
fn the_guide_is_made_of_the_doc_comments() {
    check("config.md", &markdown(&Config::default().sections()));
}

#[test]
fn the_man_page_is_made_of_the_doc_comments() {
    check("man/pillarbox.toml.5", &man_page(&Config::default().sections()));
}

#[test]
fn the_example_is_a_configuration() {
    let config = Config::parse("example", EXAMPLE).unwrap();
    assert_eq!(config.server.hostname, "mail.example.net");
}

#[test]
fn signs_with_a_meaning_in_roff_are_kept() {
    assert_eq!(roff(".a-b\\c'd"), "\\&.a\\-b\\ec\\(aqd");
    assert_eq!(roff_with_names("run `x -y` now"), "run \\fBx \\-y\\fR now");
}
