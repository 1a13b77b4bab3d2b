//! The items of lists of integers, of any width.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use std::ops::Range;

/// The items of all lists of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integers<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    /// Lists without items can have this type.
    Nulls,
}

fn slice<T: ArrowPrimitiveType>(array: &dyn Array) -> &[T::Native] {
    array.as_primitive::<T>().values()
}

impl<'a> Integers<'a> {
    /// `None` for an array of another type.
    pub(crate) fn of(array: &'a dyn Array) -> Option<Integers<'a>> {
        let values = match array.data_type() {
            DataType::Int8 => Values::I8(slice::<Int8Type>(array)),
            DataType::Int16 => Values::I16(slice::<Int16Type>(array)),
            DataType::Int32 => Values::I32(slice::<Int32Type>(array)),
            DataType::Int64 => Values::I64(slice::<Int64Type>(array)),
            DataType::UInt8 => Values::U8(slice::<UInt8Type>(array)),
            DataType::UInt16 => Values::U16(slice::<UInt16Type>(array)),
            DataType::UInt32 => Values::U32(slice::<UInt32Type>(array)),
            DataType::UInt64 => Values::U64(slice::<UInt64Type>(array)),
            DataType::Null => Values::Nulls,
            _ => return None,
        };
        Some(Integers { values, nulls: array.nulls().filter(|nulls| nulls.null_count() > 0) })
    }

    pub(crate) fn slice(self, range: Range<usize>) -> Ids<'a> {
        Ids { integers: self, start: range.start, end: range.end }
    }
}

/// The items of one list.
#[derive(Clone, Copy, Debug)]
pub struct Ids<'a> {
    integers: Integers<'a>,
    start: usize,
    end: usize,
}

/// Token ids, or an item among them that does not fit 32 bits, in its decimal spelling; `null` for a null.
#[derive(Debug)]
pub(crate) enum Run<'a> {
    Ids(&'a [u32]),
    Invalid(String),
}

impl Ids<'_> {
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Passes the items on, in order. `scratch` is a buffer that keeps its memory from row to row.
    pub(crate) fn for_each_run(&self, scratch: &mut Vec<u32>, mut feed: impl FnMut(Run<'_>)) {
        if let Values::U32(values) = self.integers.values
            && self.integers.nulls.is_none()
        {
            return feed(Run::Ids(values.get(self.start..self.end).unwrap_or_default()));
        }
        scratch.clear();
        for index in self.start..self.end {
            match self.item(index) {
                Ok(id) => scratch.push(id),
                Err(written) => {
                    if !scratch.is_empty() {
                        feed(Run::Ids(scratch));
                        scratch.clear();
                    }
                    feed(Run::Invalid(written));
                }
            }
        }
        if !scratch.is_empty() || self.is_empty() {
            feed(Run::Ids(scratch));
        }
    }

    fn item(&self, index: usize) -> Result<u32, String> {
        if self.integers.nulls.is_some_and(|nulls| nulls.is_null(index)) {
            return Err("null".to_owned());
        }
        let value = match self.integers.values {
            Values::I8(values) => i64::from(values[index]),
            Values::I16(values) => i64::from(values[index]),
            Values::I32(values) => i64::from(values[index]),
            Values::I64(values) => values[index],
            Values::U8(values) => i64::from(values[index]),
            Values::U16(values) => i64::from(values[index]),
            Values::U32(values) => i64::from(values[index]),
            Values::U64(values) => {
                let value = values[index];
                return u32::try_from(value).map_err(|_| value.to_string());
            }
            Values::Nulls => return Err("null".to_owned()),
        };
        u32::try_from(value).map_err(|_| value.to_string())
    }
}
