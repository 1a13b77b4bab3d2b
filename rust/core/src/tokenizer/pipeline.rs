//! From text to ids, in groups of pieces.
//!
//! Memory is far away, and to wait for it again and again is most of the work. So the pieces of a group are found first,
//! and of each is fetched what the cache may have; then those that it does not have are looked up in the vocabulary, all
//! of them fetched before the first is read, and learnt; then the ids of the whole group are written. Every step is
//! linear in the text, and what the cache holds is only what would be found again.

use super::bpe;
use super::pretoken_cache::{self, Cache, Packed};
use super::pretokenizer::block::{self, Last};
use super::pretokenizer::scalar;
use super::scratch::{self, Scratch};
use super::simd;
use super::vocabulary;

/// From so many pieces on, a group is worked on.
const FULL: usize = 192;

/// The most pieces of a group: a block is not left in its middle.
pub(super) const MOST: usize = FULL + simd::WIDTH;

// A piece's number in its group is a byte.
const _: () = assert!(MOST <= 256);

/// What is seen of a text at once: a block, and as much behind it as a piece's bytes need.
const VIEW: usize = simd::WIDTH + 16;

/// A piece of a text.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// Its bytes, if it is short; else where it is, and how long.
    piece: Packed,
    /// Where the cache has it; no line has a long piece.
    line: usize,
}

const NO_LINE: usize = usize::MAX;

impl Found {
    #[inline(always)]
    fn new(at: usize, length: usize, chunk: &[u8; 16]) -> Found {
        if length > pretoken_cache::LONGEST {
            return Found { piece: Packed { first: at as u64, second: length as u64 }, line: NO_LINE };
        }
        let piece = Packed::new(chunk, length);
        Found { piece, line: piece.line() }
    }

    fn is_short(self) -> bool {
        self.line != NO_LINE
    }

    /// Appends the ids of a piece that the cache does not keep.
    #[inline(never)]
    fn encode(self, text: &[u8], out: &mut Vec<u32>) {
        if self.is_short() {
            bpe::encode_short(self.piece.key(), out);
        } else {
            let (at, length) = (self.piece.first as usize, self.piece.second as usize);
            bpe::encode(text.get(at..at + length).unwrap_or_default(), out);
        }
    }
}

/// Finds the pieces of a text, and gives them in groups.
#[inline(always)]
fn groups(text: &[u8], mut each: impl FnMut(&mut Cache, &[Found], &mut [u32])) {
    let mut scratch = scratch::lend();
    let Scratch { memory, group, ids } = &mut *scratch;
    let cache = &mut memory.cache();
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        let mut padded = [0; VIEW];
        let left = text.get(at..).unwrap_or_default();
        let view = left.first_chunk().unwrap_or_else(|| {
            padded[..left.len()].copy_from_slice(left);
            &padded
        });
        let mut add = |from: usize, end: usize| {
            let chunk = view.get(from..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; 16]);
            let found = Found::new(at + from, end - from, chunk);
            cache.prefetch(found.line);
            group[count % MOST] = found;
            count += 1;
        };
        let (from, last) = whole_pieces(view, left.len(), &mut add);
        let end = match last {
            Last::Ends(end) => end,
            Last::Open if from > 0 => from,
            _ => scalar::next(text, at + from).end - at,
        };
        if end > from {
            add(from, end);
        }
        at += end;
        if count >= FULL {
            each(cache, &group[..count], ids);
            count = 0;
        }
    }
    each(cache, &group[..count], ids);
    scratch::put_back(scratch);
}

/// Gives the pieces at the beginning of a view whose ends it shows, and says where the next one begins.
#[inline(always)]
fn whole_pieces(view: &[u8; VIEW], left: usize, mut add: impl FnMut(usize, usize)) -> (usize, Last) {
    // What is not ASCII soon is walked at once: a block would show little of it.
    let near = view.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let Some(block) = view.first_chunk().filter(|_| near & 0x8080_8080_8080_8080 == 0) else {
        return (0, Last::Walk);
    };
    let starts = block::starts(block, left.min(simd::WIDTH), left <= simd::WIDTH);
    let (mut from, mut bits) = (0, starts.bits & (starts.bits - 1));
    while bits != 0 {
        let next = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        add(from, next);
        from = next;
    }
    (from, starts.last)
}

/// Encodes the short pieces that the cache does not know, and keeps what they become.
#[inline(never)]
fn learn(cache: &mut Cache, group: &[Found]) {
    let mut unknown = [0_u8; MOST];
    let mut count = 0;
    for (number, found) in group.iter().enumerate() {
        unknown[count % MOST] = number as u8;
        count += usize::from(found.is_short() && cache.get(found.line, found.piece).is_none());
    }
    let all = || unknown[..count].iter().filter_map(|&number| group.get(usize::from(number)));
    all().for_each(|found| vocabulary::prefetch(found.piece.key()));
    let mut ids = Vec::with_capacity(pretoken_cache::LONGEST);
    for found in all() {
        // It may be there twice.
        if cache.get(found.line, found.piece).is_none() {
            ids.clear();
            bpe::encode_short(found.piece.key(), &mut ids);
            cache.put(found.line, found.piece, &ids);
        }
    }
}

/// Writes the ids of pieces up to one that the cache does not have: how many pieces, and how many ids.
#[inline(always)]
fn write(cache: &Cache, group: &[Found], ids: &mut [u32]) -> (usize, usize) {
    let (mut done, mut count) = (0, 0);
    for found in group {
        let Some(tokens) = cache.get(found.line, found.piece) else { break };
        let Some(place) = ids.get_mut(count..).and_then(<[u32]>::first_chunk_mut) else { break };
        tokens.write(place);
        count += tokens.count();
        done += 1;
    }
    (done, count)
}

/// Gives the ids of a text, some at a time.
#[inline(always)]
fn encode(text: &[u8], mut give: impl FnMut(&[u32])) {
    let mut anew = Vec::new();
    groups(text, |cache, group, ids| {
        let (mut rest, mut learnt) = (group, false);
        loop {
            let (done, count) = write(cache, rest, ids);
            give(ids.get(..count).unwrap_or_default());
            rest = rest.get(done..).unwrap_or_default();
            let Some((found, behind)) = rest.split_first() else { return };
            if found.is_short() && !learnt {
                learn(cache, rest);
                learnt = true;
            } else {
                anew.clear();
                found.encode(text, &mut anew);
                give(&anew);
                rest = behind;
            }
        }
    });
}

/// Appends the ids of a text.
pub fn encode_into(text: &str, out: &mut Vec<u32>) {
    encode(text.as_bytes(), |ids| out.extend_from_slice(ids));
}

/// The number of ids of a text.
pub fn count(text: &str) -> usize {
    let mut number = 0;
    encode(text.as_bytes(), |ids| number += ids.len());
    number
}

/// How many pieces a text is split into, and how many of them the cache knows: the first steps of encoding alone, for
/// the benches.
pub fn steps(text: &str, look_up: bool) -> (usize, usize) {
    let (mut number, mut known) = (0, 0);
    groups(text.as_bytes(), |cache, group, _| {
        number += group.len();
        if look_up {
            known += group.iter().filter(|found| cache.get(found.line, found.piece).is_some()).count();
        }
    });
    (number, known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_groups(text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        groups(text.as_bytes(), |_, group, _| {
            for found in group {
                let length =
                    if found.is_short() { found.piece.key().length } else { found.piece.second as usize };
                ends.push(ends.last().unwrap_or(&0) + length);
            }
        });
        ends
    }

    fn walked(text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        while ends.last().unwrap_or(&0) < &text.len() {
            ends.push(scalar::next(text.as_bytes(), *ends.last().unwrap_or(&0)).end);
        }
        ends
    }

    /// One of each kind that the pattern tells apart in ASCII, and what contractions are made of.
    const KINDS: [&str; 13] = ["a", "s", "l", "R", "e", "1", " ", "\t", "\n", ".", "/", "'", "é"];

    #[test]
    fn blocks_split_every_short_text_as_it_is_walked() {
        for length in 1..=5_u32 {
            for number in 0..KINDS.len().pow(length) {
                let kind = |place: u32| KINDS[number / KINDS.len().pow(place) % KINDS.len()];
                let text: String = (0..length).map(kind).collect();
                assert_eq!(in_groups(&text), walked(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn blocks_split_every_text_at_their_border_as_it_is_walked() {
        for before in 54..=64 {
            for number in 0..KINDS.len().pow(4) {
                let kind = |place: u32| KINDS[number / KINDS.len().pow(place) % KINDS.len()];
                let words = &"and so on. ".repeat(6)[..before];
                let text: String = [words].into_iter().chain((0..4).map(kind)).chain([" go"]).collect();
                assert_eq!(in_groups(&text), walked(&text), "{text:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn blocks_split_as_texts_are_walked(
            parts in proptest::collection::vec(("[aslRre1 \t\n./'é\u{a0}中<>|_]{0,9}", "a{0,70}|\\PC{0,9}|[A-Za-z .,'\n]{0,30}|[ \n]{0,9}"), 0..12)
        ) {
            let text: String = parts.into_iter().flat_map(|(one, other)| [one, other]).collect();
            prop_assert_eq!(in_groups(&text), walked(&text));
        }
    }
}
