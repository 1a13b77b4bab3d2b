//! The split pattern on ASCII, 64 bytes at once, as arithmetic on bit masks. Bit `i` of a mask stands for byte `i`.
//!
//! A block begins where a pre-token begins, so that nothing before it matters. For most bytes the pattern depends on the
//! class of the byte, of the byte before it and of the two bytes after it, which shifted masks say for all 64 bytes
//! together; a run is found by an addition whose carry runs through it. A worked example, as a test checks it:
//! ```text
//! text                    We'll pay  71234 (or not) now
//! letter                  XX.XX.XXX.........XX.XXX..XXX
//! digit                   ...........XXXXX.............
//! white space             .....X...XX.....X...X....X...
//! punctuation             ..X..............X......X....
//! leads of words          ..X..X..............X....X...
//! starts: words           X.................X..........
//!         numbers         ...........X..X..............
//!         punctuation     ..X.....................X....
//!         white space     .....X...XX.....X...X....X...
//! all, contractions done  X....X...XXX..X.X.X.X...XX...
//! ```
//! The pre-tokens are `We'll`, ` pay`, ` `, ` `, `712`, `34`, ` (`, `or`, ` not`, `)`, ` now`. Whether the last one goes on is
//! known if the text ends here.
//!
//! Rules that masks express badly, and bytes outside of ASCII, end the part of a block that is decided here
//! ([`decided_bytes`]). The caller takes the pre-tokens up to there, and has the next one found by the scalar scanner.

use crate::tokenizer::simd::{self, BLOCK_BYTES, Block, BlockFunction, ClassMasks};

/// Where pre-tokens start in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockStarts {
    /// A mask of the first bytes of pre-tokens. Bit 0 is always set.
    pub(super) mask: u64,
    pub(super) last: LastPretoken,
}

/// What a block says about the end of its last pre-token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastPretoken {
    /// It ends with the text.
    EndsText,
    /// It may go on behind the block. A block that begins where it begins shows its end, unless it fills the block.
    Continues,
    /// The masks do not decide where it ends.
    Undecided,
}

/// Finds the pre-tokens of a block that begins with one, in ASCII. `rest_bytes` is how long the text from the block on is:
/// at least one byte. If the block is longer, its other bytes are zero.
#[inline(always)]
pub(super) fn pretoken_starts(block: &Block, rest_bytes: usize) -> BlockStarts {
    simd::with_class_masks(block, FindStarts { rest_bytes })
}

/// What [`pretoken_starts`] does, as a function of the class masks.
#[derive(Clone, Copy)]
struct FindStarts {
    rest_bytes: usize,
}

impl BlockFunction for FindStarts {
    type Output = BlockStarts;

    #[inline(always)]
    fn call(self, block: &Block, classes: ClassMasks) -> BlockStarts {
        let masks = &Masks::new(classes);
        let punctuation = punctuation_starts(masks);
        let starts = word_starts(masks, punctuation)
            | number_starts(masks)
            | punctuation
            | white_space_starts(masks)
            | 1;
        let stops = stops(masks);
        // Most blocks are decided as a whole, which takes fewer instructions than a part of a block.
        if self.rest_bytes > BLOCK_BYTES && stops | masks.apostrophe_after_letter >> (BLOCK_BYTES - 2) == 0 {
            let starts = join_contractions(block, masks, starts, BLOCK_BYTES);
            return BlockStarts {
                mask: open_white_space_at_end(masks, starts),
                last: LastPretoken::Continues,
            };
        }
        let length = self.rest_bytes.min(BLOCK_BYTES);
        let (end, ends_text) = decided_bytes(masks, stops, length, self.rest_bytes <= BLOCK_BYTES);
        let starts = join_contractions(block, masks, starts & low_bits(end), end);
        let mask = join_white_space_at_end(masks, starts, end, ends_text);
        let last = if ends_text {
            LastPretoken::EndsText
        } else if end < length {
            LastPretoken::Undecided
        } else {
            LastPretoken::Continues
        };
        BlockStarts { mask, last }
    }
}

/// The classes of the split pattern in ASCII, and what several rules need.
struct Masks {
    classes: ClassMasks,
    letter: u64,
    /// Neither letter nor digit nor white space.
    punctuation: u64,
    /// White space other than line breaks.
    blank: u64,
    /// Line breaks that follow punctuation and belong to it (rule 4).
    line_break_after_punctuation: u64,
    /// Blanks that follow a line break.
    blank_after_line_break: u64,
    /// Apostrophes that follow a letter: contractions may begin there (rules 1 and 2).
    apostrophe_after_letter: u64,
}

impl Masks {
    #[inline(always)]
    fn new(classes: ClassMasks) -> Masks {
        let letter = classes.lower | classes.upper;
        let punctuation = !(letter | classes.digit | classes.white_space | classes.non_ascii);
        let blank = classes.white_space & !classes.line_break;
        Masks {
            letter,
            punctuation,
            blank,
            line_break_after_punctuation: classes.line_break & punctuation << 1,
            blank_after_line_break: blank & classes.line_break << 1,
            apostrophe_after_letter: classes.apostrophe & letter << 1,
            classes,
        }
    }
}

/// The lowest `count` bits, at least one.
#[inline(always)]
const fn low_bits(count: usize) -> u64 {
    u64::MAX >> (64 - count)
}

/// The first bit of each run of set bits.
#[inline(always)]
const fn run_starts(mask: u64) -> u64 {
    mask & !(mask << 1)
}

/// The bit after each run of `mask` that begins with a bit of `starts`: the addition carries through the run.
#[inline(always)]
const fn after_runs(mask: u64, starts: u64) -> u64 {
    mask.wrapping_add(starts) & !mask
}

/// The bytes whose pre-tokens the masks do not decide, as far as they depend on the classes alone: bytes outside of ASCII;
/// slashes behind line breaks that belong to punctuation (rule 4 takes any mixture of both); and line breaks behind blanks
/// behind line breaks (rule 5 takes white space up to the last line break).
#[inline(always)]
fn stops(masks: &Masks) -> u64 {
    let ClassMasks { line_break, slash, non_ascii, .. } = masks.classes;
    non_ascii
        | after_runs(line_break, masks.line_break_after_punctuation) & slash
        | after_runs(masks.blank, masks.blank_after_line_break) & line_break
}

/// How many of the block's first `length` bytes the masks decide, and whether the text ends with them. Unless it does,
/// apostrophes whose next two bytes are not among them are undecided.
#[inline(always)]
fn decided_bytes(masks: &Masks, stops: u64, length: usize, ends_text: bool) -> (usize, bool) {
    let end = length.min(stops.trailing_zeros() as usize);
    if ends_text && end == length {
        return (end, true);
    }
    let undecided = masks.apostrophe_after_letter & !low_bits(end.max(3) - 2);
    (end.min(undecided.trailing_zeros() as usize), false)
}

/// Rules 1 and 2: a word starts with its lead, a single punctuation character or blank, or else with its first letter. A
/// new word starts with each upper case letter that follows a lower case one.
#[inline(always)]
fn word_starts(masks: &Masks, punctuation_starts: u64) -> u64 {
    let leads = (punctuation_starts | masks.blank) & masks.letter >> 1;
    run_starts(masks.letter) & !(leads << 1) | masks.classes.upper & masks.classes.lower << 1
}

/// Rule 3: a number starts with each third digit of a run.
#[inline(always)]
fn number_starts(masks: &Masks) -> u64 {
    let digit = masks.classes.digit;
    let mut starts = run_starts(digit);
    let third_digit = digit & digit << 1 & digit << 2;
    let mut next = starts << 3 & third_digit;
    while next != 0 {
        starts |= next;
        next = next << 3 & third_digit;
    }
    starts
}

/// Rule 4: a space in front belongs to the punctuation, so that the run does not start a pre-token itself.
#[inline(always)]
fn punctuation_starts(masks: &Masks) -> u64 {
    run_starts(masks.punctuation) & !(masks.classes.space << 1)
}

/// Rules 5 to 7: white space starts with its run, after a line break, and with its last blank, which belongs to what
/// follows or, before a digit, stands alone.
#[inline(always)]
fn white_space_starts(masks: &Masks) -> u64 {
    let white_space = masks.classes.white_space;
    run_starts(white_space) & !masks.line_break_after_punctuation
        | masks.blank & !(white_space >> 1)
        | masks.blank_after_line_break
}

/// Rules 1 and 2: joins contractions with the words before them. What follows a contraction starts a pre-token.
#[inline(always)]
fn join_contractions(block: &Block, masks: &Masks, mut starts: u64, end: usize) -> u64 {
    let mut apostrophes = masks.apostrophe_after_letter & masks.letter >> 1 & low_bits(end);
    let mut contraction_end = 0;
    while apostrophes != 0 {
        let at = apostrophes.trailing_zeros() as usize;
        apostrophes &= apostrophes - 1;
        let length = contraction_length(block, at);
        // A word has at most one contraction: in `a's's` the second apostrophe leads a new word.
        if length > 0 && at != contraction_end {
            contraction_end = at + length;
            starts = starts & !(low_bits(length) << at) | (1 << (contraction_end % 64)) & low_bits(end);
        }
    }
    starts
}

/// The length of `(?i:'s|'t|'re|'ve|'m|'ll|'d)` at an apostrophe, in ASCII; 0 if it does not match.
#[inline(always)]
fn contraction_length(block: &Block, at: usize) -> usize {
    let lower = |at: usize| block.get(at).map_or(0, u8::to_ascii_lowercase);
    match (lower(at + 1), lower(at + 2)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', b'e') | (b'l', b'l') => 3,
        _ => 0,
    }
}

/// White space at the end is one pre-token if the text ends with it (rule 6), and otherwise one that [`LastPretoken`] says
/// to be open: its last blank may belong to what follows.
#[inline(always)]
fn join_white_space_at_end(masks: &Masks, starts: u64, end: usize, ends_text: bool) -> u64 {
    if !ends_text {
        let white_space_bytes = (!(masks.classes.white_space << (64 - end))).leading_zeros() as usize;
        starts & low_bits((end - white_space_bytes + 1).min(64))
    } else if end > 1 && masks.blank >> (end - 2) & 3 == 3 {
        starts & !(1 << (end - 1))
    } else {
        starts
    }
}

/// [`join_white_space_at_end`] for a block that is decided as a whole and that more text follows. It takes the byte before
/// the last one for the end, which takes fewer instructions: the next block finds a start that is dropped too much.
#[inline(always)]
fn open_white_space_at_end(masks: &Masks, starts: u64) -> u64 {
    let shifted = masks.classes.white_space << 1;
    starts & u64::MAX >> (!shifted).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_the_worked_example() {
        let text = b"We'll pay  71234 (or not) now";
        let mut block = [0; 64];
        block[..text.len()].copy_from_slice(text);
        let masks = Masks::new(simd::class_masks(&block));
        let row = |mask: u64| -> String {
            (0..text.len()).map(|at| if mask >> at & 1 == 1 { 'X' } else { '.' }).collect()
        };
        let punctuation = punctuation_starts(&masks);
        let rows = [
            (masks.letter, "XX.XX.XXX.........XX.XXX..XXX"),
            (masks.classes.digit, "...........XXXXX............."),
            (masks.classes.white_space, ".....X...XX.....X...X....X..."),
            (masks.punctuation, "..X..............X......X...."),
            ((punctuation | masks.blank) & masks.letter >> 1, "..X..X..............X....X..."),
            (word_starts(&masks, punctuation), "X.................X.........."),
            (number_starts(&masks), "...........X..X.............."),
            (punctuation, "..X.....................X...."),
            (white_space_starts(&masks), ".....X...XX.....X...X....X..."),
            (pretoken_starts(&block, text.len()).mask, "X....X...XXX..X.X.X.X...XX..."),
        ];
        for (mask, expected) in rows {
            assert_eq!(row(mask), expected);
        }
    }

    #[test]
    fn all_versions_find_the_same_starts() {
        let alphabet = b"aslRe1 \t\n./'~\xc3";
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize
        };
        for _ in 0..50_000 {
            let (length, letters) = (1 + next() % 80, 1 + next() % alphabet.len());
            let mut block = [0; 64];
            block[1..length.min(64)].fill_with(|| alphabet[next() % letters]);
            block[0] = alphabet[next() % (alphabet.len() - 1)];
            let starts = simd::with_class_masks_of_each_version(&block, FindStarts { rest_bytes: length });
            assert!(starts.iter().all(|other| *other == starts[0]), "{block:?} {length} {starts:?}");
        }
    }
}
