//! One piece of text to ids: byte pair encoding, exactly as the definition has it, in the fewest steps.
//!
//! The definition: of all neighbouring parts whose joined bytes are a token, the pair with the lowest id is joined, the
//! leftmost of several, until none is left. What is done instead, and why it gives the same:
//!
//! **A token is the merge of one pair.** Inside the bytes of a token the same merges come in the same order wherever it
//! stands, so two parts join exactly if *they* are the pair that their token was made of. A merge is a look at two ids,
//! not at bytes.
//!
//! **One token.** A piece that is a token is that token. Nine pieces of ten are.
//!
//! **Neighbours decide.** Tokens are the encoding of their joined bytes exactly if each two neighbours are the encoding
//! of theirs: a merge across a border would have to happen between two of them first. Whether two are, their own
//! merges tell ([`are_neighbours`]).
//!
//! **A few bytes.** Of up to four, each order of merges is written down ([`merge_few`]). With more of them, the lowest
//! merges come first, from a small table of their own (`window.rs`).
//!
//! **Units.** Merging may begin with whole characters instead of bytes wherever no merge can join a part of the character
//! to what stands beside it before the character itself is complete. Let a part that the character's own merges make
//! at its edge be used up by the merge `k`. It could be joined across the edge only by a merge lower than `k`
//! that takes this part on this side; the build looks for such merges, and notes by which bytes beside it a
//! character must be taken apart ([`vocabulary::unit`]). Of Chinese and Japanese prose 98 characters of 100 stay whole.
//!
//! **Low ids first.** Merges of low ids are looked for in a small table before all others are (`window.rs`).
//!
//! **Windows.** A long piece is merged in windows of 62 units, each beginning a few tokens before the end of the last.
//! If the first token of a window is the one that stood there before, or can be a neighbour of the one before it, all
//! neighbours fit, and so the whole is exact.
//!
//! **Worst case.** Where windows do not fit together, as in long runs of one character, the piece is walked with the
//! longest tokens that fit ([`walk`]), which is linear. A window costs at most 61 merges and three more tries, so all of
//! it is linear in the text, in time and in memory.

mod merge_window;

use crate::tokenizer::vocabulary::{self, Key, NONE};
use merge_window::Window;

/// Appends the ids of a piece.
pub(crate) fn encode(piece: &[u8], out: &mut Vec<u32>) {
    if piece.len() <= 16 {
        encode_short(Key::new(&vocabulary::chunk(piece), piece.len()), out);
    } else {
        encode_long(piece, out);
    }
}

/// Appends the ids of a piece of up to 16 bytes.
#[inline(never)]
pub(crate) fn encode_short(key: Key, out: &mut Vec<u32>) {
    let id = vocabulary::lookup_key(key);
    if id != NONE {
        out.push(id);
    } else if key.length <= 4 && key.first & 0x8080_8080 == 0 {
        merge_few((key.first as u32).to_le_bytes(), key.length, out);
    } else {
        let mut window = Window::<32>::empty();
        window.fill_short(key.first, key.second, key.length);
        window.merge();
        window.tokens().for_each(|id| out.push(id));
    }
}

/// Appends what two to four bytes of ASCII become that are no token. Of so few each order of merges can be written down;
/// the last merge is not looked for, as it would make a token of them all. Of equal ones the left comes first.
#[inline(always)]
fn merge_few(bytes: [u8; 4], length: usize, out: &mut Vec<u32>) {
    let [a, b, c, d] = bytes.map(vocabulary::single);
    let pair = |at: usize| vocabulary::ascii_pair(bytes[at], bytes[at + 1]);
    let (ab, bc) = (pair(0), pair(1));
    match length {
        2 => out.extend_from_slice(&[a, b]),
        3 if ab == NONE && bc == NONE => out.extend_from_slice(&[a, b, c]),
        3 if ab <= bc => out.extend_from_slice(&[ab, c]),
        3 => out.extend_from_slice(&[a, bc]),
        _ => {
            let cd = pair(2);
            if ab.min(bc).min(cd) == NONE {
                out.extend_from_slice(&[a, b, c, d]);
            } else if ab <= bc && ab <= cd {
                match vocabulary::merge(ab, c) {
                    abc if cd < abc => out.extend_from_slice(&[ab, cd]),
                    NONE => out.extend_from_slice(&[ab, c, d]),
                    abc => out.extend_from_slice(&[abc, d]),
                }
            } else if bc <= cd {
                match (vocabulary::merge(a, bc), vocabulary::merge(bc, d)) {
                    (NONE, NONE) => out.extend_from_slice(&[a, bc, d]),
                    (abc, bcd) if abc < bcd => out.extend_from_slice(&[abc, d]),
                    (_, bcd) => out.extend_from_slice(&[a, bcd]),
                }
            } else {
                match vocabulary::merge(b, cd) {
                    bcd if ab < bcd => out.extend_from_slice(&[ab, cd]),
                    NONE => out.extend_from_slice(&[a, b, cd]),
                    bcd => out.extend_from_slice(&[a, bcd]),
                }
            }
        }
    }
}

/// Appends the ids of a longer piece.
#[inline(never)]
pub(crate) fn encode_long(piece: &[u8], out: &mut Vec<u32>) {
    let id = vocabulary::lookup_long(piece);
    if id != NONE {
        out.push(id);
    } else if repeats(piece) {
        walk(piece, out);
    } else {
        windows(piece, out);
    }
}

/// Whether a piece begins with a run of one character: such runs are walked faster than merged.
fn repeats(piece: &[u8]) -> bool {
    let from = |at| piece.get(at..).and_then(<[u8]>::first_chunk::<60>);
    (1..=4).any(|period| from(period).is_some() && from(0) == from(period))
}

/// A window is merged as if it were alone, so that its last tokens are not to be trusted: this many.
const DOUBTFUL: usize = 3;

/// Fewer tokens in a window are long ones, as in a run of spaces: walking makes them without merging.
const FEW: usize = 12;

/// How often windows are tried that begin earlier, where one does not fit, before the piece is walked.
const TRIES: usize = 3;

/// Merges a piece window by window. Each begins with the tokens that were doubtful in the one before.
fn windows(piece: &[u8], out: &mut Vec<u32>) {
    let (mut at, start, mut expected) = (0, out.len(), NONE);
    let (mut furthest, mut tries) = (0, 0);
    loop {
        let mut window = Window::<64>::empty();
        window.fill(piece, at);
        window.merge();
        let last = window.end == piece.len();
        let count = window.count();
        let sure =
            if last { count } else { count.checked_sub(DOUBTFUL).filter(|_| count >= FEW).unwrap_or(0) };
        // Two neighbours from one window are neighbours; others have to be asked.
        let before = out.get(start..).and_then(<[u32]>::last);
        let fits =
            before.is_none_or(|&before| window.first() == expected || are_neighbours(before, window.first()));
        if fits && sure > 0 {
            for (number, id) in window.tokens().enumerate() {
                if number == sure {
                    expected = id;
                    break;
                }
                out.push(id);
                at += length_of(id);
            }
            if last {
                return;
            }
        }
        if at > furthest {
            (furthest, tries) = (at, 0);
            continue;
        }
        tries += 1;
        let back = 4 * tries;
        if tries > TRIES || out.len() - start <= back {
            out.truncate(start);
            walk(piece, out);
            return;
        }
        at -= out
            .drain(out.len() - back..)
            .rev()
            .map(|id| {
                expected = id;
                length_of(id)
            })
            .sum::<usize>();
    }
}

/// The longest tokens that fit together, taking back those behind which nothing fits.
///
/// Tokens are the encoding of their joined bytes exactly if each two neighbours are the encoding of theirs. So the
/// text is walked with the longest token that fits its neighbour; where none does, the token before is taken back,
/// and its end is marked as one from which there is no way on. Each end is marked once, and a token has few
/// prefixes: the walk is linear, whatever the text.
fn walk(piece: &[u8], out: &mut Vec<u32>) {
    let start = out.len();
    let mut dead = vec![0_u64; piece.len() / 64 + 1];
    let mut known = vec![Verdict::NONE; if piece.len() < LONG { 16 } else { KNOWN }];
    let mut at = 0;
    let mut next = vocabulary::longest(piece);
    // The longest token at `at`, if it is known.
    let mut longest = next;
    while next != NONE {
        let end = at + length_of(next);
        let before = out.get(start..).and_then(<[u32]>::last).copied();
        let open = dead[end / 64] >> (end % 64) & 1 == 0;
        if open && before.is_none_or(|before| look_up_neighbours(before, next, &mut known)) {
            out.push(next);
            // In a run the same is found again and again.
            let ahead = |at: usize| piece.get(at..).and_then(<[u8]>::first_chunk::<{ vocabulary::LONGEST }>);
            let same = longest != NONE && ahead(end).is_some() && ahead(at) == ahead(end);
            at = end;
            next = if same { longest } else { vocabulary::longest(piece.get(at..).unwrap_or_default()) };
            longest = next;
            continue;
        }
        next = vocabulary::prefix(next);
        if let (NONE, Some(before)) = (next, before) {
            dead[at / 64] |= 1 << (at % 64);
            out.pop();
            at -= length_of(before);
            next = before;
            longest = NONE;
        }
    }
}

/// Whether two tokens can be neighbours, as it was found before.
#[derive(Clone, Copy)]
struct Verdict {
    left: u32,
    right: u32,
    fits: bool,
}

impl Verdict {
    const NONE: Verdict = Verdict { left: NONE, right: NONE, fits: false };
}

/// How many verdicts are kept. In a long run of one character the same few hundred pairs are asked for again and again.
const KNOWN: usize = 2048;

/// From this many bytes on it is worth to keep them.
const LONG: usize = 2048;

fn look_up_neighbours(left: u32, right: u32, known: &mut [Verdict]) -> bool {
    let slot = (left.wrapping_mul(31) ^ right.wrapping_mul(0x9e37_79b1) >> 16) as usize % known.len();
    if known[slot].left != left || known[slot].right != right {
        known[slot] = Verdict { left, right, fits: are_neighbours(left, right) };
    }
    known[slot].fits
}

#[inline(always)]
fn length_of(id: u32) -> usize {
    vocabulary::token_bytes(id).map_or(0, <[u8]>::len)
}

/// Whether two tokens stay as they are when their joined bytes are encoded.
///
/// They do not if something merges across their border on the way. So the merges that made the two are undone, the
/// last one first: each step gives the tokens that stood at the border when merges of `limit` and above were still
/// to come, and a merge of these two below `limit` would have come first. Of equal ones the left comes first, which
/// the `+ 1` of a right token says.
fn are_neighbours(mut left: u32, mut right: u32) -> bool {
    let mut limit = NONE;
    loop {
        if vocabulary::merge(left, right) < limit {
            return false;
        }
        let (inner_left, inner_right) = (vocabulary::halves(left).1, vocabulary::halves(right).0);
        match (inner_left == left, inner_right == right) {
            (true, true) => return true,
            (false, whole) if whole || left > right => (left, limit) = (inner_left, left),
            _ => (right, limit) = (inner_right, right + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(piece: &[u8]) -> u32 {
        vocabulary::lookup(piece)
    }

    /// The definition, with nothing done to make it fast.
    fn plain(piece: &[u8]) -> Vec<u32> {
        let mut starts: Vec<usize> = (0..=piece.len()).collect();
        loop {
            let joined = starts.windows(3).map(|place| token(&piece[place[0]..place[2]])).enumerate();
            match joined.min_by_key(|(_, id)| *id) {
                Some((at, id)) if id != NONE => _ = starts.remove(at + 1),
                _ => return starts.windows(2).map(|place| token(&piece[place[0]..place[1]])).collect(),
            }
        }
    }

    fn walked(piece: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        walk(piece, &mut ids);
        ids
    }

    fn in_windows(piece: &[u8]) -> Vec<u32> {
        let mut ids = vec![NONE];
        windows(piece, &mut ids);
        ids.split_off(1)
    }

    fn in_one(piece: &[u8]) -> Vec<u32> {
        let mut window = Window::<32>::empty();
        window.fill(piece, 0);
        window.merge();
        let (tokens, mut ids) = (window.tokens().collect(), Vec::new());
        encode_short(Key::new(&vocabulary::chunk(piece), piece.len()), &mut ids);
        assert_eq!(ids, tokens, "{piece:?}");
        tokens
    }

    #[test]
    fn every_token_is_merged_to_itself() {
        for id in 0..vocabulary::FIRST_SPECIAL {
            let token = vocabulary::token_bytes(id).expect("a token");
            assert_eq!(walked(token), [id]);
            assert_eq!(in_windows(token), [id]);
            if token.len() <= 16 {
                assert_eq!(in_one(token), [id]);
            }
        }
    }

    #[test]
    fn few_bytes_are_merged_as_many_are() {
        let merged = |bytes: &[u8]| {
            let mut window = Window::<32>::empty();
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

    /// The parts of characters are where units could go wrong: each character that is a token, beside others.
    #[test]
    fn units_change_nothing() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let texts = (0..vocabulary::FIRST_SPECIAL)
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
                assert_eq!(in_windows(text.as_bytes()), plain(text.as_bytes()), "{text:?}");
            }
        }
    }

    #[test]
    fn a_full_window_may_have_one_merge() {
        let apart = |left: u8, right: u8| {
            vocabulary::merge(vocabulary::single(left), vocabulary::single(right)) == NONE
        };
        let mut piece = b"th".to_vec();
        while piece.len() < 64 {
            let last = piece[piece.len() - 1];
            piece.push((b'!'..=b'~').rev().find(|&byte| apart(last, byte)).expect("one of them"));
            assert_eq!(in_windows(&piece), plain(&piece), "{piece:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn all_ways_follow_the_definition(
            piece in "[a-z]{2,120}|[\u{4e00}-\u{4fff}]{1,40}|[ab]{2,90}|\\PC{1,50}|[ \t]{2,90}|[а-я]{2,90}|[-=_*# ]{2,90}"
        ) {
            let bytes = piece.as_bytes();
            let expected = plain(bytes);
            if bytes.len() <= 16 {
                prop_assert_eq!(&in_one(bytes), &expected);
            }
            prop_assert_eq!(&in_windows(bytes), &expected);
            prop_assert_eq!(&walked(bytes), &expected);
        }

        #[test]
        fn a_piece_may_begin_inside_a_character(text in "\\PC{4,90}|[а-я]{4,90}|[\u{4e00}-\u{4fff}]{4,60}", skipped in 0_usize..4) {
            let piece = &text.as_bytes()[skipped..];
            let expected = plain(piece);
            prop_assert_eq!(&in_windows(piece), &expected);
            prop_assert_eq!(&walked(piece), &expected);
        }
    }
}
