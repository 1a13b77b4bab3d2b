//! The vocabulary, in tables that the build made: read-only memory, shared between processes, nothing to load.

pub(in crate::tokenizer) mod hash;

mod base64;

use crate::tokenizer::simd;

/// Ids run from 0 to 201,087, as in tiktoken's `o200k_harmony` and as the models have it. (openai-harmony counts
/// one more.)
pub const VOCAB_SIZE: u32 = 201_088;

/// The first id that is a special token.
pub const FIRST_SPECIAL: u32 = 199_998;

/// Stands in the tables for no token.
pub(crate) const NONE: u32 = u32::MAX;

/// Keeps a table from crossing more cache lines than it must.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

macro_rules! table {
    ($file:literal) => {
        &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $file))).0
    };
}

const SHORT_BITS: u32 = 18;
const MIDDLE_BITS: u32 = 17;
const LONG_BITS: u32 = 14;

static BYTES: &[u8] = table!("bytes.bin");
static ENDS: &[u8; (VOCAB_SIZE as usize + 1) * 4] = table!("ends.bin");
static HALVES: &[u8; FIRST_SPECIAL as usize * 8] = table!("halves.bin");
static PREFIXES: &[u8; FIRST_SPECIAL as usize * 4] = table!("prefixes.bin");
static LENGTHS: &[u8; 16 << 16] = table!("lengths.bin");
static MERGES: &[u8; 8 << hash::MERGE_BITS] = table!("merges.bin");
static MERGE_FILTER: &[u8; 1 << (hash::FILTER_BITS - 3)] = table!("merge_filter.bin");
static HOT_ROWS: &[u8; (hash::HOT as usize + 1) * 2] = table!("hot_rows.bin");
static HOT_MERGES: &[u8; hash::HOT_PLACES * 4] = table!("hot_merges.bin");
static SINGLES: &[u8; 4 << 8] = table!("singles.bin");
static ASCII_PAIRS: &[u8; 4 << 14] = table!("ascii_pairs.bin");
static UNIT_BLOCKS: &[u8] = table!("unit_blocks.bin");
static UNIT_INDEX: &[u8; 0x1100] = table!("unit_index.bin");
static BORDERS: &[u8] = table!("borders.bin");
static SHORT: &[u8; 16 << SHORT_BITS] = table!("short.bin");
static MIDDLE: &[u8; 32 << MIDDLE_BITS] = table!("middle.bin");
static LONG: &[u8; 4 << LONG_BITS] = table!("long.bin");
static CLASS_BLOCKS: &[u8] = table!("class_blocks.bin");
static CLASS_INDEX: &[u8; 0x1100] = table!("class_index.bin");

#[inline]
fn u32_at(table: &[u8], at: usize) -> u32 {
    table.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[inline]
fn u64_at(table: &[u8], at: usize) -> u64 {
    table.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The bytes of a token; of a special token, its spelling. `None` from 201,088 on.
#[inline]
pub fn token_bytes(id: u32) -> Option<&'static [u8]> {
    if id >= VOCAB_SIZE {
        return None;
    }
    let at = id as usize * 4;
    BYTES.get(u32_at(ENDS, at) as usize..u32_at(ENDS, at + 4) as usize)
}

/// Sixteen bytes that begin with those of a token, and how many those are. (Of the very last tokens it gives nothing
/// else than zero bytes, and too many to be copied from there.)
#[inline(always)]
pub(crate) fn wide_bytes(id: u32) -> Option<(&'static [u8; 16], usize)> {
    if id >= VOCAB_SIZE {
        return None;
    }
    let at = id as usize * 4;
    let (start, end) = (u32_at(ENDS, at) as usize, u32_at(ENDS, at + 4) as usize);
    match BYTES.get(start..).and_then(<[u8]>::first_chunk) {
        Some(wide) => Some((wide, end - start)),
        None => Some((&[0; 16], usize::MAX)),
    }
}

/// The token of a byte.
#[inline(always)]
pub(crate) fn single(byte: u8) -> u32 {
    u32_at(SINGLES, usize::from(byte) * 4)
}

/// The token that two bytes of ASCII merge into, or [`NONE`].
#[inline(always)]
pub(crate) fn ascii_pair(left: u8, right: u8) -> u32 {
    u32_at(ASCII_PAIRS, (usize::from(left & 0x7f) << 7 | usize::from(right & 0x7f)) * 4)
}

/// The token that two neighbours merge into, or [`NONE`].
#[inline(always)]
pub(crate) fn merge(left: u32, right: u32) -> u32 {
    let hash = hash::pair(left, right);
    let bit = (hash >> (64 - hash::FILTER_BITS)) as usize;
    if MERGE_FILTER[bit / 8] >> (bit % 8) & 1 == 0 {
        return NONE;
    }
    let wanted = u64::from(left) << 18 | u64::from(right);
    let mut slot = (hash >> (64 - hash::MERGE_BITS)) as usize;
    loop {
        let found = u64_at(MERGES, slot * 8);
        if found >> 18 == wanted {
            return (found & 0x3_ffff) as u32;
        }
        if found == 0 {
            return NONE;
        }
        slot = (slot + 1) & ((1 << hash::MERGE_BITS) - 1);
    }
}

/// Fetches what [`merge`] will read.
#[inline(always)]
pub(crate) fn prefetch_merge(left: u32, right: u32) {
    let hash = hash::pair(left, right);
    simd::prefetch(MERGE_FILTER, (hash >> (64 - hash::FILTER_BITS + 3)) as usize);
    simd::prefetch(MERGES, (hash >> (64 - hash::MERGE_BITS)) as usize * 8);
}

/// No merge that [`hot_merge`] finds has this number or a higher one.
pub(crate) const NOT_HOT: u32 = hash::HOT << 6;

/// The token that two neighbours merge into, if it is below [`hash::HOT`], above 6 bits for the place; if there is
/// none, [`NOT_HOT`] or more. A token of one byte is given as that byte, and one from [`hash::HOT`] on as
/// [`hash::HOT`].
#[inline(always)]
pub(crate) fn hot_merge(left: u32, right: u32, place: usize) -> u32 {
    let row = (left & hash::HOT) as usize * 2;
    let start = usize::from(HOT_ROWS[row]) | usize::from(HOT_ROWS[row + 1]) << 8;
    let at = (start + right as usize) % hash::HOT_PLACES;
    u32_at(HOT_MERGES, at * 4) ^ (left << 19 | place as u32)
}

/// The token that a character is, if nothing can merge with a part of it between these two bytes; or [`NONE`].
#[inline(always)]
pub(crate) fn unit(point: usize, before: u8, behind: u8) -> u32 {
    let block = usize::from(UNIT_INDEX.get(point >> 8).copied().unwrap_or(0));
    let entry = u32_at(UNIT_BLOCKS, (block << 8 | point & 0xff) * 4);
    let borders = (entry >> 18 & 0x1fff) as usize * 16;
    let before_bad = match before {
        b' ' => entry >> 31 == 1,
        0..128 => false,
        _ => u64_at(BORDERS, borders) >> (before & 63) & 1 == 1,
    };
    let behind_bit = if behind < 0x80 { 0 } else { behind & 63 };
    let behind_bad = u64_at(BORDERS, borders + 8) >> behind_bit & 1 == 1;
    if entry == NONE || before_bad || behind_bad { NONE } else { entry & 0x3_ffff }
}

/// The two tokens that a base token is the merge of; a single byte is its own two halves.
pub(crate) fn halves(id: u32) -> (u32, u32) {
    (u32_at(HALVES, id as usize * 8), u32_at(HALVES, id as usize * 8 + 4))
}

/// The lengths of the tokens that begin with these two bytes: bit `length - 1`.
fn lengths(pair: &[u8; 2]) -> u128 {
    let at = usize::from(u16::from_be_bytes(*pair)) * 16;
    u128::from(u64_at(LENGTHS, at + 8)) << 64 | u128::from(u64_at(LENGTHS, at))
}

/// The longest token that a token begins with, itself left out; [`NONE`] for a single byte.
pub(crate) fn prefix(id: u32) -> u32 {
    u32_at(PREFIXES, id as usize * 4)
}

/// The longest token that `text` begins with; [`NONE`] if it is empty.
pub(crate) fn longest(text: &[u8]) -> u32 {
    let most = text.len().min(LONGEST);
    if let Some(pair) = text.first_chunk::<2>() {
        let all = lengths(pair);
        let mut lengths = if most < LONGEST { all & ((1 << most) - 1) } else { all };
        while lengths != 0 {
            let length = 128 - lengths.leading_zeros() as usize;
            let id = text.get(..length).map_or(NONE, lookup);
            if id != NONE {
                return id;
            }
            lengths &= !(1 << (length - 1));
        }
    }
    text.first().map_or(NONE, |byte| single(*byte))
}

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
}

/// The token of up to 16 bytes, or [`NONE`].
#[inline(always)]
pub(crate) fn lookup_key(key: Key) -> u32 {
    match key.length {
        0..=8 => lookup_short(key.first, key.length),
        _ => lookup_middle(key.first, key.second, key.length),
    }
}

/// Fetches what [`lookup_key`] will read first.
#[inline(always)]
pub(crate) fn prefetch(key: Key) {
    if key.length <= 8 {
        simd::prefetch(SHORT, hash::short(key.first, key.length, SHORT_BITS) * 16);
    } else {
        simd::prefetch(MIDDLE, hash::middle(key.first, key.second, MIDDLE_BITS) * 32);
    }
}

/// The token that some bytes are, or [`NONE`].
pub(crate) fn lookup(token: &[u8]) -> u32 {
    if token.len() <= 16 { lookup_key(Key::new(&chunk(token), token.len())) } else { lookup_long(token) }
}

/// The first 16 bytes of a text; zeros stand for what is missing.
#[inline(always)]
pub(crate) fn chunk(text: &[u8]) -> [u8; 16] {
    if let Some(chunk) = text.first_chunk() {
        return *chunk;
    }
    let mut chunk = [0; 16];
    if let Some(start) = chunk.get_mut(..text.len()) {
        start.copy_from_slice(text);
    }
    chunk
}

#[inline(always)]
fn lookup_short(key: u64, length: usize) -> u32 {
    let mut slot = hash::short(key, length, SHORT_BITS);
    loop {
        let at = slot * 16;
        let (found, meta) = (u64_at(SHORT, at), u64_at(SHORT, at + 8));
        if found == key && (meta >> 32) as usize == length {
            return meta as u32;
        }
        if meta == 0 {
            return NONE;
        }
        slot = (slot + 1) & ((1 << SHORT_BITS) - 1);
    }
}

#[inline(always)]
fn lookup_middle(first: u64, second: u64, length: usize) -> u32 {
    let mut slot = hash::middle(first, second, MIDDLE_BITS);
    loop {
        let at = slot * 32;
        let meta = u64_at(MIDDLE, at + 16);
        if meta >> 32 == length as u64 && u64_at(MIDDLE, at) == first && u64_at(MIDDLE, at + 8) == second {
            return meta as u32;
        }
        if meta == 0 {
            return NONE;
        }
        slot = (slot + 1) & ((1 << MIDDLE_BITS) - 1);
    }
}

/// The longest token is 128 bytes.
pub(crate) const LONGEST: usize = 128;

#[inline(never)]
pub(crate) fn lookup_long(token: &[u8]) -> u32 {
    let may_be = |pair| token.len() <= LONGEST && lengths(pair) >> (token.len() - 1) & 1 == 1;
    if !token.first_chunk::<2>().is_some_and(may_be) {
        return NONE;
    }
    let mut slot = hash::long(token, LONG_BITS);
    loop {
        let id = u32_at(LONG, slot * 4);
        if id == NONE || token_bytes(id) == Some(token) {
            return id;
        }
        slot = (slot + 1) & ((1 << LONG_BITS) - 1);
    }
}

/// The class of a code point, as `split.rs` numbers them.
#[inline]
pub(crate) fn class(c: usize) -> u8 {
    let block = CLASS_INDEX.get(c >> 8).copied().unwrap_or(0);
    CLASS_BLOCKS.get(usize::from(block) << 8 | (c & 0xff)).copied().unwrap_or(0)
}

/// The id of a special token's spelling. `<|reserved_200018|>` is `<|endofprompt|>` by another name, as in tiktoken.
pub fn special_id(spelling: &str) -> Option<u32> {
    if let Some(number) = spelling.strip_prefix("<|reserved_").and_then(|rest| rest.strip_suffix("|>")) {
        let id: u32 = number.parse().ok()?;
        let named = token_bytes(id) != Some(spelling.as_bytes()) && id != END_OF_PROMPT;
        return ((FIRST_SPECIAL..VOCAB_SIZE).contains(&id) && !named && id.to_string() == number)
            .then_some(id);
    }
    NAMED.into_iter().find(|&id| token_bytes(id) == Some(spelling.as_bytes()))
}

const END_OF_PROMPT: u32 = 200_018;

/// Special tokens with a name of their own.
const NAMED: [u32; 10] =
    [199_998, 199_999, 200_002, 200_003, 200_005, 200_006, 200_007, 200_008, 200_012, END_OF_PROMPT];

/// All spellings of special tokens with their ids: 1,091, as in tiktoken.
pub fn special_tokens() -> impl Iterator<Item = (&'static str, u32)> {
    let spelled = (FIRST_SPECIAL..VOCAB_SIZE).filter_map(|id| {
        let spelling = std::str::from_utf8(token_bytes(id)?).ok()?;
        Some((spelling, id))
    });
    spelled.chain([("<|reserved_200018|>", END_OF_PROMPT)])
}

/// The vocabulary as a `.tiktoken` file: a line `base64(token) rank` for each of the 199,998 base tokens.
pub fn expanded() -> Vec<u8> {
    let mut out = Vec::with_capacity(3_613_922);
    for id in 0..FIRST_SPECIAL {
        base64::push(token_bytes(id).unwrap_or_default(), &mut out);
        out.extend_from_slice(format!(" {id}\n").as_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_vocabulary_is_the_published_one() {
        let hash: String = Sha256::digest(expanded()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d");
    }

    #[test]
    fn every_token_is_found() {
        for id in 0..FIRST_SPECIAL {
            let token = token_bytes(id).expect("below the size");
            assert_eq!(lookup(token), id);
        }
        assert_eq!(token_bytes(VOCAB_SIZE), None);
    }

    #[test]
    fn the_hot_merges_are_the_lowest() {
        // As the table of hot merges has them, and as the table of all has them.
        let code = |id: u32| match token_bytes(id) {
            Some(&[byte]) => u32::from(byte),
            _ => id.min(hash::HOT),
        };
        let hot = |left: u32, right: u32| match hot_merge(code(left), code(right), 9) {
            key @ ..NOT_HOT => Some(key),
            _ => None,
        };
        let expected = |left: u32, right: u32| match merge(left, right) {
            id @ ..hash::HOT => Some(id << 6 | 9),
            _ => None,
        };
        for id in 256..FIRST_SPECIAL {
            let (left, right) = halves(id);
            assert!(left.max(right) < id);
            for (left, right) in [(left, right), (right, left), (id, left), (left, id), (right + 1, left)] {
                assert_eq!(hot(left, right), expected(left, right), "{left} {right}");
            }
        }
        for left in (0..hash::HOT + 100).step_by(7) {
            for right in (0..hash::HOT + 100).step_by(5) {
                assert_eq!(hot(left, right), expected(left, right), "{left} {right}");
            }
        }
        assert!((0..hash::HOT).all(|id| hot_merge(hash::HOT, id, 9) >= NOT_HOT));
    }

    #[test]
    fn special_tokens_are_spelled_and_found() {
        let all: Vec<_> = special_tokens().collect();
        assert_eq!(all.len(), 1091);
        for (spelling, id) in all {
            assert_eq!(special_id(spelling), Some(id), "{spelling}");
        }
        for no in [
            "<|reserved_200002|>",
            "<|reserved_0200000|>",
            "<|reserved_201088|>",
            "<|reserved_5|>",
            "<|x|>",
            "",
        ] {
            assert_eq!(special_id(no), None, "{no}");
        }
    }
}
