//! The vocabulary of `o200k_harmony`, in tables that `build.rs` lays out. They are part of the binary's read-only data:
//! nothing is computed or loaded at start, and processes share the memory.

/// Aligns a table to cache lines, so that an entry does not cross more of them than it must.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! table {
    ($file:literal) => {
        &$crate::tokenizer::vocabulary::Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $file))).0
    };
}

mod base64;
pub(super) mod hash;
mod special;

use super::simd;

pub(super) use special::{MAX_SPELLING_BYTES, SPELLING_COUNT, spelling_id, spelling_index};
pub use special::{special_id, special_tokens};

/// Ids run from 0 to 201,087, as in tiktoken's `o200k_harmony` and in the models' embeddings. (openai-harmony 0.0.8
/// counts one more.)
pub const VOCAB_SIZE: u32 = 201_088;

/// The lowest id of a special token. All ids below it are ordinary tokens.
pub const FIRST_SPECIAL_ID: u32 = 199_998;

/// The length of the longest ordinary token.
pub(super) const MAX_TOKEN_BYTES: usize = 128;

/// Stands for the absence of a token. It is higher than any id, so that the lowest of several ids is never this one.
pub(super) const NO_TOKEN: u32 = u32::MAX;

static TOKEN_BYTES: &[u8] = table!("token_bytes.bin");
static TOKEN_ENDS: &[u8; (VOCAB_SIZE as usize + 1) * 4] = table!("token_ends.bin");
static MERGE_PARENTS: &[u8; FIRST_SPECIAL_ID as usize * 8] = table!("merge_parents.bin");
static LONGEST_PREFIX_LENGTHS: &[u8; FIRST_SPECIAL_ID as usize] = table!("longest_prefix_lengths.bin");
static LENGTH_SETS: &[u8] = table!("length_sets.bin");
static LENGTH_SETS_BY_FIRST_BYTES: &[u8; 2 << 16] = table!("length_sets_by_first_bytes.bin");
static MERGES: &[u8; hash::MERGE_PADDING + (hash::MERGE_SLOT_BYTES << hash::MERGE_SLOT_BITS)] =
    table!("merges.bin");
static MERGE_DISPLACEMENTS: &[u8; 1 << hash::MERGE_BUCKET_BITS] = table!("merge_displacements.bin");
static MERGE_FILTER: &[u8; 1 << (hash::MERGE_FILTER_BITS - 3)] = table!("merge_filter.bin");
static HOT_DISPLACEMENTS: &[u8; 2 << hash::HOT_BUCKET_BITS] = table!("hot_displacements.bin");
static HOT_MERGES: &[u8; 4 << hash::HOT_SLOT_BITS] = table!("hot_merges.bin");
static BYTE_TOKENS: &[u8; 4 << 8] = table!("byte_tokens.bin");
static ASCII_PAIRS: &[u8; 4 << 14] = table!("ascii_pairs.bin");
static RUN_LEVELS: &[u8; 2 << 7] = table!("run_levels.bin");
static RUN_TOKENS: &[u8; (4 * hash::RUN_TOKENS) << 7] = table!("run_tokens.bin");
static WHOLE_CHAR_BLOCKS: &[u8] = table!("whole_char_blocks.bin");
static WHOLE_CHAR_INDEX: &[u8; 0x1100] = table!("whole_char_index.bin");
static WHOLE_CHAR_BORDERS: &[u8] = table!("whole_char_borders.bin");
static SHORT_TOKENS: &[u8; hash::BUCKET_BYTES << hash::SHORT_BUCKET_BITS] = table!("short_tokens.bin");
static MEDIUM_TOKENS: &[u8; hash::MEDIUM_BUCKETS * hash::BUCKET_BYTES] = table!("medium_tokens.bin");
static LONG_TOKENS: &[u8; 4 << hash::LONG_SLOT_BITS] = table!("long_tokens.bin");
static CLASS_BLOCKS: &[u8] = table!("class_blocks.bin");
static CLASS_INDEX: &[u8; 0x1100] = table!("class_index.bin");

#[inline]
fn u16_at(table: &[u8], at: usize) -> u16 {
    table.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

#[inline]
fn u32_at(table: &[u8], at: usize) -> u32 {
    table.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[inline]
fn u64_at(table: &[u8], at: usize) -> u64 {
    table.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The bytes of a token, or the spelling of a special token. `None` from [`VOCAB_SIZE`] on.
#[inline]
pub fn token_bytes(id: u32) -> Option<&'static [u8]> {
    if id >= VOCAB_SIZE {
        return None;
    }
    let at = id as usize * 4;
    TOKEN_BYTES.get(u32_at(TOKEN_ENDS, at) as usize..u32_at(TOKEN_ENDS, at + 4) as usize)
}

/// The text of a token that is not special. `None` for bytes that are not whole characters.
pub fn ordinary_text(id: u32) -> Option<&'static str> {
    let bytes = if id < FIRST_SPECIAL_ID { token_bytes(id) } else { None };
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
}

/// The bytes of a token with what follows them in the table, 16 together, and the token's own length, which may be more
/// than 16. `None` from [`VOCAB_SIZE`] on.
///
/// The last tokens of the table have fewer than 16 bytes behind them. Their length is given as `usize::MAX`, so that
/// callers take [`token_bytes`], as they must for long tokens anyway.
#[inline(always)]
pub(super) fn token_bytes_padded(id: u32) -> Option<(&'static [u8; 16], usize)> {
    if id >= VOCAB_SIZE {
        return None;
    }
    let at = id as usize * 4;
    let (start, end) = (u32_at(TOKEN_ENDS, at) as usize, u32_at(TOKEN_ENDS, at + 4) as usize);
    match TOKEN_BYTES.get(start..).and_then(<[u8]>::first_chunk) {
        Some(padded) => Some((padded, end - start)),
        None => Some((&[0; 16], usize::MAX)),
    }
}

/// The token of a single byte.
#[inline(always)]
pub(super) fn byte_token(byte: u8) -> u32 {
    u32_at(BYTE_TOKENS, usize::from(byte) * 4)
}

/// The token that two bytes of ASCII merge into, or [`NO_TOKEN`].
#[inline(always)]
pub(super) fn ascii_pair_token(left: u8, right: u8) -> u32 {
    u32_at(ASCII_PAIRS, (usize::from(left & 0x7f) << 7 | usize::from(right & 0x7f)) * 4)
}

/// How often the tokens of a run of an ASCII character double before anything else happens to them: so many times, all
/// pairs of them merge from the left.
#[inline(always)]
pub(super) fn run_levels(byte: u8, before: u8) -> usize {
    usize::from(RUN_LEVELS[usize::from(byte & 0x7f) * 2 + usize::from(before != b' ')])
}

/// The token of `2^level` equal characters of ASCII, for levels up to those of [`run_levels`].
#[inline(always)]
pub(super) fn run_token(byte: u8, level: usize) -> u32 {
    u32_at(RUN_TOKENS, (usize::from(byte & 0x7f) * hash::RUN_TOKENS + level) * 4)
}

/// The token that two neighbours merge into, or [`NO_TOKEN`].
#[inline(always)]
pub(super) fn merge(left: u32, right: u32) -> u32 {
    debug_assert!(left.max(right) < VOCAB_SIZE, "pairs of other numbers share hashes with those of ids");
    let hash = hash::pair_hash(left, right);
    let entry = u64_at(MERGES, merge_slot(hash) * hash::MERGE_SLOT_BYTES) >> (8 * hash::MERGE_PADDING);
    if entry >> 18 == hash::merge_key(hash) { (entry & 0x3_ffff) as u32 } else { NO_TOKEN }
}

/// What [`merge`] gives, by way of a filter. This is faster where most pairs do not merge and [`merge`] was not prefetched.
#[inline(always)]
pub(super) fn filtered_merge(left: u32, right: u32) -> u32 {
    let bit = (hash::pair_hash(left, right) >> (64 - hash::MERGE_FILTER_BITS)) as usize;
    if MERGE_FILTER[bit / 8] >> (bit % 8) & 1 == 1 { merge(left, right) } else { NO_TOKEN }
}

/// Prefetches what [`merge`] reads.
#[inline(always)]
pub(super) fn prefetch_merge(left: u32, right: u32) {
    simd::prefetch(MERGES, merge_slot(hash::pair_hash(left, right)) * hash::MERGE_SLOT_BYTES);
}

#[inline(always)]
fn merge_slot(pair_hash: u64) -> usize {
    hash::merge_slot(pair_hash, MERGE_DISPLACEMENTS[hash::merge_bucket(pair_hash)])
}

/// Prefetches the tables that are small, and read in steps that wait for each other: 104 kB.
pub(super) fn prefetch_small_tables() {
    for table in [&HOT_DISPLACEMENTS[..], HOT_MERGES, MERGE_DISPLACEMENTS] {
        (0..table.len()).step_by(simd::CACHE_LINE_BYTES).for_each(|at| simd::prefetch(table, at));
    }
}

/// Keys of [`hot_merge`] from this one on stand for pairs without a hot merge.
pub(super) const MIN_KEY_WITHOUT_HOT_MERGE: u32 = hash::HOT_LIMIT << 6;

/// The key of the hot merge of two neighbours: the id of the token that they make, shifted left by 6 bits, with `slot`
/// in the bits below. Without a hot merge, [`MIN_KEY_WITHOUT_HOT_MERGE`] or more.
///
/// `left` and `right` are hot codes: for a token of one byte that byte, for a token from [`hash::HOT_LIMIT`] on
/// [`hash::HOT_LIMIT`], for others the id.
#[inline(always)]
pub(super) fn hot_merge(left: u32, right: u32, slot: usize) -> u32 {
    let hash = hash::hot_hash(left, right);
    let displacement = u16_at(HOT_DISPLACEMENTS, hash::hot_bucket(hash) * 2);
    u32_at(HOT_MERGES, hash::hot_slot(hash, displacement) * 4) ^ (hash::hot_key(hash) | slot as u32)
}

/// The token that two tokens with these hot codes merge into; [`hash::HOT_LIMIT`] or more if they have no hot merge.
#[inline(always)]
pub(super) fn hot_token(left: u16, right: u16) -> u16 {
    (hot_merge(u32::from(left), u32::from(right), 0) >> 6).min(u32::from(u16::MAX)) as u16
}

/// The token of a whole character, if no merge joins a part of it to one of the bytes beside it before the character is
/// complete; otherwise [`NO_TOKEN`]. A `before` or `after` of 0 stands for the border of the pre-token.
#[inline(always)]
pub(super) fn whole_char_token(code_point: usize, before: u8, after: u8) -> u32 {
    let block = usize::from(WHOLE_CHAR_INDEX.get(code_point >> 8).copied().unwrap_or(0));
    let entry = u32_at(WHOLE_CHAR_BLOCKS, (block << 8 | code_point & 0xff) * 4);
    let borders = (entry >> 18 & 0x1fff) as usize * 16;
    let splits_before = match before {
        b' ' => entry >> 31 == 1,
        0..128 => false,
        _ => u64_at(WHOLE_CHAR_BORDERS, borders) >> (before & 63) & 1 == 1,
    };
    let after_bit = if after < 0x80 { 0 } else { after & 63 };
    let splits_after = u64_at(WHOLE_CHAR_BORDERS, borders + 8) >> after_bit & 1 == 1;
    if entry == NO_TOKEN || splits_before || splits_after { NO_TOKEN } else { entry & 0x3_ffff }
}

/// The two tokens that merge into an ordinary token. The token of a single byte is its own two parents.
pub(super) fn merge_parents(id: u32) -> (u32, u32) {
    (u32_at(MERGE_PARENTS, id as usize * 8), u32_at(MERGE_PARENTS, id as usize * 8 + 4))
}

/// The lengths of the tokens that begin with these two bytes: bit `length - 1`.
fn lengths_by_first_bytes(pair: &[u8; 2]) -> u128 {
    let [low, high] =
        [0, 1].map(|byte| LENGTH_SETS_BY_FIRST_BYTES[usize::from(u16::from_be_bytes(*pair)) * 2 + byte]);
    let at = usize::from(u16::from_le_bytes([low, high])) * 16;
    u128::from(u64_at(LENGTH_SETS, at + 8)) << 64 | u128::from(u64_at(LENGTH_SETS, at))
}

/// The longest shorter token that a token begins with; [`NO_TOKEN`] for a single byte.
pub(super) fn longest_proper_prefix(id: u32) -> u32 {
    let length = LONGEST_PREFIX_LENGTHS.get(id as usize).map_or(0, |length| usize::from(*length));
    match token_bytes(id).and_then(|bytes| bytes.get(..length)) {
        Some(prefix) if !prefix.is_empty() => lookup(prefix),
        _ => NO_TOKEN,
    }
}

/// The longest token that `text` begins with; [`NO_TOKEN`] if it is empty.
pub(super) fn longest_prefix(text: &[u8]) -> u32 {
    let max_length = text.len().min(MAX_TOKEN_BYTES);
    if let Some(pair) = text.first_chunk::<2>() {
        let all = lengths_by_first_bytes(pair);
        let mut lengths = if max_length < MAX_TOKEN_BYTES { all & ((1 << max_length) - 1) } else { all };
        while lengths != 0 {
            let length = 128 - lengths.leading_zeros() as usize;
            let id = text.get(..length).map_or(NO_TOKEN, lookup);
            if id != NO_TOKEN {
                return id;
            }
            lengths &= !(1 << (length - 1));
        }
    }
    text.first().map_or(NO_TOKEN, |byte| byte_token(*byte))
}

/// Up to 16 bytes as the tables are searched for them: two little-endian numbers, padded with zeros, and the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenKey {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) length: usize,
}

/// By length from 0 to 16, the masks that leave so many of 16 bytes in two numbers.
static LENGTH_MASKS: [(u64, u64); 17] = {
    let mut masks = [(0, 0); 17];
    let mut length = 1;
    while length <= 16 {
        let mask = u128::MAX >> (128 - 8 * length);
        masks[length] = (mask as u64, (mask >> 64) as u64);
        length += 1;
    }
    masks
};

impl TokenKey {
    /// The key of the first `length` bytes of a chunk, at most 16.
    #[inline(always)]
    pub(super) fn new(chunk: &[u8; 16], length: usize) -> TokenKey {
        let number = u128::from_le_bytes(*chunk);
        let (low_mask, high_mask) = LENGTH_MASKS[length.min(16)];
        TokenKey { low: number as u64 & low_mask, high: (number >> 64) as u64 & high_mask, length }
    }

    /// The key of up to 16 bytes.
    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> TokenKey {
        let mut padded = [0; 16];
        let chunk = bytes.first_chunk().unwrap_or_else(|| {
            padded[..bytes.len()].copy_from_slice(bytes);
            &padded
        });
        TokenKey::new(chunk, bytes.len())
    }
}

/// The token whose bytes these are, or [`NO_TOKEN`]. There must be at least one byte: empty slots have the key 0.
pub(super) fn lookup(bytes: &[u8]) -> u32 {
    if bytes.len() <= 16 { lookup_key(TokenKey::of(bytes)) } else { lookup_long(bytes) }
}

/// The token of 1 to 16 bytes, or [`NO_TOKEN`].
#[inline(always)]
pub(super) fn lookup_key(key: TokenKey) -> u32 {
    match key.length {
        0..=8 => lookup_short(key.low, key.length),
        _ => lookup_medium(key.low, key.high, key.length),
    }
}

/// Prefetches the first bucket that [`lookup_key`] reads.
#[inline(always)]
pub(super) fn prefetch_lookup(key: TokenKey) {
    if key.length <= 8 {
        let bucket = hash::short_token_bucket(hash::short_key(key.low, key.length));
        simd::prefetch(SHORT_TOKENS, bucket * hash::BUCKET_BYTES);
    } else {
        let bucket = hash::medium_token_bucket(key.low, key.high);
        simd::prefetch(MEDIUM_TOKENS, bucket * hash::BUCKET_BYTES);
    }
}

#[inline(always)]
fn lookup_short(low: u64, length: usize) -> u32 {
    let key = hash::short_key(low, length);
    let id = lookup_in_buckets(SHORT_TOKENS, hash::short_token_bucket(key), |bucket| {
        let slot = (0..hash::SHORT_BUCKET_TOKENS).find(|slot| u64_at(bucket, slot * 8) == key)?;
        let high_bits = u32_at(bucket, hash::SHORT_HIGH_BITS_AT) >> (2 * slot) & 3;
        Some(u32::from(u16_at(bucket, hash::SHORT_IDS_AT + slot * 2)) | high_bits << 16)
    });
    if hash::is_key_of_fewer_bytes(low, length) { NO_TOKEN } else { id }
}

#[inline(always)]
fn lookup_medium(low: u64, high: u64, length: usize) -> u32 {
    lookup_in_buckets(MEDIUM_TOKENS, hash::medium_token_bucket(low, high), |bucket| {
        (0..hash::MEDIUM_BUCKET_TOKENS).find_map(|slot| {
            let has_key = u64_at(bucket, slot * 16) == low && u64_at(bucket, slot * 16 + 8) == high;
            let length_and_id = u32_at(bucket, hash::MEDIUM_IDS_AT + slot * 4);
            let is_token = has_key && (length_and_id >> hash::LENGTH_SHIFT & 0x1f) as usize == length;
            is_token.then_some(length_and_id & ((1 << hash::LENGTH_SHIFT) - 1))
        })
    })
}

/// What `find` returns of the first bucket where it finds something, from the bucket `first` on.
#[inline(always)]
fn lookup_in_buckets(
    table: &[u8],
    first: usize,
    find: impl Fn(&[u8; hash::BUCKET_BYTES]) -> Option<u32>,
) -> u32 {
    let buckets = table.as_chunks::<{ hash::BUCKET_BYTES }>().0;
    let mut number = first;
    while let Some(bucket) = buckets.get(number) {
        if let Some(id) = find(bucket) {
            return id;
        }
        if bucket[hash::OVERFLOW_AT] & hash::OVERFLOW == 0 {
            break;
        }
        number = (number + 1) % buckets.len();
    }
    NO_TOKEN
}

/// The token of more than 16 bytes, or [`NO_TOKEN`].
#[inline(never)]
pub(super) fn lookup_long(bytes: &[u8]) -> u32 {
    let is_possible =
        |pair| bytes.len() <= MAX_TOKEN_BYTES && lengths_by_first_bytes(pair) >> (bytes.len() - 1) & 1 == 1;
    if !bytes.first_chunk::<2>().is_some_and(is_possible) {
        return NO_TOKEN;
    }
    let hash = hash::long_token_hash(bytes);
    let mut slot = (hash >> (64 - hash::LONG_SLOT_BITS)) as usize;
    loop {
        let entry = u32_at(LONG_TOKENS, slot * 4);
        if entry == NO_TOKEN {
            return NO_TOKEN;
        }
        let id = entry & 0x3_ffff;
        if entry >> 18 == hash::long_token_tag(hash) && token_bytes(id) == Some(bytes) {
            return id;
        }
        slot = (slot + 1) & ((1 << hash::LONG_SLOT_BITS) - 1);
    }
}

/// The class of a code point, as a number of `pretokenizer::scalar`.
#[inline]
pub(super) fn char_class(code_point: usize) -> u8 {
    let block = CLASS_INDEX.get(code_point >> 8).copied().unwrap_or(0);
    CLASS_BLOCKS.get(usize::from(block) << 8 | (code_point & 0xff)).copied().unwrap_or(0)
}

/// The vocabulary as a `.tiktoken` file: a line `base64(token) rank` for each of the 199,998 ordinary tokens.
pub fn tiktoken_file() -> Vec<u8> {
    let mut out = Vec::with_capacity(3_613_922);
    for id in 0..FIRST_SPECIAL_ID {
        base64::push_base64(token_bytes(id).unwrap_or_default(), &mut out);
        out.extend_from_slice(format!(" {id}\n").as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn vocabulary_equals_the_published_file() {
        let hash: String = Sha256::digest(tiktoken_file()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d");
    }

    #[test]
    fn every_token_is_found_by_its_bytes() {
        for id in 0..FIRST_SPECIAL_ID {
            let token = token_bytes(id).expect("below the size");
            assert_eq!(lookup(token), id);
        }
        assert_eq!(token_bytes(VOCAB_SIZE), None);
    }

    #[test]
    fn eight_bytes_with_the_key_of_fewer_are_not_a_token() {
        for id in 0..FIRST_SPECIAL_ID {
            let token = token_bytes(id).expect("below the size");
            if token.len() < 8 {
                let mut bytes = [0; 8];
                bytes[..token.len()].copy_from_slice(token);
                bytes[7] = u8::try_from(token.len()).expect("short");
                assert_eq!(lookup(&bytes), NO_TOKEN, "{bytes:?}");
            }
        }
        assert_eq!(lookup(&[0; 8]), NO_TOKEN);
    }

    #[test]
    fn merges_of_other_pairs_are_not_found() {
        for id in 256..FIRST_SPECIAL_ID {
            let (left, right) = merge_parents(id);
            assert_eq!(merge(left, right), id);
            for (left, right) in [(right, left), (left ^ 1, right), (left, right ^ 1), (id, right)] {
                let id = merge(left, right);
                assert!(id == NO_TOKEN || merge_parents(id) == (left, right), "{left} {right}");
            }
        }
    }

    #[test]
    fn longest_proper_prefixes_are_tokens_and_none_is_longer() {
        for id in 0..FIRST_SPECIAL_ID {
            let token = token_bytes(id).expect("below the size");
            let expected = (1..token.len()).rev().map(|length| lookup(&token[..length]));
            assert_eq!(
                longest_proper_prefix(id),
                expected.clone().find(|id| *id != NO_TOKEN).unwrap_or(NO_TOKEN)
            );
            assert_eq!(longest_prefix(token), id);
        }
    }

    #[test]
    fn tables_take_at_most_ten_megabytes() {
        let bytes = |tables: &[&[u8]]| tables.iter().map(|table| table.len()).sum::<usize>();
        let of_encoding =
            bytes(&[SHORT_TOKENS, MEDIUM_TOKENS, LONG_TOKENS, MERGES, MERGE_DISPLACEMENTS, MERGE_FILTER])
                + bytes(&[HOT_MERGES, HOT_DISPLACEMENTS, ASCII_PAIRS, RUN_LEVELS, RUN_TOKENS, LENGTH_SETS])
                + bytes(&[LENGTH_SETS_BY_FIRST_BYTES, WHOLE_CHAR_BLOCKS, WHOLE_CHAR_BORDERS]);
        let others = bytes(&[TOKEN_BYTES, TOKEN_ENDS, MERGE_PARENTS, LONGEST_PREFIX_LENGTHS, CLASS_BLOCKS]);
        // A process that encodes a page of text has nearly all of these in memory.
        assert!(of_encoding < 6_000_000, "{of_encoding}");
        // They make up two thirds of a wheel, which has a limit of 8 MiB.
        assert!(of_encoding + others < 10_000_000, "{of_encoding} + {others}");
    }

    #[test]
    fn hot_merges_equal_the_lowest_merges() {
        let hot_code = |id: u32| match token_bytes(id) {
            Some(&[byte]) => u32::from(byte),
            _ => id.min(hash::HOT_LIMIT),
        };
        let hot = |left: u32, right: u32| {
            let (left, right) = (hot_code(left), hot_code(right));
            let key = Some(hot_merge(left, right, 9)).filter(|key| *key < MIN_KEY_WITHOUT_HOT_MERGE);
            let token = u32::from(hot_token(left as u16, right as u16));
            assert_eq!(key.map(|key| key >> 6), Some(token).filter(|id| *id < hash::HOT_LIMIT));
            key
        };
        let expected = |left: u32, right: u32| match merge(left, right) {
            id @ ..hash::HOT_LIMIT => Some(id << 6 | 9),
            _ => None,
        };
        for id in 256..FIRST_SPECIAL_ID {
            let (left, right) = merge_parents(id);
            assert!(left.max(right) < id);
            for (left, right) in [(left, right), (right, left), (id, left), (left, id), (right + 1, left)] {
                assert_eq!(hot(left, right), expected(left, right), "{left} {right}");
            }
        }
        for left in (0..hash::HOT_LIMIT + 100).step_by(7) {
            for right in (0..hash::HOT_LIMIT + 100).step_by(5) {
                assert_eq!(hot(left, right), expected(left, right), "{left} {right}");
            }
        }
        assert!(
            (0..hash::HOT_LIMIT).all(|id| hot_merge(hash::HOT_LIMIT, id, 9) >= MIN_KEY_WITHOUT_HOT_MERGE)
        );
    }
}
