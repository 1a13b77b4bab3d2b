//! A pre-token of up to 16 bytes, and the merges in it.
//!
//! **Hot merges first.** A token's id is higher than those of its parents, so merges go from low ids to high ones. Merges
//! into tokens below [`HOT_LIMIT`] precede all others, and once no neighbours have a hot merge, none get one again: later
//! merges produce tokens from [`HOT_LIMIT`] on, which are never parents of tokens below it. Five of six merges in an unknown
//! word are hot. Their table is small enough to stay in the processor's cache, and their numbers fit in 16 bits, so that
//! vectors hold them ([`simd::merge_lowest`]). The table of all merges is searched only for the neighbours that remain.
//!
//! Merging has two halves, so that several pre-tokens wait for this table at the same time.

use super::whole_char;
use crate::tokenizer::simd::{self, Codes, scalar};
use crate::tokenizer::vocabulary::hash::HOT_LIMIT;
use crate::tokenizer::vocabulary::{self, NO_TOKEN, TokenKey};

/// The most bytes, and so the most tokens, of a short pre-token.
const MAX_BYTES: usize = 16;

/// Stands for the absence of a token or a merge among hot codes: the byte of a token of one byte, the id of a longer one.
const NONE: u16 = HOT_LIMIT as u16;

/// The tokens of a short pre-token.
#[derive(Clone, Copy)]
pub(in crate::tokenizer) struct ShortMerge {
    ids: [u32; MAX_BYTES],
    count: usize,
    /// Whether some of them may still merge.
    is_open: bool,
}

impl ShortMerge {
    /// Room for tokens.
    pub(in crate::tokenizer) const EMPTY: ShortMerge =
        ShortMerge { ids: [NO_TOKEN; MAX_BYTES], count: 0, is_open: false };

    /// The tokens of a pre-token after the hot merges. Prefetches what [`ShortMerge::end`] reads.
    #[inline(always)]
    pub(in crate::tokenizer) fn begin(&mut self, key: TokenKey) {
        (self.count, self.is_open) = (0, false);
        let id = vocabulary::lookup_key(key);
        if id != NO_TOKEN {
            self.push(id);
        } else if (key.low | key.high) & 0x8080_8080_8080_8080 != 0 {
            self.begin_any(key);
        } else if key.length <= 4 {
            self.merge_up_to_four((key.low as u32).to_le_bytes(), key.length);
        } else {
            self.begin_ascii(key);
        }
    }

    /// Takes tokens that are known, at most 16.
    #[inline(always)]
    pub(in crate::tokenizer) fn set(&mut self, ids: &[u32]) {
        (self.count, self.is_open) = (0, false);
        ids.iter().for_each(|&id| self.push(id));
    }

    /// Merges what is left to merge.
    #[inline(always)]
    pub(in crate::tokenizer) fn end(&mut self) {
        if self.is_open {
            self.merge_all();
        }
    }

    pub(in crate::tokenizer) fn ids(&self) -> &[u32] {
        self.ids.get(..self.count).unwrap_or_default()
    }

    #[inline(always)]
    fn push(&mut self, id: u32) {
        self.ids[self.count % MAX_BYTES] = id;
        self.count += 1;
    }

    #[inline(always)]
    fn begin_ascii(&mut self, TokenKey { low, high, length }: TokenKey) {
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
        let (mut codes, mut merges) = ([NONE; MAX_BYTES], [NONE; MAX_BYTES]);
        for (at, code) in codes.iter_mut().enumerate() {
            *code = if at < length { u16::from(bytes[at]) } else { NONE };
        }
        for (at, merge) in merges.iter_mut().enumerate().take(MAX_BYTES - 1) {
            let token = vocabulary::ascii_pair_token(bytes[at], bytes[at + 1]).min(u32::from(u16::MAX));
            *merge = if at + 1 < length { token as u16 } else { NONE };
        }
        self.merge_hot(&mut codes, &merges, length);
    }

    /// Begins with whole characters, where their bytes merge first. The README of the tokenizer says when they do.
    #[inline(never)]
    fn begin_any(&mut self, TokenKey { low, high, length }: TokenKey) {
        let bytes = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
        let pretoken = bytes.get(..length).unwrap_or_default();
        let (mut codes, mut merges) = ([NONE; MAX_BYTES], [NONE; MAX_BYTES]);
        let (mut at, mut before, mut are_hot) = (0, 0, true);
        while let Some(rest) = pretoken.get(at..).filter(|rest| !rest.is_empty()) {
            let (id, length) = whole_char(rest, before);
            if id == NO_TOKEN {
                for &byte in rest.iter().take(length) {
                    codes[self.count % MAX_BYTES] = u16::from(byte);
                    self.push(vocabulary::byte_token(byte));
                }
            } else {
                are_hot &= id < HOT_LIMIT;
                codes[self.count % MAX_BYTES] = id as u16;
                self.push(id);
            }
            before = rest[length - 1];
            at += length;
        }
        if are_hot {
            for at in 1..self.count {
                let (left, right) = (codes[(at - 1) % MAX_BYTES], codes[at % MAX_BYTES]);
                merges[(at - 1) % MAX_BYTES] = vocabulary::hot_token(left, right);
            }
            self.merge_hot(&mut codes, &merges, self.count);
        } else {
            for at in 1..self.count {
                vocabulary::prefetch_merge(self.ids[(at - 1) % MAX_BYTES], self.ids[at % MAX_BYTES]);
            }
            self.is_open = true;
        }
    }

    /// Takes the tokens of hot codes after their hot merges.
    #[inline(always)]
    fn merge_hot(&mut self, codes: &mut Codes, merges: &Codes, count: usize) {
        let count = simd::merge_lowest::<NONE>(codes, merges, count, vocabulary::hot_token);
        (self.count, self.is_open) = (0, true);
        let mut left = NO_TOKEN;
        for &code in codes.iter().take(count) {
            let right = if code < 256 { vocabulary::byte_token(code as u8) } else { u32::from(code) };
            vocabulary::prefetch_merge(left, right);
            self.push(right);
            left = right;
        }
    }

    /// The tokens of two to four ASCII bytes that are not one token together. With so few bytes every order of merges is
    /// written out, except the merge of all bytes, which does not exist here.
    #[inline(always)]
    fn merge_up_to_four(&mut self, bytes: [u8; 4], length: usize) {
        let [a, b, c, d] = bytes.map(vocabulary::byte_token);
        let pair = |at: usize| vocabulary::ascii_pair_token(bytes[at], bytes[at + 1]);
        let (ab, bc) = (pair(0), pair(1));
        let ids: &[u32] = match length {
            2 => &[a, b],
            3 if ab == NO_TOKEN && bc == NO_TOKEN => &[a, b, c],
            3 if ab <= bc => &[ab, c],
            3 => &[a, bc],
            _ => {
                let cd = pair(2);
                if ab.min(bc).min(cd) == NO_TOKEN {
                    &[a, b, c, d]
                } else if ab <= bc && ab <= cd {
                    match vocabulary::filtered_merge(ab, c) {
                        abc if cd < abc => &[ab, cd],
                        NO_TOKEN => &[ab, c, d],
                        abc => &[abc, d],
                    }
                } else if bc <= cd {
                    match (vocabulary::filtered_merge(a, bc), vocabulary::filtered_merge(bc, d)) {
                        (NO_TOKEN, NO_TOKEN) => &[a, bc, d],
                        (abc, bcd) if abc < bcd => &[abc, d],
                        (_, bcd) => &[a, bcd],
                    }
                } else {
                    match vocabulary::filtered_merge(b, cd) {
                        bcd if ab < bcd => &[ab, cd],
                        NO_TOKEN => &[a, b, cd],
                        bcd => &[a, bcd],
                    }
                }
            }
        };
        ids.iter().for_each(|&id| self.push(id));
    }

    /// All merges, the lowest first, the leftmost of equal ones.
    #[inline(always)]
    fn merge_all(&mut self) {
        let mut merges = [NO_TOKEN; MAX_BYTES];
        for at in 1..self.count {
            let (left, right) = (self.ids[(at - 1) % MAX_BYTES], self.ids[at % MAX_BYTES]);
            merges[(at - 1) % MAX_BYTES] = vocabulary::merge(left, right);
        }
        self.count = scalar::merge_lowest(
            &mut self.ids,
            &mut merges,
            self.count,
            NO_TOKEN,
            vocabulary::filtered_merge,
        );
    }
}
