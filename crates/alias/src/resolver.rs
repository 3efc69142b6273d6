//! The answer to a recipient: who gets the message, or why nobody does.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use config::Section as _;
use mail::{Address, Enhanced, Reply};

use crate::envelope;
use crate::expand::{Expansion, Failure, Lookup};
use crate::fold;
use crate::maps::Maps;
use crate::problem::{Problem, Severity};
use crate::site::{Class, EMPTY, RESERVED, Site};
use crate::token::{quote, shown};

/// The longest address that is looked at, in octets; RFC 5321 section 4.5.3.1 has 256.
const LONGEST: usize = 1_000;

/// Who hands the message in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Anybody: only mail for domains of this host is taken.
    Stranger,
    /// Somebody who is logged in: mail for other domains is taken too.
    Member,
}

/// Where a recipient's message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To an account on this host.
    Account {
        /// The account's name, in lower case.
        name: String,
        /// What stood behind the delimiter, such as `shop` in `joe+shop`; may be empty.
        extension: Option<String>,
    },
    /// To whoever looks after this host: for `postmaster` and its like, when no account has that name (RFC 5321 section 4.5.1).
    Postmaster,
    /// To another host: the address as SMTP writes it.
    Elsewhere(String),
}

/// One address at the end of the expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address in SMTP's form, with what is left of an extension.
    pub address: String,
    /// Where its message goes.
    pub destination: Destination,
}

/// One step of an expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The address that was looked up, in SMTP's form.
    pub address: String,
    /// The map that had it, as the configuration names it.
    pub map: Arc<str>,
    /// The line in the map, from 1.
    pub line: u32,
    /// What it became, in SMTP's form.
    pub targets: Vec<String>,
}

/// A recipient that is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Who gets the message, without repetitions; at least one.
    pub recipients: Vec<Recipient>,
    /// Targets for which there is no mailbox, in SMTP's form.
    pub undeliverable: Vec<String>,
    /// How it came to that.
    pub steps: Vec<Step>,
}

/// A recipient that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What the peer is told.
    pub reply: Reply,
    /// What the log is told beyond it.
    pub cause: String,
    /// How it came to that.
    pub steps: Vec<Step>,
}

/// Answers whether an account exists; the name is in lower case.
pub type IsAccount<'a> = &'a dyn Fn(&str) -> bool;

/// Maps and the names of the host, ready for questions. It never changes; a reload makes another one.
#[derive(Debug)]
pub struct Resolver {
    pub(crate) maps: Maps,
    pub(crate) site: Site,
    /// Domains that exist only in the maps, if they are given as a list.
    domains: Option<HashSet<Box<str>>>,
    section: config::Alias,
    /// Lines were left out: what is not found may have been on one of them.
    damaged: bool,
}

/// A resolver as far as it could be made, with what was found to be wrong.
#[derive(Debug)]
pub struct Loaded {
    resolver: Resolver,
    problems: Vec<Problem>,
}

impl Loaded {
    /// What is wrong, in the order of the maps and their lines.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The resolver with its warnings, if there is no error.
    ///
    /// # Errors
    /// All problems, if one of them is an error: the state before should stay in force.
    pub fn strict(self) -> Result<(Resolver, Vec<Problem>), Vec<Problem>> {
        if self.problems.iter().any(|p| p.severity == Severity::Error) { Err(self.problems) } else { Ok((self.resolver, self.problems)) }
    }

    /// The resolver without the lines that cannot be used. For a start without a state before: recipients that are not
    /// found are deferred, since they may have been on such a line.
    #[must_use]
    pub fn deferring(mut self) -> Resolver {
        self.resolver.damaged = self.problems.iter().any(|p| p.severity == Severity::Error);
        self.resolver
    }

    /// The resolver without the lines that cannot be used, as Postfix would have it.
    #[must_use]
    pub fn lenient(self) -> Resolver {
        self.resolver
    }
}

impl Resolver {
    /// Reads the maps of a section. `hostname` names the host, `interfaces` are its own addresses (for `user@[192.0.2.1]`),
    /// `read` gives a file's octets.
    ///
    /// Problems of the files are found here; those that concern addresses and accounts by [`Resolver::lint`].
    pub fn load(section: &config::Alias, hostname: &str, interfaces: &[IpAddr], read: &dyn Fn(&str) -> io::Result<Vec<u8>>) -> Loaded {
        let mut problems = Vec::new();
        let maps = Maps::load(&section.maps, section.max_map_size.0, read, &mut problems);
        let set = |names: &mut dyn Iterator<Item = &str>| names.map(|name| Box::from(fold::domain(name))).collect();
        let own = [hostname, "localhost"];
        let site = Site {
            hostname: hostname.to_owned(),
            origin: if section.origin.is_empty() { hostname } else { &section.origin }.to_owned(),
            destinations: set(&mut own.into_iter().chain(section.destinations.iter().map(String::as_str))),
            interfaces: interfaces.iter().map(IpAddr::to_canonical).collect(),
            delimiters: section.recipient_delimiter.clone(),
        };
        let domains = (!section.domains.is_empty()).then(|| set(&mut section.domains.iter().map(String::as_str)));
        Loaded { resolver: Self { maps, site, domains, section: section.clone(), damaged: false }, problems }
    }

    /// Takes the destinations as they are, without the host's name and `localhost`, as a `main.cf` may ask for.
    #[must_use]
    pub fn with_destinations(mut self, destinations: &[String]) -> Self {
        self.site.destinations = destinations.iter().map(|name| Box::from(fold::domain(name))).collect();
        self
    }

    /// Takes the list of domains that exist only in the maps as it is, also if it is empty.
    #[must_use]
    pub fn with_domains(mut self, domains: &[String]) -> Self {
        self.domains = Some(domains.iter().map(|name| Box::from(fold::domain(name))).collect());
        self
    }

    /// What becomes of a recipient. `address` is what stands between `<` and `>` in `RCPT TO:<...>`.
    ///
    /// # Errors
    /// [`Rejection`] with the reply that belongs to it.
    pub fn resolve(&self, address: &str, sender: Sender, is_account: IsAccount<'_>) -> Result<Resolution, Rejection> {
        let given = envelope::recipient(address).filter(|plain| plain.len() <= LONGEST).ok_or_else(syntax)?;
        let canonical = self.site.canonical(&given);
        // RFC 5321 section 4.5.1: the postmaster is there, also without a domain.
        let postmaster = given.eq_ignore_ascii_case(RESERVED[0]);
        let mut lookup = Lookup::new(self);
        self.admit(&canonical, sender, postmaster, &mut lookup, is_account)?;
        let expanded = self.expansion().run(&canonical, &mut lookup).map_err(|failure| failed(failure, lookup.take_steps()))?;
        let mut resolution = self.sort(expanded, is_account);
        resolution.steps = lookup.take_steps();
        if resolution.recipients.is_empty() {
            if !postmaster {
                let cause = format!("nobody is behind {}", resolution.undeliverable.join(", "));
                return Err(Rejection { steps: resolution.steps, ..self.unknown(cause) });
            }
            resolution.undeliverable.clear();
            let address = format!("{}@{}", RESERVED[0], self.site.hostname);
            resolution.recipients.push(Recipient { address, destination: self.postmaster(is_account) });
        }
        Ok(resolution)
    }

    /// [`Resolver::resolve`] for an address that is parsed already.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_address(&self, address: &Address, sender: Sender, is_account: IsAccount<'_>) -> Result<Resolution, Rejection> {
        self.resolve(&address.to_string(), sender, is_account)
    }

    /// Whether a domain is one of this host's, as a place of accounts or in the maps.
    #[must_use]
    pub fn is_own_domain(&self, domain: &str) -> bool {
        self.site.is_local(domain) || self.is_alias_domain(domain)
    }

    pub(crate) fn is_alias_domain(&self, domain: &str) -> bool {
        match &self.domains {
            Some(domains) => domains.contains(&*fold::domain(domain)),
            None => self.maps.has_domain(domain),
        }
    }

    pub(crate) fn expansion(&self) -> Expansion {
        Expansion::new(&self.section)
    }

    pub(crate) fn propagates(&self) -> bool {
        self.section.propagate_unmatched_extensions
    }

    /// What is decided before the expansion: syntax, relaying, and whether anybody is known by that name.
    fn admit(
        &self,
        canonical: &str,
        sender: Sender,
        postmaster: bool,
        lookup: &mut Lookup<'_>,
        is_account: IsAccount<'_>,
    ) -> Result<(), Rejection> {
        let place = self.site.place(canonical, |domain| self.is_alias_domain(domain));
        let foreign = place.class == Class::Elsewhere || place.routed;
        match place.class {
            Class::Invalid => return Err(syntax()),
            _ if postmaster => return Ok(()),
            _ if foreign && sender == Sender::Stranger => return Err(self.relay(&place.address)),
            Class::Elsewhere => return Ok(()),
            Class::Local | Class::Alias => {}
        }
        // Patterns see the folded address here and the given one in the expansion, as they do in Postfix.
        let folded = fold::fold(&place.address);
        let known = match lookup.find(&folded) {
            Some((found, _)) if found.value.is_empty() => return Err(failed(Failure::EmptyResult(found.line), Vec::new())),
            Some(_) => true,
            None => place.class == Class::Local && self.has_mailbox(&folded, is_account),
        };
        if known { Ok(()) } else { Err(self.unknown(format!("{} is neither an alias nor an account", place.address))) }
    }

    fn has_mailbox(&self, folded: &str, is_account: IsAccount<'_>) -> bool {
        let local = folded.rsplit_once('@').map_or(folded, |(local, _)| local);
        RESERVED.contains(&local) || self.account(local, is_account).is_some()
    }

    fn account(&self, local: &str, is_account: IsAccount<'_>) -> Option<Destination> {
        let folded = fold::fold(local);
        if is_account(&folded) {
            return Some(Destination::Account { name: folded.into_owned(), extension: None });
        }
        let (name, extension) = self.site.split(local)?;
        let name = fold::fold(name);
        let extension = extension.chars().skip(1).collect();
        is_account(&name).then(|| Destination::Account { name: name.into_owned(), extension: Some(extension) })
    }

    fn postmaster(&self, is_account: IsAccount<'_>) -> Destination {
        self.account(RESERVED[0], is_account).unwrap_or(Destination::Postmaster)
    }

    /// Sorts the targets into those that can be delivered and those that cannot; the first spelling of each counts.
    fn sort(&self, targets: Vec<String>, is_account: IsAccount<'_>) -> Resolution {
        let mut resolution = Resolution::default();
        let mut seen = HashSet::new();
        for target in targets {
            if !seen.insert(fold::fold(&target).into_owned()) {
                continue;
            }
            let address = if target.is_empty() { EMPTY.to_owned() } else { shown(&target) };
            match self.destination(&target, is_account) {
                Some(destination) => resolution.recipients.push(Recipient { address, destination }),
                None => resolution.undeliverable.push(address),
            }
        }
        resolution
    }

    /// Where a final target goes, as [`Resolver::resolve`] gave it, without quotes; `None` if there is no such place any more.
    #[must_use]
    pub fn destination(&self, target: &str, is_account: IsAccount<'_>) -> Option<Destination> {
        let place = self.site.place(if target.is_empty() { EMPTY } else { target }, |domain| self.is_alias_domain(domain));
        let local = place.address.rsplit_once('@').map_or(&*place.address, |(local, _)| local);
        match place.class {
            Class::Elsewhere => Some(Destination::Elsewhere(quote(&place.address))),
            Class::Local => self.account(local, is_account).or_else(|| self.is_reserved(local).then_some(Destination::Postmaster)),
            Class::Alias | Class::Invalid => None,
        }
    }

    /// Whether a local part is one of the names that every host has, perhaps with an extension.
    fn is_reserved(&self, local: &str) -> bool {
        let whole = RESERVED.iter().any(|name| local.eq_ignore_ascii_case(name));
        let split = self.site.split(local).is_some_and(|(name, _)| RESERVED[..2].iter().any(|n| name.eq_ignore_ascii_case(n)));
        whole || split
    }

    fn unknown(&self, cause: String) -> Rejection {
        if self.damaged {
            return damaged(cause);
        }
        reject(550, Enhanced(5, 1, 1), "User unknown", cause)
    }

    fn relay(&self, address: &str) -> Rejection {
        let cause = format!("{address} is in no domain of this host");
        if self.damaged {
            return damaged(cause);
        }
        reject(554, Enhanced(5, 7, 1), "Relay access denied", cause)
    }
}

fn reject(code: u16, enhanced: Enhanced, text: &str, cause: impl Into<String>) -> Rejection {
    Rejection { reply: Reply::new(code, enhanced, text), cause: cause.into(), steps: Vec::new() }
}

fn syntax() -> Rejection {
    reject(501, Enhanced(5, 1, 3), "Bad recipient address syntax", "the text is no single mail address")
}

fn damaged(cause: String) -> Rejection {
    let cause = format!("{cause}, but a map has lines that cannot be read ({})", config::Alias::TABLE);
    reject(451, Enhanced(4, 3, 5), "Server configuration error, try again later", cause)
}

fn failed(failure: Failure, steps: Vec<Step>) -> Rejection {
    let (enhanced, text) = match failure {
        Failure::EmptyResult(_) => (Enhanced(4, 3, 5), "Server configuration error, try again later"),
        Failure::NoAddress(_) => (Enhanced(4, 3, 0), "Alias lookup error, try again later"),
        _ => (Enhanced(4, 6, 0), "Alias expansion error, try again later"),
    };
    Rejection { steps, ..reject(451, enhanced, text, failure.to_string()) }
}
