//! Text that arrives in chunks, to ids.

use super::pretokenizer::scan_pretoken;
use super::{bpe, encode_into};

/// Encodes text that arrives in chunks: ids that no later text can change, as soon as they are certain.
#[derive(Clone, Debug, Default)]
pub struct StreamEncoder {
    /// Text that is not encoded yet.
    pending: String,
    /// The pending text is scanned again when it has this length.
    rescan_bytes: usize,
}

/// Longer pending text is scanned again only when it has grown by half. If it were scanned after each chunk, a run of
/// letters that arrives one by one would take quadratic time.
const MAX_ALWAYS_SCANNED_BYTES: usize = 256;

impl StreamEncoder {
    pub fn new() -> StreamEncoder {
        StreamEncoder::default()
    }

    /// Takes more text, and appends the ids that are certain now.
    pub fn feed(&mut self, text: &str, out: &mut Vec<u32>) {
        self.pending.push_str(text);
        if self.pending.len() < self.rescan_bytes {
            return;
        }
        let (mut at, text) = (0, self.pending.as_bytes());
        while at < text.len() {
            let pretoken = scan_pretoken(text, at);
            if pretoken.lookahead_end >= text.len() {
                break;
            }
            bpe::encode(text.get(at..pretoken.end).unwrap_or_default(), out);
            at = pretoken.end;
        }
        self.pending.drain(..at);
        let length = self.pending.len();
        self.rescan_bytes = if length < MAX_ALWAYS_SCANNED_BYTES { 0 } else { length + length / 2 };
    }

    /// Ends the text: appends the ids of the rest. The encoder is then as new.
    pub fn close(&mut self, out: &mut Vec<u32>) {
        encode_into(&self.pending, out);
        self.pending.clear();
        self.rescan_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{count, encode};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn streamed_ids_equal_the_ids_of_the_whole(
            chunks in proptest::collection::vec("[aBcſK中ʰǅ́\u{0301}12٣ \t\r\n\u{a0}\u{3000}'./!_<|>😀stREvlLmd]{0,24}", 0..6)
        ) {
            let whole = chunks.concat();
            let (mut encoder, mut ids) = (StreamEncoder::new(), Vec::new());
            for chunk in &chunks {
                encoder.feed(chunk, &mut ids);
                prop_assert_eq!(&encode(&whole)[..ids.len()], &ids[..]);
            }
            encoder.close(&mut ids);
            prop_assert_eq!(&ids, &encode(&whole));
            prop_assert_eq!(count(&whole), ids.len());
        }
    }

    #[test]
    fn long_run_in_small_chunks_takes_linear_time() {
        let (mut encoder, mut ids) = (StreamEncoder::new(), Vec::new());
        for _ in 0..200_000 {
            encoder.feed("a", &mut ids);
        }
        encoder.close(&mut ids);
        assert_eq!(ids, encode(&"a".repeat(200_000)));
    }
}
