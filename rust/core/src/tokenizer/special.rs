//! Spellings of special tokens in a text, and the policy for them.

use super::vocabulary::{self, MAX_SPELLING_BYTES, SPELLING_COUNT};

/// How the spellings of special tokens in a text are encoded.
#[derive(Clone, Copy, Debug)]
pub enum SpecialPolicy<'a> {
    /// As ordinary text.
    Text,
    /// As special tokens.
    Token,
    /// Not at all: they are an error.
    Error,
    /// Some as special tokens, some as errors, and the rest as ordinary text.
    Choice(&'a SpecialChoice),
}

/// For [`SpecialPolicy::Choice`]. A spelling in both sets is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialChoice {
    pub tokens: SpecialSet,
    pub errors: SpecialSet,
}

/// A set of spellings of special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialSet([u64; SPELLING_COUNT.div_ceil(64)]);

impl SpecialSet {
    /// Adds a spelling. Returns whether it is the spelling of a special token.
    pub fn insert(&mut self, spelling: &str) -> bool {
        let Some(index) = vocabulary::spelling_index(spelling) else { return false };
        self.0[index / 64] |= 1 << (index % 64);
        true
    }

    fn contains(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }
}

/// A special token in a text whose policy refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokenFound {
    pub spelling: String,
    /// The byte offset of the spelling.
    pub at: usize,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Ordinary(&'a str),
    Special { spelling: &'a str, id: u32 },
}

/// Splits a text at the special tokens in it, and calls `emit` with each part, in order. Ordinary parts may be empty.
#[inline]
pub(super) fn for_each_segment<'a>(
    text: &'a str,
    policy: SpecialPolicy,
    mut emit: impl FnMut(Segment<'a>),
) -> Result<(), SpecialTokenFound> {
    let mut ordinary_start = 0;
    if !matches!(policy, SpecialPolicy::Text) {
        for at in memchr::memmem::find_iter(text.as_bytes(), b"<|") {
            let Some((spelling, index)) = spelling_at(text, at).filter(|_| at >= ordinary_start) else {
                continue;
            };
            match policy {
                SpecialPolicy::Token => {}
                SpecialPolicy::Choice(choice) if !choice.errors.contains(index) => {
                    if !choice.tokens.contains(index) {
                        continue;
                    }
                }
                _ => return Err(SpecialTokenFound { spelling: spelling.to_owned(), at }),
            }
            emit(Segment::Ordinary(text.get(ordinary_start..at).unwrap_or_default()));
            emit(Segment::Special { spelling, id: vocabulary::spelling_id(index) });
            ordinary_start = at + spelling.len();
        }
    }
    emit(Segment::Ordinary(text.get(ordinary_start..).unwrap_or_default()));
    Ok(())
}

/// The special token that is spelled at `at`: its spelling, and the index of that.
fn spelling_at(text: &str, at: usize) -> Option<(&str, usize)> {
    let window = text.as_bytes().get(at..)?;
    let window = window.get(..window.len().min(MAX_SPELLING_BYTES))?;
    let end = at + memchr::memmem::find(window, b"|>")? + 2;
    let spelling = text.get(at..end)?;
    Some((spelling, vocabulary::spelling_index(spelling)?))
}
