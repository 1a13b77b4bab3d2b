//! A column of text under construction: text is written into it directly, without a string of its own for each row.

use arrow_array::{ArrayRef, LargeStringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// Texts, one behind the other.
#[derive(Debug)]
pub(crate) struct TextBuilder {
    values: String,
    /// Where each text begins, and where the last one ends: 64 bits, so that no result is too long for one array.
    offsets: Vec<i64>,
}

impl TextBuilder {
    pub(crate) fn new() -> TextBuilder {
        TextBuilder::with_rows(0)
    }

    /// Room for the offsets of so many texts.
    pub(crate) fn with_rows(rows: usize) -> TextBuilder {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        TextBuilder { values: String::new(), offsets }
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.values.push_str(text);
    }

    /// Ends a text: what was pushed since the last one.
    pub(crate) fn end(&mut self) {
        self.offsets.push(self.values.len() as i64);
    }

    /// Pushes a whole text.
    pub(crate) fn push(&mut self, text: &str) {
        self.push_str(text);
        self.end();
    }

    pub(crate) fn finish(self, nulls: Option<NullBuffer>) -> ArrayRef {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let values = Buffer::from_vec(self.values.into_bytes());
        Arc::new(LargeStringArray::new(offsets, values, nulls))
    }
}
