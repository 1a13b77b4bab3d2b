//! Text to ids and back, as the core's users call it: whole texts, with a policy for special tokens in them, texts that
//! arrive in pieces, and ids. How a text is encoded is in `groups.rs`.

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

pub use pipeline::{count, encode_into, steps};
pub use stream::StreamEncoder;

/// What becomes of the spellings of special tokens in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialPolicy {
    /// They are ordinary text.
    Text,
    /// They become control tokens.
    Token,
    /// They are an error.
    Error,
}

/// A special token was found in a text that may hold none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokenFound {
    pub spelling: String,
    /// Its byte offset.
    pub at: usize,
}

/// A number that is no token id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId {
    pub id: u32,
    /// Its index.
    pub at: usize,
}

/// The ids of a text, markers in it taken as ordinary text.
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
    // The longest spelling is `<|reserved_200000|>`.
    let window = text.as_bytes().get(at..)?;
    let window = window.get(..window.len().min(19))?;
    let end = at + memchr::memmem::find(window, b"|>")? + 2;
    let spelling = text.get(at..end)?;
    Some((spelling, vocabulary::special_id(spelling)?))
}

/// So many ids are decoded before the room for their bytes is looked at again.
const DECODED: usize = 256;

/// Appends the bytes of ids, special tokens as they are spelled.
///
/// Nearly all tokens are short, and sixteen bytes are copied as fast as one: each is written with what lies behind it,
/// and the next is written over that.
pub fn decode_into(ids: &[u32], out: &mut Vec<u8>) -> Result<(), InvalidId> {
    let mut end = out.len();
    for (block, ids) in ids.chunks(DECODED).enumerate() {
        out.resize(out.len().max(end + ids.len() * 16), 0);
        for (at, &id) in ids.iter().enumerate() {
            let Some((wide, length)) = vocabulary::wide_bytes(id) else {
                out.truncate(end);
                return Err(InvalidId { id, at: block * DECODED + at });
            };
            let short = length <= wide.len();
            let bytes = if short { wide } else { vocabulary::token_bytes(id).unwrap_or_default() };
            if out.len() < end + bytes.len() {
                out.resize(end + bytes.len() + DECODED * 16, 0);
            }
            if let (true, Some(place)) = (short, out.get_mut(end..end + wide.len())) {
                place.copy_from_slice(wide);
            } else if let Some(place) = out.get_mut(end..end + bytes.len()) {
                place.copy_from_slice(bytes);
            }
            end += if short { length } else { bytes.len() };
        }
    }
    out.truncate(end);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::pretokenizer::scalar;
    use super::*;
    use proptest::prelude::*;

    /// The split pattern itself, for a regex engine.
    const PATTERN: &str = concat!(
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    );

    fn scanned(text: &str) -> Vec<&str> {
        let (mut at, mut pieces) = (0, Vec::new());
        while at < text.len() {
            let end = scalar::next(text.as_bytes(), at).end;
            pieces.push(&text[at..end]);
            at = end;
        }
        pieces
    }

    fn matched<'a>(pattern: &fancy_regex::Regex, text: &'a str) -> Vec<&'a str> {
        pattern.find_iter(text).map(|found| found.expect("no limit is reached").as_str()).collect()
    }

    fn pattern() -> fancy_regex::Regex {
        fancy_regex::Regex::new(PATTERN).expect("the pattern is valid")
    }

    #[test]
    fn every_code_point_splits_as_the_pattern_says() {
        let pattern = pattern();
        for c in '\0'..=char::MAX {
            let text = format!("{c} a{c}B{c}{c}1{c}'S {c}\n{c}  {c}x");
            assert_eq!(scanned(&text), matched(&pattern, &text), "{:?}", c);
        }
    }

    /// Characters of every class, those that fold strangely, and line breaks.
    const MIXED: &str = "[aBcſK中ʰǅ́\u{0301}12٣ \t\r\n\u{a0}\u{3000}'./!_<|>😀stREvlLmd]{0,24}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn neighbours_split_as_the_pattern_says(text in MIXED) {
            prop_assert_eq!(scanned(&text), matched(&pattern(), &text));
        }

        #[test]
        fn a_stream_gives_the_ids_of_the_whole(parts in proptest::collection::vec(MIXED, 0..6)) {
            let whole = parts.concat();
            let (mut encoder, mut ids) = (StreamEncoder::new(), Vec::new());
            for part in &parts {
                encoder.feed(part, &mut ids);
                let certain = ids.len();
                prop_assert_eq!(&encode(&whole)[..certain], &ids[..]);
            }
            encoder.close(&mut ids);
            prop_assert_eq!(&ids, &encode(&whole));
            prop_assert_eq!(count(&whole), ids.len());
        }
    }

    /// Without the cache and without looking ahead.
    fn one_by_one(text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for piece in scanned(text) {
            bpe::encode(piece.as_bytes(), &mut ids);
        }
        ids
    }

    #[test]
    fn the_cache_changes_nothing() {
        // Pieces that differ in zero bytes at their end alone, and more pieces than the cache has places.
        let zeros: Vec<String> = (0..20).map(|count| format!("a!{} ", "\0".repeat(count))).collect();
        let letters = |n: u32| (0..7).map(move |place| char::from(b'a' + (n >> (4 * place) & 15) as u8));
        let words: Vec<String> = (0..150_000_u32)
            .map(|n| letters(n.wrapping_mul(2_654_435_761)).chain("xq ".chars()).collect())
            .collect();
        let texts = [zeros.concat(), words.concat(), zeros.concat(), words.concat()];
        for text in texts {
            assert_eq!(encode(&text), one_by_one(&text));
            assert_eq!(count(&text), encode(&text).len());
        }
    }

    #[test]
    fn a_long_run_in_small_parts_stays_linear() {
        let (mut encoder, mut ids) = (StreamEncoder::new(), Vec::new());
        for _ in 0..200_000 {
            encoder.feed("a", &mut ids);
        }
        encoder.close(&mut ids);
        assert_eq!(ids, encode(&"a".repeat(200_000)));
    }

    #[test]
    fn special_tokens_follow_the_policy() {
        let text = "a<|end|>b<|reserved_200018|><|nothing|>";
        let mut ids = Vec::new();
        encode_with(text, SpecialPolicy::Token, &mut ids).expect("taken");
        assert_eq!(
            ids.iter().filter(|id| **id >= vocabulary::FIRST_SPECIAL).collect::<Vec<_>>(),
            [&200_007, &200_018]
        );
        let found = encode_with(text, SpecialPolicy::Error, &mut Vec::new()).expect_err("refused");
        assert_eq!(found, SpecialTokenFound { spelling: "<|end|>".to_owned(), at: 1 });
        ids.clear();
        encode_with(text, SpecialPolicy::Text, &mut ids).expect("taken");
        assert!(ids.iter().all(|id| *id < vocabulary::FIRST_SPECIAL));
        let mut bytes = Vec::new();
        decode_into(&ids, &mut bytes).expect("ids");
        assert_eq!(bytes, text.as_bytes());
    }
}
