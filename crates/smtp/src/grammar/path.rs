//! Paths: the addresses of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531 section 3.3).

use mail::{Address, Domain};

/// Where RCPT points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RcptPath {
    /// `<Postmaster>` without domain, in any case: who is responsible for this server (RFC 5321 section 4.5.1).
    Postmaster,
    /// An address; a source route before it is left out (RFC 5321 appendix C).
    Address(Address),
}

/// Splits `<path> parameters`, with spaces before the path as some clients send them. `None` if the path is not closed.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ').strip_prefix('<')?;
    let mut quoted = false;
    let mut escaped = false;
    let end = text.bytes().position(|octet| {
        let plain = !std::mem::take(&mut escaped);
        match octet {
            b'\\' if quoted && plain => escaped = true,
            b'"' if plain => quoted = !quoted,
            b'>' => return !quoted,
            _ => {}
        }
        false
    })?;
    let rest = &text[end + 1..];
    (rest.is_empty() || rest.starts_with(' ')).then_some((&text[..end], rest))
}

/// The address between the brackets.
pub(super) fn address(path: &str) -> Option<Address> {
    let mailbox = without_route(path)?;
    let (local, domain) = if mailbox.starts_with('"') { quoted_local(mailbox)? } else { plain_local(mailbox)? };
    Address::new(local, domain.parse().ok()?).ok()
}

/// `@one,@two:mailbox` was a way to say how mail should travel; it has to be read and is left out.
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let (route, mailbox) = path.split_once(':')?;
    let is_hop = |hop: &str| hop.strip_prefix('@').is_some_and(|domain| domain.parse::<Domain>().is_ok());
    route.split(',').all(is_hop).then_some(mailbox)
}

/// `Dot-string` up to the first `@`. Dots may also stand at the ends and side by side: mobile operators gave such addresses out,
/// and Postfix takes them. They are written quoted.
fn plain_local(mailbox: &str) -> Option<(String, &str)> {
    let (local, domain) = mailbox.split_once('@')?;
    let is_atext =
        |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !(c.is_ascii() || c.is_control() || c.is_whitespace());
    (!local.is_empty() && local.chars().all(|c| c == '.' || is_atext(c))).then(|| (local.to_owned(), domain))
}

/// `Quoted-string` without its quotes, up to the `@` behind it.
fn quoted_local(mailbox: &str) -> Option<(String, &str)> {
    let mut local = String::new();
    let mut chars = mailbox.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((local, mailbox.get(at + 1..)?.strip_prefix('@')?)),
            '\\' => local.push(chars.next()?.1),
            c if c.is_control() => return None,
            c => local.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = split(text).map(|(path, rest)| (address(path).map_or("bad".to_owned(), |a| a.to_string()), rest.to_owned()));
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{text:?}");
    }

    #[test]
    fn addresses_in_all_their_forms() {
        check("<a@b.test>", Some(("a@b.test", "")));
        check("  <a+b.c@B.Test> SIZE=1 X", Some(("a+b.c@b.test", " SIZE=1 X")));
        check("<\"a>b \\\" c\"@b.test>", Some(("\"a>b \\\" c\"@b.test", "")));
        check("<\"a\\>\"@b.test> x", Some(("\"a>\"@b.test", " x")));
        check("<\"plain\"@b.test>", Some(("plain@b.test", "")));
        check("<\"a@c.test\"@b.test>", Some(("\"a@c.test\"@b.test", "")));
        check("<a@[192.0.2.1]>", Some(("a@[192.0.2.1]", "")));
        check("<a@[IPv6:2001:db8::1]>", Some(("a@[ipv6:2001:db8::1]", "")));
        check("<@x.test:a@b.test>", Some(("a@b.test", "")));
        check("<@x.test,@[192.0.2.1]:a@b.test>", Some(("a@b.test", "")));
        check("<jörg@bücher.test>", Some(("jörg@bücher.test", "")));
        check("<user%x.test@b.test>", Some(("user%x.test@b.test", "")));
        check("<a..b.@b.test>", Some(("\"a..b.\"@b.test", "")));
    }

    #[test]
    fn what_is_no_path() {
        for text in ["", "a@b.test", "<a@b.test", "a <a@b.test>", "<a@b.test>x", "<\"a@b.test>", "<\"a\\\">"] {
            check(text, None);
        }
        for path in [
            "<@>",
            "<a>",
            "<a@>",
            "<@b.test>",
            "<a b@c.test>",
            "<a@@b.test>",
            "<a @b.test>",
            "<a@ b.test>",
            "<a@-b.test>",
            "<a@b..test>",
            "<(x)a@b.test>",
            "<a,b@c.test>",
            "<a@b.test,c@d.test>",
            "<<a@b.test>",
            "<a@[1.2.3]>",
            "<a@b.test:25>",
            "<a@b.test\t>",
            "<\"a\"b@c.test>",
            "<\"\"@c.test>",
            "<\"a\">",
            "<a\"b\"@c.test>",
            "<@x.test a@b.test>",
            "<@x..test:a@b.test>",
            "<x:a@b.test>",
            "<a\u{a0}b@c.test>",
            "<a\u{85}b@c.test>",
        ] {
            check(path, Some(("bad", "")));
        }
        assert_eq!(address(&format!("{}@b.test", "a".repeat(64))).map(|a| a.local().len()), Some(64));
        assert!(address(&format!("{}@b.test", "a".repeat(400))).is_none());
    }
}
