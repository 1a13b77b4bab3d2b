//! JSON values.

use super::text::utf8;
use super::type_name;
use crate::to_python::error::error;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// Deeper values are refused: reading and rendering them is recursive.
const MAX_DEPTH: usize = 200;

/// Reads a JSON value. `path` names it in errors.
pub(crate) fn read_json(object: &Bound<'_, PyAny>, path: &str) -> PyResult<Value> {
    read_nested(object, path, 0)
}

fn read_nested(object: &Bound<'_, PyAny>, path: &str, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        let start: String = path.chars().take(80).collect();
        return Err(refused(object, &format!("{start}... is nested deeper than {MAX_DEPTH}")));
    }
    if object.is_none() {
        Ok(Value::Null)
    } else if let Ok(value) = object.cast::<PyBool>() {
        Ok(Value::Bool(value.is_true()))
    } else if let Ok(value) = object.cast::<PyString>() {
        Ok(Value::String(utf8(value)?.into_owned()))
    } else if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() {
        let number = read_number(object);
        number.ok_or_else(|| refused(object, &format!("{path} is a number that JSON cannot hold")))
    } else if let Ok(dict) = object.cast::<PyDict>() {
        read_object(dict, path, depth)
    } else if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.enumerate();
        let items = items.map(|(index, item)| read_nested(&item?, &format!("{path}[{index}]"), depth + 1));
        Ok(Value::Array(items.collect::<PyResult<_>>()?))
    } else {
        Err(refused(object, &format!("{path} is not JSON: {}", type_name(object))))
    }
}

fn read_object(dict: &Bound<'_, PyDict>, path: &str, depth: usize) -> PyResult<Value> {
    let mut map = Map::new();
    for (key, value) in dict.iter() {
        let Ok(key) = key.cast::<PyString>() else {
            return Err(refused(dict, &format!("{path} has a key that is {}, not str", type_name(&key))));
        };
        let key = &*utf8(key)?;
        map.insert(key.to_owned(), read_nested(&value, &format!("{path}.{key}"), depth + 1)?);
    }
    Ok(Value::Object(map))
}

/// An `int` beyond 64 bits is read as a float, as JSON readers do.
fn read_number(object: &Bound<'_, PyAny>) -> Option<Value> {
    if object.is_instance_of::<PyInt>() {
        if let Ok(value) = object.extract::<i64>() {
            return Some(value.into());
        }
        if let Ok(value) = object.extract::<u64>() {
            return Some(value.into());
        }
    }
    object.extract::<f64>().ok().and_then(Number::from_f64).map(Value::Number)
}

fn refused(object: &Bound<'_, PyAny>, message: &str) -> PyErr {
    error(object.py(), "RenderError", message.to_owned(), &PyDict::new(object.py()))
}
