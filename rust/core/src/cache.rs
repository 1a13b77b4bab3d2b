//! What short pieces became lately: one table for each thread, of fixed size, in which new pieces take the places of old
//! ones. It saves work, and nothing depends on it: each entry is what would be found again.
//!
//! The vocabulary's tables know most pieces too, but they are twenty times as large, so that a look into them is a wait
//! for memory, while the few thousand pieces that text is mostly made of stay near here. How a piece is encoded
//! is not known here.

use crate::hash;
use crate::simd;
use std::cell::Cell;

/// Lines of two entries, as a power of two: 1 MB for each thread that encodes.
const BITS: u32 = 14;

/// No more tokens of a piece are kept.
const MOST: usize = 3;

/// Up to 16 bytes as two numbers, zeros above them, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) first: u64,
    pub(crate) second: u64,
    pub(crate) length: usize,
}

/// What leaves so many of 16 bytes, by how many they are.
static MASKS: [(u64, u64); 17] = {
    let mut masks = [(0, 0); 17];
    let mut length = 1;
    while length <= 16 {
        let mask = u128::MAX >> (128 - 8 * length);
        masks[length] = (mask as u64, (mask >> 64) as u64);
        length += 1;
    }
    masks
};

impl Key {
    /// The first bytes of a chunk, at most all 16.
    #[inline(always)]
    pub(crate) fn new(chunk: &[u8; 16], length: usize) -> Key {
        let both = u128::from_le_bytes(*chunk);
        let (first, second) = MASKS[length.min(16)];
        Key { first: both as u64 & first, second: (both >> 64) as u64 & second, length }
    }

    #[inline(always)]
    pub(crate) fn line(self) -> usize {
        (hash::token(self.first, self.second) >> (64 - BITS)) as usize
    }
}

/// The key's two numbers; its length, the number of tokens from bit 8 on, and the first token from bit 32 on; the
/// second token, and the third from bit 32 on. All zero is an entry that was never used: it has no length.
type Entry = [u64; 4];

/// The table, made when it is first asked.
#[derive(Default)]
pub(crate) struct Cache(Vec<[Entry; 2]>);

thread_local! {
    static MINE: Cell<Cache> = const { Cell::new(Cache(Vec::new())) };
}

impl Cache {
    /// Lends this thread's table. (A call inside a call gets another one, and the last to end is kept.)
    #[inline(always)]
    pub(crate) fn with<R>(run: impl FnOnce(&mut Cache) -> R) -> R {
        let mut cache = MINE.try_with(Cell::take).unwrap_or_default();
        if cache.0.is_empty() {
            cache.0 = vec![[[0; 4]; 2]; 1 << BITS];
        }
        let result = run(&mut cache);
        // Where the thread is ending there is nothing to keep it in.
        let _ = MINE.try_with(|mine| mine.set(cache));
        result
    }

    /// Fetches a line that will be asked for.
    #[inline(always)]
    pub(crate) fn prefetch(&self, line: usize) {
        simd::prefetch(&self.0, line);
    }

    /// The tokens of a piece, and how many they are; nothing if they are not known.
    #[inline(always)]
    pub(crate) fn get(&self, line: usize, key: Key) -> Option<([u32; MOST], usize)> {
        let [newer, older] = self.0.get(line)?;
        let is = |entry: &Entry| {
            entry[0] == key.first && entry[1] == key.second && entry[2] as u8 as usize == key.length
        };
        let entry = if is(newer) { newer } else { older };
        let ids = [(entry[2] >> 32) as u32, entry[3] as u32, (entry[3] >> 32) as u32];
        is(entry).then_some((ids, usize::from((entry[2] >> 8) as u8)))
    }

    /// Keeps the tokens of a piece, if they are few.
    #[inline(always)]
    pub(crate) fn put(&mut self, line: usize, key: Key, tokens: &[u32]) {
        let id = |at: usize| u64::from(tokens.get(at).copied().unwrap_or(0));
        if tokens.len() <= MOST
            && let Some(entries) = self.0.get_mut(line)
        {
            let about = key.length as u64 | (tokens.len() as u64) << 8 | id(0) << 32;
            *entries = [[key.first, key.second, about, id(1) | id(2) << 32], entries[0]];
        }
    }
}
