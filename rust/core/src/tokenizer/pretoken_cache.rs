//! What short pieces became lately: one table for each thread, of fixed size, in which new pieces take the places of old
//! ones. It saves work, and nothing depends on it: each entry is what would be found again.
//!
//! The vocabulary's tables know most pieces too, but they are twenty times as large, so that a look into them is a wait
//! for memory, while the few thousand pieces that text is mostly made of stay near here. How a piece is encoded
//! is not known here.

use super::simd;
use super::vocabulary::{Key, hash};

/// Lines of two entries, as a power of two: 4 MB for each thread that encodes much; untouched, they take nothing.
const BITS: u32 = 16;

/// A line of the processor's cache: an entry that lies across two takes twice the time.
const ALIGNMENT: usize = 64;

/// No more tokens of a piece are kept.
pub(crate) const MOST: usize = 6;

/// A piece of up to 15 bytes as the cache has it: two numbers with zeros above the bytes, and in the highest byte how
/// many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) first: u64,
    pub(crate) second: u64,
}

/// The most bytes of a piece that is kept.
pub(crate) const LONGEST: usize = 15;

impl Packed {
    /// The first bytes of a chunk.
    #[inline(always)]
    pub(crate) fn new(chunk: &[u8; 16], length: usize) -> Packed {
        let Key { first, second, .. } = Key::new(chunk, length);
        Packed { first, second: second | (length as u64) << 56 }
    }

    #[inline(always)]
    pub(crate) fn key(self) -> Key {
        let length = (self.second >> 56) as usize;
        Key { first: self.first, second: self.second & (u64::MAX >> 8), length }
    }

    #[inline(always)]
    pub(crate) fn line(self) -> usize {
        (hash::token(self.first, self.second) >> (64 - BITS)) as usize
    }
}

/// The piece's two numbers; three tokens of 18 bits, and how many there are; three more tokens. All zero is an entry
/// that was never used: it has no length.
type Entry = [u64; 4];

/// Two entries, the newer one first: one line of a processor's cache.
type Line = [Entry; 2];

/// The memory of a cache.
pub(crate) struct Memory {
    numbers: Vec<u64>,
    /// Where the first line begins: at the beginning of a line of the processor's.
    from: usize,
}

/// What short pieces became.
pub(crate) struct Cache<'a>(&'a mut [Line]);

/// The tokens of a piece, as they are kept.
#[derive(Clone, Copy)]
pub(crate) struct Tokens(u64, u64);

impl Tokens {
    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        (self.0 >> 54) as usize
    }

    /// Writes them to the beginning of a place, and what means nothing behind them.
    #[inline(always)]
    pub(crate) fn write(self, place: &mut [u32; MOST]) {
        const ID: u64 = (1 << 18) - 1;
        let id = |bits: u64| (bits & ID) as u32;
        let Tokens(low, high) = self;
        (place[0], place[1], place[2]) = (id(low), id(low >> 18), id(low >> 36));
        if self.count() > 3 {
            (place[3], place[4], place[5]) = (id(high), id(high >> 18), id(high >> 36));
        }
    }
}

impl Memory {
    pub(crate) fn new() -> Memory {
        // What is zero is given by the system when it is touched, and not before.
        let numbers = vec![0_u64; (size_of::<Line>() << BITS) / 8 + ALIGNMENT / 8];
        let from = numbers.as_ptr().align_offset(ALIGNMENT);
        Memory { numbers, from }
    }

    pub(crate) fn cache(&mut self) -> Cache<'_> {
        let numbers = self.numbers.get_mut(self.from..).unwrap_or_default();
        let lines = numbers.as_chunks_mut().0.as_chunks_mut().0;
        Cache(lines.get_mut(..1 << BITS).unwrap_or_default())
    }
}

impl Cache<'_> {
    /// Fetches a line that will be asked for.
    #[inline(always)]
    pub(crate) fn prefetch(&self, line: usize) {
        simd::prefetch(self.0, line);
    }

    /// The tokens of a piece, if they are known.
    #[inline(always)]
    pub(crate) fn get(&self, line: usize, piece: Packed) -> Option<Tokens> {
        let [newer, older] = self.0.get(line)?;
        let is = |entry: &Entry| (entry[0] ^ piece.first) | (entry[1] ^ piece.second) == 0;
        let entry = if is(newer) { newer } else { older };
        is(entry).then_some(Tokens(entry[2], entry[3]))
    }

    /// Keeps the tokens of a piece, if they are few.
    #[inline(always)]
    pub(crate) fn put(&mut self, line: usize, piece: Packed, tokens: &[u32]) {
        let id = |at: usize| u64::from(tokens.get(at).copied().unwrap_or(0));
        if tokens.len() <= MOST
            && let Some(entries) = self.0.get_mut(line)
        {
            let three = |at: usize| id(at) | id(at + 1) << 18 | id(at + 2) << 36;
            let low = three(0) | (tokens.len() as u64) << 54;
            *entries = [[piece.first, piece.second, low, three(3)], entries[0]];
        }
    }
}
