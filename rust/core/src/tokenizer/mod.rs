//! Text to ids and back.
//!
//! The README in this folder explains the algorithm with a worked example. This module is what the rest of the crate and
//! its users call: [`encode`] and its variants, [`decode_into`], [`count`], and [`StreamEncoder`] for text that arrives in
//! chunks. It imports nothing of the rest of the crate.

mod bpe;
mod pipeline;
mod pretoken_cache;
mod pretokenizer;
mod scratch;
// Vector instructions and prefetching need it; the rest of the crate has none.
#[allow(unsafe_code)]
mod simd;
mod stream;
pub mod vocabulary;

pub use pipeline::{count, encode_into, for_each_pretoken};
pub use stream::StreamEncoder;

/// How the spellings of special tokens in a text are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialPolicy {
    /// As ordinary text.
    Text,
    /// As special tokens.
    Token,
    /// Not at all: they are an error.
    Error,
}

/// The error of [`SpecialPolicy::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokenFound {
    pub spelling: String,
    /// The byte offset of the spelling.
    pub at: usize,
}

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
    let mut done = 0;
    if policy != SpecialPolicy::Text {
        for at in memchr::memmem::find_iter(text.as_bytes(), b"<|") {
            let Some((spelling, id)) = special_at(text, at).filter(|_| at >= done) else { continue };
            if policy == SpecialPolicy::Error {
                return Err(SpecialTokenFound { spelling: spelling.to_owned(), at });
            }
            encode_into(text.get(done..at).unwrap_or_default(), out);
            out.push(id);
            done = at + spelling.len();
        }
    }
    encode_into(text.get(done..).unwrap_or_default(), out);
    Ok(())
}

/// The special token that is spelled at `at`.
fn special_at(text: &str, at: usize) -> Option<(&str, u32)> {
    let window = text.as_bytes().get(at..)?;
    let window = window.get(..window.len().min(vocabulary::MAX_SPELLING_BYTES))?;
    let end = at + memchr::memmem::find(window, b"|>")? + 2;
    let spelling = text.get(at..end)?;
    Some((spelling, vocabulary::special_id(spelling)?))
}

/// After this many ids the room for their bytes is checked again.
const DECODE_CHUNK_IDS: usize = 256;

/// Appends the bytes of ids, special tokens as they are spelled.
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
}
