//! Finds lines that cannot mean what they say: circles, targets that do not exist, lines that nobody reaches, catch-alls
//! that take an account's mail.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::expand::Lookup;
use crate::fold;
use crate::maps::Found;
use crate::problem::{Problem, Severity};
use crate::resolver::{Destination, Resolver, Sender};
use crate::table::Line;
use crate::token::{quote, unquote};

/// More problems than this are not listed.
const MOST: usize = 1_000;

/// A line of one of the maps.
type Place = (*const u8, u32);

fn place(map: &Arc<str>, line: u32) -> Place {
    (map.as_ptr(), line)
}

/// How far the search for circles is with a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

/// A line on the way from the first one to where the search is.
struct Frame {
    place: Place,
    address: String,
    targets: std::vec::IntoIter<String>,
}

struct Linter<'r> {
    resolver: &'r Resolver,
    lookup: Lookup<'r>,
    accounts: HashSet<&'r str>,
    states: HashMap<Place, State>,
    /// Domains that targets are in: lines for these are reached even if strangers may not write to them.
    target_domains: HashSet<String>,
    problems: Vec<Problem>,
}

impl Resolver {
    /// Everything that is suspicious about the tables, with regard to these accounts (names in lower case). At most a
    /// thousand problems. Circles are errors, the rest are warnings.
    #[must_use]
    pub fn lint(&self, accounts: &[String]) -> Vec<Problem> {
        let mut linter = Linter {
            resolver: self,
            lookup: Lookup::new(self),
            accounts: accounts.iter().map(String::as_str).collect(),
            states: HashMap::new(),
            target_domains: HashSet::new(),
            problems: Vec::new(),
        };
        linter.run();
        linter.problems
    }
}

impl<'r> Linter<'r> {
    fn run(&mut self) {
        let resolver = self.resolver;
        for (map, table) in resolver.maps.tables() {
            for line in table.lines() {
                if self.problems.len() < MOST && !self.is_domain_line(line.key) {
                    self.follow(map, &line);
                }
            }
        }
        for (at, (map, table)) in resolver.maps.tables().enumerate() {
            for line in table.lines() {
                if self.problems.len() < MOST {
                    self.check_reach(map, at, &line);
                    self.check_catch_all(map, &line);
                }
            }
        }
    }

    fn warn(&mut self, severity: Severity, map: &str, line: u32, text: &str, message: String) {
        self.problems.push(Problem::new(severity, map, line, text, message));
    }

    /// Whether a key without `@` only says that a domain is ours, so that its value means nothing.
    fn is_domain_line(&self, key: &str) -> bool {
        !key.contains('@') && key.contains('.') && !self.accounts.contains(key)
    }

    /// An address that the line answers.
    fn example(&self, key: &str) -> String {
        match key.split_once('@') {
            Some(("", _)) => format!("anybody{key}"),
            Some(_) => unquote(key),
            None => format!("{}@{}", unquote(key), self.resolver.site.origin),
        }
    }

    /// Follows a line's targets, depth first, and names each circle once.
    fn follow(&mut self, map: &Arc<str>, line: &Line<'_>) {
        let mut path = Vec::new();
        self.enter(&mut path, place(map, line.number), self.example(line.key), line.value, (map, line.number, line.key));
        while let Some(frame) = path.last_mut() {
            let Some(target) = frame.targets.next() else {
                self.states.insert(frame.place, State::Done);
                path.pop();
                continue;
            };
            if fold::same(&target, &frame.address) {
                continue;
            }
            let Some((found, extension)) = self.lookup.find(&target) else { continue };
            let next = place(found.map, found.line);
            match self.states.get(&next) {
                Some(State::Done) => {}
                Some(State::Open) => self.report_circle(&path, &target, next, &found),
                None => {
                    let value = found.value.strip_suffix(extension).unwrap_or(&found.value).to_owned();
                    self.enter(&mut path, next, target, &value, (found.map, found.line, ""));
                }
            }
        }
    }

    fn enter(&mut self, path: &mut Vec<Frame>, at: Place, address: String, value: &str, shown: (&str, u32, &str)) {
        if self.states.contains_key(&at) {
            return;
        }
        self.states.insert(at, State::Open);
        let targets = self.lookup.targets(&address, value, "");
        self.check_targets(&address, &targets, value, shown);
        path.push(Frame { place: at, address, targets: targets.into_iter() });
    }

    /// Reports a line that is met again on its own way, unless the expansion ends there all the same, as it does at
    /// `joe joe@localhost`.
    fn report_circle(&mut self, path: &[Frame], target: &str, begin: Place, found: &Found<'_>) {
        if self.resolver.expansion().run(target, &mut Lookup::new(self.resolver)).is_ok() {
            return;
        }
        let start = path.iter().position(|frame| frame.place == begin).unwrap_or(0);
        let names: Vec<_> = path[start..].iter().map(|frame| quote(&frame.address)).chain([quote(target)]).collect();
        let message = format!("these lines lead in a circle: {}", names.join(" -> "));
        self.warn(Severity::Error, found.map, found.line, "", message);
    }

    /// Reports targets that are neither aliases nor mailboxes.
    fn check_targets(&mut self, address: &str, targets: &[String], value: &str, (map, line, key): (&str, u32, &str)) {
        let text = format!("{} {value}", if key.is_empty() { quote(address) } else { key.to_owned() });
        if targets.is_empty() {
            self.warn(Severity::Warning, map, line, &text, "the value holds no address".to_owned());
        }
        for target in targets {
            if let Some((_, domain)) = target.rsplit_once('@') {
                self.target_domains.insert(fold::domain(domain).into_owned());
            }
            let itself = fold::same(target, address);
            if (!itself && self.lookup.find(target).is_some()) || address.starts_with("anybody@") && target.starts_with("anybody@") {
                continue;
            }
            let accounts = &self.accounts;
            if self.resolver.destination(target, &|name| accounts.contains(name)).is_none() {
                self.warn(Severity::Warning, map, line, &text, format!("the target {} does not exist", quote(target)));
            }
        }
    }

    /// Reports lines that an earlier map hides, and lines for domains that are not ours.
    fn check_reach(&mut self, map: &Arc<str>, at: usize, line: &Line<'_>) {
        let resolver = self.resolver;
        let text = format!("{} {}", line.key, line.value);
        let earlier = resolver.maps.tables().take(at).find_map(|(map, table)| table.find(line.key).map(|first| (map, first.number)));
        if let Some((first_map, first)) = earlier {
            self.warn(
                Severity::Warning,
                map,
                line.number,
                &text,
                format!("this line is never reached: {first_map}:{first} has the same key"),
            );
        }
        let Some((_, domain)) = line.key.rsplit_once('@') else { return };
        if !resolver.is_own_domain(domain) && !self.target_domains.contains(domain) {
            let message = format!("nobody reaches this line: {domain} is not one of our domains; a line \"{domain} x\" makes it one");
            self.warn(Severity::Warning, map, line.number, &text, message);
        }
    }

    /// Reports a catch-all that takes the mail of accounts.
    fn check_catch_all(&mut self, map: &Arc<str>, line: &Line<'_>) {
        let Some(domain) = line.key.strip_prefix('@').filter(|domain| self.resolver.site.takes_bare_keys(domain)) else { return };
        let accounts = self.accounts.clone();
        let mut hidden: Vec<_> = accounts.iter().filter(|name| self.hides(map, line.number, name, domain, &accounts)).copied().collect();
        hidden.sort_unstable();
        if !hidden.is_empty() {
            let message = format!("this line takes the mail of {}; give each a line of its own before it", hidden.join(", "));
            self.warn(Severity::Warning, map, line.number, &format!("{} {}", line.key, line.value), message);
        }
    }

    fn hides(&mut self, map: &Arc<str>, line: u32, name: &str, domain: &str, accounts: &HashSet<&str>) -> bool {
        let address = format!("{name}@{domain}");
        let caught = self.lookup.find(&address).is_some_and(|(found, _)| place(found.map, found.line) == place(map, line));
        let reaches = |destination: &Destination| matches!(destination, Destination::Account { name: found, .. } if found == name);
        let resolve = || self.resolver.resolve(&quote(&address), Sender::Stranger, &|name| accounts.contains(name));
        caught && !resolve().is_ok_and(|resolution| resolution.recipients.iter().any(|r| reaches(&r.destination)))
    }
}
