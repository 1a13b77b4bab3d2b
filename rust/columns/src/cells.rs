//! The rows of an array, whichever of Arrow's types holds them.

use crate::ids::{Ids, Integers};
use crate::runs;
use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow_array::{
    Array, BinaryViewArray, FixedSizeBinaryArray, GenericByteArray, OffsetSizeTrait, StringViewArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use std::fmt;
use std::ops::Range;

/// One row.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    Null,
    /// Text: UTF-8, unless the array holds other bytes.
    Text(&'a [u8]),
    Ids(Ids<'a>),
}

/// The rows of an array of text or token ids.
#[derive(Debug)]
pub struct Cells<'a> {
    values: Values<'a>,
    /// Nulls of the rows; of a dictionary, those of its values as well.
    nulls: Option<NullBuffer>,
    rows: usize,
}

#[derive(Debug)]
enum Values<'a> {
    Nulls,
    Utf8(&'a GenericByteArray<Utf8Type>),
    LargeUtf8(&'a GenericByteArray<LargeUtf8Type>),
    Utf8View(&'a StringViewArray),
    Binary(&'a GenericByteArray<BinaryType>),
    LargeBinary(&'a GenericByteArray<LargeBinaryType>),
    BinaryView(&'a BinaryViewArray),
    FixedSizeBinary(&'a FixedSizeBinaryArray),
    List(&'a OffsetBuffer<i32>, Integers<'a>),
    LargeList(&'a OffsetBuffer<i64>, Integers<'a>),
    /// Where each row begins in the items, and its number of items.
    ListView(&'a [i32], &'a [i32], Integers<'a>),
    LargeListView(&'a [i64], &'a [i64], Integers<'a>),
    FixedSizeList(usize, Integers<'a>),
    /// Of a dictionary or a run-end encoded array: for each row the index of its value.
    Indexed(Vec<usize>, Box<Cells<'a>>),
}

/// The error of an array whose type holds neither text nor token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedType {
    pub data_type: DataType,
    /// What the function takes: `text or token ids`.
    pub expected: &'static str,
}

impl fmt::Display for UnsupportedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {} is needed, not one of {}", self.expected, self.data_type)
    }
}

impl std::error::Error for UnsupportedType {}

impl<'a> Cells<'a> {
    /// The rows of an array: strings, large strings, string views, binaries of these kinds, lists and list views of
    /// integers, dictionaries and run-end encoded arrays of all of these, or nulls alone.
    pub fn of(array: &'a dyn Array) -> Result<Cells<'a>, UnsupportedType> {
        let unsupported =
            || UnsupportedType { data_type: array.data_type().clone(), expected: "text or token ids" };
        let integers = |values: &'a dyn Array| Integers::of(values).ok_or_else(unsupported);
        let values = match array.data_type() {
            DataType::Null => Values::Nulls,
            DataType::Utf8 => Values::Utf8(array.as_string()),
            DataType::LargeUtf8 => Values::LargeUtf8(array.as_string()),
            DataType::Utf8View => Values::Utf8View(array.as_string_view()),
            DataType::Binary => Values::Binary(array.as_binary()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary()),
            DataType::BinaryView => Values::BinaryView(array.as_binary_view()),
            DataType::FixedSizeBinary(_) => Values::FixedSizeBinary(array.as_fixed_size_binary()),
            DataType::List(_) => {
                let list = array.as_list();
                Values::List(list.offsets(), integers(list.values().as_ref())?)
            }
            DataType::LargeList(_) => {
                let list = array.as_list();
                Values::LargeList(list.offsets(), integers(list.values().as_ref())?)
            }
            DataType::ListView(_) => {
                let list = array.as_list_view();
                Values::ListView(list.offsets(), list.sizes(), integers(list.values().as_ref())?)
            }
            DataType::LargeListView(_) => {
                let list = array.as_list_view();
                Values::LargeListView(list.offsets(), list.sizes(), integers(list.values().as_ref())?)
            }
            DataType::FixedSizeList(_, length) => {
                let list = array.as_fixed_size_list();
                let length = usize::try_from(*length).map_err(|_| unsupported())?;
                Values::FixedSizeList(length, integers(list.values().as_ref())?)
            }
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let cells = Cells::of(dictionary.values().as_ref()).map_err(|_| unsupported())?;
                if cells.rows == 0 {
                    // Without values each row is null.
                    Values::Nulls
                } else {
                    Values::Indexed(dictionary.normalized_keys(), Box::new(cells))
                }
            }
            DataType::RunEndEncoded(..) => {
                let (indexes, values) = runs::expanded(array).ok_or_else(unsupported)?;
                Values::Indexed(indexes, Box::new(Cells::of(values.as_ref()).map_err(|_| unsupported())?))
            }
            _ => return Err(unsupported()),
        };
        Ok(Cells { values, nulls: array.logical_nulls(), rows: array.len() })
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The row at an index below `len`.
    pub fn get(&self, row: usize) -> Cell<'a> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Cell::Null;
        }
        match &self.values {
            Values::Nulls => Cell::Null,
            Values::Utf8(array) => Cell::Text(bytes(array, row)),
            Values::LargeUtf8(array) => Cell::Text(bytes(array, row)),
            Values::Utf8View(array) => Cell::Text(array.value(row).as_bytes()),
            Values::Binary(array) => Cell::Text(array.value(row)),
            Values::LargeBinary(array) => Cell::Text(array.value(row)),
            Values::BinaryView(array) => Cell::Text(array.value(row)),
            Values::FixedSizeBinary(array) => Cell::Text(array.value(row)),
            Values::List(offsets, integers) => Cell::Ids(integers.slice(range(offsets, row))),
            Values::LargeList(offsets, integers) => Cell::Ids(integers.slice(range(offsets, row))),
            Values::ListView(offsets, sizes, integers) => {
                Cell::Ids(integers.slice(view_range(offsets, sizes, row)))
            }
            Values::LargeListView(offsets, sizes, integers) => {
                Cell::Ids(integers.slice(view_range(offsets, sizes, row)))
            }
            Values::FixedSizeList(length, integers) => {
                Cell::Ids(integers.slice(row * length..(row + 1) * length))
            }
            Values::Indexed(indexes, values) => {
                indexes.get(row).map_or(Cell::Null, |index| values.get(*index))
            }
        }
    }

    /// The size of a row in bytes of text, by which work is divided: an id counts as the four bytes that it has on
    /// average.
    pub(crate) fn size(&self, row: usize) -> usize {
        match self.get(row) {
            Cell::Null => 0,
            Cell::Text(text) => text.len(),
            Cell::Ids(ids) => ids.len() * 4,
        }
    }
}

/// The bytes of a string, without the promise that they are UTF-8: arrays come from other libraries, some of which do not
/// check it.
fn bytes<T: ByteArrayType>(array: &GenericByteArray<T>, row: usize) -> &[u8] {
    array.value_data().get(range(array.offsets(), row)).unwrap_or_default()
}

fn range<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, row: usize) -> Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

fn view_range<O: OffsetSizeTrait>(offsets: &[O], sizes: &[O], row: usize) -> Range<usize> {
    let start = offsets[row].as_usize();
    start..start + sizes[row].as_usize()
}
