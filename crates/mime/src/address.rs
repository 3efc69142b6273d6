//! Address lists (RFC 5322 section 3.4 and the obsolete forms of 4.4), read the way Dovecot reads them.
//!
//! Nothing is refused: what cannot be read becomes an address whose missing half is named `MISSING_MAILBOX`,
//! `MISSING_DOMAIN` or `SYNTAX_ERROR`, so that a client shows that something was there.

use crate::lex::{Broken, Lexer, More};
use crate::limits;

/// One entry of an address list as ENVELOPE gives it (RFC 3501 section 7.4.2).
///
/// A group is a run of entries: one with `host` absent and the group's name as `mailbox`, its members, and one with all
/// four absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// The display name, without quotes, encoded words as they stand; or the comment behind a bare address.
    pub name: Option<Vec<u8>>,
    /// The source route, `@one,@two`.
    pub route: Option<Vec<u8>>,
    /// The local part without quotes, or a group's name.
    pub mailbox: Option<Vec<u8>>,
    /// The domain.
    pub host: Option<Vec<u8>>,
}

/// Reads a field's value; at most [`limits::ADDRESSES`] entries.
#[must_use]
pub fn addresses(value: &[u8]) -> Vec<Address> {
    let mut list = List { lex: Lexer::new(crate::header::bounded(value)), out: Vec::new() };
    if list.lex.skip() == Ok(true) {
        list.addresses();
    }
    list.out
}

struct List<'a> {
    lex: Lexer<'a>,
    out: Vec<Address>,
}

impl List<'_> {
    /// Addresses with commas between. Anything else that follows an address ends the list.
    fn addresses(&mut self) {
        while self.out.len() < limits::ADDRESSES {
            if self.address() == Ok(false) || !self.lex.at(b',') {
                return;
            }
            self.lex.bump();
            match self.lex.skip() {
                Ok(true) => {}
                Ok(false) => return,
                Err(Broken) => return self.out.push(repaired(Address::default())),
            }
        }
    }

    fn address(&mut self) -> More {
        let start = self.lex.pos;
        let mut name = Vec::new();
        if self.lex.phrase(&mut name) == Ok(true) && self.lex.at(b':') {
            return Ok(self.group(name));
        }
        self.lex.pos = start;
        self.mailbox()
    }

    /// The rest of a group whose name and colon are there; it is closed even if its semicolon is missing.
    fn group(&mut self, name: Vec<u8>) -> bool {
        self.out.push(Address { mailbox: Some(name), ..Address::default() });
        self.lex.bump();
        let mut more = self.lex.skip();
        if more == Ok(true) && !self.lex.at(b';') {
            more = self.members();
        }
        if self.lex.at(b';') {
            self.lex.bump();
            more = self.lex.skip();
        } else if more == Ok(true) {
            more = Err(Broken);
        }
        self.out.push(Address::default());
        more != Ok(false)
    }

    fn members(&mut self) -> More {
        loop {
            let read = self.mailbox();
            if !self.lex.at(b',') || self.out.len() >= limits::ADDRESSES {
                return read;
            }
            self.lex.bump();
            if !self.lex.skip()? {
                return Err(Broken);
            }
        }
    }

    /// `Name <local@domain>`, or `local@domain (Name)`.
    fn mailbox(&mut self) -> More {
        let start = self.lex.pos;
        let mut address = Address::default();
        let mut name = Vec::new();
        let read = if self.lex.phrase(&mut name) == Ok(true) && self.lex.at(b'<') {
            address.name = Some(name).filter(|name| !name.is_empty());
            if self.angle(&mut address).is_err() {
                address.host = Some(b"SYNTAX_ERROR".to_vec());
            }
            Ok(self.lex.more())
        } else {
            self.lex.pos = start;
            self.bare(&mut address)
        };
        self.out.push(repaired(address));
        read
    }

    /// `<[@route:] local@domain>`
    fn angle(&mut self, address: &mut Address) -> More {
        self.lex.bump();
        if !self.lex.skip()? {
            return Err(Broken);
        }
        if self.lex.at(b'@') {
            self.route(address)?;
        }
        if !self.lex.at(b'>') {
            self.local(address)?;
            if self.lex.at(b'@') {
                self.host(address)?;
            }
        }
        if !self.lex.at(b'>') {
            return Err(Broken);
        }
        self.lex.bump();
        self.lex.skip()
    }

    /// `@one,@two:`; a route that cannot be read is named so, and the address behind it is tried.
    fn route(&mut self, address: &mut Address) -> More {
        let mut route = Vec::new();
        let read = self.domains(&mut route);
        if read == Ok(true) && self.lex.at(b':') {
            self.lex.bump();
        } else {
            route = b"INVALID_ROUTE".to_vec();
        }
        address.route = Some(route);
        if self.lex.skip()? { Ok(true) } else { Err(Broken) }
    }

    fn domains(&mut self, out: &mut Vec<u8>) -> More {
        while self.lex.at(b'@') {
            out.extend_from_slice(if out.is_empty() { b"@" } else { b",@" });
            if !self.lex.domain(out)? {
                return Ok(false);
            }
            while self.lex.at(b',') {
                self.lex.bump();
                self.lex.skip()?;
            }
        }
        Ok(self.lex.more())
    }

    fn local(&mut self, address: &mut Address) -> More {
        let mut mailbox = Vec::new();
        let more = if self.lex.at(b'"') { self.lex.quoted(&mut mailbox) } else { self.lex.loose_dot_atom(&mut mailbox) }?;
        address.mailbox = Some(mailbox);
        Ok(more)
    }

    fn host(&mut self, address: &mut Address) -> More {
        let mut host = Vec::new();
        let more = self.lex.domain(&mut host)?;
        address.host = Some(host);
        Ok(more)
    }

    /// An address without angle brackets. One word alone is a mailbox; several, or one in quotes, are a name that lacks
    /// its address.
    fn bare(&mut self, address: &mut Address) -> More {
        self.lex.comment.clear();
        let quoted = self.lex.at(b'"');
        let mut read = self.local(address);
        let with_host = read != Ok(false) && self.lex.at(b'@');
        if with_host {
            let host = self.host(address);
            if host != Ok(true) {
                read = host;
            }
        }
        if !self.lex.comment.is_empty() {
            address.name = Some(std::mem::take(&mut self.lex.comment));
        } else if !with_host && read.is_ok() {
            let mut words = address.mailbox.clone().unwrap_or_default();
            let first = words.len();
            words.push(b' ');
            let more = if read == Ok(true) { self.lex.phrase(&mut words) } else { read };
            if quoted || words.len() > first + 1 {
                address.mailbox = None;
                address.name = Some(words);
                read = more;
            }
        }
        read
    }
}

/// Names the halves that are missing.
fn repaired(mut address: Address) -> Address {
    address.mailbox.get_or_insert_with(|| b"MISSING_MAILBOX".to_vec());
    if address.host.as_ref().is_none_or(Vec::is_empty) {
        address.host = Some(b"MISSING_DOMAIN".to_vec());
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        let show = |part: Option<Vec<u8>>| part.map_or("-".to_owned(), |text| String::from_utf8_lossy(&text).into_owned());
        let seen: Vec<_> =
            addresses(value.as_bytes()).into_iter().map(|a| [a.name, a.route, a.mailbox, a.host].map(show).join("|")).collect();
        assert_eq!(seen.join(" "), expected, "{value:?}");
    }

    #[test]
    fn reads_good_lists() {
        check("a@b.example", "-|-|a|b.example");
        check("\"Bob, the B\" <b@c>, <d@e>", "Bob, the B|-|b|c -|-|d|e");
        check("a@b (Some \\) one)", "Some ) one|-|a|b");
        check("John Q. Public <j@p>", "John Q. Public|-|j|p");
        check("Friends: b@c, \"C C\" <c@d>;, x@y", "-|-|Friends|- -|-|b|c C C|-|c|d -|-|-|- -|-|x|y");
        check("Nobody:;", "-|-|Nobody|- -|-|-|-");
        check("<@one,@two:a@b>", "-|@one,@two|a|b");
        check("\"a b\"@[1.2.3.4]", "-|-|a b|[1.2.3.4]");
    }

    #[test]
    fn makes_the_best_of_broken_lists() {
        check("", "");
        check("root", "-|-|root|MISSING_DOMAIN");
        check("<>", "-|-|MISSING_MAILBOX|MISSING_DOMAIN");
        check(", a@b,,", "-|-|MISSING_MAILBOX|MISSING_DOMAIN -|-|a|b -|-|MISSING_MAILBOX|MISSING_DOMAIN");
        check("a@b; c@d", "-|-|a|b");
        check("a@b@c", "-|-|a|b");
        check("Group: a@b", "-|-|Group|- -|-|a|b -|-|-|-");
        check("X <a@b", "X|-|a|SYNTAX_ERROR");
        check("\"Only a name\", c", "Only a name |-|MISSING_MAILBOX|MISSING_DOMAIN -|-|c|MISSING_DOMAIN");
        check("X <a b>", "X|-|a|SYNTAX_ERROR");
        check("Some Body", "Some Body|-|MISSING_MAILBOX|MISSING_DOMAIN");
        check("b@c., .d@e, f..g@h", "-|-|b|MISSING_DOMAIN -|-|.d|e -|-|f..g|h");
    }
}
