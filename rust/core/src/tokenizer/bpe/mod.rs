//! One pre-token to ids: byte pair encoding with exactly the result of its definition, in few steps.
//!
//! The definition: of all adjacent tokens whose joined bytes are a token, the pair that makes the token with the lowest id
//! is merged, the leftmost of several, until no pair merges. The README of the tokenizer explains why the shortcuts here
//! give the same ids: a pre-token that is a token; merges among whole characters, lowest ids first (`short_merge.rs` for up to
//! 16 bytes, `merge_window.rs` for more); windows of long pre-tokens ([`merge_in_windows`]); runs of one character (`run.rs`);
//! and backtracking, which is linear for any input ([`backtrack`]).

mod merge_window;
mod run;
mod short_merge;

use super::vocabulary::{self, MAX_TOKEN_BYTES, NO_TOKEN, TokenKey};
use merge_window::MergeWindow;
use run::{encode_run, run_character_bytes};
pub(super) use short_merge::ShortMerge;

/// Appends the ids of a pre-token.
pub(super) fn encode(pretoken: &[u8], out: &mut Vec<u32>) {
    if pretoken.len() <= 16 {
        encode_short(TokenKey::of(pretoken), out);
    } else {
        encode_long(pretoken, out);
    }
}

/// Appends the ids of a pre-token of up to 16 bytes.
#[inline(never)]
fn encode_short(key: TokenKey, out: &mut Vec<u32>) {
    let mut merge = ShortMerge::EMPTY;
    merge.begin(key);
    merge.end();
    out.extend_from_slice(merge.ids());
}

/// Appends the ids of a pre-token of more than 16 bytes.
#[inline(never)]
fn encode_long(pretoken: &[u8], out: &mut Vec<u32>) {
    let id = vocabulary::lookup_long(pretoken);
    if id != NO_TOKEN {
        out.push(id);
    } else if let Some(char_bytes) = run_character_bytes(pretoken) {
        encode_run(pretoken, char_bytes, out);
    } else {
        merge_in_windows(pretoken, out);
    }
}

/// The token of the first character of `rest`, or [`NO_TOKEN`] if merging must begin with its bytes; and how many these
/// are. `before` is the byte before it, or 0.
#[inline(always)]
fn whole_char(rest: &[u8], before: u8) -> (u32, usize) {
    let (code_point, length) = match *rest {
        [a @ 0xc2..0xe0, b, ..] => (usize::from(a & 31) << 6 | usize::from(b & 63), 2),
        [a @ 0xe0..0xf0, b, c, ..] => (code_point_of_three(a, b, c), 3),
        [a @ 0xf0..=0xf4, b, c, d, ..] => {
            let high = usize::from(a & 7) << 18 | usize::from(b & 63) << 12;
            (high | usize::from(c & 63) << 6 | usize::from(d & 63), 4)
        }
        _ => return (NO_TOKEN, 1),
    };
    let after = rest.get(length).copied().unwrap_or(0);
    (vocabulary::whole_char_token(code_point, before, after), length)
}

/// The code point of a character of three bytes.
#[inline(always)]
fn code_point_of_three(a: u8, b: u8, c: u8) -> usize {
    usize::from(a & 15) << 12 | usize::from(b & 63) << 6 | usize::from(c & 63)
}

/// A window is merged without the text after it, so that its last tokens are uncertain: this many are dropped.
const UNCERTAIN_TOKENS: usize = 3;

/// A window of fewer tokens has long ones, as in a run of spaces, for which backtracking is faster.
const MIN_WINDOW_TOKENS: usize = 12;

/// How often an earlier start is tried for a window that does not connect to the one before it.
const MAX_RETRIES: usize = 3;

/// Merges a long pre-token window by window. Each begins with the tokens that were uncertain in the one before. A window
/// that does not connect to the one before is begun earlier; if that does not help, the whole is encoded by backtracking.
fn merge_in_windows(pretoken: &[u8], out: &mut Vec<u32>) {
    let out_start = out.len();
    let mut start = WindowStart { at: 0, token: NO_TOKEN };
    let (mut furthest, mut retries) = (0, 0);
    loop {
        let mut window = MergeWindow::empty();
        window.fill(pretoken, start.at);
        window.merge();
        let is_last = window.end == pretoken.len();
        let certain = certain_tokens(window.count(), is_last);
        let before = out.get(out_start..).and_then(<[u32]>::last);
        if before.is_none_or(|&before| start.connects(before, window.first_token())) && certain > 0 {
            out.extend(window.tokens().take(certain));
            if is_last {
                return;
            }
            start.move_behind(&window, certain);
        }
        if start.at > furthest {
            (furthest, retries) = (start.at, 0);
            continue;
        }
        retries += 1;
        let undone = 4 * retries;
        if retries > MAX_RETRIES || out.len() - out_start <= undone {
            out.truncate(out_start);
            backtrack(pretoken, out);
            return;
        }
        start.step_back(undone, out);
    }
}

/// How many tokens of a window are kept.
#[inline(always)]
fn certain_tokens(count: usize, is_last: bool) -> usize {
    if is_last {
        count
    } else if count < MIN_WINDOW_TOKENS {
        0
    } else {
        count - UNCERTAIN_TOKENS
    }
}

/// Where the next window begins.
struct WindowStart {
    at: usize,
    /// The token that stood there in the window before, or [`NO_TOKEN`].
    token: u32,
}

impl WindowStart {
    /// Whether a window's first token can follow `before`. The token that followed it in the window before always can.
    #[inline(always)]
    fn connects(&self, before: u32, first: u32) -> bool {
        first == self.token || is_stable_pair(before, first)
    }

    /// Moves behind the first `count` tokens of a window that has more.
    #[inline(always)]
    fn move_behind(&mut self, window: &MergeWindow, count: usize) {
        let rest = window.tokens().skip(count);
        self.at = window.end - rest.clone().map(token_length).sum::<usize>();
        self.token = rest.clone().next().unwrap_or(NO_TOKEN);
    }

    /// Takes tokens back, and moves before them.
    fn step_back(&mut self, count: usize, out: &mut Vec<u32>) {
        for id in out.drain(out.len() - count..).rev() {
            self.token = id;
            self.at -= token_length(id);
        }
    }
}

/// Appends the ids of a pre-token: at each place the longest token that forms a stable pair with the one before. Where no
/// token does, the one before is taken back, and its end is marked as a dead end.
///
/// Linear in the pre-token: each place becomes a dead end at most once, and few tokens are prefixes of another one.
fn backtrack(pretoken: &[u8], out: &mut Vec<u32>) {
    let out_start = out.len();
    let mut dead_ends = vec![0_u64; pretoken.len() / 64 + 1];
    let mut verdicts = Verdicts::new(pretoken.len());
    let mut at = 0;
    let mut candidate = vocabulary::longest_prefix(pretoken);
    // The longest token at `at`, or `NO_TOKEN` where it was not looked up.
    let mut longest = candidate;
    while candidate != NO_TOKEN {
        let end = at + token_length(candidate);
        let before = out.get(out_start..).and_then(<[u32]>::last).copied();
        let is_open = dead_ends[end / 64] >> (end % 64) & 1 == 0;
        if is_open && before.is_none_or(|before| verdicts.is_stable_pair(before, candidate)) {
            out.push(candidate);
            // Within a run the longest token is the same at each place.
            let ahead = |at: usize| pretoken.get(at..).and_then(<[u8]>::first_chunk::<MAX_TOKEN_BYTES>);
            let is_run = longest != NO_TOKEN && ahead(end).is_some() && ahead(at) == ahead(end);
            at = end;
            if !is_run {
                longest = vocabulary::longest_prefix(pretoken.get(at..).unwrap_or_default());
            }
            candidate = longest;
            continue;
        }
        candidate = vocabulary::longest_proper_prefix(candidate);
        if let (NO_TOKEN, Some(before)) = (candidate, before) {
            dead_ends[at / 64] |= 1 << (at % 64);
            out.pop();
            at -= token_length(before);
            candidate = before;
            longest = NO_TOKEN;
        }
    }
}

/// Recent results of [`is_stable_pair`], in a hash table whose slots are overwritten. In a long run of one character the
/// same few hundred pairs are asked for again and again.
struct Verdicts(Vec<Verdict>);

#[derive(Clone, Copy)]
struct Verdict {
    left: u32,
    right: u32,
    is_stable: bool,
}

impl Verdicts {
    /// From this length on a large table is worth its memory.
    const MIN_BYTES_FOR_LARGE_TABLE: usize = 2048;

    fn new(pretoken_bytes: usize) -> Verdicts {
        let slots = if pretoken_bytes < Self::MIN_BYTES_FOR_LARGE_TABLE { 16 } else { 2048 };
        Verdicts(vec![Verdict { left: NO_TOKEN, right: NO_TOKEN, is_stable: false }; slots])
    }

    fn is_stable_pair(&mut self, left: u32, right: u32) -> bool {
        let hash = left.wrapping_mul(31) ^ right.wrapping_mul(0x9e37_79b1) >> 16;
        let slot = hash as usize % self.0.len();
        let verdict = &mut self.0[slot];
        if verdict.left != left || verdict.right != right {
            *verdict = Verdict { left, right, is_stable: is_stable_pair(left, right) };
        }
        verdict.is_stable
    }
}

#[inline(always)]
fn token_length(id: u32) -> usize {
    vocabulary::token_bytes(id).map_or(0, <[u8]>::len)
}

/// Whether two tokens are the encoding of their joined bytes.
///
/// They are unless something merges across their border on the way. So the merges that made the two are undone, the last
/// one first. Each step gives the tokens that stood at the border while merges into `limit` and above were still to come;
/// if these two merge into a token below `limit`, that merge would have come first. Of equal ids the left merge comes
/// first, hence the `+ 1` for a right token.
fn is_stable_pair(mut left: u32, mut right: u32) -> bool {
    let mut limit = NO_TOKEN;
    loop {
        if vocabulary::merge(left, right) < limit {
            return false;
        }
        let inner_left = vocabulary::merge_parents(left).1;
        let inner_right = vocabulary::merge_parents(right).0;
        match (inner_left == left, inner_right == right) {
            (true, true) => return true,
            (false, is_byte) if is_byte || left > right => (left, limit) = (inner_left, left),
            _ => (right, limit) = (inner_right, right + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition of byte pair encoding, without any shortcut.
    fn encode_by_definition(pretoken: &[u8]) -> Vec<u32> {
        let mut starts: Vec<usize> = (0..=pretoken.len()).collect();
        loop {
            let joined =
                starts.windows(3).map(|span| vocabulary::lookup(&pretoken[span[0]..span[2]])).enumerate();
            match joined.min_by_key(|(_, id)| *id) {
                Some((at, id)) if id != NO_TOKEN => _ = starts.remove(at + 1),
                _ => {
                    return starts
                        .windows(2)
                        .map(|span| vocabulary::lookup(&pretoken[span[0]..span[1]]))
                        .collect();
                }
            }
        }
    }

    fn backtracked(pretoken: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        backtrack(pretoken, &mut ids);
        ids
    }

    fn in_windows(pretoken: &[u8]) -> Vec<u32> {
        let mut ids = vec![NO_TOKEN];
        merge_in_windows(pretoken, &mut ids);
        ids.split_off(1)
    }

    fn in_one_window(pretoken: &[u8]) -> Vec<u32> {
        let mut window = MergeWindow::empty();
        window.fill(pretoken, 0);
        window.merge();
        let (tokens, mut ids) = (window.tokens().collect(), Vec::new());
        encode_short(TokenKey::of(pretoken), &mut ids);
        assert_eq!(ids, tokens, "{pretoken:?}");
        tokens
    }

    #[test]
    fn every_token_encodes_to_itself() {
        for id in 0..vocabulary::FIRST_SPECIAL_ID {
            let token = vocabulary::token_bytes(id).expect("a token");
            assert_eq!(backtracked(token), [id]);
            assert_eq!(in_windows(token), [id]);
            if token.len() <= 16 {
                assert_eq!(in_one_window(token), [id]);
            }
        }
    }

    #[test]
    fn up_to_four_bytes_merge_as_in_a_window() {
        let merged = |bytes: &[u8]| {
            let mut window = MergeWindow::empty();
            window.fill(bytes, 0);
            window.merge();
            window.tokens().collect::<Vec<_>>()
        };
        let check = |bytes: &[u8]| {
            let mut ids = Vec::new();
            encode(bytes, &mut ids);
            assert_eq!(ids, merged(bytes), "{bytes:?}");
        };
        for first in 0..0x80_u8 {
            for second in 0..0x80 {
                check(&[first, second]);
                (0..0x80).for_each(|third| check(&[first, second, third]));
            }
        }
        // Every 97th of all four bytes.
        for number in (0..0x80_u32.pow(4)).step_by(97) {
            check(&[0, 7, 14, 21].map(|shift| (number >> shift & 0x7f) as u8));
        }
    }

    /// Each character that is a token, beside characters whose bytes might merge with parts of it.
    #[test]
    fn whole_characters_merge_as_their_bytes_do() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let texts = (0..vocabulary::FIRST_SPECIAL_ID)
            .filter_map(|id| std::str::from_utf8(vocabulary::token_bytes(id)?).ok());
        let characters: Vec<char> = texts
            .filter_map(|text| {
                let mut characters = text.chars();
                characters.next().filter(|c| !c.is_ascii() && characters.next().is_none())
            })
            .collect();
        assert!(characters.len() > 5000);
        for &c in &characters {
            for _ in 0..40 {
                let mut near = || {
                    let block = (c as u32 & !0x7f) + random(128) as u32;
                    let any = characters[random(characters.len())];
                    [char::from_u32(block).unwrap_or(any), any, ' ', '-', 'p', '\n', 'i'][random(7)]
                };
                let text = String::from_iter([near(), near(), c, near(), near()]);
                assert_eq!(in_windows(text.as_bytes()), encode_by_definition(text.as_bytes()), "{text:?}");
            }
        }
    }

    #[test]
    fn runs_within_a_pretoken_follow_the_definition() {
        let check = |before: &str, byte: u8, length: usize, behind: &str| {
            let run = char::from(byte).to_string().repeat(length);
            let pretoken = [before, &run, behind].concat();
            let expected = encode_by_definition(pretoken.as_bytes());
            assert_eq!(in_windows(pretoken.as_bytes()), expected, "{pretoken:?}");
        };
        for byte in 0..0x80 {
            for before in ["", " ", "+", "  ", "é", "(\""] {
                for behind in ["", "\n", "+", "\"", "中"] {
                    for length in [4, 5, 6, 7, 8, 11, 15, 16, 31, 45] {
                        check(before, byte, length, behind);
                    }
                }
            }
            for other in 0..0x80 {
                let other = char::from(other).to_string();
                check(&other, byte, 7, &other);
                check(&other.repeat(2), byte, 8, &other.repeat(2));
            }
            check("|", byte, 200, "|");
        }
    }

    #[test]
    fn full_window_with_one_merge_is_exact() {
        let apart = |left: u8, right: u8| {
            vocabulary::merge(vocabulary::byte_token(left), vocabulary::byte_token(right)) == NO_TOKEN
        };
        let mut pretoken = b"th".to_vec();
        while pretoken.len() < 64 {
            let last = pretoken[pretoken.len() - 1];
            pretoken.push((b'!'..=b'~').rev().find(|&byte| apart(last, byte)).expect("one of them"));
            assert_eq!(in_windows(&pretoken), encode_by_definition(&pretoken), "{pretoken:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn all_methods_follow_the_definition(
            pretoken in "[a-z]{2,120}|[\u{4e00}-\u{4fff}]{1,40}|[ab]{2,90}|\\PC{1,50}|[ \t]{2,90}|[а-я]{2,90}|[-=_*# ]{2,90}"
        ) {
            let bytes = pretoken.as_bytes();
            let expected = encode_by_definition(bytes);
            if bytes.len() <= 16 {
                prop_assert_eq!(&in_one_window(bytes), &expected);
            }
            prop_assert_eq!(&in_windows(bytes), &expected);
            prop_assert_eq!(&backtracked(bytes), &expected);
        }

        #[test]
        fn pretoken_may_begin_inside_a_character(text in "\\PC{4,90}|[а-я]{4,90}|[\u{4e00}-\u{4fff}]{4,60}", skipped in 0_usize..4) {
            let pretoken = &text.as_bytes()[skipped..];
            let expected = encode_by_definition(pretoken);
            prop_assert_eq!(&in_windows(pretoken), &expected);
            prop_assert_eq!(&backtracked(pretoken), &expected);
        }
    }
}
