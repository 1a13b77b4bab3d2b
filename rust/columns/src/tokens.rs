//! Text to ids and counts, and ids to text.

use crate::blocks::{Threads, divide, map};
use crate::cells::{Cell, Cells, UnsupportedType};
use crate::column::Column;
use crate::ids::Run;
use crate::render::id_field;
use crate::text_builder::TextBuilder;
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, UInt32Array};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use motet::{SpecialPolicy, SpecialTokenFound, count_with, decode_into, encode_with};
use std::fmt;
use std::sync::Arc;

/// The error of a function that refuses the text of a row.
#[derive(Debug)]
pub enum TokensError {
    UnsupportedType(UnsupportedType),
    /// Of `SpecialPolicy::Error`: the row, and the special token in it.
    SpecialToken(usize, SpecialTokenFound),
    /// Of strict decoding: the row, and what is wrong with its ids.
    InvalidIds(usize, String),
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokensError::UnsupportedType(error) => error.fmt(f),
            TokensError::SpecialToken(row, _) => write!(f, "row {row} has the spelling of a special token"),
            TokensError::InvalidIds(row, reason) => write!(f, "row {row}: {reason}"),
        }
    }
}

impl std::error::Error for TokensError {}

impl From<UnsupportedType> for TokensError {
    fn from(error: UnsupportedType) -> TokensError {
        TokensError::UnsupportedType(error)
    }
}

/// Applies `work` to blocks of rows. The error is that of the first row that has one.
fn for_blocks(
    cells: &Cells<'_>,
    threads: Threads,
    work: impl Fn(std::ops::Range<usize>) -> Result<ArrayRef, TokensError> + Sync,
) -> Result<Vec<ArrayRef>, TokensError> {
    let blocks = divide(cells.len(), |row| cells.size(row), threads);
    map(&blocks, threads, |rows| work(rows.clone())).into_iter().collect()
}

/// The number of tokens of each row as a 64-bit integer: of text encoded with the policy, or of ids.
pub fn count(array: &dyn Array, policy: SpecialPolicy<'_>, threads: Threads) -> Result<Column, TokensError> {
    let cells = Cells::of(array)?;
    let chunks = for_blocks(&cells, threads, |rows| {
        let (mut counts, mut valid) = (Vec::with_capacity(rows.len()), NullBufferBuilder::new(rows.len()));
        for row in rows {
            let count = match cells.get(row) {
                Cell::Null => None,
                Cell::Text(text) => {
                    let text = String::from_utf8_lossy(text);
                    Some(count_with(&text, policy).map_err(|found| TokensError::SpecialToken(row, found))?)
                }
                Cell::Ids(ids) => Some(ids.len()),
            };
            counts.push(count.unwrap_or_default() as i64);
            valid.append(count.is_some());
        }
        Ok(Arc::new(Int64Array::new(ScalarBuffer::from(counts), valid.finish())))
    })?;
    Ok(Column { data_type: DataType::Int64, chunks })
}

/// The token ids of each row of text, as lists of unsigned 32-bit integers.
pub fn encode(array: &dyn Array, policy: SpecialPolicy<'_>, threads: Threads) -> Result<Column, TokensError> {
    let cells = Cells::of(array)?;
    let chunks = for_blocks(&cells, threads, |rows| {
        let (mut ids, mut offsets) = (Vec::new(), Vec::with_capacity(rows.len() + 1));
        let mut valid = NullBufferBuilder::new(rows.len());
        offsets.push(0);
        for row in rows {
            match cells.get(row) {
                Cell::Null => valid.append_null(),
                Cell::Text(text) => {
                    valid.append_non_null();
                    let text = String::from_utf8_lossy(text);
                    encode_with(&text, policy, &mut ids)
                        .map_err(|found| TokensError::SpecialToken(row, found))?;
                }
                Cell::Ids(_) => {
                    return Err(
                        UnsupportedType { data_type: array.data_type().clone(), expected: "text" }.into()
                    );
                }
            }
            offsets.push(ids.len() as i32);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = Arc::new(UInt32Array::new(ScalarBuffer::from(ids), None));
        Ok(Arc::new(ListArray::new(id_field(), offsets, values, valid.finish())))
    })?;
    Ok(Column { data_type: DataType::List(id_field()), chunks })
}

/// The text of each row of token ids, special tokens as their spellings.
///
/// `strict` refuses ids that are not in the vocabulary, and bytes that are not UTF-8; otherwise both become U+FFFD.
pub fn decode(array: &dyn Array, strict: bool, threads: Threads) -> Result<Column, TokensError> {
    let cells = Cells::of(array)?;
    let chunks = for_blocks(&cells, threads, |rows| {
        let (mut texts, mut valid) = (TextBuilder::new(), NullBufferBuilder::new(rows.len()));
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        for row in rows {
            match cells.get(row) {
                Cell::Null => valid.append_null(),
                Cell::Text(_) => {
                    let data_type = array.data_type().clone();
                    return Err(UnsupportedType { data_type, expected: "token ids" }.into());
                }
                Cell::Ids(ids) => {
                    valid.append_non_null();
                    bytes.clear();
                    let mut invalid = None;
                    ids.for_each_run(&mut scratch, |run| match run {
                        Run::Ids(ids) => decode_lossy(ids, &mut bytes, &mut invalid),
                        Run::Invalid(written) => {
                            bytes.extend_from_slice(REPLACEMENT.as_bytes());
                            invalid.get_or_insert(written);
                        }
                    });
                    if let Some(written) = invalid.filter(|_| strict) {
                        return Err(TokensError::InvalidIds(row, format!("{written} is not a token id")));
                    }
                    if strict && let Err(error) = std::str::from_utf8(&bytes) {
                        return Err(TokensError::InvalidIds(row, error.to_string()));
                    }
                    texts.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
            texts.end();
        }
        Ok(texts.finish(valid.finish()))
    })?;
    Ok(Column { data_type: DataType::LargeUtf8, chunks })
}

const REPLACEMENT: &str = "\u{FFFD}";

/// Decodes ids; each that is not in the vocabulary is U+FFFD.
fn decode_lossy(ids: &[u32], bytes: &mut Vec<u8>, invalid: &mut Option<String>) {
    let mut rest = ids;
    while let Err(error) = decode_into(rest, bytes) {
        bytes.extend_from_slice(REPLACEMENT.as_bytes());
        invalid.get_or_insert_with(|| error.id.to_string());
        rest = rest.get(error.at + 1..).unwrap_or_default();
    }
}
