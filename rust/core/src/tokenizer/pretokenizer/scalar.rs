//! The split pattern of `o200k_base` as a scanner: it cuts text into the pieces that are encoded one by one.
//!
//! The pattern is an alternation; the first alternative that matches at a place wins:
//! ```text
//! 1  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 2  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 3  \p{N}{1,3}
//! 4  ` ?[^\s\p{L}\p{N}]+[\r\n/]*`
//! 5  \s*[\r\n]+
//! 6  \s+(?!\S)
//! 7  \s+
//! ```
//! Each rule is quoted above the code that replaces it. Here text is walked, character by character; most text is ASCII
//! that `blocks.rs` cuts sixty-four bytes at once, and leaves to this file what it does not see whole. A character is
//! looked at a few times at most, in the run that it belongs to and as the lookahead of the one before it. So the scan
//! is linear, whatever the text.

use crate::tokenizer::vocabulary;

/// What the pattern tells apart, in the numbers of the class table.
const OTHER: u8 = 0;
const LOWER: u8 = 1;
const UPPER: u8 = 2;
/// Letters without case: Lm and Lo.
const CASELESS: u8 = 3;
const MARK: u8 = 4;
const NUMBER: u8 = 5;
const SPACE: u8 = 6;
const BREAK: u8 = 7;

/// The classes of ASCII, so that most text never needs the two-level table.
static ASCII: [u8; 128] = {
    let mut table = [OTHER; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'A'..=b'Z' => UPPER,
            b'0'..=b'9' => NUMBER,
            b'\r' | b'\n' => BREAK,
            b'\t' | 0x0b | 0x0c | b' ' => SPACE,
            _ => OTHER,
        };
        byte += 1;
    }
    table
};

/// Where a piece ends, and how far the scanner had to look to know it. If that is the end of the text, more text
/// could change the piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) end: usize,
    pub(crate) seen: usize,
}

/// The class of the character at `at`, and where it ends; `None` at the end of the text.
#[inline(always)]
fn class_at(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *text.get(at)?;
    if byte < 128 {
        return Some((ASCII[usize::from(byte)], at + 1));
    }
    Some(wide_class_at(text, at, byte))
}

/// The same for a character of two bytes and more. The text is UTF-8; what would be missing reads as 0.
#[inline(always)]
fn wide_class_at(text: &[u8], at: usize, first: u8) -> (u8, usize) {
    let bits = |behind: usize| usize::from(text.get(at + behind).copied().unwrap_or(0) & 63);
    let first = usize::from(first);
    let (point, length) = match first {
        0..0xe0 => ((first & 31) << 6 | bits(1), 2),
        0xe0..0xf0 => ((first & 15) << 12 | bits(1) << 6 | bits(2), 3),
        _ => ((first & 7) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4),
    };
    (vocabulary::class(point), at + length)
}

/// Where the run of characters that `wanted` takes ends.
#[inline]
fn run(text: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    while let Some((class, next)) = class_at(text, at) {
        if !wanted(class) {
            break;
        }
        at = next;
    }
    at
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
const fn may_lead(class: u8) -> bool {
    matches!(class, UPPER | CASELESS | MARK)
}

/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
const fn may_follow(class: u8) -> bool {
    matches!(class, LOWER | CASELESS | MARK)
}

/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`: in ASCII these are the small letters alone, and most words are made of them.
#[inline]
fn followers(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while text.get(at).is_some_and(u8::is_ascii_lowercase) {
        at += 1;
    }
    match text.get(at) {
        Some(byte) if !byte.is_ascii() => run(text, at, may_follow),
        _ => at,
    }
}

/// How letters match: by rule 1, or only by rule 2, or not at all.
enum Word {
    First(Piece),
    Second(Piece),
    None,
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`, or else
/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`.
#[inline]
fn word(text: &[u8], from: usize) -> Word {
    // The leading run takes all it can; if nothing follows it, it gives back up to the last character in it that
    // may follow, and what the following run can take from there is that character alone.
    let mut at = from;
    let mut last_follower = None;
    loop {
        match class_at(text, at) {
            Some((LOWER, next)) => {
                let end = followers(text, next);
                return Word::First(Piece { end, seen: end });
            }
            Some((class, next)) if may_lead(class) => {
                at = next;
                if class != UPPER {
                    last_follower = Some(next);
                }
            }
            _ => break,
        }
    }
    match last_follower {
        Some(end) => Word::First(Piece { end, seen: at }),
        None if at > from => Word::Second(Piece { end: at, seen: at }),
        None => Word::None,
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`, in which `s` is also `ſ` (U+017F): the pattern folds case by Unicode's rules.
#[inline]
fn contraction(text: &[u8], piece: Piece) -> Piece {
    let rest = text.get(piece.end..).unwrap_or_default();
    if rest.first() != Some(&b'\'') {
        return Piece { seen: piece.seen.max(piece.end), ..piece };
    }
    let lower = |at: usize| rest.get(at).map_or(0, u8::to_ascii_lowercase);
    let length = match (lower(1), lower(2)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', b'e') | (b'l', b'l') | (0xc5, 0xbf) => 3,
        _ => 0,
    };
    // Undecided are `'` and `'r`, `'v`, `'l` at the end of the text: the look goes beyond it.
    let looked = if length > 0 { length } else { 3 };
    let seen = piece.seen.max(piece.end + looked - usize::from(length > 0));
    Piece { end: piece.end + length, seen }
}

/// Finds the end of the piece that begins at `from`, which must be a character boundary before the end.
#[inline(never)]
pub(crate) fn next(text: &[u8], from: usize) -> Piece {
    let Some((class, after)) = class_at(text, from) else { return Piece { end: from, seen: from } };
    match class {
        LOWER | UPPER | CASELESS => match word(text, from) {
            Word::First(piece) | Word::Second(piece) => contraction(text, piece),
            Word::None => Piece { end: after, seen: after },
        },
        // 3  \p{N}{1,3}
        NUMBER => {
            let mut at = after;
            for _ in 0..2 {
                match class_at(text, at) {
                    Some((NUMBER, next)) => at = next,
                    _ => return Piece { end: at, seen: at },
                }
            }
            Piece { end: at, seen: at - 1 }
        }
        MARK => mark(text, from, after),
        BREAK => white_space(text, from),
        _ => match word(text, after) {
            Word::First(piece) | Word::Second(piece) => contraction(text, piece),
            Word::None if class == SPACE => space(text, from, after),
            Word::None => punctuation(text, after),
        },
    }
}

/// A mark may stand before a word like punctuation, or lead it like a letter: rule 1 is tried both ways first.
fn mark(text: &[u8], from: usize, after: usize) -> Piece {
    match (word(text, after), word(text, from)) {
        (Word::First(piece), _) | (_, Word::First(piece)) => contraction(text, piece),
        _ => Piece { end: after, seen: after },
    }
}

/// White space that no word follows.
fn space(text: &[u8], from: usize, after: usize) -> Piece {
    if text.get(from) == Some(&b' ') && matches!(class_at(text, after), Some((OTHER | MARK, _))) {
        return punctuation(text, after);
    }
    white_space(text, from)
}

/// 4  ` ?[^\s\p{L}\p{N}]+[\r\n/]*`, from the second character on
fn punctuation(text: &[u8], from: usize) -> Piece {
    let mut at = run(text, from, |class| matches!(class, OTHER | MARK));
    while let Some(b'\r' | b'\n' | b'/') = text.get(at) {
        at += 1;
    }
    Piece { end: at, seen: at }
}

/// 5  `\s*[\r\n]+`   6  `\s+(?!\S)`   7  `\s+`
fn white_space(text: &[u8], from: usize) -> Piece {
    let (mut at, mut last, mut after_break) = (from, from, None);
    while let Some((class @ (SPACE | BREAK), next)) = class_at(text, at) {
        last = at;
        at = next;
        if class == BREAK {
            after_break = Some(next);
        }
    }
    let end = match after_break {
        Some(end) => end,
        // The last white space is left for what follows it, unless nothing does, or it is the only one.
        None if at < text.len() && last > from => last,
        None => at,
    };
    Piece { end, seen: at }
}
