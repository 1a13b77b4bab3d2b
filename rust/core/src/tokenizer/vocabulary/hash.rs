//! The hash functions of the vocabulary's tables. `build.rs` includes this file, because the build must fill the tables
//! by the same functions that the tokenizer looks up with.

/// Odd multipliers whose bits follow no pattern: the fractions of the golden ratio and of the square root of 2.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
const SQRT_2: u64 = 0x6a09_e667_f3bc_c909;

/// The table of merges has 2^18 slots.
pub(crate) const MERGE_SLOT_BITS: u32 = 18;
/// The filter in front of the table of merges has 2^21 bits.
pub(crate) const MERGE_FILTER_BITS: u32 = 21;

/// A merge is hot if the token that it makes has a lower id than this. Hot merges have a small table of their own, whose
/// entries hold an id in 13 bits; all ones stands for an empty slot.
pub(crate) const HOT_LIMIT: u32 = 8191;
/// The slots of the table of hot merges.
pub(crate) const HOT_MERGE_SLOTS: usize = 1 << 15;

/// The slot of a token of 1 to 8 bytes, in a table of 2^`bits` slots. `key` is the token as a little-endian number.
#[inline]
pub(crate) const fn short_token_slot(key: u64, length: usize, bits: u32) -> usize {
    ((key ^ (length as u64).wrapping_mul(SQRT_2)).wrapping_mul(GOLDEN_RATIO) >> (64 - bits)) as usize
}

/// The slot of a token of 9 to 16 bytes, in a table of 2^`bits` slots. `low` is its first 8 bytes, `high` the others.
#[inline]
pub(crate) const fn medium_token_slot(low: u64, high: u64, bits: u32) -> usize {
    let mixed = (low.wrapping_mul(GOLDEN_RATIO) ^ high).wrapping_mul(SQRT_2);
    ((mixed ^ (mixed >> 32)).wrapping_mul(GOLDEN_RATIO) >> (64 - bits)) as usize
}

/// The slot of a token of any length, in a table of 2^`bits` slots.
#[inline]
pub(crate) fn long_token_slot(token: &[u8], bits: u32) -> usize {
    let (chunks, rest) = token.as_chunks::<8>();
    let numbers =
        chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).chain(std::iter::once(little_endian(rest)));
    let hash = numbers
        .fold(token.len() as u64, |hash, number| (hash.rotate_left(23) ^ number).wrapping_mul(GOLDEN_RATIO));
    ((hash ^ (hash >> 32)).wrapping_mul(SQRT_2) >> (64 - bits)) as usize
}

/// The hash of two neighbouring tokens. Its highest bits are the best mixed.
#[inline(always)]
pub(crate) const fn pair_hash(left: u32, right: u32) -> u64 {
    let key = (left as u64) << 18 | right as u64;
    (key ^ (key >> 15)).wrapping_mul(GOLDEN_RATIO)
}

/// The hash of a pre-token of up to 16 bytes, padded with zeros. Its highest bits are the best mixed.
#[inline(always)]
pub(crate) const fn pretoken_hash(low: u64, high: u64) -> u64 {
    (low ^ high.wrapping_mul(SQRT_2)).wrapping_mul(GOLDEN_RATIO)
}

/// Up to 8 bytes as a little-endian number.
#[inline]
pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}
