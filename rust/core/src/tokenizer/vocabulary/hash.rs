//! The hash of the vocabulary's tables. The build fills them with it and the tokenizer looks up with it, so that
//! this file belongs to both.

/// Multipliers with no pattern in their bits: the fraction of the golden ratio, and of the square root of two.
const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0x6a09_e667_f3bc_c909;

/// The slot of a token of up to 8 bytes: its bytes as a little-endian number, and how many they are.
#[inline]
pub(crate) const fn short(key: u64, length: usize, bits: u32) -> usize {
    ((key ^ (length as u64).wrapping_mul(SECOND)).wrapping_mul(FIRST) >> (64 - bits)) as usize
}

/// The slot of a token of 9 to 16 bytes: its first 8 bytes, and the others.
#[inline]
pub(crate) const fn middle(first: u64, second: u64, bits: u32) -> usize {
    let mixed = (first.wrapping_mul(FIRST) ^ second).wrapping_mul(SECOND);
    ((mixed ^ (mixed >> 32)).wrapping_mul(FIRST) >> (64 - bits)) as usize
}

/// Slots of the table of merges, as a power of two.
pub(crate) const MERGE_BITS: u32 = 18;
/// Bits of the filter before it, as a power of two.
pub(crate) const FILTER_BITS: u32 = 21;

/// Merges into lower tokens than this are hot: they have a table of their own. 13 bits, and no token is all ones.
pub(crate) const HOT: u32 = 8191;
/// The places of that table.
pub(crate) const HOT_PLACES: usize = 1 << 15;

/// Of two tokens. The highest bits are the best.
#[inline(always)]
pub(crate) const fn pair(left: u32, right: u32) -> u64 {
    let key = (left as u64) << 18 | right as u64;
    (key ^ (key >> 15)).wrapping_mul(FIRST)
}

/// Of up to 16 bytes, filled up with zeros. The highest bits are the best.
#[inline(always)]
pub(crate) const fn token(first: u64, second: u64) -> u64 {
    (first ^ second.wrapping_mul(SECOND)).wrapping_mul(FIRST)
}

/// The slot of a longer token.
#[inline]
pub(crate) fn long(token: &[u8], bits: u32) -> usize {
    let (chunks, rest) = token.as_chunks::<8>();
    let numbers = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).chain(std::iter::once(number(rest)));
    let hash =
        numbers.fold(token.len() as u64, |hash, number| (hash.rotate_left(23) ^ number).wrapping_mul(FIRST));
    ((hash ^ (hash >> 32)).wrapping_mul(SECOND) >> (64 - bits)) as usize
}

/// Up to 8 bytes as a little-endian number.
#[inline]
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}
