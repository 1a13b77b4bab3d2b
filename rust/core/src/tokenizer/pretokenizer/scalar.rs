//! The split pattern as a scanner: one character after another, whatever the text. The rules are numbered as in `mod.rs`,
//! and quoted above the code that implements them.
//!
//! A character is looked at a few times at most: in the run that it belongs to, and as the lookahead of the one before.
//! So the scan is linear.

use crate::tokenizer::vocabulary;

/// The classes of characters that the pattern distinguishes, with the numbers of the vocabulary's class table.
const OTHER: u8 = 0;
const LOWER: u8 = 1;
const UPPER: u8 = 2;
/// Letters without case: Lm and Lo.
const CASELESS: u8 = 3;
const MARK: u8 = 4;
const NUMBER: u8 = 5;
const SPACE: u8 = 6;
const BREAK: u8 = 7;

/// The classes of ASCII: most text never needs the two-level table of all classes.
static ASCII_CLASSES: [u8; 128] = {
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

/// The end of a pre-token, and the end of the text that decided it. If the latter is the end of the whole text, more text
/// could change the pre-token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tokenizer) struct PretokenEnd {
    pub(in crate::tokenizer) end: usize,
    pub(in crate::tokenizer) lookahead_end: usize,
}

/// The class of the character at `at`, and where it ends; `None` at the end of the text.
#[inline(always)]
fn class_at(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *text.get(at)?;
    if byte < 128 {
        return Some((ASCII_CLASSES[usize::from(byte)], at + 1));
    }
    Some(non_ascii_class_at(text, at, byte))
}

/// [`class_at`] for a character of two bytes and more. The text is UTF-8; a missing byte would read as 0.
#[inline(always)]
fn non_ascii_class_at(text: &[u8], at: usize, first: u8) -> (u8, usize) {
    let bits = |offset: usize| usize::from(text.get(at + offset).copied().unwrap_or(0) & 63);
    let first = usize::from(first);
    let (code_point, length) = match first {
        0..0xe0 => ((first & 31) << 6 | bits(1), 2),
        0xe0..0xf0 => ((first & 15) << 12 | bits(1) << 6 | bits(2), 3),
        _ => ((first & 7) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4),
    };
    (vocabulary::char_class(code_point), at + length)
}

/// The end of the run of characters from `from` on whose classes are in `set`.
#[inline]
fn run_end(text: &[u8], from: usize, set: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    while let Some((class, next)) = class_at(text, at) {
        if !set(class) {
            break;
        }
        at = next;
    }
    at
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
const fn is_upper_like(class: u8) -> bool {
    matches!(class, UPPER | CASELESS | MARK)
}

/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
const fn is_lower_like(class: u8) -> bool {
    matches!(class, LOWER | CASELESS | MARK)
}

/// The end of `[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`, with a fast path for the lower case letters of ASCII.
#[inline]
fn lower_like_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while text.get(at).is_some_and(u8::is_ascii_lowercase) {
        at += 1;
    }
    match text.get(at) {
        Some(byte) if !byte.is_ascii() => run_end(text, at, is_lower_like),
        _ => at,
    }
}

/// The rule by which letters match, without its lead and its contraction.
enum WordMatch {
    Rule1(PretokenEnd),
    Rule2(PretokenEnd),
    None,
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+`, or else
/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*`.
#[inline]
fn match_word(text: &[u8], from: usize) -> WordMatch {
    // The first run of rule 1 is greedy. If nothing is left for the second run, the first one backtracks to the last
    // character in it that is in both sets, which then is all that the second run matches.
    let mut at = from;
    let mut last_in_both = None;
    loop {
        match class_at(text, at) {
            Some((LOWER, next)) => {
                let end = lower_like_end(text, next);
                return WordMatch::Rule1(PretokenEnd { end, lookahead_end: end });
            }
            Some((class, next)) if is_upper_like(class) => {
                at = next;
                if class != UPPER {
                    last_in_both = Some(next);
                }
            }
            _ => break,
        }
    }
    match last_in_both {
        Some(end) => WordMatch::Rule1(PretokenEnd { end, lookahead_end: at }),
        None if at > from => WordMatch::Rule2(PretokenEnd { end: at, lookahead_end: at }),
        None => WordMatch::None,
    }
}

/// Extends a word by `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`. `s` is also `ſ` (U+017F): the pattern folds case by Unicode's rules.
#[inline]
fn with_contraction(text: &[u8], word: PretokenEnd) -> PretokenEnd {
    let rest = text.get(word.end..).unwrap_or_default();
    if rest.first() != Some(&b'\'') {
        return PretokenEnd { lookahead_end: word.lookahead_end.max(word.end), ..word };
    }
    let lower = |at: usize| rest.get(at).map_or(0, u8::to_ascii_lowercase);
    let length = match (lower(1), lower(2)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', b'e') | (b'l', b'l') | (0xc5, 0xbf) => 3,
        _ => 0,
    };
    // A match is final. Without one, `'`, `'r`, `'v` and `'l` at the end of the text are undecided.
    let lookahead = if length > 0 { length - 1 } else { 3 };
    let lookahead_end = word.lookahead_end.max(word.end + lookahead);
    PretokenEnd { end: word.end + length, lookahead_end }
}

/// Finds the end of the pre-token that starts at `from`, which must be a character boundary before the end of the text.
#[inline(never)]
pub(in crate::tokenizer) fn scan_pretoken(text: &[u8], from: usize) -> PretokenEnd {
    let Some((class, next)) = class_at(text, from) else {
        return PretokenEnd { end: from, lookahead_end: from };
    };
    match class {
        LOWER | UPPER | CASELESS => match match_word(text, from) {
            WordMatch::Rule1(word) | WordMatch::Rule2(word) => with_contraction(text, word),
            WordMatch::None => PretokenEnd { end: next, lookahead_end: next },
        },
        NUMBER => scan_number(text, next),
        MARK => scan_mark(text, from, next),
        BREAK => scan_white_space(text, from),
        _ => match match_word(text, next) {
            WordMatch::Rule1(word) | WordMatch::Rule2(word) => with_contraction(text, word),
            WordMatch::None if class == SPACE => scan_space(text, from, next),
            WordMatch::None => scan_punctuation(text, next),
        },
    }
}

/// 3  `\p{N}{1,3}`, from the second number on.
fn scan_number(text: &[u8], from: usize) -> PretokenEnd {
    let mut at = from;
    for _ in 0..2 {
        match class_at(text, at) {
            Some((NUMBER, next)) => at = next,
            _ => return PretokenEnd { end: at, lookahead_end: at },
        }
    }
    // Nothing that follows could change a third number's end, hence a lookahead that does not reach it.
    PretokenEnd { end: at, lookahead_end: at - 1 }
}

/// A mark may lead a word, as punctuation does, or begin it, as a letter does. Rule 1 tries the former first. The latter
/// always matches, because a mark is in both sets of rule 1.
fn scan_mark(text: &[u8], from: usize, next: usize) -> PretokenEnd {
    match (match_word(text, next), match_word(text, from)) {
        (WordMatch::Rule1(word), _) | (_, WordMatch::Rule1(word)) => with_contraction(text, word),
        _ => PretokenEnd { end: next, lookahead_end: next },
    }
}

/// White space without a word after it: by rule 4 a space belongs to punctuation that follows.
fn scan_space(text: &[u8], from: usize, next: usize) -> PretokenEnd {
    if text.get(from) == Some(&b' ') && matches!(class_at(text, next), Some((OTHER | MARK, _))) {
        return scan_punctuation(text, next);
    }
    scan_white_space(text, from)
}

/// 4  ` ?[^\s\p{L}\p{N}]+[\r\n/]*`, from the second character on.
fn scan_punctuation(text: &[u8], from: usize) -> PretokenEnd {
    let mut at = run_end(text, from, |class| matches!(class, OTHER | MARK));
    while let Some(b'\r' | b'\n' | b'/') = text.get(at) {
        at += 1;
    }
    PretokenEnd { end: at, lookahead_end: at }
}

/// 5  `\s*[\r\n]+`   6  `\s+(?!\S)`   7  `\s+`
fn scan_white_space(text: &[u8], from: usize) -> PretokenEnd {
    let (mut at, mut last_start, mut after_break) = (from, from, None);
    while let Some((class @ (SPACE | BREAK), next)) = class_at(text, at) {
        last_start = at;
        at = next;
        if class == BREAK {
            after_break = Some(next);
        }
    }
    let end = match after_break {
        Some(end) => end,
        // Rule 6 leaves the last white space to what follows. Rule 7 takes it if it is the only one.
        None if at < text.len() && last_start > from => last_start,
        None => at,
    };
    PretokenEnd { end, lookahead_end: at }
}
