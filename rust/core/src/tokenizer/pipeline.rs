//! Text to ids, in batches of pre-tokens.
//!
//! Cache misses dominate the cost, so pre-tokens are processed in batches: find them and prefetch their cache slots; look
//! the misses up in the vocabulary, prefetching before reading; write the ids. Each step is linear in the text.

use super::bpe;
use super::pretoken::{MAX_BATCH_PRETOKENS, MIN_BATCH_PRETOKENS, PreToken};
use super::pretoken_cache::{MAX_CACHED_BYTES, PretokenCache};
use super::pretokenizer;
use super::scratch::{self, Scratch};
use super::vocabulary;

// `fill_cache` keeps the index of a pre-token in a byte.
const _: () = assert!(MAX_BATCH_PRETOKENS <= 256);

/// Splits a text into pre-tokens, and calls `process` with each batch of them.
#[inline(always)]
fn for_each_batch(text: &[u8], mut process: impl FnMut(&mut PretokenCache, &[PreToken], &mut [u32])) {
    let mut guard = scratch::lock_scratch();
    let Scratch { cache_memory, batch, ids } = guard.get();
    let mut cache = cache_memory.cache();
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        at = pretokenizer::scan(text, at, |start, length, chunk| {
            let pretoken = PreToken::new(start, length, chunk, &cache);
            cache.prefetch(pretoken.line);
            batch[count % MAX_BATCH_PRETOKENS] = pretoken;
            count += 1;
        });
        if count >= MIN_BATCH_PRETOKENS {
            process(&mut cache, &batch[..count], ids);
            count = 0;
            if cache.is_crowded() {
                cache = cache_memory.cache();
            }
        }
    }
    process(&mut cache, &batch[..count], ids);
}

/// Encodes the short pre-tokens that are not in the cache, and caches their ids.
#[inline(never)]
fn fill_cache(cache: &mut PretokenCache, batch: &[PreToken]) {
    let mut misses = [0_u8; MAX_BATCH_PRETOKENS];
    let mut count = 0;
    for (index, pretoken) in batch.iter().enumerate() {
        misses[count % MAX_BATCH_PRETOKENS] = index as u8;
        count += usize::from(pretoken.is_short() && cache.get(pretoken.line, pretoken.key).is_none());
    }
    let pretokens = || misses[..count].iter().filter_map(|&index| batch.get(usize::from(index)));
    pretokens().for_each(|pretoken| vocabulary::prefetch_lookup(pretoken.key.token_key()));
    let mut ids = Vec::with_capacity(MAX_CACHED_BYTES);
    for pretoken in pretokens() {
        // A pre-token that is in the batch twice was cached in the meantime.
        if cache.get(pretoken.line, pretoken.key).is_none() {
            ids.clear();
            bpe::encode_short(pretoken.key.token_key(), &mut ids);
            cache.put(pretoken.line, pretoken.key, &ids);
        }
    }
}

/// Writes the ids of pre-tokens from the cache, up to the first one that is not in it. Returns how many pre-tokens and how
/// many ids.
#[inline(always)]
fn emit_ids(cache: &PretokenCache, batch: &[PreToken], ids: &mut [u32]) -> (usize, usize) {
    let (mut pretoken_count, mut id_count) = (0, 0);
    for pretoken in batch {
        let Some(cached) = cache.get(pretoken.line, pretoken.key) else { break };
        let Some(out) = ids.get_mut(id_count..).and_then(<[u32]>::first_chunk_mut) else { break };
        cached.write(out);
        id_count += cached.count();
        pretoken_count += 1;
    }
    (pretoken_count, id_count)
}

/// What [`emit_ids`] returns, without the ids.
#[inline(always)]
fn count_ids(cache: &PretokenCache, batch: &[PreToken]) -> (usize, usize) {
    let (mut pretoken_count, mut id_count) = (0, 0);
    for pretoken in batch {
        let Some(cached) = cache.get(pretoken.line, pretoken.key) else { break };
        id_count += cached.count();
        pretoken_count += 1;
    }
    (pretoken_count, id_count)
}

/// Calls `emit` with a number of ids and a slice that begins with them, for parts of a text one after the other.
/// `read_cached` is [`emit_ids`], or [`count_ids`] where the number is enough.
#[inline(always)]
fn encode(
    text: &[u8],
    read_cached: impl Fn(&PretokenCache, &[PreToken], &mut [u32]) -> (usize, usize),
    mut emit: impl FnMut(usize, &[u32]),
) {
    let mut uncached_ids = Vec::new();
    for_each_batch(text, |cache, batch, ids| {
        let (mut rest, mut can_fill_cache) = (batch, cache.has_lines());
        loop {
            let (pretoken_count, id_count) = read_cached(cache, rest, ids);
            emit(id_count, ids);
            rest = rest.get(pretoken_count..).unwrap_or_default();
            let Some((pretoken, after)) = rest.split_first() else { return };
            if pretoken.is_short() && can_fill_cache {
                fill_cache(cache, rest);
                can_fill_cache = false;
            } else {
                uncached_ids.clear();
                pretoken.encode(text, &mut uncached_ids);
                emit(uncached_ids.len(), &uncached_ids);
                rest = after;
            }
        }
    });
}

/// Appends the ids of a text, special tokens in it taken as ordinary text.
pub fn encode_into(text: &str, out: &mut Vec<u32>) {
    encode(text.as_bytes(), emit_ids, |count, ids| {
        out.extend_from_slice(ids.get(..count).unwrap_or_default());
    });
}

/// The number of ids of a text, special tokens in it taken as ordinary text: `encode(text).len()`, without the ids.
pub fn count(text: &str) -> usize {
    let mut count = 0;
    encode(text.as_bytes(), |cache, batch, _| count_ids(cache, batch), |part, _| count += part);
    count
}

/// Calls `emit` with each pre-token of a text: the parts that the split pattern of `o200k_base` separates, each of which
/// is encoded on its own.
pub fn for_each_pretoken<'a>(text: &'a str, mut emit: impl FnMut(&'a str)) {
    let mut at = 0;
    while at < text.len() {
        at = pretokenizer::scan(text.as_bytes(), at, |start, length, _| {
            emit(text.get(start..start + length).unwrap_or_default());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
