//! Rows of nested arrays as JSON values.

use crate::cells::UnsupportedType;
use crate::runs;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::DataType;
use serde_json::{Map, Value};

/// Refuses types that have no form in JSON.
pub(crate) fn check(data_type: &DataType) -> Result<(), UnsupportedType> {
    match data_type {
        DataType::Null | DataType::Boolean | DataType::Float32 | DataType::Float64 => Ok(()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(()),
        data_type if data_type.is_integer() => Ok(()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => check(item.data_type()),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check(field.data_type())),
        DataType::Dictionary(_, values) => check(values),
        DataType::RunEndEncoded(_, values) => check(values.data_type()),
        data_type => Err(UnsupportedType { data_type: data_type.clone(), expected: "chat messages" }),
    }
}

/// The value of a row, of a type that `check` accepts. Fields of structs that are null are left out: a table has all
/// keys in each row.
pub(crate) fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => number::<Int8Type>(array, row),
        DataType::Int16 => number::<Int16Type>(array, row),
        DataType::Int32 => number::<Int32Type>(array, row),
        DataType::Int64 => number::<Int64Type>(array, row),
        DataType::UInt8 => number::<UInt8Type>(array, row),
        DataType::UInt16 => number::<UInt16Type>(array, row),
        DataType::UInt32 => number::<UInt32Type>(array, row),
        DataType::UInt64 => number::<UInt64Type>(array, row),
        DataType::Float32 => number::<Float32Type>(array, row),
        DataType::Float64 => number::<Float64Type>(array, row),
        DataType::Utf8 => text(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => text(array.as_string_view().value(row).as_bytes()),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::ListView(_) => list(&array.as_list_view::<i32>().value(row)),
        DataType::LargeListView(_) => list(&array.as_list_view::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Struct(_) => object(array.as_struct(), row),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let pairs = (0..entries.len()).map(|entry| {
                let key = value(keys.as_ref(), entry);
                (key.as_str().map_or_else(|| key.to_string(), str::to_owned), value(values.as_ref(), entry))
            });
            Value::Object(pairs.collect())
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.keys().slice(row, 1);
            let index = integer(key.as_ref());
            index.map_or(Value::Null, |index| value(dictionary.values().as_ref(), index))
        }
        DataType::RunEndEncoded(..) => {
            let value_and_index = runs::value_at(array, row);
            value_and_index.map_or(Value::Null, |(values, index)| value(values.as_ref(), index))
        }
        _ => Value::Null,
    }
}

fn number<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> Value
where
    Value: From<T::Native>,
{
    array.as_primitive::<T>().value(row).into()
}

/// The only item of an array of keys.
fn integer(keys: &dyn Array) -> Option<usize> {
    value(keys, 0).as_u64().and_then(|key| usize::try_from(key).ok())
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn list(items: &ArrayRef) -> Value {
    (0..items.len()).map(|item| value(items.as_ref(), item)).collect()
}

fn object(array: &StructArray, row: usize) -> Value {
    let fields = array.fields().iter().zip(array.columns());
    let pairs = fields.map(|(field, column)| (field.name().clone(), value(column.as_ref(), row)));
    Value::Object(pairs.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}
