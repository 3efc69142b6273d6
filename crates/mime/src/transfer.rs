//! Transfer encodings (RFC 2045 section 6): quoted-printable and base64 to octets, in pieces, so that a search needs no
//! copy of a large part.
//!
//! There are two ways to read what is broken: [`Rigour::Strict`] refuses it (BINARY must say NO rather than give wrong
//! octets, RFC 3516 section 4.3), [`Rigour::Lenient`] makes the best of it (search, display).

use memchr::{memchr, memrchr};

use crate::eol;

/// Decoded octets are handed on when this many have gathered.
const PIECE: usize = 1 << 15;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `7bit`, `8bit`, `binary`: as it is.
    Identity,
    /// `quoted-printable`.
    QuotedPrintable,
    /// `base64`.
    Base64,
    /// Something else, which cannot be decoded.
    Unknown,
}

impl Encoding {
    /// Looks up the value of `Content-Transfer-Encoding`; none means `7bit`.
    #[must_use]
    pub fn of(name: Option<&[u8]>) -> Self {
        let Some(name) = name else { return Self::Identity };
        match name.to_ascii_lowercase().as_slice() {
            b"7bit" | b"8bit" | b"binary" => Self::Identity,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            _ => Self::Unknown,
        }
    }
}

/// What to do with what is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rigour {
    /// Refuse it.
    Strict,
    /// Make the best of it.
    Lenient,
}

/// Why a body was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It is broken, and was to be read strictly.
    Broken,
    /// The receiver has enough.
    Enough,
}

/// Where decoded octets go; answers whether it has enough.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Decodes `raw`, whose line ends are those of the file; decoded line ends of the encoded text itself are CRLF.
pub(crate) fn decode(encoding: Encoding, raw: &[u8], rigour: Rigour, sink: Sink<'_>) -> Result<(), Stopped> {
    let mut out = Output { buffer: Vec::with_capacity(PIECE.min(raw.len()) + 4), sink };
    match encoding {
        Encoding::Identity | Encoding::Unknown => identity(raw, &mut out)?,
        Encoding::QuotedPrintable => quoted_printable(raw, rigour, &mut out)?,
        Encoding::Base64 => base64(raw, rigour, &mut out)?,
    }
    out.flush_if(0)
}

struct Output<'a> {
    buffer: Vec<u8>,
    sink: Sink<'a>,
}

impl Output<'_> {
    /// Hands the buffer on if more than `limit` octets are in it.
    fn flush_if(&mut self, limit: usize) -> Result<(), Stopped> {
        if self.buffer.len() <= limit {
            return Ok(());
        }
        let enough = (self.sink)(&self.buffer);
        self.buffer.clear();
        if enough { Err(Stopped::Enough) } else { Ok(()) }
    }
}

/// Only the line ends change. Pieces are cut behind line ends where there are any, so that no CRLF is torn.
fn identity(raw: &[u8], out: &mut Output<'_>) -> Result<(), Stopped> {
    let mut rest = raw;
    while !rest.is_empty() {
        let whole = rest.len() <= PIECE;
        let cut = if whole { rest.len() } else { memrchr(b'\n', &rest[..PIECE]).map_or(PIECE, |at| at + 1) };
        let (piece, after) = rest.split_at(cut);
        match piece.strip_suffix(b"\r") {
            Some(piece) if after.first() == Some(&b'\n') => {
                eol::push_crlf(piece, &mut out.buffer);
                out.buffer.extend_from_slice(b"\r\n");
                rest = &after[1..];
            }
            _ => {
                eol::push_crlf(piece, &mut out.buffer);
                rest = after;
            }
        }
        out.flush_if(0)?;
    }
    Ok(())
}

fn quoted_printable(raw: &[u8], rigour: Rigour, out: &mut Output<'_>) -> Result<(), Stopped> {
    let mut rest = raw;
    while !rest.is_empty() {
        let (line, ended, after) = match memchr(b'\n', rest) {
            Some(at) => (rest[..at].strip_suffix(b"\r").unwrap_or(&rest[..at]), true, &rest[at + 1..]),
            None => (rest, false, &rest[rest.len()..]),
        };
        rest = after;
        // Blanks at a line's end were added on the way (RFC 2045 section 6.7 rule 3).
        let line = crate::header::trim_end(line);
        let soft = quoted_line(line, ended, rigour, out)?;
        if ended && !soft {
            out.buffer.extend_from_slice(b"\r\n");
        }
        out.flush_if(PIECE)?;
    }
    Ok(())
}

/// Decodes one line; true if it ends with a soft break.
fn quoted_line(line: &[u8], ended: bool, rigour: Rigour, out: &mut Output<'_>) -> Result<bool, Stopped> {
    let mut rest = line;
    while let Some(at) = memchr(b'=', rest) {
        out.buffer.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match rest {
            [] if ended || rigour == Rigour::Lenient => return Ok(true),
            [high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                out.buffer.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ if rigour == Rigour::Strict => return Err(Stopped::Broken),
            _ => out.buffer.push(b'='),
        }
        out.flush_if(PIECE)?;
    }
    out.buffer.extend_from_slice(rest);
    Ok(false)
}

fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).map(|digit| digit as u8)
}

/// What an octet means in base64: its value, or one of these.
const SKIP: u8 = 64;
const PAD: u8 = 65;
const JUNK: u8 = 66;

const BASE64: [u8; 256] = {
    let mut table = [JUNK; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < 64 {
        table[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    table[b'=' as usize] = PAD;
    table[b' ' as usize] = SKIP;
    table[b'\t' as usize] = SKIP;
    table[b'\r' as usize] = SKIP;
    table[b'\n' as usize] = SKIP;
    table
};

/// Decodes base64. Text that ends without padding is no error: its octets are clear. Padding ends it; what a mailing list
/// puts behind is no base64, and is an error only if read strictly.
fn base64(raw: &[u8], rigour: Rigour, out: &mut Output<'_>) -> Result<(), Stopped> {
    let (mut group, mut filled) = (0_u32, 0);
    for (at, &b) in raw.iter().enumerate() {
        let value = BASE64[b as usize];
        match value {
            SKIP => continue,
            PAD => {
                let clean = filled >= 2 && raw[at..].iter().all(|&b| matches!(BASE64[b as usize], SKIP | PAD));
                finish(group, filled, &mut out.buffer);
                return if clean || rigour == Rigour::Lenient { Ok(()) } else { Err(Stopped::Broken) };
            }
            JUNK if rigour == Rigour::Strict => return Err(Stopped::Broken),
            JUNK => continue,
            _ => {}
        }
        group = group << 6 | u32::from(value);
        filled += 1;
        if filled == 4 {
            out.buffer.extend_from_slice(&group.to_be_bytes()[1..]);
            (group, filled) = (0, 0);
            out.flush_if(PIECE)?;
        }
    }
    finish(group, filled, &mut out.buffer);
    Ok(())
}

/// The octets of an unfinished group.
fn finish(group: u32, filled: usize, out: &mut Vec<u8>) {
    match filled {
        2 => out.push((group >> 4) as u8),
        3 => out.extend_from_slice(&((group >> 2) as u16).to_be_bytes()),
        _ => {}
    }
}

/// Decodes the base64 of an encoded word.
pub(crate) fn base64_word(text: &[u8], out: &mut Vec<u8>) {
    let mut sink = |piece: &[u8]| {
        out.extend_from_slice(piece);
        false
    };
    // Lenient reading into a sink that is never full has no way to stop.
    let _ = decode(Encoding::Base64, text, Rigour::Lenient, &mut sink);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: Encoding, raw: &[u8], strict: Option<&[u8]>, lenient: &[u8]) {
        for (rigour, expected) in [(Rigour::Strict, strict), (Rigour::Lenient, Some(lenient))] {
            let mut out = Vec::new();
            let done = decode(encoding, raw, rigour, &mut |piece| {
                out.extend_from_slice(piece);
                false
            });
            assert_eq!(done.ok().map(|()| &out[..]), expected, "{:?} {rigour:?}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn decodes_quoted_printable() {
        let qp = |raw: &[u8], strict, lenient: &[u8]| check(Encoding::QuotedPrintable, raw, strict, lenient);
        qp(b"a=3Db=\n c  \n=20\r\nd", Some(b"a=b c\r\n \r\nd"), b"a=b c\r\n \r\nd");
        qp(b"a= \nb=0A", Some(b"ab\n"), b"ab\n");
        qp(b"a=ZZ", None, b"a=ZZ");
        qp(b"a=", None, b"a");
        qp(b"", Some(b""), b"");
    }

    #[test]
    fn decodes_base64() {
        let b64 = |raw: &[u8], strict, lenient: &[u8]| check(Encoding::Base64, raw, strict, lenient);
        b64(b"SGVs\nbG8=\n", Some(b"Hello"), b"Hello");
        b64(b"SGVsbA==", Some(b"Hell"), b"Hell");
        b64(b"SGVsbG8", Some(b"Hello"), b"Hello");
        b64(b"SGV*sbG8=", None, b"Hello");
        b64(b"SGVsbG8=\nlist footer", None, b"Hello");
        b64(b"\n", Some(b""), b"");
        b64(b"S===", None, b"");
    }

    #[test]
    fn large_bodies_come_in_pieces_and_can_be_stopped() {
        let raw = b"QUFB".repeat(100_000);
        let mut seen = 0;
        let stopped = decode(Encoding::Base64, &raw, Rigour::Lenient, &mut |piece| {
            seen += piece.len();
            true
        });
        assert_eq!(stopped, Err(Stopped::Enough));
        assert!(seen < PIECE + 10);
    }
}
