//! Up to 62 units of a piece, and the merges among them. Why merging may begin with units, and what becomes of longer
//! pieces, is in `bpe.rs`.
//!
//! **Hot merges first.** A token's id is higher than those of the two that it is made of. So merges go from low
//! ids to high ones: those below [`HOT`] come before all others, and once none of them is left among the neighbours
//! there will be none again, since the others make tokens from [`HOT`] on, which are in no merge below. The hot merges
//! are five of six in a word that was not seen before, and few enough for a table that stays near; only for the
//! neighbours that they leave is the table of all merges asked. It knows the hot ones, too, so that the first step may be
//! left out where it finds little, as in Chinese.

use crate::tokenizer::vocabulary::hash::HOT;
use crate::tokenizer::vocabulary::{self, NONE};

/// Some units of a piece, at most two less than `PLACES`, and the tokens that they merge into.
pub(crate) struct Window<const PLACES: usize> {
    /// The tokens, each at the number of its first unit, counted from 1. Before and behind them stands [`NONE`], so that
    /// each has neighbours.
    ids: [u32; PLACES],
    /// The same while hot merges are looked for: [`HOT`] for all that are in none, and a byte for the token of a byte.
    hot: [u32; PLACES],
    /// For each token, counted from 0, the one that it makes with the next, above 6 bits of its own place; or a number
    /// that is too high for that.
    keys: [u64; PLACES],
    /// A bit for each number that has a token, and for those before and behind all of them.
    alive: u64,
    units: usize,
    /// Whether it is worth to look for hot merges first.
    warm: bool,
    /// Where the window ends in the piece.
    pub(crate) end: usize,
}

impl<const PLACES: usize> Window<PLACES> {
    #[inline(always)]
    pub(crate) const fn empty() -> Window<PLACES> {
        let (ids, hot, keys) = ([NONE; PLACES], [HOT; PLACES], [NO_KEY; PLACES]);
        Window { ids, hot, keys, alive: 0, units: 0, warm: false, end: 0 }
    }

    /// Takes the units of a piece from a place in it on, as many as there is room for.
    #[inline(always)]
    pub(crate) fn fill(&mut self, piece: &[u8], from: usize) {
        self.end = from;
        while let Some(rest) = piece.get(self.end..).filter(|rest| !rest.is_empty())
            && self.units + rest.len().min(4) <= PLACES - 2
        {
            let before = if self.end == 0 { 0 } else { piece[self.end - 1] };
            self.take(rest, before);
        }
    }

    /// Takes the units of a short piece.
    #[inline(always)]
    pub(crate) fn fill_short(&mut self, first: u64, second: u64, length: usize) {
        const { assert!(PLACES >= 18) }
        let bytes = (u128::from(second) << 64 | u128::from(first)).to_le_bytes();
        if (first | second) & 0x8080_8080_8080_8080 != 0 {
            self.fill(bytes.get(..length).unwrap_or_default(), 0);
            return;
        }
        // The zeros behind the piece do no harm but the first.
        for (hot, &byte) in self.hot[1..].iter_mut().zip(&bytes) {
            *hot = u32::from(byte);
        }
        self.hot[(length + 1) % PLACES] = HOT;
        (self.units, self.end, self.warm) = (length, length, true);
    }

    /// Takes the first character of `rest`, as one unit or as its bytes.
    #[inline(always)]
    fn take(&mut self, rest: &[u8], before: u8) {
        let (point, length) = match *rest {
            [a @ 0xc2..0xe0, b, ..] => (usize::from(a & 31) << 6 | usize::from(b & 63), 2),
            [a @ 0xe0..0xf0, b, c, ..] => {
                (usize::from(a & 15) << 12 | usize::from(b & 63) << 6 | usize::from(c & 63), 3)
            }
            [a @ 0xf0..=0xf4, b, c, d, ..] => {
                let high = usize::from(a & 7) << 18 | usize::from(b & 63) << 12;
                (high | usize::from(c & 63) << 6 | usize::from(d & 63), 4)
            }
            _ => (0, 1),
        };
        self.end += length;
        // Longer characters are seldom in a hot merge.
        self.warm |= length < 3;
        if length > 1 {
            let behind = rest.get(length).copied().unwrap_or(0);
            let unit = vocabulary::unit(point, before, behind);
            if unit != NONE {
                vocabulary::prefetch_merge(self.ids[self.units % PLACES], unit);
                self.push(unit, unit.min(HOT));
                return;
            }
        }
        for &byte in rest.iter().take(length) {
            self.push(vocabulary::single(byte), u32::from(byte));
        }
    }

    #[inline(always)]
    fn push(&mut self, id: u32, hot: u32) {
        self.units += 1;
        self.ids[self.units % PLACES] = id;
        self.hot[self.units % PLACES] = hot;
    }

    /// Merges until no neighbours are a token's halves.
    #[inline(always)]
    pub(crate) fn merge(&mut self) {
        self.alive = u64::MAX >> (62 - self.units);
        // Of a short piece only the bytes are there yet.
        if self.warm && (self.find_hot() || self.ids[1] == NONE) {
            self.settle::<true>();
            self.close_up();
        }
        self.find();
        self.settle::<false>();
    }

    /// Looks for what each token makes with the next, among the hot merges. Whether there is any.
    #[inline(always)]
    fn find_hot(&mut self) -> bool {
        let (mut lowest, mut left) = (NO_KEY, self.hot[1]);
        for place in 0..self.units - 1 {
            let right = self.hot[(place + 2) % PLACES];
            let key = hot_key(left, right, place);
            self.keys[place % PLACES] = key;
            lowest = lowest.min(key);
            left = right;
        }
        lowest < NOT_HOT
    }

    /// Looks for what each token makes with the next, among all merges.
    #[inline(always)]
    fn find(&mut self) {
        let mut left = self.ids[1];
        for place in 0..self.units - 1 {
            let right = self.ids[(place + 2) % PLACES];
            let id = vocabulary::merge(left, right);
            self.keys[place % PLACES] = if id == NONE { NO_KEY } else { u64::from(id) << 6 | place as u64 };
            left = right;
        }
    }

    /// Merges the lowest pair until there is none that merges.
    #[inline(always)]
    fn settle<const HOT_ONES: bool>(&mut self) {
        let tokens = if HOT_ONES { &mut self.hot } else { &mut self.ids };
        let (end, key) =
            if HOT_ONES { (NOT_HOT, hot_key as fn(u32, u32, usize) -> u64) } else { (NO_KEY, key as _) };
        loop {
            let lowest = lowest(&self.keys, self.units);
            if lowest >= end {
                return;
            }
            let (id, place) = (lowest as u32 >> 6, lowest as usize % PLACES);
            tokens[(place + 1) % PLACES] = id;
            let behind = self.alive & (u64::MAX << place << 2);
            let gone = behind.trailing_zeros() as usize;
            let rest = behind & behind.wrapping_sub(1);
            self.alive ^= behind ^ rest;
            self.keys[gone.wrapping_sub(1) % PLACES] = NO_KEY;
            let before = (self.alive & ((2 << place) - 1) | 1).ilog2() as usize;
            let before_place = before.wrapping_sub(1) % PLACES;
            let (left, right) = (tokens[before % PLACES], tokens[rest.trailing_zeros() as usize % PLACES]);
            if !HOT_ONES {
                vocabulary::prefetch_merge(left, id);
            }
            self.keys[place] = key(id, right, place);
            self.keys[before_place] = key(left, id, before_place);
        }
    }

    /// Moves the tokens to the first places, when the hot merges are done.
    #[inline(always)]
    fn close_up(&mut self) {
        let (mut units, mut left) = (0, 0);
        // Not the first and the last.
        let mut alive = self.alive & !1;
        while alive & (alive - 1) != 0 {
            let number = alive.trailing_zeros() as usize;
            alive &= alive - 1;
            let (hot, id) = (self.hot[number % PLACES], self.ids[number % PLACES]);
            self.keys[(number - 1) % PLACES] = NO_KEY;
            units += 1;
            let byte = vocabulary::single(hot as u8);
            let hot = if hot < 256 { byte } else { hot };
            let right = if hot == HOT { id } else { hot };
            self.ids[units % PLACES] = right;
            vocabulary::prefetch_merge(left, right);
            left = right;
        }
        self.ids[(units + 1) % PLACES] = NONE;
        // The place before the first.
        self.keys[PLACES - 1] = NO_KEY;
        self.units = units;
        self.alive = u64::MAX >> (62 - units);
    }

    pub(crate) fn first(&self) -> u32 {
        self.ids[1]
    }

    pub(crate) fn count(&self) -> usize {
        self.alive.count_ones() as usize - 2
    }

    #[inline(always)]
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u32> {
        let mut alive = self.alive & !1;
        std::iter::from_fn(move || {
            let number = alive.trailing_zeros() as usize;
            alive &= alive.wrapping_sub(1);
            (alive != 0).then(|| self.ids[number % PLACES])
        })
    }
}

/// One by one, and not as vectors: what was written a moment ago as one key is slow to read as part of a vector. (Of
/// shorter numbers the compiler makes vectors by itself.)
#[inline(always)]
fn lowest<const PLACES: usize>(keys: &[u64; PLACES], units: usize) -> u64 {
    let eights = keys.as_chunks::<8>().0.iter().take(units.div_ceil(8));
    eights.fold(NO_KEY, |lowest, &[a, b, c, d, e, f, g, h]| {
        lowest.min(a.min(b).min(c.min(d))).min(e.min(f).min(g.min(h)))
    })
}

/// Stands for two tokens that do not merge. From [`NOT_HOT`] on others do, too.
const NO_KEY: u64 = u64::MAX;
const NOT_HOT: u64 = vocabulary::NOT_HOT as u64;

#[inline(always)]
fn hot_key(left: u32, right: u32, place: usize) -> u64 {
    u64::from(vocabulary::hot_merge(left, right, place))
}

#[inline(always)]
fn key(left: u32, right: u32, place: usize) -> u64 {
    let none = left == NONE || right == NONE;
    match if none { NONE } else { vocabulary::merge(left, right) } {
        NONE => NO_KEY,
        id => u64::from(id) << 6 | place as u64,
    }
}
