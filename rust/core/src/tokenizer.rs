//! Text to ids and back: pieces from `split.rs`, each encoded by `bpe.rs`.
//!
//! Encoding goes through the text once, in groups of pieces: where they end is found first, and with it where
//! each is looked up, in this thread's `cache.rs` and in the vocabulary, so that both are fetched while the next pieces
//! are found. Then each piece is its tokens from the cache, or is encoded and kept there. Every step is linear in the
//! text, and what the cache holds is only what would be found again.

use crate::bpe;
use crate::cache::{Cache, Key};
use crate::simd;
use crate::split;
use crate::vocab;

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

/// So many pieces are found before the first of them is looked up, so that what is known of it is near by then.
const AHEAD: usize = 32;

/// A piece of a text: where it is, its bytes if they are few, and where the cache has it.
#[derive(Clone, Copy, Default)]
struct Found {
    at: usize,
    key: Key,
    line: usize,
}

impl Found {
    #[inline(always)]
    fn set(&mut self, at: usize, chunk: &[u8; 16], length: usize) {
        let key = Key::new(chunk, length);
        self.line = key.line();
        self.key = key;
        self.at = at;
    }
}

/// The length of the piece at `at`, which is less than 16 bytes before the end of the text.
#[inline(never)]
fn last_length(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    match split::short(&vocab::chunk(rest), rest.len()) {
        0 => split::next(text, at).end - at,
        length => length,
    }
}

/// Finds the pieces of a text, and gives them in groups. Longer ones than 16 bytes have only their length in the key.
#[inline(always)]
fn pieces(text: &[u8], cache: &mut Cache, mut each: impl FnMut(&mut Cache, &[Found])) {
    let (mut at, mut group) = (0, [Found::default(); AHEAD]);
    while at < text.len() {
        let mut count = 0;
        for found in &mut group {
            if let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
                let mut length = split::short(chunk, simd::WIDTH);
                if length == 0 {
                    length = split::next(text, at).end - at;
                }
                found.set(at, chunk, length);
            } else if at < text.len() {
                found.set(at, &vocab::chunk(text.get(at..).unwrap_or_default()), last_length(text, at));
            } else {
                break;
            }
            cache.prefetch(found.line);
            vocab::prefetch(found.key);
            at += found.key.length;
            count += 1;
        }
        let group = &group[..count];
        each(cache, group);
    }
}

/// Appends the ids of a text.
pub fn encode_into(text: &str, out: &mut Vec<u32>) {
    let text = text.as_bytes();
    let each = |cache: &mut Cache, group: &[Found]| {
        for found in group {
            match cache.get(found.line, found.key) {
                Some(([id, _, _], 1)) => out.push(id),
                Some((ids, count)) => ids.iter().take(count).for_each(|&id| out.push(id)),
                None => encode_anew(text, found, cache, out),
            }
        }
    };
    Cache::with(|cache| pieces(text, cache, each));
}

/// Appends the ids of a piece that the cache does not know.
#[inline(never)]
fn encode_anew(text: &[u8], found: &Found, cache: &mut Cache, out: &mut Vec<u32>) {
    let start = out.len();
    if found.key.length <= 16 {
        bpe::encode_short(found.key, out);
        cache.put(found.line, found.key, out.get(start..).unwrap_or_default());
    } else {
        bpe::encode_long(text.get(found.at..found.at + found.key.length).unwrap_or_default(), out);
    }
}

/// The number of ids of a text.
pub fn count(text: &str) -> usize {
    let (text, mut number, mut anew) = (text.as_bytes(), 0, Vec::new());
    let each = |cache: &mut Cache, group: &[Found]| {
        for found in group {
            number += if let Some((_, count)) = cache.get(found.line, found.key) {
                count
            } else {
                anew.clear();
                encode_anew(text, found, cache, &mut anew);
                anew.len()
            };
        }
    };
    Cache::with(|cache| pieces(text, cache, each));
    number
}

/// How many pieces a text is split into, and how many of them the cache knows: the first steps of encoding alone, for
/// the benches.
pub fn steps(text: &str, look_up: bool) -> (usize, usize) {
    let (mut number, mut known) = (0, 0);
    let each = |cache: &mut Cache, group: &[Found]| {
        number += group.len();
        if look_up {
            known += group.iter().filter(|found| cache.get(found.line, found.key).is_some()).count();
        }
    };
    Cache::with(|cache| pieces(text.as_bytes(), cache, each));
    (number, known)
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
    Some((spelling, vocab::special_id(spelling)?))
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
            let Some((wide, length)) = vocab::wide_bytes(id) else {
                out.truncate(end);
                return Err(InvalidId { id, at: block * DECODED + at });
            };
            let short = length <= wide.len();
            let bytes = if short { wide } else { vocab::token_bytes(id).unwrap_or_default() };
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
        Cache::with(|cache| {
            while at < text.len() {
                let piece = split::next(text, at);
                if piece.seen >= text.len() {
                    break;
                }
                let key = Key::new(&vocab::chunk(text.get(at..).unwrap_or_default()), piece.end - at);
                encode_anew(text, &Found { at, key, line: key.line() }, cache, out);
                at = piece.end;
            }
        });
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

#[cfg(test)]
mod tests {
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
            let end = split::next(text.as_bytes(), at).end;
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
            if piece.len() <= 16 {
                bpe::encode_short(Key::new(&vocab::chunk(piece.as_bytes()), piece.len()), &mut ids);
            } else {
                bpe::encode_long(piece.as_bytes(), &mut ids);
            }
        }
        ids
    }

    #[test]
    fn the_cache_changes_nothing() {
        // Pieces that differ in zero bytes at their end alone, and more pieces than the cache has places.
        let zeros: Vec<String> = (0..20).map(|count| format!("a!{} ", "\0".repeat(count))).collect();
        let words: Vec<String> =
            (0..60_000_u32).map(|n| format!("w{:x}q ", n.wrapping_mul(2_654_435_761))).collect();
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
            ids.iter().filter(|id| **id >= vocab::FIRST_SPECIAL).collect::<Vec<_>>(),
            [&200_007, &200_018]
        );
        let found = encode_with(text, SpecialPolicy::Error, &mut Vec::new()).expect_err("refused");
        assert_eq!(found, SpecialTokenFound { spelling: "<|end|>".to_owned(), at: 1 });
        ids.clear();
        encode_with(text, SpecialPolicy::Text, &mut ids).expect("taken");
        assert!(ids.iter().all(|id| *id < vocab::FIRST_SPECIAL));
        let mut bytes = Vec::new();
        decode_into(&ids, &mut bytes).expect("ids");
        assert_eq!(bytes, text.as_bytes());
    }
}
