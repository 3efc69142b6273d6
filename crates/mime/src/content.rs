//! What the `Content-...` fields of a part say (RFC 2045, 2183, 2231, 2557, 1864, 3282), read as Dovecot reads them.

use std::collections::BTreeMap;

use crate::charset;
use crate::header::{self, Field};
use crate::lex::{Broken, Lexer, More};
use crate::limits;

/// A parameter: name as written (RFC 2231 marks taken off where they were understood), and value.
pub type Parameter = (Vec<u8>, Vec<u8>);

/// The description of a part. Where a field occurs twice the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Type and subtype as written; both empty if the field could not be read, `None` if there is none.
    pub media: Option<(Vec<u8>, Vec<u8>)>,
    /// Parameters of the type.
    pub parameters: Vec<Parameter>,
    /// `Content-ID`, with its angle brackets.
    pub id: Option<Vec<u8>>,
    /// `Content-Description`, encoded words as they stand.
    pub description: Option<Vec<u8>>,
    /// `Content-Transfer-Encoding`; empty if it is not one word.
    pub encoding: Option<Vec<u8>>,
    /// `Content-MD5`.
    pub md5: Option<Vec<u8>>,
    /// `Content-Disposition` and its parameters.
    pub disposition: Option<(Vec<u8>, Vec<Parameter>)>,
    /// Tags of `Content-Language`.
    pub language: Vec<Vec<u8>>,
    /// `Content-Location`.
    pub location: Option<Vec<u8>>,
}

impl Content {
    /// Reads the fields of a part's header.
    #[must_use]
    pub fn of(header: &[u8]) -> Self {
        let mut content = Self::default();
        for field in header::fields(header) {
            if let Some(name) = field.name.get(8..).filter(|_| field.name[..8].eq_ignore_ascii_case(b"content-")) {
                content.take(&name.to_ascii_lowercase(), &field);
            }
        }
        content
    }

    fn take(&mut self, name: &[u8], field: &Field<'_>) {
        let text = |place: &mut Option<Vec<u8>>| {
            place.get_or_insert_with(|| field.joined().into_owned());
        };
        let value = header::bounded(field.value);
        match name {
            b"type" if self.media.is_none() => self.read_type(value),
            b"transfer-encoding" if self.encoding.is_none() => self.encoding = Some(single_token(value)),
            b"disposition" if self.disposition.is_none() => self.disposition = disposition(value),
            b"language" if self.language.is_empty() => self.language = languages(value),
            b"id" => text(&mut self.id),
            b"description" => text(&mut self.description),
            b"md5" => text(&mut self.md5),
            b"location" => text(&mut self.location),
            _ => {}
        }
    }

    fn read_type(&mut self, value: &[u8]) {
        let mut lex = Lexer::new(value);
        let (mut kind, mut subtype) = (Vec::new(), Vec::new());
        let read = media_type(&mut lex, &mut kind, &mut subtype);
        if lex.more() && !(read.is_ok() && lex.at(b';')) {
            (kind, subtype) = (Vec::new(), Vec::new());
        } else {
            self.parameters = parameters(&mut lex);
        }
        self.media = Some((kind, subtype));
    }

    /// Whether the type is `kind`, and the subtype `subtype` unless that is empty; without case.
    #[must_use]
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        let Some((own_kind, own_subtype)) = &self.media else { return false };
        own_kind.eq_ignore_ascii_case(kind.as_bytes()) && (subtype.is_empty() || own_subtype.eq_ignore_ascii_case(subtype.as_bytes()))
    }

    /// The value of a parameter of the type.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| &value[..])
    }
}

/// `type/subtype`, and then the end or a semicolon.
fn media_type(lex: &mut Lexer<'_>, kind: &mut Vec<u8>, subtype: &mut Vec<u8>) -> More {
    lex.skip()?;
    if !lex.token(kind)? || kind.is_empty() || !lex.at(b'/') {
        return Err(Broken);
    }
    lex.bump();
    lex.skip()?;
    lex.token(subtype)
}

/// The one word that a field must consist of; empty if it does not.
fn single_token(value: &[u8]) -> Vec<u8> {
    let mut lex = Lexer::new(value);
    let mut token = Vec::new();
    if lex.skip().is_ok() && lex.token(&mut token) == Ok(false) { token } else { Vec::new() }
}

fn disposition(value: &[u8]) -> Option<(Vec<u8>, Vec<Parameter>)> {
    let mut lex = Lexer::new(value);
    let mut kind = Vec::new();
    lex.skip().ok()?;
    lex.token(&mut kind).ok()?;
    Some((kind, parameters(&mut lex)))
}

fn languages(value: &[u8]) -> Vec<Vec<u8>> {
    let mut lex = Lexer::new(value);
    let mut tags = Vec::new();
    let mut tag = Vec::new();
    let _ = lex.skip();
    while tags.len() < limits::LANGUAGES && lex.atom(&mut tag).is_ok() {
        tags.push(std::mem::take(&mut tag));
        if !lex.at(b',') {
            break;
        }
        lex.bump();
        let _ = lex.skip();
    }
    tags
}

/// All parameters that can be read; what cannot is passed over as far as the next semicolon.
fn parameters(lex: &mut Lexer<'_>) -> Vec<Parameter> {
    let mut plain: Vec<Parameter> = Vec::new();
    let mut pieces = Pieces::new();
    let mut count = 0;
    while lex.more() && count < limits::PARAMETERS {
        let Ok((name, value)) = parameter(lex) else {
            lex.bump();
            continue;
        };
        count += 1;
        match piece_of(&name) {
            Some((base, index, extended)) => {
                pieces.entry(base.to_ascii_lowercase()).or_default().push(Piece { index, extended, name, value });
            }
            None if plain.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) => {}
            None => plain.push((name, value)),
        }
    }
    for (base, pieces) in pieces {
        if !plain.iter().any(|(other, _)| other.eq_ignore_ascii_case(&base)) {
            join(base, pieces, &mut plain);
        }
    }
    plain
}

/// `; name = value`
fn parameter(lex: &mut Lexer<'_>) -> Result<Parameter, Broken> {
    if !lex.at(b';') {
        return Err(Broken);
    }
    lex.bump();
    let (mut name, mut value) = (Vec::new(), Vec::new());
    if !lex.skip()? || !lex.token(&mut name)? || name.is_empty() || !lex.at(b'=') {
        return Err(Broken);
    }
    lex.bump();
    if lex.skip()? {
        match lex.peek() {
            Some(b'"') => lex.quoted(&mut value)?,
            _ => lex.value(&mut value)?,
        };
    }
    Ok((name, value))
}

/// Pieces of a parameter that was split or encoded (RFC 2231 sections 3 and 4), by the name they make.
type Pieces = BTreeMap<Vec<u8>, Vec<Piece>>;

struct Piece {
    index: u32,
    extended: bool,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// `name*`, `name*N` or `name*N*`: the name, N, and whether the value is encoded.
fn piece_of(name: &[u8]) -> Option<(&[u8], u32, bool)> {
    let star = name.iter().position(|&b| b == b'*')?;
    let (base, rest) = (&name[..star], &name[star + 1..]);
    if rest.is_empty() {
        return Some((base, 0, true));
    }
    let (digits, extended) = rest.strip_suffix(b"*").map_or((rest, false), |digits| (digits, true));
    let index = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((base, index, extended))
}

/// Joins the pieces in the order of their numbers. If one is missing they are left as they are.
fn join(base: Vec<u8>, mut pieces: Vec<Piece>, out: &mut Vec<Parameter>) {
    pieces.sort_by_key(|piece| piece.index);
    if !pieces.iter().zip(0..).all(|(piece, index)| piece.index == index) {
        out.extend(pieces.into_iter().map(|piece| (piece.name, piece.value)));
        return;
    }
    let written = pieces[0].name.iter().position(|&b| b == b'*').unwrap_or(base.len());
    let name = pieces[0].name[..written].to_vec();
    let charset = if pieces[0].extended { charset_of(&pieces[0].value) } else { None };
    let (mut value, mut raw) = (Vec::new(), Vec::new());
    for (at, piece) in pieces.iter().enumerate() {
        let text = charset.filter(|_| at == 0).map_or(&piece.value[..], |(_, rest)| rest);
        raw.extend_from_slice(text);
        if piece.extended { percent_decode(text, &mut value) } else { value.extend_from_slice(text) }
    }
    // What its charset does not explain stays encoded.
    let decoded = charset.and_then(|(label, _)| charset::exactly_to_utf8(label, &value));
    out.push((name, decoded.map_or(raw, String::into_bytes)));
}

/// `charset'language'rest`
fn charset_of(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = text.iter().position(|&b| b == b'\'')?;
    let second = first + 1 + text[first + 1..].iter().position(|&b| b == b'\'')?;
    Some((&text[..first], &text[second + 1..]))
}

/// Decodes `%XX`; a percent sign without two digits stays.
fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let hex = |b: &u8| char::from(*b).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                out.push((hex(high).unwrap_or(0) * 16 + hex(low).unwrap_or(0)) as u8);
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        let content = Content::of(format!("Content-Type: {value}\n\n").as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (kind, subtype) = content.media.unwrap();
        let mut seen = format!("{}/{}", text(&kind), text(&subtype));
        for (name, value) in &content.parameters {
            seen += &format!(" {}={}", text(name), text(value));
        }
        assert_eq!(seen, expected, "{value:?}");
    }

    #[test]
    fn reads_types() {
        check("text/plain; charset=utf-8", "text/plain charset=utf-8");
        check("TEXT (x) / (y) Html ; a (b) = \"c\\\"d\"; e=f g; h=i", "TEXT/Html a=c\"d e=f h=i");
        check("text", "text/");
        check("text; a=b", "/");
        check("text/plain a=b; c=d", "/");
        check("text/plain;; a=b; c=d", "text/plain c=d");
        check("text/plain; a; b=", "text/plain");
        check("a/b; x=1; X=2", "a/b x=1");
        check("", "/");
    }

    #[test]
    fn joins_and_decodes_split_parameters() {
        check("a/b; n*1=two; n*0=one", "a/b n=onetwo");
        check("a/b; n*=utf-8''%c3%bc", "a/b n=ü");
        check("a/b; n*0*=iso-8859-1'de'%fc; n*1=\"%41\"; n*2*=%41", "a/b n=ü%41A");
        check("a/b; n*0=x; n*2=y", "a/b n*0=x n*2=y");
        check("a/b; n*=utf-8''x; n=y", "a/b n=y");
        check("a/b; n*=''%zz%4", "a/b n=%zz%4");
        check("a/b; n*=%41", "a/b n=%41");
        check("a/b; n*=utf-8''%ff%41", "a/b n=%ff%41");
    }
}
