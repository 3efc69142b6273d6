//! Recursive look-up of an address, as Postfix's cleanup does it, within limits.

use crate::fold;
use crate::maps::{Found, Maps, Scope};
use crate::resolver::{Resolver, Step};
use crate::token::{quote, quote_local, shown};

/// How many steps are kept for the story; a circle has no more to tell than these.
const STEPS: usize = 200;

/// Why an expansion came to no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// One look-up followed another too often: a circle.
    #[error("more than {0} look-ups follow one from another; the lines lead in a circle")]
    Nesting(u32),
    /// Too many addresses.
    #[error("the alias becomes more than {0} addresses")]
    Size(u32),
    /// A target is too long.
    #[error("a target is longer than {0} octets")]
    Length(u32),
    /// A value without any address.
    #[error("line {0} gives no address")]
    NoAddress(u32),
    /// A value without anything.
    #[error("line {0} gives an empty result")]
    EmptyResult(u32),
}

/// Look-ups with their scratch space and their story.
pub(crate) struct Lookup<'r> {
    resolver: &'r Resolver,
    buffer: String,
    steps: Vec<Step>,
}

impl<'r> Lookup<'r> {
    pub(crate) fn new(resolver: &'r Resolver) -> Self {
        Self { resolver, buffer: String::new(), steps: Vec::new() }
    }

    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// The line for a plain address, and the extension that no key named, with its delimiter.
    ///
    /// The order is virtual(5)'s: the address, the address without extension, the name alone where the domain is ours,
    /// the name without extension, the domain. Each form is tried in all maps before the next form.
    pub(crate) fn find<'a>(&mut self, plain: &'a str) -> Option<(Found<'r>, &'a str)> {
        let site = &self.resolver.site;
        if let Some(found) = self.one(&quote(plain), Scope::All) {
            return Some((found, ""));
        }
        let at = plain.rfind('@')?;
        let (local, domain) = plain.split_at(at);
        let split = site.split(local);
        if let Some((name, extension)) = split
            && let Some(found) = self.one(&quote(&format!("{name}{domain}")), Scope::Tables)
        {
            return Some((found, extension));
        }
        if site.takes_bare_keys(&domain[1..]) {
            if let Some(found) = self.one(&quote_local(local), Scope::Tables) {
                return Some((found, ""));
            }
            if let Some((name, extension)) = split
                && let Some(found) = self.one(&quote_local(name), Scope::Tables)
            {
                return Some((found, extension));
            }
        }
        self.one(domain, Scope::Tables).map(|found| (found, ""))
    }

    fn one(&mut self, quoted: &str, scope: Scope) -> Option<Found<'r>> {
        let maps: &'r Maps = &self.resolver.maps;
        maps.find(quoted, scope, &mut self.buffer)
    }

    /// What the line for a plain address gives; `None` if there is no line.
    pub(crate) fn step(&mut self, plain: &str) -> Option<Result<Vec<String>, Failure>> {
        let (found, extension) = self.find(plain)?;
        if found.value.is_empty() {
            return Some(Err(Failure::EmptyResult(found.line)));
        }
        let targets = self.targets(plain, &found.value, extension);
        if targets.is_empty() {
            return Some(Err(Failure::NoAddress(found.line)));
        }
        if self.steps.len() == STEPS {
            return Some(Ok(targets));
        }
        let targets_shown = targets.iter().map(|target| shown(target)).collect();
        self.steps.push(Step { address: shown(plain), map: found.map.clone(), line: found.line, targets: targets_shown });
        Some(Ok(targets))
    }

    /// The addresses of a value. A value that begins with `@` stands for the same name in another domain.
    pub(crate) fn targets(&self, plain: &str, value: &str, extension: &str) -> Vec<String> {
        let carried = if self.resolver.propagates() { extension } else { "" };
        if !value.starts_with('@') {
            return self.resolver.site.targets(value, carried);
        }
        let local = plain.rsplit_once('@').map_or(plain, |(local, _)| local);
        let name = local.strip_suffix(extension).unwrap_or(local);
        self.resolver.site.targets(&quote(&format!("{name}{value}")), carried)
    }
}

/// The limits of an expansion.
pub(crate) struct Expansion {
    nesting: u32,
    size: u32,
    length: u32,
}

impl Expansion {
    pub(crate) fn new(section: &config::Alias) -> Self {
        Self { nesting: section.recursion_limit, size: section.expansion_limit, length: section.address_length_limit }
    }

    /// All addresses that a plain address becomes, repetitions included.
    ///
    /// Each place of the list is looked up until nothing is found; its first target takes the place and the others go
    /// to the end. A line that names its own address ends there.
    pub(crate) fn run(&self, plain: &str, lookup: &mut Lookup<'_>) -> Result<Vec<String>, Failure> {
        let mut list = vec![plain.to_owned()];
        let mut ends: Vec<String> = Vec::new();
        let mut at = 0;
        while at < list.len() {
            if list.len() > self.size as usize {
                return Err(Failure::Size(self.size));
            }
            let mut depth = 0;
            while !ends.iter().any(|end| fold::same(end, &list[at])) {
                if depth >= self.nesting {
                    return Err(Failure::Nesting(self.nesting));
                }
                depth += 1;
                let Some(targets) = lookup.step(&list[at]) else { break };
                self.replace(&mut list, at, targets?, &mut ends)?;
            }
            at += 1;
        }
        Ok(list)
    }

    fn replace(&self, list: &mut Vec<String>, at: usize, targets: Vec<String>, ends: &mut Vec<String>) -> Result<(), Failure> {
        if targets.iter().any(|target| quote(target).len() > self.length as usize) {
            return Err(Failure::Length(self.length));
        }
        if targets.iter().any(|target| fold::same(target, &list[at])) {
            ends.push(list[at].clone());
        }
        let mut targets = targets.into_iter();
        if let Some(first) = targets.next() {
            list[at] = first;
        }
        list.extend(targets);
        Ok(())
    }
}
