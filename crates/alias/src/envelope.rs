//! From what stands in `RCPT TO:<...>` to one plain address, with Postfix's tolerance: names, comments, routes and
//! groups may be around it, but there has to be exactly one address.

use crate::list;
use crate::token::plain_form;

/// The plain address; `None` if the text is malformed, has none, or has several.
pub(crate) fn recipient(text: &str) -> Option<String> {
    if !is_balanced(text) {
        return None;
    }
    let address = match text.split_once(':') {
        Some((route, address)) if route.starts_with('@') => address,
        _ => text,
    };
    match &list::addresses(address)[..] {
        [only] => Some(plain_form(only)).filter(|plain| !plain.is_empty()),
        _ => None,
    }
}

/// Whether the text ends where the command's closing bracket stands: quotes and inner brackets are closed, and what comes
/// after a bracket that closes early has no blank, which would make it a parameter.
fn is_balanced(text: &str) -> bool {
    let mut open = vec!['>'];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match open.last() {
            None if c.is_ascii_whitespace() => return false,
            None => {}
            _ if c == '\\' && chars.next().is_none() => return false,
            _ if c == '\\' => {}
            Some(end) if c == *end => drop(open.pop()),
            Some('>') if c == '"' => open.push('"'),
            Some('>') if c == '<' => open.push('>'),
            Some(_) => {}
        }
    }
    open.len() <= 1 && open.last() != Some(&'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_found() {
        for (text, plain) in [
            ("joe@x", Some("joe@x")),
            ("\"a b\"@x", Some("a b@x")),
            ("<joe@x>", Some("joe@x")),
            ("Joe <joe@x>", Some("joe@x")),
            ("joe@x>", Some("joe@x")),
            ("@a,@b:joe@x", Some("joe@x")),
            ("@localhost:", None),
            ("joe(comment)@x", Some("joe@x")),
            ("grp:joe@x;", Some("joe@x")),
            ("joe@x;", Some("joe@x")),
            (" joe@x ", Some("joe@x")),
            ("\"a>b\"@x", Some("a>b@x")),
            ("a\\>b@x", Some("a>b@x")),
            ("@", Some("@")),
            ("", None),
            ("\"\"", None),
            ("(c)", None),
            ("a b@x", None),
            ("a@x,b@x", None),
            ("<joe@x", None),
            ("a> b", None),
            ("a>b@x", None),
            ("\"joe", None),
            ("joe\"@x", None),
            ("joe\\", None),
        ] {
            assert_eq!(recipient(text).as_deref(), plain, "{text:?}");
        }
    }
}
