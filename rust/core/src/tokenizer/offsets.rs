//! Where tokens lie in their text.

use super::pretokenizer::Scanner;
use super::special::{Segment, SpecialPolicy, SpecialTokenFound, for_each_segment};
use super::vocabulary::{self, MAX_TOKEN_BYTES};
use super::{count_with, encode_into};
use std::ops::Range;

/// Appends the ids of a text, and for each of them the byte offset at which it ends in the text. Each token begins where the
/// one before it ends, and the first one begins at 0.
pub fn encode_with_ends(
    text: &str,
    policy: SpecialPolicy,
    ids: &mut Vec<u32>,
    ends: &mut Vec<usize>,
) -> Result<(), SpecialTokenFound> {
    let mut end = 0;
    for_each_segment(text, policy, |segment| match segment {
        Segment::Ordinary(text) => {
            let first = ids.len();
            encode_into(text, ids);
            for &id in ids.iter().skip(first) {
                end += vocabulary::token_bytes(id).map_or(0, <[u8]>::len);
                ends.push(end);
            }
        }
        Segment::Special { spelling, id } => {
            ids.push(id);
            end += spelling.len();
            ends.push(end);
        }
    })
}

/// The characters that each token has bytes of, as ranges of character offsets. `bytes` are the joined bytes of the tokens,
/// and `ends` are the byte offsets at which the tokens end.
///
/// Tokens that share a character have overlapping ranges. Bytes that are not UTF-8 count as [`String::from_utf8_lossy`]
/// replaces them: each maximal part of a character as one.
pub fn char_ranges(bytes: &[u8], ends: &[usize]) -> Vec<Range<usize>> {
    let char_lengths = bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = Some(chunk.invalid().len()).filter(|length| *length > 0);
        chunk.valid().chars().map(char::len_utf8).chain(invalid)
    });
    let mut char_ends = char_lengths.scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    let (mut chars, mut char_end, mut token_start) = (0, 0, 0);
    let ranges = ends.iter().map(|&token_end| {
        // A character that ends behind the start of the token is the token's, too.
        let start = if char_end > token_start { chars - 1 } else { chars };
        while char_end < token_end {
            let Some(end) = char_ends.next() else { break };
            (chars, char_end) = (chars + 1, end);
        }
        token_start = token_end;
        start..chars
    });
    ranges.collect()
}

/// The end of a text that is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// The beginning of a text with at most `max_tokens` of its tokens (for [`Side::Left`]: the end), as many as can be kept so
/// that the cut is a border of characters and the part has at most `max_tokens` tokens when it is encoded by itself.
///
/// The last condition matters where a pre-token is cut: what is left of it may be split otherwise than the whole.
pub fn truncate<'a>(
    text: &'a str,
    max_tokens: usize,
    side: Side,
    policy: SpecialPolicy,
) -> Result<&'a str, SpecialTokenFound> {
    let head = if side == Side::Right { head(text, max_tokens, policy) } else { text };
    let (mut ids, mut ends) = (Vec::new(), vec![0]);
    encode_with_ends(head, policy, &mut ids, &mut ends)?;
    let all = ids.len();
    // A cut between two pre-tokens always holds, so that few cuts are tried.
    for kept in (0..=all.min(max_tokens)).rev() {
        let part = match side {
            Side::Right => ends.get(kept).and_then(|end| text.get(..*end)),
            Side::Left => ends.get(all - kept).and_then(|start| text.get(*start..)),
        };
        let Some(part) = part else { continue };
        if kept == all || count_with(part, policy)? <= max_tokens {
            return Ok(part);
        }
    }
    Ok("")
}

/// The beginning of a text that decides what its first `max_tokens` tokens are, so that a long text need not be encoded as a
/// whole. It ends between two pre-tokens, and has more tokens than that, or is the whole text.
fn head<'a>(text: &'a str, max_tokens: usize, policy: SpecialPolicy) -> &'a str {
    let min_bytes = max_tokens.saturating_add(1).saturating_mul(MAX_TOKEN_BYTES);
    // Special tokens end pre-tokens, which the scanner does not know.
    let may_have_specials = || memchr::memmem::find(text.as_bytes(), b"<|").is_some();
    if text.len() <= min_bytes || !matches!(policy, SpecialPolicy::Text) && may_have_specials() {
        return text;
    }
    let mut scanner = Scanner::new(text.as_bytes());
    while scanner.at() < min_bytes {
        scanner.scan(|_, _, _| {});
    }
    text.get(..scanner.at()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{decode_into, encode};
    use proptest::prelude::*;

    const TEXT: &str = "[aBcſK中ʰǅ́\u{0301}12٣ \t\r\n\u{a0}'./!_<|>😀🏽stREvlLmd]{0,40}|\\PC{0,20}";

    fn ends_of(text: &str) -> (Vec<u32>, Vec<usize>) {
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        encode_with_ends(text, SpecialPolicy::Token, &mut ids, &mut ends).expect("tokens are accepted");
        (ids, ends)
    }

    #[test]
    fn second_spelling_ends_where_it_is_written() {
        let text = "a<|reserved_200018|>é";
        let (ids, ends) = ends_of(text);
        assert_eq!(ids[1], 200_018);
        assert_eq!(ends[..2], [1, 20]);
        assert_eq!(ends.last(), Some(&text.len()));
    }

    #[test]
    fn tokens_that_share_a_character_have_its_range() {
        let text = "a🤌b";
        let (ids, ends) = ends_of(text);
        let ranges = char_ranges(text.as_bytes(), &ends);
        assert_eq!(ids.len(), ranges.len());
        assert_eq!(ranges[0], 0..1);
        assert!(ranges[1..ranges.len() - 1].iter().all(|range| *range == (1..2)), "{ranges:?}");
        assert_eq!(ranges.last(), Some(&(2..3)));
    }

    #[test]
    fn invalid_bytes_count_as_they_are_replaced() {
        assert_eq!(char_ranges(b"a\xe2\x82b\xff", &[1, 2, 3, 4, 5]), [0..1, 1..2, 1..2, 2..3, 3..4]);
    }

    #[test]
    fn long_text_is_cut_as_a_short_one() {
        let text = "We'll sing motets,  12345 of them.\n".repeat(3000);
        for side in [Side::Left, Side::Right] {
            let part = truncate(&text, 40, side, SpecialPolicy::Text).expect("tokens are text");
            let ids = encode(&text);
            let expected = if side == Side::Left { &ids[ids.len() - 40..] } else { &ids[..40] };
            assert_eq!(encode(part), expected);
        }
        assert_eq!(truncate(&"a".repeat(1 << 20), 1, Side::Right, SpecialPolicy::Text), Ok("aaaaaaaa"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn char_ranges_cover_the_bytes_of_their_tokens(text in TEXT) {
            let (ids, ends) = ends_of(&text);
            let chars: Vec<char> = text.chars().collect();
            let mut start = 0;
            for ((id, &end), range) in ids.iter().zip(&ends).zip(char_ranges(text.as_bytes(), &ends)) {
                let mut bytes = Vec::new();
                decode_into(&[*id], &mut bytes).expect("an id");
                prop_assert_eq!(&text.as_bytes()[start..end], &bytes);
                let covered: String = chars[range.clone()].iter().collect();
                let before: usize = chars[..range.start].iter().map(|c| c.len_utf8()).sum();
                prop_assert!(before <= start && end <= before + covered.len());
                let last = chars[range.end - 1].len_utf8();
                prop_assert!(before + chars[range.start].len_utf8() > start && before + covered.len() - last < end);
                start = end;
            }
        }

        #[test]
        fn truncated_text_has_at_most_the_tokens(text in TEXT, max_tokens in 0_usize..12) {
            for side in [Side::Left, Side::Right] {
                let part = truncate(&text, max_tokens, side, SpecialPolicy::Text).expect("tokens are text");
                prop_assert!(encode(part).len() <= max_tokens);
                let is_kept_end = if side == Side::Left { text.ends_with(part) } else { text.starts_with(part) };
                prop_assert!(is_kept_end);
                if encode(&text).len() <= max_tokens {
                    prop_assert_eq!(part, &text);
                }
            }
        }
    }
}
