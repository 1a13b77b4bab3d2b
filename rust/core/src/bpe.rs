//! One piece of text to ids: byte pair encoding.
//!
//! Most pieces are tokens, so the whole piece is looked up first. The others are merged: of all neighbouring parts
//! whose joined bytes are a token, the pair with the lowest id is joined, the leftmost of several, until none is left.
//! Short pieces search for the lowest pair anew each time, which no bookkeeping beats; long ones keep the pairs in
//! a heap, so that the worst case is n log n: a million letters without a break take no longer per byte than a page.

use crate::vocab::{self, NONE};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Pieces up to this many bytes are searched. Measured on words, code and CJK: above, the heap is faster.
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
    if length <= SEARCHED { search(piece, out) } else { heap(piece, out) }
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

/// Parts as a linked list over the bytes, and a heap of the pairs. An entry is stale if its parts have changed since.
fn heap(piece: &[u8], out: &mut Vec<u32>) {
    let length = piece.len();
    // The end of the part that begins here, and where the part before it begins; a part that was joined has none.
    let mut ends: Vec<usize> = (1..=length).collect();
    let mut before: Vec<usize> = (0..length).map(|at| at.wrapping_sub(1)).collect();
    let mut pairs = BinaryHeap::with_capacity(length);
    for (at, window) in piece.windows(2).enumerate() {
        if let [first, second] = window {
            let id = vocab::pair(*first, *second);
            if id != NONE {
                pairs.push(Reverse((id, at, at + 2)));
            }
        }
    }
    while let Some(Reverse((_, start, end))) = pairs.pop() {
        let middle = ends[start];
        if middle == 0 || middle >= length || ends[middle] != end {
            continue;
        }
        ends[start] = end;
        ends[middle] = 0;
        if end < length {
            before[end] = start;
            push(piece, start, ends[end], &mut pairs);
        }
        if start > 0 {
            push(piece, before[start], end, &mut pairs);
        }
    }
    let mut at = 0;
    while at < length {
        out.push(token(piece, at, ends[at]));
        at = ends[at];
    }
}

fn push(piece: &[u8], start: usize, end: usize, pairs: &mut BinaryHeap<Reverse<(u32, usize, usize)>>) {
    let id = token(piece, start, end);
    if id != NONE {
        pairs.push(Reverse((id, start, end)));
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

    proptest! {
        #[test]
        fn both_ways_follow_the_definition(piece in "[a-z]{2,120}|[\u{4e00}-\u{4fff}]{1,40}|[ab]{2,90}|\\PC{1,50}") {
            let bytes = piece.as_bytes();
            let (mut searched, mut heaped) = (Vec::new(), Vec::new());
            if bytes.len() <= SEARCHED {
                search(bytes, &mut searched);
                prop_assert_eq!(&searched, &plain(bytes));
            }
            heap(bytes, &mut heaped);
            prop_assert_eq!(&heaped, &plain(bytes));
        }
    }
}
