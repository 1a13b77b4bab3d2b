//! Text that arrives in pieces, to ids.

use super::pretokenizer::scalar;
use super::{bpe, encode_into};

/// Encodes text that arrives in pieces: ids that no later text can change, as soon as there are any.
#[derive(Clone, Debug, Default)]
pub struct StreamEncoder {
    /// Text that is not encoded yet.
    pending: String,
    /// The length from which on it is worth to look at it again.
    patience: usize,
}

/// Longer pending text is looked at again only when it has grown by half: a run of letters that arrives one by one
/// would else be scanned from its start each time.
const ALWAYS_SCANNED: usize = 256;

impl StreamEncoder {
    pub fn new() -> StreamEncoder {
        StreamEncoder::default()
    }

    /// Takes more text, and appends the ids that are certain now.
    pub fn feed(&mut self, text: &str, out: &mut Vec<u32>) {
        self.pending.push_str(text);
        if self.pending.len() < self.patience {
            return;
        }
        let (mut at, text) = (0, self.pending.as_bytes());
        while at < text.len() {
            let piece = scalar::next(text, at);
            if piece.seen >= text.len() {
                break;
            }
            bpe::encode(text.get(at..piece.end).unwrap_or_default(), out);
            at = piece.end;
        }
        self.pending.drain(..at);
        let held = self.pending.len();
        self.patience = if held < ALWAYS_SCANNED { 0 } else { held + held / 2 };
    }

    /// The end of the text: appends the rest.
    pub fn close(&mut self, out: &mut Vec<u32>) {
        encode_into(&self.pending, out);
        self.pending.clear();
        self.patience = 0;
    }
}
