//! Text that arrives in chunks, to ids; ids that arrive in chunks, to text.

use super::pretokenizer::scan_pretoken;
use super::{InvalidId, bpe, decode_into, encode_into};

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

    /// An encoder with text that was fed before and is not encoded yet: see [`StreamEncoder::pending`].
    pub fn with_pending(text: String) -> StreamEncoder {
        StreamEncoder { pending: text, rescan_bytes: 0 }
    }

    /// The text that is not encoded yet.
    pub fn pending(&self) -> &str {
        &self.pending
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

/// Decoded bytes that are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    InvalidId(InvalidId),
    /// The bytes that were decoded, from the first character that was not complete before.
    InvalidUtf8(Vec<u8>),
}

/// Decodes ids that arrive in chunks: text as soon as its characters are complete. A token may end within a character; its
/// bytes are held until the rest of the character arrives.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    /// The beginning of a character: at most 3 bytes.
    pending: Vec<u8>,
    is_strict: bool,
}

impl StreamDecoder {
    /// A decoder that replaces bytes that are not UTF-8, as [`String::from_utf8_lossy`] does.
    pub fn new() -> StreamDecoder {
        StreamDecoder::default()
    }

    /// A decoder for which bytes that are not UTF-8 are an error.
    pub fn strict() -> StreamDecoder {
        StreamDecoder { is_strict: true, ..StreamDecoder::default() }
    }

    /// The same with bytes that were decoded before and are not complete yet: see [`StreamDecoder::pending`].
    pub fn with_pending(self, pending: Vec<u8>) -> StreamDecoder {
        StreamDecoder { pending, ..self }
    }

    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// The bytes of a character that is not complete yet.
    pub fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Takes more ids, and appends the text that is complete. After an error nothing has changed.
    pub fn feed(&mut self, ids: &[u32], out: &mut String) -> Result<(), DecodeError> {
        let mut bytes = self.pending.clone();
        decode_into(ids, &mut bytes).map_err(DecodeError::InvalidId)?;
        let incomplete = incomplete_bytes(&bytes);
        let (complete, pending) = bytes.split_at(bytes.len() - incomplete);
        match std::str::from_utf8(complete) {
            Ok(text) => out.push_str(text),
            Err(_) if self.is_strict => return Err(DecodeError::InvalidUtf8(bytes)),
            Err(_) => out.push_str(&String::from_utf8_lossy(complete)),
        }
        self.pending = pending.to_vec();
        Ok(())
    }

    /// Ends the ids: appends what a character that stays incomplete becomes. The decoder is then as new.
    pub fn close(&mut self, out: &mut String) -> Result<(), DecodeError> {
        if self.is_strict && !self.pending.is_empty() {
            return Err(DecodeError::InvalidUtf8(self.pending.clone()));
        }
        out.push_str(&String::from_utf8_lossy(&std::mem::take(&mut self.pending)));
        Ok(())
    }
}

/// How many bytes at the end are the beginning of a character.
fn incomplete_bytes(bytes: &[u8]) -> usize {
    let tail = bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default();
    let is_incomplete = |start: &usize| {
        let rest = tail.get(*start..).unwrap_or_default();
        std::str::from_utf8(rest).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (0..tail.len()).find(is_incomplete).map_or(0, |start| tail.len() - start)
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
    fn pending_text_makes_an_equal_encoder() {
        let (mut encoder, mut ids) = (StreamEncoder::new(), Vec::new());
        encoder.feed("Hello wor", &mut ids);
        let mut other = StreamEncoder::with_pending(encoder.pending().to_owned());
        other.feed("ld", &mut ids);
        other.close(&mut ids);
        assert_eq!(ids, encode("Hello world"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn streamed_text_equals_the_text_of_the_whole(
            chunks in proptest::collection::vec(proptest::collection::vec(0_u32..512, 0..4), 0..8),
            text in "\\PC{0,12}",
        ) {
            let chunks: Vec<Vec<u32>> =
                chunks.into_iter().chain(encode(&text).into_iter().map(|id| vec![id])).collect();
            let mut bytes = Vec::new();
            decode_into(&chunks.concat(), &mut bytes).expect("ids");
            let (mut decoder, mut strict) = (StreamDecoder::new(), StreamDecoder::strict());
            let (mut out, mut strict_out) = (String::new(), String::new());
            let mut is_valid = true;
            for chunk in &chunks {
                prop_assert_eq!(decoder.feed(chunk, &mut out), Ok(()));
                prop_assert!(decoder.pending().len() < 4);
                is_valid = is_valid && strict.feed(chunk, &mut strict_out).is_ok();
            }
            prop_assert_eq!(decoder.close(&mut out), Ok(()));
            is_valid = is_valid && strict.close(&mut strict_out).is_ok();
            prop_assert_eq!(&out, &String::from_utf8_lossy(&bytes));
            prop_assert_eq!(is_valid, std::str::from_utf8(&bytes).is_ok());
            prop_assert!(!is_valid || strict_out == out);
        }
    }

    #[test]
    fn failed_feed_changes_nothing() {
        let mut decoder = StreamDecoder::strict();
        let mut out = String::new();
        let ids = encode("🤌");
        decoder.feed(&ids[..1], &mut out).expect("a beginning");
        assert!(decoder.feed(&[ids[0], 300_000], &mut out).is_err());
        assert!(decoder.feed(&encode("a"), &mut out).is_err());
        decoder.feed(&ids[1..], &mut out).expect("the rest");
        assert_eq!(out, "🤌");
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
