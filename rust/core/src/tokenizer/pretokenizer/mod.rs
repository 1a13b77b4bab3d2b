//! Text to pre-tokens, by the split pattern of `o200k_base`.
//!
//! The pattern is an alternation of seven rules; at each place the first rule that matches wins:
//! ```text
//! 1  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 2  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 3  \p{N}{1,3}
//! 4  ` ?[^\s\p{L}\p{N}]+[\r\n/]*`
//! 5  \s*[\r\n]+
//! 6  \s+(?!\S)
//! 7  \s+
//! ```
//! The pattern has no lookbehind: a pre-token depends only on the text from its start on. So scanning may begin anew at
//! the start of any pre-token, with either of two scanners: `block` takes 64 bytes of ASCII at once, and `scalar` one
//! character after another, for all else. Both are linear in the text.

mod block;
mod scalar;

use super::simd::BLOCK_BYTES;
use block::{BlockStarts, LastPretoken};

pub(super) use scalar::scan_pretoken;

/// One call of [`Scanner::scan`] finds at most this many pre-tokens.
pub(super) const MAX_SCANNED_PRETOKENS: usize = BLOCK_BYTES;

/// The bytes that are looked at with vectors: a block, and the 16 bytes from any place in it.
const VIEW_BYTES: usize = BLOCK_BYTES + 16;

/// Finds the pre-tokens of a text, some of them with each call of [`Scanner::scan`].
///
/// It looks at a block before it emits the pre-tokens of the block before: the processor executes both together, because
/// neither waits for the other.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    /// Where the next pre-token starts.
    at: usize,
    /// The pre-tokens of the block that starts there.
    starts: BlockStarts,
    /// The last bytes of the text, up to [`VIEW_BYTES`] of them, followed by zeros.
    tail: [u8; 2 * VIEW_BYTES],
}

impl<'a> Scanner<'a> {
    #[inline(always)]
    pub(super) fn new(text: &'a [u8]) -> Scanner<'a> {
        // The tail is filled in its place: a copy of it would wait for its bytes to be stored.
        let mut scanner = Scanner { text, at: 0, starts: UNDECIDED, tail: [0; 2 * VIEW_BYTES] };
        match text.last_chunk::<VIEW_BYTES>() {
            Some(bytes) => scanner.tail[..VIEW_BYTES].copy_from_slice(bytes),
            None => scanner.tail[..text.len()].copy_from_slice(text),
        }
        scanner.look();
        scanner
    }

    /// Where the next pre-token starts: the end of the text if there is none.
    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Finds at least one pre-token, unless the text ends here, and at most [`MAX_SCANNED_PRETOKENS`].
    ///
    /// `emit` gets each pre-token's start, its length, and the 16 bytes from its start on, in which zeros stand for bytes
    /// beyond the end of the text. They are meaningless if the pre-token is longer than 16 bytes.
    #[inline(always)]
    pub(super) fn scan(&mut self, mut emit: impl FnMut(usize, usize, &[u8; 16])) {
        let (at, BlockStarts { mask, last }) = (self.at, self.starts);
        let last_start = (mask.leading_zeros() ^ 63) as usize;
        let end = match last {
            LastPretoken::EndsText => self.text.len() - at,
            LastPretoken::Continues if last_start > 0 => last_start,
            _ => scan_pretoken(self.text, at + last_start).end - at,
        };
        self.at = at + end;
        self.look();
        let view = self.view(at);
        let mut emit = |start: usize, end: usize| {
            let chunk = view.get(start..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; 16]);
            emit(at + start, end - start, chunk);
        };
        let (mut start, mut mask) = (0, mask & (mask - 1));
        while mask != 0 {
            let end = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            emit(start, end);
            start = end;
        }
        if end > start {
            emit(start, end);
        }
    }

    /// Finds the starts in the block at `at`.
    #[inline(always)]
    fn look(&mut self) {
        self.starts = UNDECIDED;
        let view = self.view(self.at);
        // A block with non-ASCII bytes near its start would decide too little to be worth its masks.
        let first_bytes = view.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if first_bytes & 0x8080_8080_8080_8080 == 0
            && self.at < self.text.len()
            && let Some(block) = view.first_chunk()
        {
            self.starts = block::pretoken_starts(block, self.text.len() - self.at);
        }
    }

    /// The text from a place on, with zeros behind its end.
    #[inline(always)]
    fn view(&self, at: usize) -> &[u8; VIEW_BYTES] {
        if let Some(view) = self.text.get(at..).and_then(<[u8]>::first_chunk) {
            return view;
        }
        let tail_start = self.text.len().saturating_sub(VIEW_BYTES);
        self.tail.get(at - tail_start..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; VIEW_BYTES])
    }
}

/// What is known of a block before its masks: a pre-token starts with it.
const UNDECIDED: BlockStarts = BlockStarts { mask: 1, last: LastPretoken::Undecided };

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// The split pattern itself, by a regex engine.
    static PATTERN: LazyLock<fancy_regex::Regex> = LazyLock::new(|| {
        let rules = concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        );
        fancy_regex::Regex::new(rules).expect("the pattern is valid")
    });

    fn split_by_pattern(text: &str) -> Vec<&str> {
        PATTERN.find_iter(text).map(|result| result.expect("no limit is reached").as_str()).collect()
    }

    /// The pre-tokens of a text by the scalar scanner alone.
    pub(in crate::tokenizer) fn split_by_scalar(text: &str) -> Vec<&str> {
        let (mut at, mut pretokens) = (0, Vec::new());
        while at < text.len() {
            let end = scan_pretoken(text.as_bytes(), at).end;
            pretokens.push(&text[at..end]);
            at = end;
        }
        pretokens
    }

    fn split(text: &str) -> Vec<&str> {
        let (mut scanner, mut pretokens) = (Scanner::new(text.as_bytes()), Vec::new());
        while scanner.at() < text.len() {
            scanner.scan(|start, length, chunk| {
                let pretoken = &text[start..start + length];
                assert!(length > 16 || chunk.starts_with(pretoken.as_bytes()));
                pretokens.push(pretoken);
            });
        }
        pretokens
    }

    #[test]
    fn every_code_point_splits_by_the_pattern() {
        for c in '\0'..=char::MAX {
            let text = format!("{c} a{c}B{c}{c}1{c}'S {c}\n{c}  {c}x");
            assert_eq!(split_by_scalar(&text), split_by_pattern(&text), "{:?}", c);
        }
    }

    /// A character of each class that the pattern distinguishes in ASCII, and those of contractions.
    const ALPHABET: [&str; 13] = ["a", "s", "l", "R", "e", "1", " ", "\t", "\n", ".", "/", "'", "é"];

    fn word(number: usize, length: u32) -> String {
        let letter = |place: u32| ALPHABET[number / ALPHABET.len().pow(place) % ALPHABET.len()];
        (0..length).map(letter).collect()
    }

    #[test]
    fn every_short_text_splits_alike_in_blocks() {
        for length in 1..=5_u32 {
            for number in 0..ALPHABET.len().pow(length) {
                let text = word(number, length);
                assert_eq!(split(&text), split_by_scalar(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn every_text_at_a_block_border_splits_alike() {
        for (before, after) in (54..=64).flat_map(|before| [(before, " go"), (before, " go on")]) {
            for number in 0..ALPHABET.len().pow(4) {
                let text = format!("{}{}{after}", &"and so on. ".repeat(6)[..before], word(number, 4));
                assert_eq!(split(&text), split_by_scalar(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn text_of_any_length_splits_alike() {
        let text = "We'll pay  71234 (or not) now;\n\t\tnaïve 中文 o'clock, x/y//z\n \n".repeat(9);
        for (end, start) in (0..=text.len()).flat_map(|end| [(end, 0), (end, end / 2)]) {
            let Some(part) = text.get(start..end) else { continue };
            assert_eq!(split(part), split_by_scalar(part), "{part:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_text_splits_alike_in_blocks(
            parts in proptest::collection::vec(("[aslRre1 \t\n./'é\u{a0}中<>|_]{0,9}", "a{0,70}|\\PC{0,9}|[A-Za-z .,'\n]{0,30}|[ \n]{0,9}"), 0..12)
        ) {
            let text: String = parts.into_iter().flat_map(|(first, second)| [first, second]).collect();
            prop_assert_eq!(split(&text), split_by_scalar(&text));
        }

        #[test]
        fn any_neighbours_split_by_the_pattern(
            text in "[aBcſK中ʰǅ́\u{0301}12٣ \t\r\n\u{a0}\u{3000}'./!_<|>😀stREvlLmd]{0,24}"
        ) {
            prop_assert_eq!(split_by_scalar(&text), split_by_pattern(&text));
        }
    }
}
