//! The hash functions of the vocabulary's tables. `build.rs` includes this file, because the build must fill the tables
//! by the same functions that the tokenizer looks up with.

/// Odd multipliers whose bits follow no pattern: the fractions of the golden ratio and of the square root of 2.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
const SQRT_2: u64 = 0x6a09_e667_f3bc_c909;

/// The table of merges has 2^18 slots of 5 bytes, and each merge has one of its own. A pair's [`pair_hash`] gives in its highest
/// 16 bits a bucket, and in its lowest 18 a slot, which the bucket's displacement is added to: the build chooses it such that
/// no two merges share a slot. From the lowest bit on, a slot holds the id of the token that two others make, in 18 bits; the
/// other bits of the hash, in 18 bits; and a bit that is set. Together with the slot's place this is the pair, because each pair
/// has a hash of its own. Empty slots are 0.
pub(crate) const MERGE_SLOT_BITS: u32 = 18;
pub(crate) const MERGE_SLOT_BYTES: usize = 5;
/// In front of the slots: a slot is read in the highest 5 of 8 bytes, which spares a mask.
pub(crate) const MERGE_PADDING: usize = 3;
pub(crate) const MERGE_BUCKET_BITS: u32 = 16;
/// The filter in front of the table of merges has 2^21 bits.
pub(crate) const MERGE_FILTER_BITS: u32 = 21;

/// A merge is hot if the token that it makes has a lower id than this. Hot merges have a small table of their own, whose
/// entries hold an id in 13 bits; all ones stands for an empty slot.
pub(crate) const HOT_LIMIT: u32 = 8191;
/// The table of hot merges has 2^13 slots of 4 bytes, nearly all of them full. It is made as the table of all merges is, with
/// [`hot_hash`]. A slot holds the highest 13 bits of the hash in the same place, and the id from bit 6 on. Empty slots have all
/// of these bits set.
pub(crate) const HOT_SLOT_BITS: u32 = 13;
pub(crate) const HOT_BUCKET_BITS: u32 = 11;

/// For each ASCII character the table of runs has the tokens of 1, 2, 4, … characters, up to this number of them.
pub(crate) const RUN_TOKENS: usize = 7;

/// Tokens of up to 16 bytes are in buckets of a cache line.
pub(crate) const BUCKET_BYTES: usize = 64;
/// Where a bucket has, in its highest bit, whether it was too small, so that the search goes on in the next one.
pub(crate) const OVERFLOW_AT: usize = 63;
pub(crate) const OVERFLOW: u8 = 0x80;

/// Tokens of 1 to 8 bytes are in 2^15 buckets, three quarters full, of six tokens: their keys of 8 bytes, the low 16 bits of
/// their ids, and the two high bits of each id in one number.
pub(crate) const SHORT_BUCKET_BITS: u32 = 15;
pub(crate) const SHORT_BUCKET_TOKENS: usize = 6;
/// Where a bucket of short tokens has the low bits of the ids, and their high bits.
pub(crate) const SHORT_IDS_AT: usize = 48;
pub(crate) const SHORT_HIGH_BITS_AT: usize = 60;

/// Buckets of tokens of 9 to 16 bytes, three quarters full, of three tokens: their keys of 16 bytes, padded with zeros; four
/// bytes for each, with its id and from [`LENGTH_SHIFT`] on its length, zeros where there is no token.
pub(crate) const MEDIUM_BUCKETS: usize = 20_480;
pub(crate) const MEDIUM_BUCKET_TOKENS: usize = 3;
pub(crate) const MEDIUM_IDS_AT: usize = 48;
pub(crate) const LENGTH_SHIFT: u32 = 24;

/// The key of 1 to 8 bytes, which `low` holds as a little-endian number: the same with the length in the highest byte,
/// unless that is one of the bytes. No token of 8 bytes has a length there.
#[inline(always)]
pub(crate) const fn short_key(low: u64, length: usize) -> u64 {
    low | (length as u64 & 7) << 56
}

/// Whether 8 bytes have the key of a token of fewer.
#[inline(always)]
pub(crate) const fn is_key_of_fewer_bytes(low: u64, length: usize) -> bool {
    length == 8 && low >> 56 < 8
}

/// The first bucket of a token of 1 to 8 bytes.
#[inline(always)]
pub(crate) const fn short_token_bucket(short_key: u64) -> usize {
    (short_key.wrapping_mul(GOLDEN_RATIO) >> (64 - SHORT_BUCKET_BITS)) as usize
}

/// The first bucket of a token of 9 to 16 bytes. `low` is its first 8 bytes, `high` the others.
#[inline]
pub(crate) const fn medium_token_bucket(low: u64, high: u64) -> usize {
    let mixed = (low.wrapping_mul(GOLDEN_RATIO) ^ high).wrapping_mul(SQRT_2);
    scaled((mixed ^ (mixed >> 32)).wrapping_mul(GOLDEN_RATIO), MEDIUM_BUCKETS)
}

/// A number below `limit`, by the highest 32 bits of a hash.
#[inline]
const fn scaled(hash: u64, limit: usize) -> usize {
    (((hash >> 32) * limit as u64) >> 32) as usize
}

/// The table of tokens of more than 16 bytes has 2^14 slots: the id, and from bit 18 on 14 bits of the hash, so that the
/// bytes of other tokens are seldom read.
pub(crate) const LONG_SLOT_BITS: u32 = 14;

/// The hash of a token of any length. Its highest bits give its first slot.
#[inline]
pub(crate) fn long_token_hash(token: &[u8]) -> u64 {
    let (chunks, rest) = token.as_chunks::<8>();
    let numbers =
        chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).chain(std::iter::once(little_endian(rest)));
    let hash = numbers
        .fold(token.len() as u64, |hash, number| (hash.rotate_left(23) ^ number).wrapping_mul(GOLDEN_RATIO));
    (hash ^ (hash >> 32)).wrapping_mul(SQRT_2)
}

/// The bits of the hash that the slot holds.
#[inline]
pub(crate) const fn long_token_tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & 0x3fff
}

/// The hash of two neighbouring tokens, in the highest 36 bits; the others are 0. Each pair has its own: an odd factor and
/// the exclusive or with the number shifted right lose nothing of the 36 bits of two ids. The highest bits are the best
/// mixed.
#[inline(always)]
pub(crate) const fn pair_hash(left: u32, right: u32) -> u64 {
    let key = (left as u64) << 18 | right as u64;
    (key ^ (key >> 15)).wrapping_mul(GOLDEN_RATIO << 28)
}

/// The bucket of a pair in the table of merges.
#[inline(always)]
pub(crate) const fn merge_bucket(pair_hash: u64) -> usize {
    (pair_hash >> (64 - MERGE_BUCKET_BITS)) as usize
}

/// The slot of a pair in a bucket with this displacement.
#[inline(always)]
pub(crate) const fn merge_slot(pair_hash: u64, displacement: u8) -> usize {
    ((pair_hash >> 28) as usize + displacement as usize) & ((1 << MERGE_SLOT_BITS) - 1)
}

/// What the slot of a pair holds above the id.
#[inline(always)]
pub(crate) const fn merge_key(pair_hash: u64) -> u64 {
    pair_hash >> 46 | 1 << 18
}

/// The hash of two hot codes, in the highest 26 bits; the others are 0. Each pair has its own, as of [`pair_hash`].
#[inline(always)]
pub(crate) const fn hot_hash(left: u32, right: u32) -> u32 {
    let key = left << 13 | right;
    (key ^ (key >> 11)).wrapping_mul((GOLDEN_RATIO as u32) << 6)
}

/// The bucket of a pair in the table of hot merges.
#[inline(always)]
pub(crate) const fn hot_bucket(hot_hash: u32) -> usize {
    (hot_hash >> (32 - HOT_BUCKET_BITS)) as usize
}

/// The slot of a pair in a bucket with this displacement.
#[inline(always)]
pub(crate) const fn hot_slot(hot_hash: u32, displacement: u16) -> usize {
    ((hot_hash >> 6) as usize + displacement as usize) & ((1 << HOT_SLOT_BITS) - 1)
}

/// What the slot of a pair holds above the id.
#[inline(always)]
pub(crate) const fn hot_key(hot_hash: u32) -> u32 {
    hot_hash & (u32::MAX << 19)
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
