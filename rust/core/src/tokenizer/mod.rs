//! Text to ids and back.
//!
//! The README in this folder explains the algorithm with a worked example. This module is what the rest of the crate and
//! its users call: [`encode`] and its variants, [`count`], [`decode_into`], offsets of tokens, [`truncate`], and
//! [`StreamEncoder`] and [`StreamDecoder`] for what arrives in chunks. It imports nothing of the rest of the crate.

mod bpe;
mod misses;
mod offsets;
mod pipeline;
mod pretoken;
mod pretoken_cache;
mod pretokenizer;
mod scratch;
// Vector instructions and prefetching need it; the rest of the crate has none.
#[allow(unsafe_code)]
mod simd;
mod special;
mod stream;
pub mod vocabulary;

pub use offsets::{Side, char_ranges, encode_with_ends, truncate};
pub use pipeline::{count, encode_into, for_each_pretoken};
pub use special::{SpecialChoice, SpecialPolicy, SpecialSet, SpecialTokenFound};
pub use stream::{DecodeError, StreamDecoder, StreamEncoder};

use special::{Segment, for_each_segment};

/// A number that is not a token id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId {
    pub id: u32,
    /// The index of the number.
    pub at: usize,
}

/// The ids of a text, special tokens in it taken as ordinary text.
pub fn encode(text: &str) -> Vec<u32> {
    let mut ids = Vec::with_capacity(text.len() / 4 + 4);
    encode_into(text, &mut ids);
    ids
}

/// Appends the ids of a text, with a policy for the spellings of special tokens in it.
pub fn encode_with(text: &str, policy: SpecialPolicy, out: &mut Vec<u32>) -> Result<(), SpecialTokenFound> {
    for_each_segment(text, policy, |segment| match segment {
        Segment::Ordinary(text) => encode_into(text, out),
        Segment::Special { id, .. } => out.push(id),
    })
}

/// The number of ids of a text, with a policy for the spellings of special tokens in it.
pub fn count_with(text: &str, policy: SpecialPolicy) -> Result<usize, SpecialTokenFound> {
    let mut number = 0;
    for_each_segment(text, policy, |segment| {
        number += match segment {
            Segment::Ordinary(text) => count(text),
            Segment::Special { .. } => 1,
        };
    })?;
    Ok(number)
}

/// The id of the ordinary or special token with exactly these bytes.
pub fn token_id(bytes: &[u8]) -> Option<u32> {
    let ordinary = if bytes.is_empty() { vocabulary::NO_TOKEN } else { vocabulary::lookup(bytes) };
    let special = || vocabulary::special_id(std::str::from_utf8(bytes).ok()?);
    Some(ordinary).filter(|id| *id != vocabulary::NO_TOKEN).or_else(special)
}

/// After this many ids the room for their bytes is checked again.
const DECODE_CHUNK_IDS: usize = 256;

/// Appends the bytes of ids, special tokens as they are spelled. With an error, of the ids before the invalid one.
///
/// Each token is written as 16 bytes, of which the next token overwrites what is too much: nearly all tokens are short, and
/// a copy of a fixed length is the fastest.
pub fn decode_into(ids: &[u32], out: &mut Vec<u8>) -> Result<(), InvalidId> {
    let mut end = out.len();
    for (chunk_index, ids) in ids.chunks(DECODE_CHUNK_IDS).enumerate() {
        out.resize(out.len().max(end + ids.len() * 16), 0);
        for (index, &id) in ids.iter().enumerate() {
            let Some((padded, length)) = vocabulary::token_bytes_padded(id) else {
                out.truncate(end);
                return Err(InvalidId { id, at: chunk_index * DECODE_CHUNK_IDS + index });
            };
            let is_short = length <= padded.len();
            let bytes = if is_short { padded } else { vocabulary::token_bytes(id).unwrap_or_default() };
            if out.len() < end + bytes.len() {
                out.resize(end + bytes.len() + DECODE_CHUNK_IDS * 16, 0);
            }
            if let (true, Some(target)) = (is_short, out.get_mut(end..end + padded.len())) {
                target.copy_from_slice(padded);
            } else if let Some(target) = out.get_mut(end..end + bytes.len()) {
                target.copy_from_slice(bytes);
            }
            end += if is_short { length } else { bytes.len() };
        }
    }
    out.truncate(end);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_follow_the_policy() {
        let spelling = |id| vocabulary::token_bytes(id).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let special = spelling(200_007).expect("a spelling");
        let text = format!("a{special}b<|reserved_200018|><|nothing|>");
        let mut ids = Vec::new();
        encode_with(&text, SpecialPolicy::Token, &mut ids).expect("tokens are accepted");
        let specials: Vec<_> = ids.iter().filter(|id| **id >= vocabulary::FIRST_SPECIAL_ID).collect();
        assert_eq!(specials, [&200_007, &200_018]);
        let error =
            encode_with(&text, SpecialPolicy::Error, &mut Vec::new()).expect_err("tokens are refused");
        assert_eq!(error, SpecialTokenFound { spelling: special.to_owned(), at: 1 });
        ids.clear();
        encode_with(&text, SpecialPolicy::Text, &mut ids).expect("tokens are text");
        assert!(ids.iter().all(|id| *id < vocabulary::FIRST_SPECIAL_ID));
        let mut bytes = Vec::new();
        decode_into(&ids, &mut bytes).expect("valid ids");
        assert_eq!(bytes, text.as_bytes());
    }

    #[test]
    fn special_tokens_follow_a_choice() {
        let text = "a<|reserved_200000|>b<|reserved_200018|>c<|reserved_200001|>";
        let mut choice = SpecialChoice::default();
        assert!(choice.tokens.insert("<|reserved_200018|>"));
        assert!(!choice.tokens.insert("<|reserved_5|>"));
        let mut ids = Vec::new();
        encode_with(text, SpecialPolicy::Choice(&choice), &mut ids).expect("no errors are chosen");
        let specials: Vec<_> = ids.iter().filter(|id| **id >= vocabulary::FIRST_SPECIAL_ID).collect();
        assert_eq!(specials, [&200_018]);
        assert_eq!(count_with(text, SpecialPolicy::Choice(&choice)), Ok(ids.len()));
        assert!(choice.errors.insert("<|reserved_200001|>"));
        let error = encode_with(text, SpecialPolicy::Choice(&choice), &mut ids).expect_err("one is refused");
        assert_eq!(error.at, 41);
    }

    #[test]
    fn token_ids_are_found_by_their_bytes() {
        for id in 0..vocabulary::VOCAB_SIZE {
            assert_eq!(token_id(vocabulary::token_bytes(id).expect("an id")), Some(id));
        }
        assert_eq!(token_id(b""), None);
        assert_eq!(token_id(b"no token at all"), None);
    }
}
