//! Run-end encoded arrays, whichever integers their run ends are.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, ArrayRef, RunArray};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;

/// A value of the array, whichever its type. `None` for an array that is not run-end encoded.
macro_rules! with_runs {
    ($array:ident => $value:expr) => {
        if let Some($array) = $array.as_run_opt::<Int16Type>() {
            Some($value)
        } else if let Some($array) = $array.as_run_opt::<Int32Type>() {
            Some($value)
        } else {
            $array.as_run_opt::<Int64Type>().map(|$array| $value)
        }
    };
}

/// For each row the index of its value, and the values.
pub(crate) fn expanded(array: &dyn Array) -> Option<(Vec<usize>, &ArrayRef)> {
    with_runs!(array => (indexes(array), array.values()))
}

fn indexes<R: RunEndIndexType>(array: &RunArray<R>) -> Vec<usize> {
    // A slice keeps the run ends of the whole array.
    let (offset, mut rows) = (array.run_ends().offset(), Vec::with_capacity(array.len()));
    for (index, end) in array.run_ends().values().iter().enumerate() {
        let end = end.as_usize().saturating_sub(offset).min(array.len());
        rows.resize(end.max(rows.len()), index);
    }
    rows
}

/// The values, and the index of the value of a row below the array's length.
pub(crate) fn value_at(array: &dyn Array, row: usize) -> Option<(&ArrayRef, usize)> {
    with_runs!(array => (array.values(), array.get_physical_index(row)))
}

/// The type of the rows, without the encodings in which each value is there once.
pub(crate) fn decoded_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => decoded_type(values),
        DataType::RunEndEncoded(_, values) => decoded_type(values.data_type()),
        data_type => data_type,
    }
}
