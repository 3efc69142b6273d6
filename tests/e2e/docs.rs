//! Commands and paths in README.md and the pages of docs/ are real: named files exist, `mailctl` has the subcommands and
//! options that are shown, make has the targets, the configuration has the keys; and the man pages are well-formed.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Instance, has, program, run, succeed};

/// The folders of the repository; a path that begins with one of them is a path in it.
const FOLDERS: [&str; 9] = [".ci", "benches", "config", "crates", "deploy", "docs", "fuzz", "scripts", "tests"];

/// Subcommands that take the command line of another program: their words are not ours.
const STAND_INS: [&str; 3] = ["procmail", "formail", "sendmail"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_in(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A page in Markdown, taken apart.
struct Page {
    name: String,
    /// What stands between backticks within the text.
    spans: Vec<String>,
    /// The lines of code blocks, those that end in a backslash joined with the next.
    code: Vec<String>,
    /// Where links lead.
    links: Vec<String>,
}

fn pages() -> Vec<Page> {
    let mut files = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    files.extend(files_in("docs"));
    files.iter().map(|path| Page::read(path.strip_prefix(root()).unwrap().display().to_string(), &text_of(path))).collect()
}

impl Page {
    fn read(name: String, text: &str) -> Self {
        let mut page = Self { name, spans: Vec::new(), code: Vec::new(), links: Vec::new() };
        let mut prose = String::new();
        // A fence with a language other than the shell's holds no commands.
        let (mut fence, mut continued) = (None, false);
        for line in text.lines() {
            if let Some(language) = line.strip_prefix("```") {
                fence = if fence.is_some() { None } else { Some(language.is_empty() || language == "sh") };
                continue;
            }
            if fence == Some(false) {
                continue;
            }
            let fenced = fence.is_some();
            if !fenced && !line.starts_with("    ") {
                prose.push_str(line);
                prose.push('\n');
                continue;
            }
            let line = line.trim();
            let (text, goes_on) = line.strip_suffix('\\').map_or((line, false), |text| (text.trim_end(), true));
            match page.code.last_mut().filter(|_| continued) {
                Some(last) => *last += &format!(" {text}"),
                None => page.code.push(text.to_owned()),
            }
            continued = goes_on;
        }
        page.spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect();
        let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        page.links = links.map(str::to_owned).collect();
        page
    }

    /// Everything that may be a command.
    fn commands(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().chain(&self.code).map(|text| text.trim_start_matches(['$', '#', '|', ' ']))
    }
}

/// The part of a span that names a file of the repository, if it does.
fn repository_path(span: &str) -> Option<&str> {
    let path = span.split_once(':').map_or(span, |(path, _)| path).trim_end_matches('/');
    let plain = !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c));
    let first = path.split('/').next()?;
    let named = FOLDERS.contains(&first) && (path.contains('/') || span.ends_with('/'));
    let page = path.ends_with(".md") || ["Makefile", "Cargo.toml", "Cargo.lock", "deny.toml", "clippy.toml"].contains(&path);
    (plain && (named || page)).then_some(path)
}

#[test]
fn paths_of_the_repository_exist() {
    let mut missing = Vec::new();
    for page in pages() {
        let links = page.links.iter().filter(|link| !link.contains("://")).map(String::as_str);
        for path in page.spans.iter().filter_map(|span| repository_path(span)).chain(links) {
            let beside = root().join(&page.name).with_file_name(path);
            if !root().join(path).exists() && !beside.exists() {
                missing.push(format!("{}: {path}", page.name));
            }
        }
    }
    assert!(missing.is_empty(), "no such file or folder:\n{}", missing.join("\n"));
}

#[test]
fn spans_that_are_paths_are_told_from_others() {
    for (span, expected) in [
        ("docs/flow.md", Some("docs/flow.md")),
        ("crates/", Some("crates")),
        ("flow.md", Some("flow.md")),
        ("crates/mail/src/id.rs:12", Some("crates/mail/src/id.rs")),
        ("config", None),
        ("data/homes", None),
        ("mailctl config check", None),
        ("/etc/postfix/main.cf", None),
    ] {
        assert_eq!(repository_path(span), expected, "{span}");
    }
}

/// What a program's `--help` says of it: its subcommands and options, asked once.
struct Helps {
    program: &'static str,
    known: HashMap<Vec<String>, Help>,
}

struct Help {
    subcommands: Vec<String>,
    text: String,
}

impl Helps {
    fn of(program: &'static str) -> Self {
        Self { program, known: HashMap::new() }
    }

    fn help(&mut self, path: &[String]) -> &Help {
        self.known.entry(path.to_vec()).or_insert_with(|| {
            let text = succeed(Command::new(program(self.program)).args(path).arg("--help"), b"");
            let commands = text.split("\nCommands:\n").nth(1).unwrap_or_default();
            let names = commands.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("    "));
            let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
            Help { subcommands: names.map(str::to_owned).collect(), text }
        })
    }

    /// Follows a command line through the subcommands; says what does not exist.
    fn check(&mut self, line: &str) -> Result<Vec<String>, String> {
        let mut path = Vec::new();
        let mut words = line.split_whitespace().map(|word| word.trim_matches(['[', ']', ',', '.'])).peekable();
        while let Some(word) = words.next() {
            // What follows belongs to the shell or to another program.
            if ["|", "<", ">", ">>", "&&", ";", "...", "#"].contains(&word)
                || path.first().is_some_and(|p: &String| STAND_INS.contains(&p.as_str()))
            {
                break;
            }
            if let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) {
                let option = option.split('=').next().unwrap_or(option);
                let text = &self.help(&path).text;
                let known = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|w| w.strip_prefix("--") == Some(option));
                if !known {
                    return Err(format!("{} has no option --{option}", self.named(&path)));
                }
                // Its value is no subcommand.
                if text.contains(&format!("--{option} <")) {
                    words.next();
                }
                continue;
            }
            let subcommands = &self.help(&path).subcommands;
            let placeholder = word.chars().all(|c| c.is_ascii_uppercase() || "-=".contains(c));
            if subcommands.is_empty() || placeholder {
                continue;
            }
            let stands_in = path.is_empty() && STAND_INS.contains(&word);
            if !stands_in && !subcommands.iter().any(|name| name == word) {
                return Err(format!("{} has no subcommand {word}", self.named(&path)));
            }
            path.push(word.to_owned());
        }
        Ok(path)
    }

    fn named(&self, path: &[String]) -> String {
        std::iter::once(self.program).chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }

    /// Every subcommand that has none of its own.
    fn leaves(&mut self, path: &[String]) -> Vec<Vec<String>> {
        let subcommands = self.help(path).subcommands.clone();
        if subcommands.is_empty() {
            return vec![path.to_vec()];
        }
        let within = subcommands.into_iter().map(|name| [path, &[name]].concat());
        let ours = within.filter(|path| path.len() > 1 || !STAND_INS.contains(&path[0].as_str())).collect::<Vec<_>>();
        ours.iter().flat_map(|path| self.leaves(path)).collect()
    }
}

#[test]
fn command_lines_parse() {
    let mut wrong = Vec::new();
    for name in ["mailctl", "pillarbox"] {
        let mut helps = Helps::of(name);
        for page in pages() {
            for command in page.commands() {
                let program = command.split_whitespace().next().unwrap_or_default();
                if program != name && !program.ends_with(&format!("/{name}")) {
                    continue;
                }
                let line = command.strip_prefix(program).unwrap_or_default();
                if let Err(error) = helps.check(line) {
                    wrong.push(format!("{}: {command}: {error}", page.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn make_has_the_targets() {
    let makefile = text_of(&root().join("Makefile"));
    let rules = makefile.lines().filter(|line| !line.starts_with(['\t', '#', '.'])).filter_map(|line| line.split_once(':'));
    let targets: HashSet<_> = rules.flat_map(|(names, _)| names.split_whitespace()).collect();
    let has = |word: &str| targets.contains(word) || targets.iter().any(|t| t.strip_suffix('%').is_some_and(|stem| word.starts_with(stem)));
    for page in pages() {
        for command in page.commands().filter_map(|command| command.strip_prefix("make ")) {
            for word in command.split_whitespace().filter(|word| !word.contains('=') && !word.starts_with('-')) {
                assert!(has(word), "{}: make has no target {word}", page.name);
            }
        }
    }
}

/// The keys of the shipped sample, as `section.key`.
fn keys() -> HashSet<String> {
    let mut section = String::new();
    let mut keys = HashSet::new();
    for line in text_of(&root().join("config/pillarbox.toml")).lines() {
        if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = table.to_owned();
            keys.insert(section.clone());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

/// A man page without its marks for fonts and requests.
fn plain(roff: &str) -> String {
    let mut text = roff.replace("\\-", "-").replace("\\(ti", "~").replace("\\(ha", "^").replace("\\(aq", "'");
    for mark in ["\\fB", "\\fI", "\\fR", "\\&"] {
        text = text.replace(mark, "");
    }
    text
}

#[test]
fn keys_of_the_configuration_exist() {
    let keys = keys();
    let manuals = files_in("docs/man");
    let manuals = manuals.iter().map(|path| (path.display().to_string(), plain(&text_of(path))));
    let pages = pages().into_iter().map(|page| (page.name, page.spans.join(" ")));
    for (name, text) in pages.chain(manuals) {
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || "._".contains(c))).map(|word| word.trim_matches('.'));
        for word in words.filter(|word| word.matches('.').count() == 1) {
            let (section, key) = word.split_once('.').unwrap_or_default();
            let file = ["md", "rs", "toml", "db"].contains(&key);
            assert!(file || !keys.contains(section) || keys.contains(word), "{name}: there is no key {word}");
        }
    }
}

#[test]
fn the_manual_of_mailctl_has_every_command_and_no_other() {
    let mut helps = Helps::of("mailctl");
    let manual = plain(&text_of(&root().join("docs/man/mailctl.1")));
    let commands = manual.split(".SH COMMANDS").nth(1).and_then(|rest| rest.split(".SH ").next()).unwrap();
    let lines: Vec<_> = commands.replace("\\\n", "").split(".TP\n").skip(1).map(|entry| entry.lines().next().unwrap().to_owned()).collect();
    let described: Vec<_> =
        lines.iter().map(|line| helps.check(line).unwrap_or_else(|error| panic!("mailctl(1): {line}: {error}"))).collect();
    for leaf in helps.leaves(&[]) {
        assert!(described.contains(&leaf), "mailctl(1) does not describe {}", leaf.join(" "));
    }
}

/// The sources of all crates as one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&text_of(&path));
        }
    }
}

/// The literal pieces of a message: without the codes of a reply, cut where `...` or a name in quotes stands for anything.
fn pieces(message: &str) -> Vec<&str> {
    let text = message.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    text.split("...").map(|piece| piece.trim_matches([' ', '"', '?', '`'])).filter(|piece| piece.len() > 5).collect()
}

#[test]
fn messages_that_are_explained_are_said_somewhere() {
    let mut said = String::new();
    sources(&root().join("crates"), &mut said);
    let mut unknown = Vec::new();
    for name in ["docs/troubleshooting.md", "docs/filter.md"] {
        let text = text_of(&root().join(name));
        let mut in_table = false;
        for line in text.lines() {
            // Tables of messages are headed so.
            in_table =
                line.starts_with('|') && (in_table || ["| reply |", "| message |", "| line |"].iter().any(|head| line.starts_with(head)));
            let cell = line.split('|').nth(1).filter(|_| in_table).unwrap_or_default();
            for message in cell.split('`').skip(1).step_by(2) {
                unknown.extend(pieces(message).iter().filter(|piece| !said.contains(**piece)).map(|piece| format!("{name}: {piece}")));
            }
        }
    }
    assert!(unknown.is_empty(), "nothing says:\n{}", unknown.join("\n"));
}

#[test]
fn the_stand_ins_answer() {
    let version = run(Command::new(program("mailctl")).args(["procmail", "-v"]), b"");
    assert!(version.status.success(), "{version:?}");
}

#[test]
fn man_pages_are_well_formed() {
    if !has("man_pages_are_well_formed", "groff", "groff") {
        return;
    }
    for page in files_in("docs/man") {
        let output = run(Command::new("groff").args(["-t", "-man", "-ww", "-Tutf8", "-z"]).arg(&page), b"");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
    }
}

#[test]
fn the_parts_of_the_data_folder_are_described() {
    let mut instance = Instance::new("mail.example.org", &["joe"]);
    instance.start();
    let page = text_of(&root().join("docs/backup.md"));
    for entry in std::fs::read_dir(instance.path("data")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("`{name}`")), "docs/backup.md says nothing of {name} in the data folder");
    }
    instance.stop();
}
