//! What the resolver knows of its own host, and what that makes of an address: its canonical form, whose domain it is
//! in, and what can be cut off its local part.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use crate::domain;
use crate::fold;
use crate::list;
use crate::token::{Token, plain_form, quote, quoted_form, scan, unquote};

/// Names that every mail system has to take (RFC 5321 section 4.5.1) or makes itself. They have no extensions.
pub(crate) const RESERVED: [&str; 3] = ["postmaster", "mailer-daemon", "double-bounce"];

/// Who the empty address is.
pub(crate) const EMPTY: &str = "MAILER-DAEMON";

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// In a domain of this host: accounts, and bare names in the maps.
    Local,
    /// In a domain that exists only in the maps.
    Alias,
    /// In a foreign domain.
    Elsewhere,
    /// No address at all.
    Invalid,
}

/// Where an address leads once routes to this host are followed.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The address in plain form.
    pub(crate) address: Cow<'a, str>,
    pub(crate) class: Class,
    /// A `@`, `%` or `!` is left in the local part, so that another host might send the message on.
    pub(crate) routed: bool,
}

/// The host's own names.
#[derive(Debug)]
pub(crate) struct Site {
    /// Name of the host itself, for addresses without a domain that were not completed.
    pub(crate) hostname: String,
    /// The domain of names without one.
    pub(crate) origin: String,
    /// Domains with accounts, as [`fold::domain`] has them.
    pub(crate) destinations: HashSet<Box<str>>,
    /// Own network addresses.
    pub(crate) interfaces: Vec<IpAddr>,
    /// What may divide a name from its extension.
    pub(crate) delimiters: String,
}

/// What can be told of a plain text at a glance.
enum Shape {
    /// One `@` between two parts without any character that has a meaning: canonical as it is.
    Address,
    /// A name of the same kind without a domain.
    Name,
    /// Whatever has to be taken apart.
    Odd,
}

fn shape(plain: &str) -> Shape {
    let ordinary = |b: u8| b.is_ascii_alphanumeric() || b".-_+=~#$&'*/?^`{}".contains(&b);
    let edges = |t: &str| !t.is_empty() && !t.starts_with('.') && !t.ends_with('.') && !t.contains("..");
    let part = |t: &str| edges(t) && t.bytes().all(ordinary);
    match plain.split_once('@') {
        Some((local, domain)) if part(local) && part(domain) => Shape::Address,
        None if part(plain) => Shape::Name,
        _ => Shape::Odd,
    }
}

impl Site {
    /// Brings a plain address into canonical form: routes go, `a!b` and `a%b` become addresses, names get the origin.
    pub(crate) fn canonical<'a>(&self, plain: &'a str) -> Cow<'a, str> {
        match shape(plain) {
            Shape::Address => return Cow::Borrowed(plain),
            Shape::Name if !self.origin.is_empty() => return Cow::Owned(format!("{plain}@{}", self.origin)),
            _ => {}
        }
        let mut tokens = scan(&quote(plain));
        self.rewrite(&mut tokens);
        Cow::Owned(unquote(&quoted_form(&tokens)))
    }

    /// The addresses of a map's value, canonical and plain, each with the extension added to its local part.
    pub(crate) fn targets(&self, value: &str, extension: &str) -> Vec<String> {
        let value = if value.is_empty() || value == "<>" { "\"\"" } else { value };
        let add = |mut plain: String| {
            let at = plain.rfind('@').unwrap_or(plain.len());
            plain.insert_str(at, extension);
            plain
        };
        match shape(value) {
            Shape::Address => return vec![add(value.to_owned())],
            Shape::Name if !self.origin.is_empty() => return vec![format!("{value}{extension}@{}", self.origin)],
            _ => {}
        }
        let canonical = |tokens: &Vec<Token>| {
            let mut tokens = scan(&quoted_form(tokens));
            self.rewrite(&mut tokens);
            add(unquote(&quoted_form(&tokens)))
        };
        list::addresses(value).iter().map(canonical).collect()
    }

    fn rewrite(&self, tokens: &mut Vec<Token>) {
        if matches!(&tokens[..], [Token::Quoted(text)] if text.is_empty()) {
            return;
        }
        if matches!(&tokens[..], [Token::Operator('@')]) {
            *tokens = vec![Token::Quoted(String::new())];
            return;
        }
        strip_route(tokens);
        if !tokens.iter().any(|t| t.is('@')) {
            self.complete(tokens);
        }
        strip_final_dot(tokens);
    }

    /// Gives an address without `@` a domain.
    fn complete(&self, tokens: &mut Vec<Token>) {
        if let Some(bang) = tokens.iter().position(|t| t.is('!')) {
            let local = tokens.split_off(bang + 1);
            let domain = std::mem::replace(tokens, local);
            tokens.push(Token::Operator('@'));
            tokens.extend(domain.into_iter().take(bang));
        } else if let Some(percent) = tokens.iter().rposition(|t| t.is('%')) {
            tokens[percent] = Token::Operator('@');
        } else if !self.origin.is_empty() {
            tokens.push(Token::Operator('@'));
            tokens.extend(scan(&self.origin));
        }
    }

    /// Whether mail for this domain is for accounts here.
    pub(crate) fn is_local(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.ends_with('.') {
            return false;
        }
        self.destinations.contains(&*fold::domain(name)) || domain::literal(name).is_some_and(|ip| self.interfaces.contains(&ip))
    }

    /// Whether keys without a domain count for this domain.
    pub(crate) fn takes_bare_keys(&self, name: &str) -> bool {
        fold::same(name, &self.origin) || self.is_local(name)
    }

    /// Finds out whose a canonical address is. `is_alias_domain` answers for domains that are not local.
    pub(crate) fn place<'a>(&self, plain: &'a str, is_alias_domain: impl Fn(&str) -> bool) -> Place<'a> {
        let (address, local) = match (shape(plain), plain.rsplit_once('@')) {
            (Shape::Address, Some((_, name))) => (Cow::Borrowed(plain), self.is_local(name)),
            _ => {
                let (address, local) = self.follow(plain);
                (Cow::Owned(address), local)
            }
        };
        let name = address.rsplit_once('@').map_or("", |(_, name)| name);
        let class = match () {
            () if !is_domain(name) || address.starts_with('-') => Class::Invalid,
            () if local => Class::Local,
            () if is_alias_domain(name) => Class::Alias,
            () => Class::Elsewhere,
        };
        let routed = address.find(['@', '!', '%']).is_some_and(|at| address[at + 1..] != *name);
        Place { class, routed, address }
    }

    /// Takes local domains off, one after the other, while the local part is itself an address with a route.
    fn follow(&self, plain: &str) -> (String, bool) {
        let mut tokens = scan(&quote(plain));
        let mut taken: Option<Vec<Token>> = None;
        // Each round takes a domain off, or opens a quoted string; the bound is for pathological addresses alone.
        for _ in 0..plain.len() + 100 {
            if tokens.iter().any(|t| t.is('@')) {
                strip_final_dot(&mut tokens);
            }
            if let Some(at) = tokens.iter().rposition(|t| t.is('@')) {
                if at + 1 < tokens.len() && !self.is_local(&plain_form(&tokens[at + 1..])) {
                    return (plain_form(&tokens), false);
                }
                taken = Some(tokens.split_off(at));
            }
            if tokens.iter().any(|t| ['@', '!', '%'].iter().any(|c| t.is(*c))) {
                self.rewrite(&mut tokens);
            } else if let Some(opened) = open_quotes(&tokens) {
                tokens = opened;
                self.rewrite(&mut tokens);
            } else if tokens.is_empty() || matches!(&tokens[..], [Token::Quoted(text)] if text.is_empty()) {
                tokens = vec![Token::Atom(EMPTY.to_owned())];
            } else if taken.is_none() {
                tokens.push(Token::Operator('@'));
                tokens.extend(scan(&self.hostname));
            } else {
                break;
            }
        }
        tokens.extend(taken.unwrap_or_default());
        (plain_form(&tokens), true)
    }

    /// Splits a local part before its extension, which keeps its delimiter. `owner-x` and `x-request` stay whole.
    pub(crate) fn split<'a>(&self, local: &'a str) -> Option<(&'a str, &'a str)> {
        let begins = |text: &str| local.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        let ends = |text: &str| {
            let start = local.len().checked_sub(text.len()).filter(|start| *start > 0);
            start.and_then(|start| local.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(text))
        };
        if RESERVED.iter().any(|name| local.eq_ignore_ascii_case(name))
            || (self.delimiters.contains('-') && (begins("owner-") || ends("-request")))
        {
            return None;
        }
        let at = local.find(|c| self.delimiters.contains(c)).filter(|at| *at > 0)?;
        Some(local.split_at(at))
    }
}

fn is_domain(name: &str) -> bool {
    if name.starts_with('[') { domain::literal(name).is_some() } else { domain::is_name(name) }
}

/// Takes a source route off (RFC 5321 appendix C).
fn strip_route(tokens: &mut Vec<Token>) {
    if !tokens.first().is_some_and(|t| t.is('@')) {
        return;
    }
    if let Some(colon) = tokens.iter().position(|t| t.is(':')).filter(|colon| colon + 1 < tokens.len()) {
        tokens.drain(..=colon);
    }
}

/// Takes one final dot off a domain, but leaves broken endings such as `..` and `@.` for the diagnosis.
fn strip_final_dot(tokens: &mut Vec<Token>) {
    if let [.., before, last] = &tokens[..]
        && last.is('.')
        && !before.is('.')
        && !before.is('@')
    {
        tokens.pop();
    }
}

/// The tokens within a lone quoted string that hides a route. Wrong by the letter, and needed to close relays.
fn open_quotes(tokens: &[Token]) -> Option<Vec<Token>> {
    let [Token::Quoted(local)] = tokens else { return None };
    if local.contains('@') {
        return Some(scan(&quote(local)));
    }
    if let Some(percent) = local.rfind('%') {
        return Some(scan(&quote(&format!("{}@{}", &local[..percent], &local[percent + 1..]))));
    }
    local.contains('!').then(|| scan(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site {
            hostname: "mx.host.example".into(),
            origin: "mx.host.example".into(),
            destinations: ["mx.host.example".into(), "localhost".into()].into(),
            interfaces: vec!["127.0.0.1".parse().unwrap()],
            delimiters: "+-".into(),
        }
    }

    #[test]
    fn canonical_forms() {
        for (plain, expected) in [
            ("joe", "joe@mx.host.example"),
            ("joe@x.example", "joe@x.example"),
            ("joe@x.example.", "joe@x.example"),
            ("joe@x..", "joe@x.."),
            ("joe%x", "joe@x"),
            ("a%b%c", "a%b@c"),
            ("a!b!c", "b!c@a"),
            ("joe!", "@joe"),
            ("joe%x@y", "joe%x@y"),
            ("a@b@c", "a@b@c"),
            ("a b", "a b@mx.host.example"),
            ("joe@", "joe@"),
        ] {
            assert_eq!(site().canonical(plain), expected);
        }
    }

    #[test]
    fn places() {
        for (plain, address, class, routed) in [
            ("joe@localhost", "joe@localhost", Class::Local, false),
            ("joe@[127.0.0.1]", "joe@[127.0.0.1]", Class::Local, false),
            ("joe@v.example", "joe@v.example", Class::Alias, false),
            ("joe@e.example", "joe@e.example", Class::Elsewhere, false),
            ("joe%e.example@localhost", "joe@e.example", Class::Elsewhere, false),
            ("joe@v.example@localhost", "joe@v.example", Class::Alias, false),
            ("v.example!joe@localhost", "joe@v.example", Class::Alias, false),
            ("joe%x@v.example", "joe%x@v.example", Class::Alias, true),
            ("@localhost", "MAILER-DAEMON@localhost", Class::Local, false),
            ("+e", "+e@mx.host.example", Class::Local, false),
            ("joe@", "joe@", Class::Invalid, false),
            ("joe@1.2.3.4", "joe@1.2.3.4", Class::Invalid, false),
            ("-joe@localhost", "-joe@localhost", Class::Invalid, false),
            ("joe@local..host", "joe@local..host", Class::Invalid, false),
        ] {
            let site = site();
            let place = site.place(plain, |d| d == "v.example");
            assert_eq!((&*place.address, place.class), (address, class), "{plain}");
            assert_eq!(place.routed, routed, "{plain}");
        }
    }

    #[test]
    fn extensions() {
        for (local, parts) in [
            ("joe+a", Some(("joe", "+a"))),
            ("joe-a+b", Some(("joe", "-a+b"))),
            ("joe", None),
            ("+a", None),
            ("joe+", Some(("joe", "+"))),
            ("owner-joe", None),
            ("Joe-Request", None),
            ("-request", None),
            ("postmaster", None),
            ("double-bounce", None),
        ] {
            assert_eq!(site().split(local), parts, "{local}");
        }
    }
}
