//! HTML to plain text, as far as a preview or a word count needs it: tags go, blocks are set apart by a space, scripts and
//! styles are left out, character references are resolved. No tree is built and nothing is refused.

/// Elements whose text is not shown.
const HIDDEN: [&str; 4] = ["script", "style", "template", "noscript"];

/// Elements that do not set their text apart from its neighbours.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "big", "code", "em", "font", "i", "ins", "kbd", "mark", "o:p", "s", "small", "span", "strong", "sub", "sup", "tt",
    "u",
];

/// Names of the characters U+00A0 to U+00FF.
const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para \
middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave \
Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc \
atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash \
ugrave uacute ucirc uuml yacute thorn yuml";

/// Other names that are met in mail.
const NAMED: [(&str, char); 17] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("euro", '€'),
    ("ndash", '–'),
    ("mdash", '—'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("bull", '•'),
    ("hellip", '…'),
    ("trade", '™'),
    ("zwnj", '\u{200c}'),
];

/// The text of an HTML document; quoted mail (`blockquote`) is left out if `skip_quotes`.
#[must_use]
pub fn html_to_text(html: &str, skip_quotes: bool) -> String {
    let mut out = String::new();
    let mut rest = html;
    let mut quotes = 0_u32;
    while let Some(at) = rest.find(['<', '&']) {
        if quotes == 0 {
            out.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (c, after) = reference(rest);
            if quotes == 0 {
                out.push(c);
            }
            rest = after;
            continue;
        }
        let (tag, after) = tag(rest);
        rest = after;
        match tag.strip_prefix('/') {
            Some("blockquote") => quotes = quotes.saturating_sub(1),
            None if tag == "blockquote" && skip_quotes => quotes += 1,
            None if HIDDEN.contains(&&tag[..]) => rest = after_element(rest, &tag),
            _ => {}
        }
        if !INLINE.contains(&tag.trim_start_matches('/')) && quotes == 0 {
            out.push(' ');
        }
    }
    if quotes == 0 {
        out.push_str(rest);
    }
    out
}

/// The name of the tag that `html` begins with, a slash before it if it is an end tag, and what follows it. A tag without
/// an end goes on to the end of the text.
fn tag(html: &str) -> (String, &str) {
    if let Some(comment) = html.strip_prefix("<!--") {
        return (String::new(), comment.split_once("-->").map_or("", |(_, after)| after));
    }
    let end = html.find('>').map_or(html.len(), |at| at + 1);
    let inner = html[1..end].trim_end_matches('>');
    let name = inner.split([' ', '\t', '\r', '\n', '>']).next().unwrap_or_default();
    (name.strip_suffix('/').filter(|name| !name.is_empty()).unwrap_or(name).to_ascii_lowercase(), &html[end..])
}

/// What follows the end tag of an element whose start tag was just read.
fn after_element<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some(at) = rest.find("</") {
        rest = &rest[at..];
        let (tag, after) = tag(rest);
        if tag.strip_prefix('/') == Some(name) {
            return after;
        }
        rest = &rest[2..];
    }
    ""
}

/// The character that a reference stands for; an ampersand if it is none.
fn reference(html: &str) -> (char, &str) {
    let body = &html[1..];
    let length = body.bytes().take(10).take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
    let (name, after) = body.split_at(length);
    let c = match name.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
            None => number.parse().ok().and_then(char::from_u32),
        },
        None => named(name),
    };
    c.map_or(('&', body), |c| (c, after.strip_prefix(';').unwrap_or(after)))
}

fn named(name: &str) -> Option<char> {
    if let Some((_, c)) = NAMED.iter().find(|(own, _)| *own == name) {
        return Some(*c);
    }
    let at = LATIN.split_ascii_whitespace().position(|own| own == name)?;
    char::from_u32(0xa0 + at as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        let words: Vec<String> = html_to_text(html, true).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words.join(" "), expected, "{html:?}");
    }

    #[test]
    fn leaves_the_text() {
        check(
            "<title>t</title><p>Hello &amp; <b>b</b>ye &#252;&uuml;&#xFC;<script>x()</script><!-- c --><br/>line",
            "t Hello & bye üüü line",
        );
        check("<style>a</b>{}</STYLE>x<blockquote>no</blockquote>y", "x y");
        check("a < b & c &nosuch; <a href=\"", "a");
        check("&amp &; 1 &#9999999999; &yuml;", "& &; 1 &#9999999999; ÿ");
        check("<script>never ends", "");
    }
}
