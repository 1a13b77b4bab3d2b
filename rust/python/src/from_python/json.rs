//! JSON values.

use super::text::utf8;
use super::type_name;
use crate::to_python::error::error;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Deeper values are refused: reading and rendering them is recursive.
const MAX_DEPTH: usize = 200;

/// Where a value is in the input, for errors: spelled only if there is one.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root(&'a str),
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => out.write_str(name),
            Path::Key(parent, key) => write!(out, "{parent}.{key}"),
            Path::Index(parent, index) => write!(out, "{parent}[{index}]"),
        }
    }
}

/// Reads a JSON value. `name` names it in errors.
pub(crate) fn read_json(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Value> {
    read_nested(object, &Path::Root(name), 0)
}

fn read_nested(object: &Bound<'_, PyAny>, path: &Path<'_>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        let start: String = path.to_string().chars().take(80).collect();
        return Err(refused(object, &format!("{start}... is nested deeper than {MAX_DEPTH}")));
    }
    // Text first: it is what schemas have most.
    if let Ok(value) = object.cast::<PyString>() {
        Ok(Value::String(utf8(value)?.into_owned()))
    } else if object.is_none() {
        Ok(Value::Null)
    } else if let Ok(dict) = object.cast::<PyDict>() {
        read_object(dict, path, depth)
    } else if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.enumerate();
        let items = items.map(|(index, item)| read_nested(&item?, &Path::Index(path, index), depth + 1));
        Ok(Value::Array(items.collect::<PyResult<_>>()?))
    } else if let Ok(value) = object.cast::<PyBool>() {
        Ok(Value::Bool(value.is_true()))
    } else if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() {
        let number = read_number(object);
        number.ok_or_else(|| refused(object, &format!("{path} is a number that JSON cannot hold")))
    } else {
        Err(refused(object, &format!("{path} is not JSON: {}", type_name(object))))
    }
}

fn read_object(dict: &Bound<'_, PyDict>, path: &Path<'_>, depth: usize) -> PyResult<Value> {
    let mut map = Map::with_capacity(dict.len());
    for (key, value) in dict.iter() {
        let Ok(key) = key.cast::<PyString>() else {
            return Err(refused(dict, &format!("{path} has a key that is {}, not str", type_name(&key))));
        };
        let key = utf8(key)?;
        let value = read_nested(&value, &Path::Key(path, &key), depth + 1)?;
        map.insert(key.into_owned(), value);
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
