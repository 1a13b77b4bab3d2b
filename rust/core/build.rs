//! Turns the files in `data/` into tables that need no work at start: they are read where they lie in the binary.

use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

#[path = "src/tokenizer/vocabulary/base64.rs"]
mod base64;
// The cache has a hash there, too, which needs no table.
#[allow(dead_code)]
#[path = "src/tokenizer/vocabulary/hash.rs"]
mod hash;
// The library reads markers back from ids, too.
#[allow(dead_code, unreachable_pub)]
#[path = "src/marker.rs"]
mod marker;

use marker::Marker;

/// The checksum of `o200k_base.tiktoken`, as tiktoken and openai-harmony have it.
const SHA256: &str = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d";
const BASE_TOKENS: usize = 199_998;
const NONE: u32 = u32::MAX;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=data");
    println!("cargo::rerun-if-changed=src/tokenizer/vocabulary/base64.rs");
    println!("cargo::rerun-if-changed=src/tokenizer/vocabulary/hash.rs");
    println!("cargo::rerun-if-changed=src/marker.rs");
    let packed = std::fs::read("data/merges.z").expect("data/merges.z");
    let (tokens, halves) =
        unpack(&miniz_oxide::inflate::decompress_to_vec_zlib(&packed).expect("deflated data"));
    assert_eq!(checksum(&tokens), SHA256, "data/merges.z does not hold the o200k_base vocabulary");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let save =
        |name: &str, bytes: &[u8]| std::fs::write(Path::new(&out).join(name), bytes).expect("writable");

    let mut spelled = tokens.clone();
    spelled.extend(special_spellings().into_iter().map(String::into_bytes));
    save("bytes.bin", &spelled.concat());
    save("ends.bin", &ends(&spelled));
    save("halves.bin", &numbers(halves.concat()));
    save("prefixes.bin", &numbers(prefixes(&tokens)));
    save("lengths.bin", &lengths(&tokens));
    save("merges.bin", &merges(&halves));
    save("merge_filter.bin", &merge_filter(&halves));
    let (rows, hot) = hot_merges(&tokens, &halves);
    save("hot_rows.bin", &rows);
    save("hot_merges.bin", &numbers(hot));
    save("singles.bin", &numbers(singles(&tokens)));
    save("ascii_pairs.bin", &numbers(ascii_pairs(&tokens)));
    let units = Units::new(&tokens, &halves);
    save("unit_blocks.bin", &numbers(units.blocks));
    save("unit_index.bin", &units.index);
    save("borders.bin", &units.borders);
    save("short.bin", &short_table(&tokens));
    save("middle.bin", &middle_table(&tokens));
    save("long.bin", &numbers(long_table(&tokens)));
    let (blocks, index) = classes(&std::fs::read_to_string("data/classes.txt").expect("data/classes.txt"));
    save("class_blocks.bin", &blocks);
    save("class_index.bin", &index);
}

/// The tokens, and of each the two that it is the merge of; a single byte is its own two halves.
fn unpack(data: &[u8]) -> (Vec<Vec<u8>>, Vec<[u32; 2]>) {
    let (bytes, planes) = data.split_at(256);
    let count = BASE_TOKENS - 256;
    assert_eq!(planes.len(), count * 6, "two ranks of three bytes for each token");
    let rank = |side: usize, at: usize| {
        (0..3).map(|plane| usize::from(planes[(side * 3 + plane) * count + at]) << (8 * plane)).sum::<usize>()
    };
    let mut tokens: Vec<Vec<u8>> = bytes.iter().map(|&byte| vec![byte]).collect();
    let mut halves: Vec<[u32; 2]> = (0..256).map(|id| [id, id]).collect();
    for at in 0..count {
        let (left, right) = (rank(0, at), rank(1, at));
        tokens.push([tokens[left].as_slice(), tokens[right].as_slice()].concat());
        halves.push([left, right].map(|id| u32::try_from(id).expect("a rank")));
    }
    (tokens, halves)
}

fn checksum(tokens: &[Vec<u8>]) -> String {
    let mut hasher = Sha256::new();
    for (rank, token) in tokens.iter().enumerate() {
        let mut line = Vec::new();
        base64::push(token, &mut line);
        hasher.update(line);
        hasher.update(format!(" {rank}\n"));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spellings of the ids from 199,998 on.
fn special_spellings() -> Vec<String> {
    let spell = |id: u32| match (Marker::from_id(id), id) {
        (Some(marker), _) => marker.spelling().to_owned(),
        (None, 199_998) => "<|startoftext|>".to_owned(),
        (None, 200_018) => "<|endofprompt|>".to_owned(),
        (None, id) => format!("<|reserved_{id}|>"),
    };
    (199_998..201_088).map(spell).collect()
}

fn numbers(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Where the bytes of each token end, with a zero in front.
fn ends(tokens: &[Vec<u8>]) -> Vec<u8> {
    let mut end = 0;
    let ends = tokens.iter().map(|token| {
        end += u32::try_from(token.len()).expect("short");
        end
    });
    numbers(std::iter::once(0).chain(ends))
}

/// The token of each byte.
fn singles(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut table = vec![NONE; 256];
    for (id, token) in (0..).zip(&tokens[..256]) {
        table[usize::from(token[0])] = id;
    }
    table
}

/// The token of each two bytes of ASCII, if they are one: 7 bits of the first, and 7 of the second.
fn ascii_pairs(tokens: &[Vec<u8>]) -> Vec<u32> {
    let mut table = vec![NONE; 1 << 14];
    for (id, token) in (0..).zip(tokens) {
        if let [left @ 0..0x80, right @ 0..0x80] = token[..] {
            table[usize::from(left) << 7 | usize::from(right)] = id;
        }
    }
    table
}

/// What two tokens merge into: 18 bits of the left one, of the right one, and of both; empty slots are 0. The merges
/// that are wanted most have the lowest ids, and come to lie where they are looked for first.
fn merges(halves: &[[u32; 2]]) -> Vec<u8> {
    let mut slots = vec![0_u64; 1 << hash::MERGE_BITS];
    for (id, &[left, right]) in (0..).zip(halves).skip(256) {
        let wanted = hash::pair(left, right) >> (64 - hash::MERGE_BITS);
        let slot = free(&slots, usize::try_from(wanted).expect("small"), |slot| *slot == 0);
        slots[slot] = u64::from(left) << 36 | u64::from(right) << 18 | id;
    }
    slots.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// A bit for each hash of two tokens that merge: most pairs do not, and this table is small enough to stay near.
fn merge_filter(halves: &[[u32; 2]]) -> Vec<u8> {
    let mut bits = vec![0_u8; 1 << (hash::FILTER_BITS - 3)];
    for &[left, right] in &halves[256..] {
        let bit = usize::try_from(hash::pair(left, right) >> (64 - hash::FILTER_BITS)).expect("small");
        bits[bit / 8] |= 1 << (bit % 8);
    }
    bits
}

/// The merges into tokens below [`hash::HOT`]: a row for each left token, with a place for each right one, and the rows
/// laid over each other where they have gaps. Of each token where its row begins, as 16 bits; and the places: the left
/// token from bit 19 on, and what the two merge into from bit 6 on. Empty places have all of these bits. A token of
/// one byte stands under that byte.
fn hot_merges(tokens: &[Vec<u8>], halves: &[[u32; 2]]) -> (Vec<u8>, Vec<u32>) {
    const EMPTY: u32 = u32::MAX << 6;
    let mut rows = vec![Vec::new(); hash::HOT as usize + 1];
    for (id, &[left, right]) in (0..hash::HOT).zip(halves).skip(256) {
        assert!(left < id && right < id, "a token is made of lower ones");
        let [left, right] = [left, right].map(|half| match tokens[half as usize][..] {
            [byte] => usize::from(byte),
            _ => half as usize,
        });
        rows[left].push((right, id));
    }
    // The full rows first: the others fit between them.
    let mut order: Vec<usize> = (0..rows.len()).filter(|left| !rows[*left].is_empty()).collect();
    order.sort_by_key(|left| std::cmp::Reverse(rows[*left].len()));
    let (mut starts, mut places) = (vec![0_u16; rows.len()], vec![EMPTY; hash::HOT_PLACES]);
    for left in order {
        let row = &rows[left];
        let fits = |start: &usize| row.iter().all(|(right, _)| places[start + right] == EMPTY);
        let start =
            (0..hash::HOT_PLACES - rows.len()).find(fits).expect("the table of hot merges is too small");
        starts[left] = u16::try_from(start).expect("few places");
        for &(right, id) in row {
            places[start + right] = (left as u32) << 19 | id << 6;
        }
    }
    (starts.into_iter().flat_map(u16::to_le_bytes).collect(), places)
}

/// Characters that may be taken as one unit before merging begins, see `bpe.rs`.
struct Units {
    /// Of each code point in a block of 256 the token and, from bit 18 on, the number of its borders; or [`NONE`].
    blocks: Vec<u32>,
    /// The block of each 256 code points.
    index: Vec<u8>,
    /// Bytes beside which a character is no unit, 16 for each: the last byte before it and the first behind it, by
    /// their low 6 bits. In the second, bit 0 stands for all of ASCII; in the first, ASCII has no bit but for the
    /// space, which is the highest bit of a block's entry.
    borders: Vec<u8>,
}

impl Units {
    fn new(tokens: &[Vec<u8>], halves: &[[u32; 2]]) -> Units {
        let (mut as_right, mut as_left) = (HashMap::new(), HashMap::new());
        for (id, &[left, right]) in (0_u32..).zip(halves).skip(256) {
            as_right.entry(right).or_insert_with(Vec::new).push((id, left));
            as_left.entry(left).or_insert_with(Vec::new).push((id, right));
        }
        let mut all = vec![NONE; 0x11_0000];
        let mut borders: Vec<(u64, u64)> = Vec::new();
        for (id, token) in (0_u32..).zip(tokens) {
            let Ok(text) = std::str::from_utf8(token) else { continue };
            let mut characters = text.chars();
            let (Some(c), None) = (characters.next(), characters.next()) else { continue };
            if c.is_ascii() {
                continue;
            }
            let (mut before, mut behind, mut space, mut other) = (0_u64, 0_u64, false, false);
            // Down the left edge of the character's merges, and down the right one.
            for (side, merges) in [(0, &as_right), (1, &as_left)] {
                let mut whole = id;
                while whole >= 256 {
                    let part = halves[whole as usize][side];
                    for &(merge, neighbour) in merges.get(&part).map_or(&[][..], Vec::as_slice) {
                        let neighbour = &tokens[neighbour as usize];
                        match (side, neighbour[0], neighbour[neighbour.len() - 1]) {
                            _ if merge >= whole => {}
                            (0, _, b' ') => space = true,
                            (0, _, last) if last < 0x80 => other = true,
                            (0, _, last) => before |= 1 << (last & 63),
                            (_, first, _) if first < 0x80 => behind |= 1,
                            // After a whole character no other byte can follow.
                            (_, first, _) => behind |= u64::from(first >= 0xc0) << (first & 63),
                        }
                    }
                    whole = part;
                }
            }
            if !other {
                let number =
                    borders.iter().position(|known| *known == (before, behind)).unwrap_or_else(|| {
                        borders.push((before, behind));
                        borders.len() - 1
                    });
                all[c as usize] = id | u32::try_from(number).expect("few") << 18 | u32::from(space) << 31;
            }
        }
        assert!(borders.len() < 1 << 13, "the number of borders has 13 bits");
        let (blocks, index) = blocks(&all);
        let borders = borders.into_iter().flat_map(|(before, behind)| [before, behind]);
        Units { blocks, index, borders: borders.flat_map(u64::to_le_bytes).collect() }
    }
}

/// The longest token that each token begins with, itself left out.
fn prefixes(tokens: &[Vec<u8>]) -> Vec<u32> {
    let ids: HashMap<&[u8], u32> = tokens.iter().map(Vec::as_slice).zip(0..).collect();
    let shorter = |token: &[u8]| (1..token.len()).rev().find_map(|length| ids.get(&token[..length]).copied());
    tokens.iter().map(|token| shorter(token).unwrap_or(NONE)).collect()
}

/// For each two bytes the lengths of the tokens that begin with them: bit `length - 1` of 128.
fn lengths(tokens: &[Vec<u8>]) -> Vec<u8> {
    let mut table = vec![0_u128; 1 << 16];
    for token in tokens.iter().filter(|token| token.len() > 1) {
        table[usize::from(token[0]) << 8 | usize::from(token[1])] |= 1 << (token.len() - 1);
    }
    table.into_iter().flat_map(u128::to_le_bytes).collect()
}

/// Tokens of 1 to 8 bytes. A slot is the key, the id and the length, 16 bytes; empty slots have length 0.
fn short_table(tokens: &[Vec<u8>]) -> Vec<u8> {
    const BITS: u32 = 18;
    let mut slots = vec![(0_u64, 0_u32, 0_u32); 1 << BITS];
    for (id, token) in (0..).zip(tokens).filter(|(_, token)| token.len() <= 8) {
        let key = hash::number(token);
        let slot = free(&slots, hash::short(key, token.len(), BITS), |slot| slot.2 == 0);
        slots[slot] = (key, id, u32::try_from(token.len()).expect("short"));
    }
    let row = |(key, id, length): (u64, u32, u32)| {
        [key.to_le_bytes().as_slice(), &id.to_le_bytes(), &length.to_le_bytes()].concat()
    };
    slots.into_iter().flat_map(row).collect()
}

/// Tokens of 9 to 16 bytes. A slot is the first 8 bytes, the others, the id, the length and 8 bytes of nothing.
fn middle_table(tokens: &[Vec<u8>]) -> Vec<u8> {
    const BITS: u32 = 17;
    let mut slots = vec![(0_u64, 0_u64, 0_u32, 0_u32); 1 << BITS];
    for (id, token) in (0..).zip(tokens).filter(|(_, token)| (9..=16).contains(&token.len())) {
        let (first, second) = (hash::number(&token[..8]), hash::number(&token[8..]));
        let slot = free(&slots, hash::middle(first, second, BITS), |slot| slot.3 == 0);
        slots[slot] = (first, second, id, u32::try_from(token.len()).expect("short"));
    }
    let row = |(first, second, id, length): (u64, u64, u32, u32)| {
        [
            first.to_le_bytes(),
            second.to_le_bytes(),
            (u64::from(length) << 32 | u64::from(id)).to_le_bytes(),
            [0; 8],
        ]
        .concat()
    };
    slots.into_iter().flat_map(row).collect()
}

/// The ids of longer tokens.
fn long_table(tokens: &[Vec<u8>]) -> Vec<u32> {
    const BITS: u32 = 14;
    let mut slots = vec![NONE; 1 << BITS];
    let mut used = 0;
    for (id, token) in (0..).zip(tokens).filter(|(_, token)| token.len() > 16) {
        let slot = free(&slots, hash::long(token, BITS), |slot| *slot == NONE);
        slots[slot] = id;
        used += 1;
    }
    assert!(used * 2 <= slots.len(), "the table of long tokens is too full: {used}");
    slots
}

fn free<T>(slots: &[T], wanted: usize, empty: impl Fn(&T) -> bool) -> usize {
    let mask = slots.len() - 1;
    (wanted..wanted + slots.len())
        .map(|slot| slot & mask)
        .find(|slot| empty(&slots[*slot]))
        .expect("a free slot")
}

/// A two-level table of the classes of code points: 256 of them to a block, and the number of each block.
fn classes(list: &str) -> (Vec<u8>, Vec<u8>) {
    let mut all = vec![0_u8; 0x11_0000];
    for line in list.lines() {
        let mut fields = line.split(' ');
        let mut number = || usize::from_str_radix(fields.next().expect("a field"), 16).expect("a code point");
        let (first, last) = (number(), number());
        let class = fields.next().expect("a class");
        let class =
            ["l", "U", "c", "m", "n", "s", "r"].iter().position(|name| *name == class).expect("known");
        all[first..=last].fill(u8::try_from(class + 1).expect("few"));
    }
    blocks(&all)
}

/// The distinct blocks of 256 entries, one after the other, and the number of each block.
fn blocks<T: Copy + PartialEq>(all: &[T]) -> (Vec<T>, Vec<u8>) {
    let mut blocks: Vec<&[T]> = Vec::new();
    let index = all.chunks(256).map(|block| {
        let known = blocks.iter().position(|other| *other == block);
        u8::try_from(known.unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        }))
        .expect("less than 256 blocks")
    });
    let index: Vec<u8> = index.collect();
    (blocks.concat(), index)
}
