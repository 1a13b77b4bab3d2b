//! The pre-tokens of a batch that are not in the cache.

use super::bpe::{self, ShortMerge};
use super::pretoken::{MAX_BATCH_PRETOKENS, PreToken};
use super::pretoken_cache::{MAX_CACHED_IDS, PretokenCache};
use super::vocabulary;

/// So many pre-tokens wait for the table of merges at the same time.
const MERGES_AT_ONCE: usize = 8;

/// Room for so many ids is kept from one batch to the next. A long pre-token may have more.
const MAX_KEPT_IDS: usize = 1 << 12;

#[derive(Clone, Copy, Default)]
struct Miss {
    /// The index of the pre-token in the batch.
    index: u16,
    /// The number of ids of the cached pre-tokens before it.
    cached_before: u16,
    /// The number of ids of it and of the misses before it.
    end: usize,
}

// A `Miss` has these numbers in 16 bits.
const _: () = assert!(MAX_BATCH_PRETOKENS * MAX_CACHED_IDS <= u16::MAX as usize);

/// The pre-tokens of a batch that are not in the cache, and their ids.
pub(super) struct Misses {
    misses: [Miss; MAX_BATCH_PRETOKENS],
    count: usize,
    ids: Vec<u32>,
    merges: [ShortMerge; MERGES_AT_ONCE],
}

impl Misses {
    pub(super) fn new() -> Misses {
        Misses {
            misses: [Miss::default(); MAX_BATCH_PRETOKENS],
            count: 0,
            ids: Vec::new(),
            merges: [ShortMerge::EMPTY; MERGES_AT_ONCE],
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.ids.clear();
        self.ids.shrink_to(MAX_KEPT_IDS);
    }

    /// The number of ids of all misses.
    pub(super) fn id_count(&self) -> usize {
        self.ids.len()
    }

    /// Adds a pre-token, and prefetches what the vocabulary says of it. `cached_before` is the number of ids of the cached
    /// pre-tokens before it.
    #[inline(always)]
    pub(super) fn push(&mut self, pretoken: &PreToken, index: usize, cached_before: usize) {
        if pretoken.is_short() {
            vocabulary::prefetch_lookup(pretoken.key.token_key());
        }
        let miss = Miss { index: index as u16, cached_before: cached_before as u16, end: 0 };
        self.misses[self.count % MAX_BATCH_PRETOKENS] = miss;
        self.count += 1;
    }

    /// Encodes all of them, and caches the ids of the short ones, once where one is in the batch several times.
    #[inline(always)]
    pub(super) fn encode(&mut self, text: &[u8], batch: &[PreToken], cache: &mut PretokenCache) {
        if self.count > 0 {
            self.encode_some(text, batch, cache);
        }
    }

    #[inline(never)]
    fn encode_some(&mut self, text: &[u8], batch: &[PreToken], cache: &mut PretokenCache) {
        let Misses { misses, count, ids, merges } = self;
        for group in misses[..*count].chunks_mut(MERGES_AT_ONCE) {
            for (merge, miss) in merges.iter_mut().zip(group.iter()) {
                let pretoken = batch[usize::from(miss.index)];
                if let Some(cached) = cache.get(pretoken.line, pretoken.key) {
                    // It stands in the batch before, too.
                    let mut ids = [0; MAX_CACHED_IDS];
                    cached.write(&mut ids);
                    merge.set(&ids[..cached.count()]);
                } else if pretoken.is_short() {
                    merge.begin(pretoken.key.token_key());
                }
            }
            for (merge, miss) in merges.iter_mut().zip(group.iter_mut()) {
                let pretoken = batch[usize::from(miss.index)];
                if pretoken.is_short() {
                    merge.end();
                    ids.extend_from_slice(merge.ids());
                    if cache.get(pretoken.line, pretoken.key).is_none() {
                        cache.put(pretoken.line, pretoken.key, merge.ids());
                    }
                } else {
                    bpe::encode(pretoken.bytes(text), ids);
                }
                miss.end = ids.len();
            }
        }
    }

    /// Calls `emit` with the ids of all pre-tokens of the batch, part by part. `cached` are those of the cached ones.
    #[inline(always)]
    pub(super) fn for_each_part(&self, cached: &[u32], mut emit: impl FnMut(&[u32])) {
        let (mut at, mut start) = (0, 0);
        for miss in &self.misses[..self.count] {
            let cached_before = usize::from(miss.cached_before);
            emit(cached.get(at..cached_before).unwrap_or_default());
            emit(self.ids.get(start..miss.end).unwrap_or_default());
            (at, start) = (cached_before, miss.end);
        }
        emit(cached.get(at..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::encode;
    use crate::tokenizer::scratch::lock_scratch;

    #[test]
    fn pretoken_that_is_in_a_batch_several_times_is_cached_once() {
        let words = ["Qzxv", " wvqx", " Qzxvbk", " жщъы", "qzxvbkqzxvbk", " 中文鑫", "!?!?#", " xqzj\u{301}"];
        for repeats in [2, 5, 50] {
            let text = words.iter().flat_map(|word| vec![*word; repeats]).collect::<Vec<_>>().join("\n");
            let ids = encode(&text);
            assert_eq!(encode(&text), ids);
            assert!(!lock_scratch().get().cache_memory.cache().has_duplicates());
        }
    }

    #[test]
    fn room_for_a_long_pretoken_is_not_kept() {
        let text = "ab".repeat(1 << 20);
        let ids = encode(&text);
        assert!(ids.len() > 100 * MAX_KEPT_IDS);
        let mut guard = lock_scratch();
        assert!(guard.get().misses.ids.capacity() <= MAX_KEPT_IDS);
    }
}
