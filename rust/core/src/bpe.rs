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

/// Parts as a linked list over the bytes, and a heap of the pairs. An entry is a pair's id and where it begins, in
/// one number, so that the lowest is the next to join; it is stale if another pair begins there by now.
///
/// Positions are 32 bits wide: a piece of 4 GiB is cut, and no text has one.
fn heap(piece: &[u8], out: &mut Vec<u32>) {
    for piece in piece.chunks(u32::MAX as usize - 1) {
        List::new(piece).join(out);
    }
}

struct List<'a> {
    piece: &'a [u8],
    /// For each part, at its first byte: where it ends.
    ends: Vec<u32>,
    /// Where the part before it begins.
    before: Vec<u32>,
    /// The token that it makes with the part behind it.
    pairs: Vec<u32>,
    queue: BinaryHeap<Reverse<u64>>,
}

impl<'a> List<'a> {
    fn new(piece: &'a [u8]) -> List<'a> {
        let length = piece.len() as u32;
        let pairs: Vec<u32> =
            piece.windows(2).map(|pair| vocab::pair(pair[0], pair[1])).chain(std::iter::once(NONE)).collect();
        let entries = (0..).zip(&pairs).filter(|(_, id)| **id != NONE);
        let queue = entries.map(|(at, id)| Reverse(u64::from(*id) << 32 | at)).collect();
        List {
            piece,
            ends: (1..=length).collect(),
            before: (0..length).map(|at| at.wrapping_sub(1)).collect(),
            pairs,
            queue,
        }
    }

    fn join(mut self, out: &mut Vec<u32>) {
        while let Some(Reverse(entry)) = self.queue.pop() {
            let (id, start) = ((entry >> 32) as u32, entry as u32);
            if self.pairs[start as usize] != id {
                continue;
            }
            let middle = self.ends[start as usize];
            let end = self.ends[middle as usize];
            self.ends[start as usize] = end;
            self.pairs[middle as usize] = NONE;
            self.pair(start, end);
            if let Some(before) = self.before.get_mut(end as usize) {
                *before = start;
            }
            if start > 0 {
                self.pair(self.before[start as usize], start);
            }
        }
        let mut at = 0;
        while at < self.piece.len() {
            let end = self.ends[at] as usize;
            out.push(token(self.piece, at, end));
            at = end;
        }
    }

    /// Looks up the pair of the part that begins at `start` and the one at `middle`.
    fn pair(&mut self, start: u32, middle: u32) {
        let end = self.ends.get(middle as usize);
        let id = end.map_or(NONE, |end| token(self.piece, start as usize, *end as usize));
        self.pairs[start as usize] = id;
        if id != NONE {
            self.queue.push(Reverse(u64::from(id) << 32 | u64::from(start)));
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
