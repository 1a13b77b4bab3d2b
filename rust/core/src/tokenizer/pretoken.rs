//! A pre-token in a batch.

use super::pretoken_cache::{MAX_CACHED_BYTES, PretokenCache, PretokenKey};
use super::pretokenizer::MAX_SCANNED_PRETOKENS;

/// A batch is processed when it has this many pre-tokens.
pub(super) const MIN_BATCH_PRETOKENS: usize = 192;

/// Pre-tokens are added scan by scan, so that a batch may be larger.
pub(super) const MAX_BATCH_PRETOKENS: usize = MIN_BATCH_PRETOKENS + MAX_SCANNED_PRETOKENS;

/// A pre-token of the text that is encoded.
#[derive(Clone, Copy, Default)]
pub(super) struct PreToken {
    /// The bytes, if there are at most [`MAX_CACHED_BYTES`]; otherwise the start in the text and the length.
    pub(super) key: PretokenKey,
    /// The cache line that may hold the ids, or [`NO_LINE`] for a long pre-token.
    pub(super) line: usize,
}

const NO_LINE: usize = usize::MAX;

impl PreToken {
    #[inline(always)]
    pub(super) fn new(start: usize, length: usize, chunk: &[u8; 16], cache: &PretokenCache) -> PreToken {
        if length > MAX_CACHED_BYTES {
            return PreToken { key: PretokenKey { low: start as u64, high: length as u64 }, line: NO_LINE };
        }
        let key = PretokenKey::new(chunk, length);
        PreToken { key, line: cache.line(key.hash()) }
    }

    pub(super) fn is_short(self) -> bool {
        self.line != NO_LINE
    }

    /// The bytes of a long pre-token.
    pub(super) fn bytes(self, text: &[u8]) -> &[u8] {
        let (start, length) = (self.key.low as usize, self.key.high as usize);
        text.get(start..start + length).unwrap_or_default()
    }
}
