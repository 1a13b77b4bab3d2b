//! A cache of bounded size from short pre-tokens to ids. An optimisation only: an entry equals what would be
//! recomputed.
//!
//! The vocabulary's tables hold most pre-tokens, too, but scattered over 4 MB, so that a lookup in them misses the
//! processor's caches. The few thousand pre-tokens that most text is made of take a few hundred kB here.

use super::simd::{self, CACHE_LINE_BYTES};
use super::vocabulary::{TokenKey, hash};

/// A new cache has 2^13 lines of 64 bytes: 512 kB, enough for some pages of text. Pre-tokens are scattered over all of it,
/// so that a large cache would take all of its memory for a short text.
const FIRST_LINE_BITS: u32 = 13;

/// Where entries displace each other, it is replaced by one of 2^16 lines: 4 MB.
const LARGE_LINE_BITS: u32 = 16;

/// A first cache is crowded when one entry was displaced for so many lines.
const LINES_PER_DISPLACED: usize = 64;

/// Pre-tokens of more ids are not cached.
pub(super) const MAX_CACHED_IDS: usize = 6;

/// Longer pre-tokens are not cached.
pub(super) const MAX_CACHED_BYTES: usize = 15;

/// A pre-token of up to [`MAX_CACHED_BYTES`] as the cache holds it: two little-endian numbers, padded with zeros, with the
/// length in the highest byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PretokenKey {
    pub(super) low: u64,
    pub(super) high: u64,
}

impl PretokenKey {
    /// The key of the first `length` bytes of a chunk.
    #[inline(always)]
    pub(super) fn new(chunk: &[u8; 16], length: usize) -> PretokenKey {
        let TokenKey { low, high, .. } = TokenKey::new(chunk, length);
        PretokenKey { low, high: high | (length as u64) << 56 }
    }

    #[inline(always)]
    pub(super) fn token_key(self) -> TokenKey {
        let length = (self.high >> 56) as usize;
        TokenKey { low: self.low, high: self.high & (u64::MAX >> 8), length }
    }

    #[inline(always)]
    pub(super) fn hash(self) -> u64 {
        hash::pretoken_hash(self.low, self.high)
    }
}

/// The key's two numbers, and the ids as in [`CachedIds`]. An entry that was never written is all zeros, which equals no key,
/// because a key contains its length.
type Entry = [u64; 4];

/// Two entries, the newer one first: one line of the processor's cache.
type Line = [Entry; 2];

/// The memory of a cache.
pub(super) struct CacheMemory {
    numbers: Vec<u64>,
    /// The index of the first number that begins a line of the processor's cache.
    start: usize,
    line_bits: u32,
    /// The number of entries that were displaced by others.
    displaced: usize,
}

impl CacheMemory {
    pub(super) fn new() -> CacheMemory {
        CacheMemory::with_lines(FIRST_LINE_BITS)
    }

    fn with_lines(line_bits: u32) -> CacheMemory {
        let numbers = vec![0_u64; (size_of::<Line>() << line_bits) / 8 + CACHE_LINE_BYTES / 8];
        let start = numbers.as_ptr().align_offset(CACHE_LINE_BYTES);
        CacheMemory { numbers, start, line_bits, displaced: 0 }
    }

    /// The memory of a cache that keeps nothing.
    pub(super) fn without_lines() -> CacheMemory {
        CacheMemory { numbers: Vec::new(), start: 0, line_bits: FIRST_LINE_BITS, displaced: 0 }
    }

    /// The cache, larger than before if it was crowded.
    pub(super) fn cache(&mut self) -> PretokenCache<'_> {
        if self.view().is_crowded() {
            self.grow();
        }
        self.view()
    }

    #[inline(always)]
    fn view(&mut self) -> PretokenCache<'_> {
        let numbers = self.numbers.get_mut(self.start..).unwrap_or_default();
        let lines = numbers.as_chunks_mut().0.as_chunks_mut().0;
        PretokenCache {
            lines: lines.get_mut(..1 << self.line_bits).unwrap_or_default(),
            line_bits: self.line_bits,
            displaced: &mut self.displaced,
        }
    }

    /// Replaces the memory by a larger one with the same entries.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let mut larger = CacheMemory::with_lines(LARGE_LINE_BITS);
        let target = larger.view();
        for [newer, older] in self.view().lines.iter() {
            for entry in [older, newer].into_iter().filter(|entry| entry[1] != 0) {
                let line = target.line(PretokenKey { low: entry[0], high: entry[1] }.hash());
                if let Some(entries) = target.lines.get_mut(line) {
                    *entries = [*entry, entries[0]];
                }
            }
        }
        *self = larger;
    }
}

/// From pre-tokens to ids.
pub(super) struct PretokenCache<'a> {
    lines: &'a mut [Line],
    line_bits: u32,
    displaced: &'a mut usize,
}

impl PretokenCache<'_> {
    /// Whether it can hold entries.
    #[cfg(test)]
    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether a line has two entries of one pre-token.
    #[cfg(test)]
    pub(super) fn has_duplicates(&self) -> bool {
        self.lines.iter().any(|[newer, older]| newer[1] != 0 && newer[..2] == older[..2])
    }

    /// Whether it can grow, and has displaced so many entries that this is worth it.
    #[inline(always)]
    pub(super) fn is_crowded(&self) -> bool {
        *self.displaced > self.lines.len() / LINES_PER_DISPLACED && self.line_bits < LARGE_LINE_BITS
    }

    /// The line that may hold a pre-token, by the hash of its key.
    #[inline(always)]
    pub(super) fn line(&self, hash: u64) -> usize {
        (hash >> (64 - self.line_bits)) as usize
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, line: usize) {
        simd::prefetch(self.lines, line);
    }

    /// The ids of a pre-token, if they are cached.
    #[inline(always)]
    pub(super) fn get(&self, line: usize, key: PretokenKey) -> Option<CachedIds> {
        let [newer, older] = self.lines.get(line)?;
        let is_match = |entry: &Entry| (entry[0] ^ key.low) | (entry[1] ^ key.high) == 0;
        let entry = if is_match(newer) { newer } else { older };
        is_match(entry).then_some(CachedIds(entry[2], entry[3]))
    }

    /// Caches the ids of a pre-token in place of the older entry of its line, unless they are too many.
    #[inline(always)]
    pub(super) fn put(&mut self, line: usize, key: PretokenKey, ids: &[u32]) {
        if let (Some(CachedIds(low, high)), Some(entries)) = (CachedIds::new(ids), self.lines.get_mut(line)) {
            *self.displaced += usize::from(entries[1][1] != 0);
            *entries = [[key.low, key.high, low, high], entries[0]];
        }
    }
}

/// The ids of a pre-token, so that few steps write them: four numbers of 32 bits, the first one lowest. Each has one of the
/// first four ids in 18 bits, and above it 9 bits of the fifth id (the first two) or the sixth (the last two). The last one
/// has the number of ids in its highest bits.
#[derive(Clone, Copy)]
pub(super) struct CachedIds(u64, u64);

impl CachedIds {
    const COUNT_SHIFT: u32 = 59;

    /// `None` if there are more than [`MAX_CACHED_IDS`].
    #[inline(always)]
    fn new(ids: &[u32]) -> Option<CachedIds> {
        let id = |at: usize| u64::from(ids.get(at).copied().unwrap_or(0));
        let pair = |at: usize, rest: u64| id(at) | id(at + 1) << 32 | (rest & 0x1ff) << 18 | rest >> 9 << 50;
        let count = (ids.len() as u64) << Self::COUNT_SHIFT;
        (ids.len() <= MAX_CACHED_IDS).then(|| CachedIds(pair(0, id(4)), pair(2, id(5)) | count))
    }

    #[inline(always)]
    pub(super) fn count(self) -> usize {
        (self.1 >> Self::COUNT_SHIFT) as usize
    }

    /// Writes the ids to the start of `out`. What follows them in `out` is undefined afterwards.
    #[inline(always)]
    pub(super) fn write(self, out: &mut [u32; MAX_CACHED_IDS]) {
        const ID_MASK: u64 = (1 << 18) - 1;
        let [low, high] = [self.0, self.1].map(|pair| pair & (ID_MASK << 32 | ID_MASK));
        (out[0], out[1], out[2], out[3]) = (low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32);
        if self.count() > 4 {
            let [fifth, sixth] =
                [self.0, self.1].map(|pair| (pair >> 18 & 0x1ff | pair >> 41 & 0x3_fe00) as u32);
            (out[4], out[5]) = (fifth, sixth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_ids_are_those_that_were_packed() {
        let ids = [0x3_ffff, 0, 0x2_aaaa, 0x1_5555, 0x3_fe01, 0x1ff];
        for start in 0..6 {
            for end in start..=6 {
                let ids = &ids[start..end];
                let cached = CachedIds::new(ids).expect("few ids");
                let mut out = [7; MAX_CACHED_IDS];
                cached.write(&mut out);
                assert_eq!(out.get(..cached.count()), Some(ids));
            }
        }
        assert!(CachedIds::new(&[1; 7]).is_none());
    }
}
