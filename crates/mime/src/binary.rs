//! BINARY (RFC 3516, RFC 9051 section 6.4.5): a part's octets with the transfer encoding taken off. No charset is
//! converted; line ends of text that was not encoded are CRLF.

use crate::structure::{Kind, Part, Structure};
use crate::transfer::{self, Encoding, Rigour};

/// Why a part has no binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryError {
    /// The transfer encoding is not known: `NO [UNKNOWN-CTE]`.
    UnknownEncoding,
    /// The body is not what its encoding says: `NO [PARSE]`.
    Broken,
}

impl Structure<'_> {
    /// Appends the decoded body of the part with these numbers; nothing if there is none. The empty path is the whole
    /// message, as are containers: they are given as they are, for their encoding says nothing of the parts inside.
    ///
    /// # Errors
    /// [`BinaryError`] if the part cannot be decoded; what was appended by then stays.
    pub fn binary(&self, path: &[u32], out: &mut Vec<u8>) -> Result<(), BinaryError> {
        if path.is_empty() {
            crate::eol::push_crlf(self.raw, out);
            return Ok(());
        }
        let Some(part) = self.find(path) else { return Ok(()) };
        self.decode(part, &mut |piece| out.extend_from_slice(piece))
    }

    /// The size of what [`Structure::binary`] would append, which is not kept.
    ///
    /// # Errors
    /// As for [`Structure::binary`].
    pub fn binary_size(&self, path: &[u32]) -> Result<u64, BinaryError> {
        if path.is_empty() {
            return Ok(self.octets());
        }
        let mut size = 0;
        if let Some(part) = self.find(path) {
            self.decode(part, &mut |piece| size += piece.len() as u64)?;
        }
        Ok(size)
    }

    fn decode(&self, part: &Part, take: &mut dyn FnMut(&[u8])) -> Result<(), BinaryError> {
        let encoding = match part.kind {
            Kind::Multipart | Kind::Message => Encoding::Identity,
            _ => Encoding::of(part.content.encoding.as_deref()),
        };
        if encoding == Encoding::Unknown {
            return Err(BinaryError::UnknownEncoding);
        }
        let mut sink = |piece: &[u8]| {
            take(piece);
            false
        };
        transfer::decode(encoding, self.body(part), Rigour::Strict, &mut sink).map_err(|_| BinaryError::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: &str, body: &str, expected: Result<&str, BinaryError>) {
        let raw = format!("Content-Transfer-Encoding: {encoding}\n\n{body}");
        let structure = Structure::parse(raw.as_bytes());
        let mut out = Vec::new();
        let done = structure.binary(&[1], &mut out);
        assert_eq!(done.map(|()| String::from_utf8(out).unwrap()), expected.map(str::to_owned), "{raw:?}");
        assert_eq!(structure.binary_size(&[1]), expected.map(|text| text.len() as u64));
    }

    #[test]
    fn takes_the_encoding_off() {
        check("8bit", "a\nb", Ok("a\r\nb"));
        check("base64", "SGVsbG8=", Ok("Hello"));
        check("base64", "no!", Err(BinaryError::Broken));
        check("x-other", "a", Err(BinaryError::UnknownEncoding));
        assert_eq!(Structure::parse(b"\nx").binary_size(&[7]), Ok(0));
    }
}
