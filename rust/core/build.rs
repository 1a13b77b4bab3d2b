//! Turns the files in `data/` into the tables of `src/tokenizer/vocabulary`, which are read where they lie in the binary.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::path::Path;

#[path = "src/tokenizer/vocabulary/base64.rs"]
mod base64;
// `pretoken_hash` serves a cache, not a table.
#[allow(dead_code)]
#[path = "src/tokenizer/vocabulary/hash.rs"]
mod hash;
// Only ids and spellings are needed here.
#[allow(dead_code, unreachable_pub)]
#[path = "src/marker.rs"]
mod marker;

/// The SHA-256 of the published `o200k_base.tiktoken`, as tiktoken and openai-harmony check it.
const SHA256: &str = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d";
const ORDINARY_TOKENS: usize = 199_998;
const VOCAB_SIZE: usize = 201_088;
const NO_TOKEN: u32 = u32::MAX;

fn main() {
    for path in ["build.rs", "data", "src/tokenizer/vocabulary/base64.rs", "src/tokenizer/vocabulary/hash.rs"]
    {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-changed=src/marker.rs");
    let packed = std::fs::read("data/merges.z").expect("data/merges.z");
    let (tokens, parents) =
        unpack(&miniz_oxide::inflate::decompress_to_vec_zlib(&packed).expect("deflated data"));
    assert_eq!(checksum(&tokens), SHA256, "data/merges.z does not hold the o200k_base vocabulary");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let save =
        |name: &str, bytes: &[u8]| std::fs::write(Path::new(&out).join(name), bytes).expect("writable");

    let mut specials = special_tokens();
    let mut all_tokens = tokens.clone();
    all_tokens.extend(specials.iter().map(|(spelling, _)| spelling.clone().into_bytes()));
    save("token_bytes.bin", &all_tokens.concat());
    save("token_ends.bin", &ends(&all_tokens));
    specials.push(second_spelling());
    specials.sort_unstable();
    let spellings: Vec<&[u8]> = specials.iter().map(|(spelling, _)| spelling.as_bytes()).collect();
    save("special_spellings.bin", &spellings.concat());
    save("special_spelling_ends.bin", &ends(&spellings));
    save("special_spelling_ids.bin", &to_bytes(specials.iter().map(|(_, id)| *id)));

    save("merge_parents.bin", &to_bytes(parents.concat()));
    save("longest_prefix_lengths.bin", &longest_prefix_lengths(&tokens));
    let (length_sets, by_first_bytes) = lengths_by_first_bytes(&tokens);
    save("length_sets.bin", &length_sets);
    save("length_sets_by_first_bytes.bin", &by_first_bytes);
    let (merge_displacements, merges) = merges(&parents);
    save("merge_displacements.bin", &merge_displacements);
    save("merges.bin", &merges);
    save("merge_filter.bin", &merge_filter(&parents));
    let (hot_displacements, hot_merges) = hot_merges(&tokens, &parents);
    save(
        "hot_displacements.bin",
        &hot_displacements.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    );
    save("hot_merges.bin", &to_bytes(hot_merges));
    save("byte_tokens.bin", &to_bytes(byte_tokens(&tokens)));
    save("ascii_pairs.bin", &to_bytes(ascii_pairs(&tokens)));
    let (run_levels, run_tokens) = runs(&tokens, &parents);
    save("run_levels.bin", &run_levels);
    save("run_tokens.bin", &to_bytes(run_tokens));
    let whole_chars = WholeChars::new(&tokens, &parents);
    save("whole_char_blocks.bin", &to_bytes(whole_chars.blocks));
    save("whole_char_index.bin", &whole_chars.index);
    save("whole_char_borders.bin", &whole_chars.borders);
    save("short_tokens.bin", &short_tokens(&tokens));
    save("medium_tokens.bin", &medium_tokens(&tokens));
    save("long_tokens.bin", &to_bytes(long_tokens(&tokens)));
    let (blocks, index) =
        char_classes(&std::fs::read_to_string("data/classes.txt").expect("data/classes.txt"));
    save("class_blocks.bin", &blocks);
    save("class_index.bin", &index);
}

/// The ordinary tokens, and of each the two tokens that it is the merge of. The token of a single byte is its own two
/// parents. The layout of `data` is described in `data/pack.py`.
fn unpack(data: &[u8]) -> (Vec<Vec<u8>>, Vec<[u32; 2]>) {
    let (bytes, planes) = data.split_at(256);
    let count = ORDINARY_TOKENS - 256;
    assert_eq!(planes.len(), count * 6, "two ranks of three bytes for each token");
    let rank = |side: usize, at: usize| {
        (0..3).map(|plane| usize::from(planes[(side * 3 + plane) * count + at]) << (8 * plane)).sum::<usize>()
    };
    let mut tokens: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
    let mut parents: Vec<[u32; 2]> = (0..256).map(|id| [id, id]).collect();
    for at in 0..count {
        let (left, right) = (rank(0, at), rank(1, at));
        tokens.push([tokens[left].as_slice(), tokens[right].as_slice()].concat());
        parents.push([left, right].map(|id| u32::try_from(id).expect("a rank")));
    }
    (tokens, parents)
}

fn checksum(tokens: &[Vec<u8>]) -> String {
    let mut hasher = Sha256::new();
    for (rank, token) in tokens.iter().enumerate() {
        let mut line = Vec::new();
        base64::push_base64(token, &mut line);
        hasher.update(line);
        hasher.update(format!(" {rank}\n"));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spellings of the ids from 199,998 on, in the order of the ids.
fn special_tokens() -> Vec<(String, u32)> {
    let named: HashMap<u32, &str> = marker::Marker::ALL
        .map(|marker| (marker.id(), marker.spelling()))
        .into_iter()
        .chain(marker::OTHER_NAMED_TOKENS)
        .collect();
    let spelling = |id: u32| named.get(&id).map_or_else(|| reserved_spelling(id), |name| (*name).to_owned());
    (ORDINARY_TOKENS as u32..VOCAB_SIZE as u32).map(|id| (spelling(id), id)).collect()
}

/// tiktoken has two spellings for one id.
fn second_spelling() -> (String, u32) {
    (reserved_spelling(200_018), 200_018)
}

fn reserved_spelling(id: u32) -> String {
    format!("<|reserved_{id}|>")
}

fn to_bytes(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Where each item ends in their concatenation, with a zero in front.
fn ends(items: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut end = 0;
    let ends = items.iter().map(|item| {
        end += u32::try_from(item.as_ref().len()).expect("short");
        end
    });
    to_bytes(std::iter::once(0).chain(ends))
}

/// The token of each byte.
fn byte_tokens(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut table = vec![NO_TOKEN; 256];
    for (id, token) in (0..).zip(&tokens[..256]) {
        table[usize::from(token[0])] = id;
    }
    table
}

/// The token of each two bytes of ASCII, if there is one. The index is 7 bits of the first byte, and 7 of the second.
fn ascii_pairs(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut table = vec![NO_TOKEN; 1 << 14];
    for (id, token) in (0..).zip(tokens) {
        if let [left @ 0..0x80, right @ 0..0x80] = token[..] {
            table[usize::from(left) << 7 | usize::from(right)] = id;
        }
    }
    table
}

/// The tokens that runs of an ASCII character merge into before anything else happens to them. `src/tokenizer/README.md` has
/// the reason.
///
/// Returns two numbers for each character, how often such a run doubles its tokens behind a space, and behind all else; and
/// the tokens of one, two, four and more characters, [`hash::RUN_TOKENS`] for each.
fn runs(tokens: &[Vec<u8>], parents: &[[u32; 2]]) -> (Vec<u8>, Vec<u32>) {
    let mut by_parent: HashMap<u32, Vec<u32>> = HashMap::new();
    for (id, pair) in (0_u32..).zip(parents).skip(256) {
        pair.iter().for_each(|parent| by_parent.entry(*parent).or_default().push(id));
    }
    let (mut levels, mut run_tokens) = (Vec::new(), Vec::new());
    for &first in &byte_tokens(tokens)[..0x80] {
        let (mut token, mut run) = (first, vec![first]);
        let (mut holds_behind_space, mut levels_behind_space) = (true, 0);
        while run.len() < hash::RUN_TOKENS
            && let Some(merges) = by_parent.get(&token)
            && let Some(&double) = merges.iter().find(|id| parents[**id as usize] == [token, token])
        {
            let mut lower = merges.iter().filter(|id| **id < double).map(|id| parents[*id as usize]);
            holds_behind_space &= lower.clone().next().is_none();
            let is_behind_space = |[left, right]: [u32; 2]| {
                right == token && left != token && tokens[left as usize].ends_with(b" ")
            };
            if !lower.all(is_behind_space) {
                break;
            }
            levels_behind_space += usize::from(holds_behind_space);
            run.push(double);
            token = double;
        }
        levels.extend([levels_behind_space, run.len() - 1].map(|count| u8::try_from(count).expect("few")));
        run.resize(hash::RUN_TOKENS, NO_TOKEN);
        run_tokens.extend(run);
    }
    (levels, run_tokens)
}

/// The displacements of the buckets, and the table of all merges, as [`hash::MERGE_SLOT_BITS`] describes them.
fn merges(parents: &[[u32; 2]]) -> (Vec<u8>, Vec<u8>) {
    let merges: Vec<(u64, u64)> =
        (0..).zip(parents).skip(256).map(|(id, &[left, right])| (hash::pair_hash(left, right), id)).collect();
    let hashes = merges.iter().map(|(pair_hash, _)| *pair_hash);
    let mut slots = vec![0_u64; 1 << hash::MERGE_SLOT_BITS];
    let buckets = vec![Vec::new(); 1 << hash::MERGE_BUCKET_BITS];
    let displacements = displacements(hashes, buckets, hash::merge_bucket, slots.len(), hash::merge_slot);
    for (pair_hash, id) in merges {
        let slot = hash::merge_slot(pair_hash, displacements[hash::merge_bucket(pair_hash)]);
        slots[slot] = hash::merge_key(pair_hash) << 18 | id;
    }
    let slots =
        slots.into_iter().flat_map(|slot| slot.to_le_bytes().into_iter().take(hash::MERGE_SLOT_BYTES));
    (displacements, [0; hash::MERGE_PADDING].into_iter().chain(slots).collect())
}

/// A displacement for each bucket, such that no two hashes have the same slot. The buckets are given empty.
fn displacements<Hash: Copy, Displacement: Copy + Default + TryFrom<usize>>(
    hashes: impl Iterator<Item = Hash>,
    mut buckets: Vec<Vec<Hash>>,
    bucket: fn(Hash) -> usize,
    slot_count: usize,
    slot: fn(Hash, Displacement) -> usize,
) -> Vec<Displacement> {
    hashes.for_each(|hash| buckets[bucket(hash)].push(hash));
    // The fullest buckets first: the others fit into their gaps.
    let mut order: Vec<usize> = (0..buckets.len()).collect();
    order.sort_by_key(|bucket| std::cmp::Reverse(buckets[*bucket].len()));
    let (mut displacements, mut are_taken) =
        (vec![Displacement::default(); buckets.len()], vec![false; slot_count]);
    for bucket in order {
        let slots =
            |displacement: Displacement| buckets[bucket].iter().map(move |hash| slot(*hash, displacement));
        let fits = |displacement: &Displacement| {
            let mut chosen = HashSet::new();
            slots(*displacement).all(|slot| !are_taken[slot] && chosen.insert(slot))
        };
        let mut all = (0..slot_count).map_while(|number| Displacement::try_from(number).ok());
        let displacement = all.find(fits).expect("the slots are too few");
        slots(displacement).for_each(|slot| are_taken[slot] = true);
        displacements[bucket] = displacement;
    }
    displacements
}

/// A bit for each hash of two tokens that merge. Most pairs do not merge, and this table is small enough to stay in the
/// processor's cache, so that it spares most lookups in the table of merges.
fn merge_filter(parents: &[[u32; 2]]) -> Vec<u8> {
    let mut bits = vec![0_u8; 1 << (hash::MERGE_FILTER_BITS - 3)];
    for &[left, right] in &parents[256..] {
        let bit =
            usize::try_from(hash::pair_hash(left, right) >> (64 - hash::MERGE_FILTER_BITS)).expect("small");
        bits[bit / 8] |= 1 << (bit % 8);
    }
    bits
}

/// The displacements of the buckets, and the table of the merges into tokens below [`hash::HOT_LIMIT`], as
/// [`hash::HOT_SLOT_BITS`] describes them. A token of one byte has the number of that byte.
fn hot_merges(tokens: &[Vec<u8>], parents: &[[u32; 2]]) -> (Vec<u16>, Vec<u32>) {
    let code = |id: u32| match tokens[id as usize][..] {
        [byte] => u32::from(byte),
        _ => id,
    };
    let merges: Vec<(u32, u32)> = (0..hash::HOT_LIMIT)
        .zip(parents)
        .skip(256)
        .map(|(id, &[left, right])| (hash::hot_hash(code(left), code(right)), id))
        .collect();
    let hashes = merges.iter().map(|(hot_hash, _)| *hot_hash);
    let mut slots = vec![u32::MAX << 6; 1 << hash::HOT_SLOT_BITS];
    let buckets = vec![Vec::new(); 1 << hash::HOT_BUCKET_BITS];
    let displacements = displacements(hashes, buckets, hash::hot_bucket, slots.len(), hash::hot_slot);
    for (hot_hash, id) in merges {
        let slot = hash::hot_slot(hot_hash, displacements[hash::hot_bucket(hot_hash)]);
        slots[slot] = hash::hot_key(hot_hash) | id << 6;
    }
    (displacements, slots)
}

/// Merges by one of their parents: the merged token, and the other parent.
type MergesByParent = HashMap<u32, Vec<(u32, u32)>>;

/// The characters with which merging may begin in place of their bytes. `src/tokenizer/README.md` has the reason.
struct WholeChars {
    /// Of each code point in a block of 256: the token, from bit 18 on the number of its borders, and in bit 31 whether
    /// a space before it splits it; or [`NO_TOKEN`].
    blocks: Vec<u32>,
    /// The block of each 256 code points.
    index: Vec<u8>,
    /// Of each number of borders 16 bytes: the set of the bytes that split the character when they stand before it, and
    /// the set of those that split it when they stand after it. A byte is its low 6 bits; in the second set bit 0 stands
    /// for all of ASCII, and in the first ASCII has no bits.
    borders: Vec<u8>,
}

impl WholeChars {
    fn new(tokens: &[Vec<u8>], parents: &[[u32; 2]]) -> WholeChars {
        let (mut by_right, mut by_left) = (MergesByParent::new(), MergesByParent::new());
        for (id, &[left, right]) in (0_u32..).zip(parents).skip(256) {
            by_right.entry(right).or_default().push((id, left));
            by_left.entry(left).or_default().push((id, right));
        }
        let mut entries = vec![NO_TOKEN; 0x11_0000];
        let mut borders: Vec<(u64, u64)> = Vec::new();
        for (id, token) in (0_u32..).zip(tokens) {
            let Some(character) = single_char(token).filter(|character| !character.is_ascii()) else {
                continue;
            };
            let early = |side: usize, merges: &MergesByParent| early_neighbours(id, side, parents, merges);
            let before = early(0, &by_right).into_iter().map(|id| tokens[id as usize].as_slice());
            let after = early(1, &by_left).into_iter().map(|id| tokens[id as usize].as_slice());
            let Some((before, space)) = bytes_before(before) else { continue };
            let border = (before, bytes_after(after));
            let number = borders.iter().position(|other| *other == border).unwrap_or_else(|| {
                borders.push(border);
                borders.len() - 1
            });
            entries[character as usize] =
                id | u32::try_from(number).expect("few") << 18 | u32::from(space) << 31;
        }
        assert!(borders.len() < 1 << 13, "the number of borders has 13 bits");
        let (blocks, index) = two_level(&entries);
        let borders = borders.into_iter().flat_map(|(before, after)| [before, after]);
        WholeChars { blocks, index, borders: borders.flat_map(u64::to_le_bytes).collect() }
    }
}

fn single_char(token: &[u8]) -> Option<char> {
    let mut characters = std::str::from_utf8(token).ok()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// The tokens that, standing beside the token `id`, merge with the part at that edge before the token is complete: on its
/// left for side 0, on its right for side 1. `merges` are the merges by the part's own side.
fn early_neighbours(id: u32, side: usize, parents: &[[u32; 2]], merges: &MergesByParent) -> Vec<u32> {
    let (mut whole, mut neighbours) = (id, Vec::new());
    while whole >= 256 {
        let part = parents[whole as usize][side];
        let early = merges.get(&part).into_iter().flatten().filter(|(merged, _)| *merged < whole);
        neighbours.extend(early.map(|(_, neighbour)| *neighbour));
        whole = part;
    }
    neighbours
}

/// The last bytes of the tokens as a set of their low 6 bits, and whether a space is among them. `None` if other ASCII is:
/// the sets have no bit for it.
fn bytes_before<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Option<(u64, bool)> {
    let (mut bits, mut space) = (0, false);
    for token in tokens {
        match token[token.len() - 1] {
            b' ' => space = true,
            0..0x80 => return None,
            last => bits |= 1 << (last & 63),
        }
    }
    Some((bits, space))
}

/// The first bytes of the tokens as a set of their low 6 bits, with bit 0 for ASCII. Bytes that continue a character are
/// left out: none follows a whole character.
fn bytes_after<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> u64 {
    tokens.fold(0, |bits, token| match token[0] {
        0..0x80 => bits | 1,
        first => bits | u64::from(first >= 0xc0) << (first & 63),
    })
}

/// The length of the longest shorter token that each token begins with.
fn longest_prefix_lengths(tokens: &[Vec<u8>]) -> Vec<u8> {
    let all: HashSet<&[u8]> = tokens.iter().map(Vec::as_slice).collect();
    let shorter = |token: &[u8]| (1..token.len()).rev().find(|length| all.contains(&token[..*length]));
    let lengths = tokens.iter().map(|token| shorter(token).unwrap_or(0));
    lengths.map(|length| u8::try_from(length).expect("short")).collect()
}

/// The distinct sets of the lengths of tokens that begin with the same two bytes, as 128 bits, bit `length - 1` for each
/// length; and the number of the set of each two bytes.
fn lengths_by_first_bytes(tokens: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let mut by_first_bytes = vec![0_u128; 1 << 16];
    for token in tokens.iter().filter(|token| token.len() > 1) {
        by_first_bytes[usize::from(token[0]) << 8 | usize::from(token[1])] |= 1 << (token.len() - 1);
    }
    let mut sets = by_first_bytes.clone();
    sets.sort_unstable();
    sets.dedup();
    let number = |set| sets.binary_search(set).ok().and_then(|number| u16::try_from(number).ok());
    let numbers = by_first_bytes.iter().map(|set| number(set).expect("few sets"));
    let numbers = numbers.flat_map(u16::to_le_bytes).collect();
    (sets.into_iter().flat_map(u128::to_le_bytes).collect(), numbers)
}

/// A hash table of the tokens of 1 to 8 bytes.
fn short_tokens(tokens: &[Vec<u8>]) -> Vec<u8> {
    let key = |token: &[u8]| {
        let low = hash::little_endian(token);
        assert!(!hash::is_key_of_fewer_bytes(low, token.len()), "{token:?}");
        hash::short_key(low, token.len())
    };
    token_buckets::<{ hash::SHORT_BUCKET_TOKENS }>(
        tokens.iter().zip(0..).filter(|(token, _)| token.len() <= 8),
        1 << hash::SHORT_BUCKET_BITS,
        |token| hash::short_token_bucket(key(token)),
        |bucket, slot, token, id| {
            bucket[slot * 8..][..8].copy_from_slice(&key(token).to_le_bytes());
            bucket[hash::SHORT_IDS_AT + slot * 2..][..2].copy_from_slice(&id.to_le_bytes()[..2]);
            bucket[hash::SHORT_HIGH_BITS_AT + slot / 4] |= id.to_le_bytes()[2] << (slot % 4 * 2);
        },
    )
}

/// A hash table of the tokens of 9 to 16 bytes.
fn medium_tokens(tokens: &[Vec<u8>]) -> Vec<u8> {
    token_buckets::<{ hash::MEDIUM_BUCKET_TOKENS }>(
        tokens.iter().zip(0..).filter(|(token, _)| (9..=16).contains(&token.len())),
        hash::MEDIUM_BUCKETS,
        |token| hash::medium_token_bucket(hash::little_endian(&token[..8]), hash::little_endian(&token[8..])),
        |bucket, slot, token, id| {
            bucket[slot * 16..][..token.len()].copy_from_slice(token);
            let length_and_id = u32::try_from(token.len()).expect("short") << hash::LENGTH_SHIFT | id;
            bucket[hash::MEDIUM_IDS_AT + slot * 4..][..4].copy_from_slice(&length_and_id.to_le_bytes());
        },
    )
}

/// Buckets of `SIZE` tokens, which `write` writes to a slot of a bucket. Low ids are inserted first: they are the most
/// frequent, and are compared first.
fn token_buckets<'a, const SIZE: usize>(
    tokens: impl Iterator<Item = (&'a Vec<u8>, u32)>,
    count: usize,
    bucket_of: impl Fn(&[u8]) -> usize,
    write: impl Fn(&mut [u8; hash::BUCKET_BYTES], usize, &[u8], u32),
) -> Vec<u8> {
    let (mut buckets, mut filled) = (vec![[0_u8; hash::BUCKET_BYTES]; count], vec![0; count]);
    for (token, id) in tokens {
        let mut number = bucket_of(token);
        while filled[number] == SIZE {
            buckets[number][hash::OVERFLOW_AT] |= hash::OVERFLOW;
            number = (number + 1) % count;
        }
        write(&mut buckets[number], filled[number], token, id);
        filled[number] += 1;
    }
    buckets.concat()
}

/// A hash table of longer tokens, as [`hash::LONG_SLOT_BITS`] describes it.
fn long_tokens(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut slots = vec![NO_TOKEN; 1 << hash::LONG_SLOT_BITS];
    let mut count = 0;
    for (id, token) in (0..).zip(tokens).filter(|(_, token)| token.len() > 16) {
        let hash = hash::long_token_hash(token);
        let home = usize::try_from(hash >> (64 - hash::LONG_SLOT_BITS)).expect("small");
        let slot = free_slot(&slots, home, |slot| *slot == NO_TOKEN);
        slots[slot] = hash::long_token_tag(hash) << 18 | id;
        count += 1;
    }
    assert!(count * 2 <= slots.len(), "the table of long tokens is too full: {count}");
    slots
}

/// The first free slot from `home` on, by linear probing.
fn free_slot<T>(slots: &[T], home: usize, is_free: impl Fn(&T) -> bool) -> usize {
    let mask = slots.len() - 1;
    (home..home + slots.len())
        .map(|slot| slot & mask)
        .find(|slot| is_free(&slots[*slot]))
        .expect("a free slot")
}

/// The classes of code points, from `data/classes.txt`. The numbers are those of `pretokenizer::scalar`.
fn char_classes(list: &str) -> (Vec<u8>, Vec<u8>) {
    let mut classes = vec![0_u8; 0x11_0000];
    for line in list.lines() {
        let mut fields = line.split(' ');
        let mut number = || usize::from_str_radix(fields.next().expect("a field"), 16).expect("a code point");
        let (first, last) = (number(), number());
        let name = fields.next().expect("a class");
        let class = ["l", "U", "c", "m", "n", "s", "r"]
            .iter()
            .position(|class| *class == name)
            .expect("a known class");
        classes[first..=last].fill(u8::try_from(class + 1).expect("few"));
    }
    two_level(&classes)
}

/// A two-level table: the distinct blocks of 256 entries, one after the other, and the number of each block.
fn two_level<T: Copy + PartialEq>(entries: &[T]) -> (Vec<T>, Vec<u8>) {
    let mut blocks: Vec<&[T]> = Vec::new();
    let index = entries.chunks(256).map(|block| {
        let number = blocks.iter().position(|other| *other == block).unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        u8::try_from(number).expect("less than 256 blocks")
    });
    let index: Vec<u8> = index.collect();
    (blocks.concat(), index)
}
