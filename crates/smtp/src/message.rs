//! A message that is coming in: decoded, watched and counted, handed on in pieces of bounded size.

use crate::decode::{Decoder, Fed, Flaw};
use crate::effect::Refusal;
use crate::header::Header;

/// Content is gathered up to this size before it is handed on.
pub(crate) const PIECE: usize = 32 << 10;

/// The message, from [`crate::Effect::Begin`] to its end.
#[derive(Debug)]
pub(crate) struct Message {
    decoder: Decoder,
    header: Header,
    /// Content that was not handed on yet.
    piece: Vec<u8>,
    /// Octets handed on before it.
    handed_on: u64,
    /// Octets of the client's content, line ends counted as two (RFC 1870 section 3).
    size: u64,
    max_size: u64,
    max_hops: u32,
    refusal: Option<Refusal>,
}

impl Message {
    /// A message that begins with its Received header. `announced` is the size that the client gave, in octets.
    pub(crate) fn new(trace: &str, decoder: Decoder, limits: &config::Smtp, announced: Option<u64>) -> Self {
        let expected = announced.and_then(|size| usize::try_from(size).ok()).unwrap_or(PIECE / 4).min(PIECE);
        let mut piece = Vec::with_capacity(trace.len() + expected);
        piece.extend_from_slice(trace.as_bytes());
        Self {
            decoder,
            header: Header::new(),
            piece,
            handed_on: 0,
            size: 0,
            max_size: limits.max_message_size.0,
            max_hops: limits.max_hops,
            refusal: None,
        }
    }

    /// Takes octets from the wire, up to the end of the data.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Fed {
        let Self { decoder, header, piece, size, .. } = self;
        let fed = decoder.feed(input, |text, ends| add(header, piece, size, text, ends));
        self.judge();
        fed
    }

    /// The last chunk has come.
    pub(crate) fn finish(&mut self) {
        let Self { decoder, header, piece, size, .. } = self;
        decoder.finish(|text, ends| add(header, piece, size, text, ends));
        self.judge();
    }

    /// Why the message will not be taken, if so.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Whether a chunk of so many octets would go beyond the limit.
    pub(crate) fn has_room(&self, chunk: u64) -> bool {
        self.size.saturating_add(chunk) <= self.max_size
    }

    /// Refuses the message.
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
        self.piece = Vec::new();
    }

    /// What has gathered, if it is enough for a piece.
    pub(crate) fn full_piece(&mut self) -> Option<Vec<u8>> {
        if self.piece.len() < PIECE {
            return None;
        }
        let full = self.last_piece();
        // As much as one feeding can add before the next look.
        self.piece.reserve(2 * PIECE);
        Some(full)
    }

    /// What has gathered.
    pub(crate) fn last_piece(&mut self) -> Vec<u8> {
        self.handed_on += self.piece.len() as u64;
        std::mem::take(&mut self.piece)
    }

    /// Octets handed on so far.
    pub(crate) fn handed_on(&self) -> u64 {
        self.handed_on
    }

    fn judge(&mut self) {
        let flaw = self.decoder.flaw().map(|flaw| match flaw {
            Flaw::BareLf => Refusal::BareLf,
            Flaw::BareCr => Refusal::BareCr,
        });
        let too_big = (self.size > self.max_size).then_some(Refusal::TooBig);
        let looping = (self.header.received() > self.max_hops).then_some(Refusal::Loop);
        if let Some(refusal) = self.refusal.or(flaw).or(too_big).or(looping) {
            self.refuse(refusal);
        }
    }
}

fn add(header: &mut Header, piece: &mut Vec<u8>, size: &mut u64, text: &[u8], ends: bool) {
    *size += text.len() as u64 + if ends { 2 } else { 0 };
    if !header.is_over() {
        return header.push(text, ends, piece);
    }
    piece.extend_from_slice(text);
    if ends {
        piece.push(b'\n');
    }
}
