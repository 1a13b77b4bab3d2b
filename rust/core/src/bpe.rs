//! One piece of text to ids: byte pair encoding.
//!
//! Most pieces are tokens, so the whole piece is looked up first. The others are merged: of all neighbouring parts
//! whose joined bytes are a token, the pair with the lowest id is joined, the leftmost of several, until none is left.
//! Short pieces search for the lowest pair anew each time, which no bookkeeping beats; long ones are walked with the
//! longest tokens that fit together, which is linear: a million letters without a break take no longer per byte than
//! a page.

use crate::vocab::{self, NONE};

/// Pieces up to this many bytes are searched. Measured on words, code and CJK.
const SEARCHED: usize = 96;

/// Appends the ids of the piece `text[..length]`.
#[inline]
pub(crate) fn encode(text: &[u8], length: usize, out: &mut Vec<u32>) {
    let id = vocab::lookup(text, length);
    if id == NONE {
        merge(text, length, out);
    } else {
        out.push(id);
    }
}

#[inline(never)]
fn merge(text: &[u8], length: usize, out: &mut Vec<u32>) {
    let piece = text.get(..length).unwrap_or_default();
    if length <= SEARCHED { search(piece, out) } else { walk(piece, out) }
}

/// The token of `piece[from..to]`, or [`NONE`].
#[inline]
fn token(piece: &[u8], from: usize, to: usize) -> u32 {
    match piece.get(from..) {
        Some(rest) if to <= piece.len() => vocab::lookup(rest, to - from),
        _ => NONE,
    }
}

/// Parts as where they begin, each with the token that it makes with the part behind it.
fn search(piece: &[u8], out: &mut Vec<u32>) {
    let mut starts = [0_u8; SEARCHED + 2];
    let mut pairs = [NONE; SEARCHED + 2];
    let mut count = piece.len();
    for (at, window) in piece.windows(2).enumerate() {
        starts[at] = at as u8;
        pairs[at] = match window {
            [first, second] => vocab::pair(*first, *second),
            _ => NONE,
        };
    }
    starts[count - 1] = (count - 1) as u8;
    starts[count] = count as u8;
    loop {
        let mut best = (NONE, 0);
        for (at, &pair) in pairs[..count - 1].iter().enumerate() {
            if pair < best.0 {
                best = (pair, at);
            }
        }
        let (lowest, at) = best;
        if lowest == NONE {
            break;
        }
        // A loop, because a call to move so few bytes takes longer than moving them.
        for part in at + 1..count {
            starts[part] = starts[part + 1];
            pairs[part - 1] = pairs[part];
        }
        count -= 1;
        let start = |part: usize| usize::from(starts[part]);
        pairs[at] = if at + 1 < count { token(piece, start(at), start(at + 2)) } else { NONE };
        if at > 0 {
            pairs[at - 1] = token(piece, start(at - 1), start(at + 1));
        }
    }
    for window in starts[..=count].windows(2) {
        if let [from, to] = window {
            out.push(token(piece, usize::from(*from), usize::from(*to)));
        }
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
    let mut next = vocab::longest(piece);
    while next != NONE {
        let end = at + length_of(next);
        let before = out.get(start..).and_then(<[u32]>::last).copied();
        let open = dead[end / 64] >> (end % 64) & 1 == 0;
        if open && before.is_none_or(|before| look_up_neighbours(piece, at, before, next, &mut known)) {
            out.push(next);
            at = end;
            next = vocab::longest(piece.get(at..).unwrap_or_default());
            continue;
        }
        next = vocab::prefix(next);
        if let (NONE, Some(before)) = (next, before) {
            dead[at / 64] |= 1 << (at % 64);
            out.pop();
            at -= length_of(before);
            next = before;
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

fn look_up_neighbours(piece: &[u8], border: usize, left: u32, right: u32, known: &mut [Verdict]) -> bool {
    let slot = (left.wrapping_mul(31) ^ right.wrapping_mul(0x9e37_79b1) >> 16) as usize % known.len();
    if known[slot].left != left || known[slot].right != right {
        known[slot] = Verdict { left, right, fits: are_neighbours(piece, border, left, right) };
    }
    known[slot].fits
}

fn length_of(id: u32) -> usize {
    vocab::token_bytes(id).map_or(0, <[u8]>::len)
}

/// Whether the tokens that meet at `border` stay as they are when their joined bytes are encoded.
///
/// They do not if something merges across the border on the way. So the merges that made the two are undone, the
/// last one first: each step gives the tokens that stood at the border when merges of `limit` and above were still
/// to come, and a merge of these two below `limit` would have come first. Of equal ones the left comes first, which
/// the `+ 1` of a right token says.
fn are_neighbours(piece: &[u8], border: usize, left: u32, right: u32) -> bool {
    let (mut left, mut right, mut limit) = (left, right, NONE);
    loop {
        let merged = token(piece, border - length_of(left), border + length_of(right));
        // A token is made by one merge only; other parts with the same bytes never stand side by side.
        if merged < limit && vocab::halves(merged) == (left, right) {
            return false;
        }
        let (inner_left, inner_right) = (vocab::halves(left).1, vocab::halves(right).0);
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

    /// The definition, with nothing done to make it fast.
    fn plain(piece: &[u8]) -> Vec<u32> {
        let mut parts: Vec<&[u8]> = piece.chunks(1).collect();
        let mut starts: Vec<usize> = (0..=piece.len()).collect();
        loop {
            let pairs = parts.windows(2).enumerate();
            let joined = pairs.map(|(at, _)| (token(piece, starts[at], starts[at + 2]), at));
            match joined.min() {
                Some((id, at)) if id != NONE => {
                    starts.remove(at + 1);
                    parts = starts.windows(2).map(|window| &piece[window[0]..window[1]]).collect();
                }
                _ => return parts.iter().map(|part| vocab::lookup(part, part.len())).collect(),
            }
        }
    }

    #[test]
    fn every_token_is_walked_in_one_step() {
        for id in 0..vocab::FIRST_SPECIAL {
            let mut walked = Vec::new();
            walk(vocab::token_bytes(id).expect("a token"), &mut walked);
            assert_eq!(walked, [id]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn both_ways_follow_the_definition(piece in "[a-z]{2,120}|[\u{4e00}-\u{4fff}]{1,40}|[ab]{2,90}|\\PC{1,50}") {
            let bytes = piece.as_bytes();
            let (mut searched, mut walked) = (Vec::new(), Vec::new());
            if bytes.len() <= SEARCHED {
                search(bytes, &mut searched);
                prop_assert_eq!(&searched, &plain(bytes));
            }
            walk(bytes, &mut walked);
            prop_assert_eq!(&walked, &plain(bytes));
        }
    }
}
