//! Up to 62 units of a pre-token, and the merges among them. A unit is a whole character or a byte, as its token; the
//! README of the tokenizer says why merging may begin with whole characters.
//!
//! Hot merges come first, for the reason that `short_merge.rs` gives. The table of all merges contains them too, so that the
//! first phase can be skipped where it finds little, as in Chinese.

use crate::tokenizer::vocabulary::hash::HOT_LIMIT;
use crate::tokenizer::vocabulary::{self, MIN_KEY_WITHOUT_HOT_MERGE, NO_TOKEN};

const SLOTS: usize = 64;

/// At most `SLOTS - 2` units of a pre-token, and the tokens that they merge into.
///
/// Units are numbered from 1. A token has the number of its first unit, and its slot is that number less one.
pub(super) struct MergeWindow {
    /// The tokens by number. Before the first and after the last stands [`NO_TOKEN`], so that each token has neighbours.
    ids: [u32; SLOTS],
    /// The same as hot codes, while hot merges are looked for: the byte for a token of one byte, the id for a longer one
    /// below [`HOT_LIMIT`], and [`HOT_LIMIT`] for all others.
    hot_codes: [u32; SLOTS],
    /// For each slot the merge of its token with the next: the id of the merged token, shifted left by 6 bits, with the
    /// slot in the bits below. The lowest key is the next merge. Keys without a merge are higher than all others.
    keys: [u64; SLOTS],
    /// A bit for each number that has a token, and for the numbers before the first and after the last.
    live: u64,
    unit_count: usize,
    /// Whether hot merges are likely enough to be looked for first.
    may_be_hot: bool,
    /// Where the window ends in the pre-token.
    pub(super) end: usize,
}

impl MergeWindow {
    #[inline(always)]
    pub(super) const fn empty() -> MergeWindow {
        let (ids, hot_codes, keys) = ([NO_TOKEN; SLOTS], [HOT_LIMIT; SLOTS], [NO_MERGE; SLOTS]);
        MergeWindow { ids, hot_codes, keys, live: 0, unit_count: 0, may_be_hot: false, end: 0 }
    }

    /// Adds the units of a pre-token from `from` on, as many as there is room for.
    #[inline(always)]
    pub(super) fn fill(&mut self, pretoken: &[u8], from: usize) {
        self.end = from;
        while let Some(rest) = pretoken.get(self.end..).filter(|rest| !rest.is_empty())
            && self.unit_count + rest.len().min(4) <= SLOTS - 2
        {
            let before = if self.end == 0 { 0 } else { pretoken[self.end - 1] };
            self.push_char(rest, before);
            self.push_whole_chars(pretoken);
        }
    }

    /// Adds the characters of three bytes that follow, up to the first one that is not whole.
    #[inline(always)]
    fn push_whole_chars(&mut self, pretoken: &[u8]) {
        // The compiler keeps these in registers, but not what a reference points to.
        let (mut end, mut count) = (self.end, self.unit_count);
        let (mut before, mut left) = (pretoken[end - 1], self.ids[count % SLOTS]);
        while let Some(&[a @ 0xe0..0xf0, b, c, after]) = pretoken.get(end..).and_then(<[u8]>::first_chunk)
            && count < SLOTS - 2
        {
            let id = vocabulary::whole_char_token(super::code_point_of_three(a, b, c), before, after);
            if id == NO_TOKEN {
                break;
            }
            vocabulary::prefetch_merge(left, id);
            (before, left) = (c, id);
            count += 1;
            end += 3;
            self.ids[count % SLOTS] = id;
            self.hot_codes[count % SLOTS] = id.min(HOT_LIMIT);
        }
        (self.end, self.unit_count) = (end, count);
    }

    /// Adds the first character of `rest`, as one unit or as its bytes, or the run of one character that it begins with.
    /// `before` is the byte before it, or 0.
    #[inline(always)]
    fn push_char(&mut self, rest: &[u8], before: u8) {
        let (id, length) = super::whole_char(rest, before);
        if length == 1 && self.push_run(rest, before) {
            return;
        }
        self.end += length;
        // Characters of three bytes and more are rarely in a hot merge.
        self.may_be_hot |= length < 3;
        if id != NO_TOKEN {
            vocabulary::prefetch_merge(self.ids[self.unit_count % SLOTS], id);
            self.push(id, id.min(HOT_LIMIT));
            return;
        }
        for &byte in rest.iter().take(length) {
            self.push(vocabulary::byte_token(byte), u32::from(byte));
        }
    }

    /// Adds the run of an ASCII character that `rest` begins with, as the tokens that it merges into first. Returns whether
    /// it did: not if they are few or there is no room for them.
    #[inline(always)]
    fn push_run(&mut self, rest: &[u8], before: u8) -> bool {
        let byte = rest[0];
        byte < 0x80
            && rest.first_chunk() == Some(&[byte; 4])
            && (byte != before || self.unit_count == 0)
            && self.push_long_run(rest, before)
    }

    #[inline(never)]
    fn push_long_run(&mut self, rest: &[u8], before: u8) -> bool {
        let byte = rest[0];
        let length = rest.iter().take_while(|&&other| other == byte).count();
        let levels = vocabulary::run_levels(byte, before);
        let count = (length >> levels) + (length & ((1 << levels) - 1)).count_ones() as usize;
        if levels < 2 || self.unit_count + count > SLOTS - 2 {
            return false;
        }
        for _ in 0..length >> levels {
            let token = vocabulary::run_token(byte, levels);
            self.push(token, token.min(HOT_LIMIT));
        }
        for level in (0..levels).rev().filter(|level| length >> level & 1 == 1) {
            let token = vocabulary::run_token(byte, level);
            self.push(token, if level == 0 { u32::from(byte) } else { token.min(HOT_LIMIT) });
        }
        self.end += length;
        self.may_be_hot = true;
        true
    }

    #[inline(always)]
    fn push(&mut self, id: u32, hot_code: u32) {
        self.unit_count += 1;
        self.ids[self.unit_count % SLOTS] = id;
        self.hot_codes[self.unit_count % SLOTS] = hot_code;
    }

    /// Merges until no neighbours merge.
    #[inline(always)]
    pub(super) fn merge(&mut self) {
        self.live = u64::MAX >> (62 - self.unit_count);
        if self.may_be_hot && self.find_hot_merges() {
            self.merge_until_stable::<true>();
            self.compact();
        }
        self.find_merges();
        self.merge_until_stable::<false>();
    }

    /// Sets the keys to the hot merges. Returns whether there are any.
    #[inline(always)]
    fn find_hot_merges(&mut self) -> bool {
        let (mut min, mut left) = (NO_MERGE, self.hot_codes[1]);
        for slot in 0..self.unit_count - 1 {
            let right = self.hot_codes[(slot + 2) % SLOTS];
            let key = hot_merge_key(left, right, slot);
            self.keys[slot % SLOTS] = key;
            min = min.min(key);
            left = right;
        }
        min < NO_HOT_MERGE
    }

    /// Sets the keys to all merges.
    #[inline(always)]
    fn find_merges(&mut self) {
        let mut left = self.ids[1];
        for slot in 0..self.unit_count - 1 {
            let right = self.ids[(slot + 2) % SLOTS];
            // Without a branch: which of them merge is not predictable.
            let id = vocabulary::merge(left, right);
            self.keys[slot % SLOTS] =
                if id == NO_TOKEN { NO_MERGE } else { u64::from(id) << 6 | slot as u64 };
            left = right;
        }
    }

    /// Applies the merge with the lowest key, and updates the keys of the neighbours, until no key is a merge.
    #[inline(always)]
    fn merge_until_stable<const HOT: bool>(&mut self) {
        let tokens = if HOT { &mut self.hot_codes } else { &mut self.ids };
        let (no_merge, key) = if HOT {
            (NO_HOT_MERGE, hot_merge_key as fn(u32, u32, usize) -> u64)
        } else {
            (NO_MERGE, merge_key as _)
        };
        loop {
            let min = min_key(&self.keys, self.unit_count);
            if min >= no_merge {
                return;
            }
            let (id, slot) = (min as u32 >> 6, min as usize % SLOTS);
            tokens[(slot + 1) % SLOTS] = id;
            let after = self.live & (u64::MAX << slot << 2);
            let merged_number = after.trailing_zeros() as usize;
            let rest = after & after.wrapping_sub(1);
            self.live ^= after ^ rest;
            self.keys[merged_number.wrapping_sub(1) % SLOTS] = NO_MERGE;
            let left_number = (self.live & ((2 << slot) - 1) | 1).ilog2() as usize;
            let left_slot = left_number.wrapping_sub(1) % SLOTS;
            let (left, right) = (tokens[left_number % SLOTS], tokens[rest.trailing_zeros() as usize % SLOTS]);
            if !HOT {
                vocabulary::prefetch_merge(left, id);
            }
            self.keys[slot] = key(id, right, slot);
            self.keys[left_slot] = key(left, id, left_slot);
        }
    }

    /// Ends the hot phase: moves the tokens to the first numbers, as ids.
    #[inline(always)]
    fn compact(&mut self) {
        let (mut count, mut left) = (0, 0);
        // All numbers but those before the first token and after the last one.
        let mut live = self.live & !1;
        while live & (live - 1) != 0 {
            let number = live.trailing_zeros() as usize;
            live &= live - 1;
            let (code, id) = (self.hot_codes[number % SLOTS], self.ids[number % SLOTS]);
            self.keys[(number - 1) % SLOTS] = NO_MERGE;
            count += 1;
            let byte_token = vocabulary::byte_token(code as u8);
            let hot_id = if code < 256 { byte_token } else { code };
            let right = if hot_id == HOT_LIMIT { id } else { hot_id };
            self.ids[count % SLOTS] = right;
            vocabulary::prefetch_merge(left, right);
            left = right;
        }
        self.ids[(count + 1) % SLOTS] = NO_TOKEN;
        // `merge_until_stable` writes the key before the first slot to the last one.
        self.keys[SLOTS - 1] = NO_MERGE;
        self.unit_count = count;
        self.live = u64::MAX >> (62 - count);
    }

    pub(super) fn first_token(&self) -> u32 {
        self.ids[1]
    }

    pub(super) fn count(&self) -> usize {
        self.live.count_ones() as usize - 2
    }

    #[inline(always)]
    pub(super) fn tokens(&self) -> impl Iterator<Item = u32> + Clone {
        let mut live = self.live & !1;
        std::iter::from_fn(move || {
            let number = live.trailing_zeros() as usize;
            live &= live.wrapping_sub(1);
            (live != 0).then(|| self.ids[number % SLOTS])
        })
    }
}

/// The lowest key. Compared as scalars: keys that were just written one by one are slow to load as a vector, and of
/// numbers shorter than 64 bits the compiler would make vectors by itself.
#[inline(always)]
fn min_key(keys: &[u64; SLOTS], unit_count: usize) -> u64 {
    let eights = keys.as_chunks::<8>().0.iter().take(unit_count.div_ceil(8));
    eights.fold(NO_MERGE, |min, &[a, b, c, d, e, f, g, h]| {
        min.min(a.min(b).min(c.min(d))).min(e.min(f).min(g.min(h)))
    })
}

/// The key of two tokens that do not merge.
const NO_MERGE: u64 = u64::MAX;

/// The lowest key of two tokens without a hot merge.
const NO_HOT_MERGE: u64 = MIN_KEY_WITHOUT_HOT_MERGE as u64;

#[inline(always)]
fn hot_merge_key(left: u32, right: u32, slot: usize) -> u64 {
    u64::from(vocabulary::hot_merge(left, right, slot))
}

#[inline(always)]
fn merge_key(left: u32, right: u32, slot: usize) -> u64 {
    // With branches, unlike in `find_merges`: most pairs do not merge here, and the next step need not wait for the table.
    let is_border = left == NO_TOKEN || right == NO_TOKEN;
    match if is_border { NO_TOKEN } else { vocabulary::merge(left, right) } {
        NO_TOKEN => NO_MERGE,
        id => u64::from(id) << 6 | slot as u64,
    }
}
