//! The result of a function: arrays of one type.

use arrow_array::{ArrayRef, make_array};
use arrow_data::transform::MutableArrayData;
use arrow_schema::{ArrowError, DataType};
use std::fmt;

/// Arrays of one type, which together have a row for each row of the input.
#[derive(Clone, Debug)]
pub struct Column {
    pub data_type: DataType,
    pub chunks: Vec<ArrayRef>,
}

/// The error of a column with more items than one array of lists can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the lists of the column have more than 2^31 items, too many for one array; read it in chunks",
        )
    }
}

impl std::error::Error for TooLarge {}

impl Column {
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All rows as one array. Copies them if there are several chunks.
    pub fn to_array(&self) -> Result<ArrayRef, TooLarge> {
        if let [chunk] = self.chunks.as_slice() {
            return Ok(ArrayRef::clone(chunk));
        }
        let chunks: Vec<_> = self.chunks.iter().map(|chunk| chunk.to_data()).collect();
        if chunks.is_empty() {
            return Ok(arrow_array::new_empty_array(&self.data_type));
        }
        let mut rows = MutableArrayData::new(chunks.iter().collect(), false, self.len());
        for (index, chunk) in chunks.iter().enumerate() {
            rows.try_extend(index, 0, chunk.len()).map_err(|_: ArrowError| TooLarge)?;
        }
        Ok(make_array(rows.freeze()))
    }
}
