//! Text of Python as UTF-8. A `str` may hold surrogates, which have no UTF-8: two that are a pair become one character, and
//! a lone one is replaced by U+FFFD, as tiktoken does.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::borrow::Cow;

/// The text as UTF-8, with U+FFFD for each lone surrogate.
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    match text.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => Ok(Cow::Owned(replace_lone_surrogates(&code_points(text)?))),
    }
}

/// The text as bytes for the parser: UTF-8, with a byte that no UTF-8 has for each lone surrogate. The parser replaces that
/// byte by U+FFFD, too, and reports it as a repair.
pub(crate) fn parser_bytes<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    match text.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Err(_) => Ok(Cow::Owned(mark_lone_surrogates(&code_points(text)?))),
    }
}

/// Of each pair of surrogates that [`utf8`] joins to one character: that character's index. Before it, an index into the
/// result is one into the Python text; behind it, it is one too low.
pub(crate) fn joined_pairs(text: &Bound<'_, PyString>) -> PyResult<Vec<usize>> {
    if text.to_str().is_ok() {
        return Ok(Vec::new());
    }
    let is_pair = |(_, (_, length)): &(usize, (Option<char>, usize))| *length == 2;
    Ok(characters(&code_points(text)?).enumerate().filter(is_pair).map(|(index, _)| index).collect())
}

/// The code points of the text, surrogates among them.
fn code_points(text: &Bound<'_, PyString>) -> PyResult<Vec<u32>> {
    let py = text.py();
    // The method of `str` itself: that of a subclass could run other code.
    let bytes = py
        .get_type::<PyString>()
        .call_method1(intern!(py, "encode"), (text, "utf-32-le", "surrogatepass"))?
        .cast_into::<PyBytes>()?;
    Ok(bytes.as_bytes().as_chunks().0.iter().map(|point| u32::from_le_bytes(*point)).collect())
}

const HIGH_SURROGATES: std::ops::Range<u32> = 0xd800..0xdc00;
const LOW_SURROGATES: std::ops::Range<u32> = 0xdc00..0xe000;

/// The characters, `None` for a lone surrogate, and how many code points each is made of.
fn characters(points: &[u32]) -> impl Iterator<Item = (Option<char>, usize)> {
    let mut rest = points;
    std::iter::from_fn(move || {
        let character = match *rest {
            [] => return None,
            [high, low, ..] if HIGH_SURROGATES.contains(&high) && LOW_SURROGATES.contains(&low) => {
                (char::from_u32(0x1_0000 + ((high - 0xd800) << 10 | (low - 0xdc00))), 2)
            }
            [point, ..] => (char::from_u32(point), 1),
        };
        rest = rest.get(character.1..).unwrap_or_default();
        Some(character)
    })
}

fn replace_lone_surrogates(points: &[u32]) -> String {
    characters(points).map(|(character, _)| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

const INVALID_BYTE: u8 = 0xff;

fn mark_lone_surrogates(points: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len());
    for (character, _) in characters(points) {
        match character {
            Some(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => bytes.push(INVALID_BYTE),
        }
    }
    bytes
}

/// Joins text that arrives in chunks, where two chunks may have the halves of a pair. Servers that cut UTF-16, as those in
/// JavaScript do, send such chunks.
#[derive(Clone, Default)]
pub(crate) struct SurrogateJoiner {
    /// A high surrogate at the end of the last chunk.
    high: Option<u32>,
}

/// A chunk after joining.
pub(crate) enum JoinedChunk<'a> {
    Utf8(&'a str),
    /// Code points with surrogates among them.
    CodePoints(Vec<u32>),
}

impl JoinedChunk<'_> {
    /// The chunk as [`utf8`].
    pub(crate) fn utf8(&self) -> Cow<'_, str> {
        match self {
            JoinedChunk::Utf8(text) => Cow::Borrowed(text),
            JoinedChunk::CodePoints(points) => Cow::Owned(replace_lone_surrogates(points)),
        }
    }

    /// The chunk as [`parser_bytes`].
    pub(crate) fn parser_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            JoinedChunk::Utf8(text) => Cow::Borrowed(text.as_bytes()),
            JoinedChunk::CodePoints(points) => Cow::Owned(mark_lone_surrogates(points)),
        }
    }
}

impl SurrogateJoiner {
    /// A joiner that holds a surrogate: see [`SurrogateJoiner::high`].
    pub(crate) fn with_high(high: Option<u32>) -> SurrogateJoiner {
        SurrogateJoiner { high }
    }

    /// The high surrogate that is held, if there is one.
    pub(crate) fn high(&self) -> Option<u32> {
        self.high
    }

    pub(crate) fn feed<'a>(&mut self, text: &'a Bound<'_, PyString>) -> PyResult<JoinedChunk<'a>> {
        if self.high.is_none()
            && let Ok(text) = text.to_str()
        {
            return Ok(JoinedChunk::Utf8(text));
        }
        let mut points: Vec<u32> = self.high.into_iter().collect();
        points.extend(code_points(text)?);
        self.high = points.pop_if(|point| HIGH_SURROGATES.contains(point));
        Ok(JoinedChunk::CodePoints(points))
    }

    /// Ends the text, or a run of text: a surrogate that was held stays alone.
    pub(crate) fn close(&mut self) -> Option<JoinedChunk<'static>> {
        self.high.take().map(|high| JoinedChunk::CodePoints(vec![high]))
    }
}
