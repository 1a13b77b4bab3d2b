//! Text to ids, in batches of pre-tokens.
//!
//! The processor's cache misses dominate the cost, so pre-tokens are processed in batches: find them and prefetch their
//! lines of the cache of pre-tokens; take the ids of those that it holds; encode the others, all of which have been
//! prefetched from the vocabulary meanwhile. Each step is linear in the text.

use super::misses::Misses;
use super::pretoken::{MAX_BATCH_PRETOKENS, MIN_BATCH_PRETOKENS, PreToken};
use super::pretoken_cache::{CachedIds, PretokenCache};
use super::pretokenizer::Scanner;
use super::scratch::{self, Scratch};
use super::vocabulary;

/// For a text of this length the tables are prefetched that words need which are not cached. It takes at most a hundredth of the
/// text's time, and spares up to a sixth where the tables are not in the processor's caches.
const MIN_BYTES_TO_PREFETCH_TABLES: usize = 1 << 15;

/// Encodes a text batch by batch. `take` gets the ids of each cached pre-token with the place among those of the batch where
/// they belong; `end_batch` gets all of these, and the other pre-tokens with their ids.
#[inline(always)]
fn for_each_batch(
    text: &[u8],
    take: impl Fn(CachedIds, &mut [u32], usize),
    mut end_batch: impl FnMut(&[u32], &Misses),
) {
    if text.len() >= MIN_BYTES_TO_PREFETCH_TABLES {
        vocabulary::prefetch_small_tables();
    }
    let mut guard = scratch::lock_scratch();
    let Scratch { cache_memory, batch, ids, misses } = guard.get();
    let mut cache = cache_memory.cache();
    let (mut scanner, mut count) = (Scanner::new(text), 0);
    let mut process = |cache: &mut PretokenCache, batch: &[PreToken]| {
        let mut id_count = 0;
        for (index, pretoken) in batch.iter().enumerate() {
            if let Some(cached) = cache.get(pretoken.line, pretoken.key) {
                take(cached, ids, id_count);
                id_count += cached.count();
            } else {
                misses.push(pretoken, index, id_count);
            }
        }
        misses.encode(text, batch, cache);
        end_batch(ids.get(..id_count).unwrap_or_default(), misses);
        misses.clear();
    };
    while scanner.at() < text.len() {
        scanner.scan(|start, length, chunk| {
            let pretoken = PreToken::new(start, length, chunk, &cache);
            cache.prefetch(pretoken.line);
            batch[count % MAX_BATCH_PRETOKENS] = pretoken;
            count += 1;
        });
        if count >= MIN_BATCH_PRETOKENS {
            process(&mut cache, &batch[..count]);
            count = 0;
            if cache.is_crowded() {
                cache = cache_memory.cache();
            }
        }
    }
    process(&mut cache, &batch[..count]);
}

/// Appends the ids of a text, special tokens in it taken as ordinary text.
pub fn encode_into(text: &str, out: &mut Vec<u32>) {
    let write = |cached: CachedIds, ids: &mut [u32], at: usize| {
        if let Some(target) = ids.get_mut(at..).and_then(<[u32]>::first_chunk_mut) {
            cached.write(target);
        }
    };
    for_each_batch(text.as_bytes(), write, |ids, misses| {
        misses.for_each_part(ids, |part| out.extend_from_slice(part));
    });
}

/// The number of ids of a text, special tokens in it taken as ordinary text: `encode(text).len()`, without the ids.
pub fn count(text: &str) -> usize {
    let mut count = 0;
    for_each_batch(text.as_bytes(), |_, _, _| {}, |ids, misses| count += ids.len() + misses.id_count());
    count
}

/// Calls `emit` with each pre-token of a text: the parts that the split pattern of `o200k_base` separates, each of which
/// is encoded on its own.
pub fn for_each_pretoken<'a>(text: &'a str, mut emit: impl FnMut(&'a str)) {
    let mut scanner = Scanner::new(text.as_bytes());
    while scanner.at() < text.len() {
        scanner.scan(|start, length, _| {
            emit(text.get(start..start + length).unwrap_or_default());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::bpe;
    use crate::tokenizer::encode;
    use crate::tokenizer::pretokenizer::tests::split_by_scalar;

    fn encode_without_cache(text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for pretoken in split_by_scalar(text) {
            bpe::encode(pretoken.as_bytes(), &mut ids);
        }
        ids
    }

    #[test]
    fn cached_ids_equal_uncached_ones() {
        // Pre-tokens that differ in trailing zero bytes alone, and more pre-tokens than the cache has entries.
        let zeros: Vec<String> = (0..20).map(|count| format!("a!{} ", "\0".repeat(count))).collect();
        let letters = |n: u32| (0..7).map(move |place| char::from(b'a' + (n >> (4 * place) & 15) as u8));
        let words: Vec<String> = (0..150_000_u32)
            .map(|n| letters(n.wrapping_mul(2_654_435_761)).chain("xq ".chars()).collect())
            .collect();
        let texts = [zeros.concat(), words.concat(), zeros.concat(), words.concat()];
        for text in texts {
            assert_eq!(encode(&text), encode_without_cache(&text));
            assert_eq!(count(&text), encode(&text).len());
        }
    }

    #[test]
    fn pretokens_are_parts_of_the_text() {
        let text = "We'll pay  71234 (or not) naïve 中文\n";
        let mut pretokens = Vec::new();
        for_each_pretoken(text, |pretoken| pretokens.push(pretoken));
        assert_eq!(pretokens, split_by_scalar(text));
        assert_eq!(pretokens.concat(), text);
    }
}
