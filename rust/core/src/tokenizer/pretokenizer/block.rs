//! The pieces of ASCII text, sixty-four bytes at once: the split pattern of `split.rs` as sums over bits.
//!
//! A bit stands for a byte, the lowest for the first. A block begins where a piece begins, so nothing of what came before
//! matters. What matters behind a byte is at most the next two, or the run that it stands in; where a block does not show
//! that, or is not ASCII, its pieces are taken up to there and no further, and the last is found anew or walked.

use crate::tokenizer::simd::{self, Block, Classes};

/// Where pieces begin in a block: a bit for each, the lowest always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Starts {
    pub(crate) bits: u64,
    pub(crate) last: Last,
}

/// What is known of the end of a block's last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// It ends with the text, after so many bytes of the block.
    Ends(usize),
    /// A block that begins with it will show it, if it is not the only one.
    Open,
    /// It has to be walked.
    Walk,
}

/// So many of the lowest bits, at least one.
#[inline(always)]
const fn below(count: usize) -> u64 {
    u64::MAX >> (64 - count)
}

/// The first bit of each run.
#[inline(always)]
const fn first(bits: u64) -> u64 {
    bits & !(bits << 1)
}

/// The bit behind each run that begins with one of `firsts`.
#[inline(always)]
const fn behind(runs: u64, firsts: u64) -> u64 {
    runs.wrapping_add(firsts) & !runs
}

/// Finds the pieces of a block that begins with one, in ASCII, and has `known` bytes of text; `ends` if the text has
/// no more.
#[inline(always)]
pub(crate) fn starts(block: &Block, known: usize, ends: bool) -> Starts {
    let Classes { lower, upper, digit, white, line, space, apostrophe, slash, wide } = simd::classes(block);
    let letter = lower | upper;
    let other = !(letter | digit | white | wide);
    let blank = white & !line;
    // How far the block shows what its bytes are.
    let mut stops = wide;
    // 4 takes line breaks behind punctuation, and slashes behind these: rare enough to be walked.
    let taken = line & other << 1;
    // 5 takes white space up to the last line break, 6 and 7 what is behind it: it is walked where there is a choice.
    let indent = blank & line << 1;
    stops |= behind(line, taken) & slash | behind(blank, indent) & line;
    let mut end = known.min(stops.trailing_zeros() as usize);
    let ends = ends && end == known;
    // 1 and 2 take `'s` and its like behind letters, if the next two bytes tell.
    let quotes = apostrophe & letter << 1;
    if !ends {
        let undecided = quotes & !below(end.max(3) - 2);
        end = end.min(undecided.trailing_zeros() as usize);
    }
    // 4: a space before it belongs to it.
    let others = first(other) & !(space << 1);
    // 1 and 2: a word begins with what leads it, or with its first letter; and with each large letter behind a small one.
    let lead = (others | blank) & letter >> 1;
    let words = first(letter) & !(lead << 1) | upper & lower << 1;
    // 3
    let mut numbers = first(digit);
    let mut third = numbers;
    while third != 0 {
        third = third << 3 & digit & digit << 1 & digit << 2;
        numbers |= third;
    }
    // 5, 6, 7: the last blank before something else begins a piece of its own, or that of what follows.
    let whites = first(white) & !taken | blank & !(white >> 1) | indent;
    let mut bits = (words | numbers | others | whites | 1) & below(end);
    let mut quotes = quotes & letter >> 1 & below(end);
    let mut done = 0;
    while quotes != 0 {
        let at = quotes.trailing_zeros() as usize;
        quotes &= quotes - 1;
        let length = contraction(block, at);
        if length > 0 && at != done {
            done = at + length;
            bits = bits & !(below(length) << at) | (1 << (done % 64)) & below(end);
        }
    }
    if !ends {
        // What white space at the end is before is not known.
        let tail = (!(white << (64 - end))).leading_zeros() as usize;
        bits &= below((end - tail + 1).min(64));
    } else if end > 1 && blank >> (end - 2) & 3 == 3 {
        // 6 takes it whole where nothing follows.
        bits &= !(1 << (end - 1));
    }
    let last = if ends {
        Last::Ends(end)
    } else if end < known {
        Last::Walk
    } else {
        Last::Open
    };
    Starts { bits, last }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)` at an apostrophe, in ASCII.
#[inline(always)]
fn contraction(block: &Block, at: usize) -> usize {
    let lower = |at: usize| block.get(at).map_or(0, u8::to_ascii_lowercase);
    match (lower(at + 1), lower(at + 2)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', b'e') | (b'l', b'l') => 3,
        _ => 0,
    }
}
