//! JSON values.

use super::type_name;
use crate::to_python::error::error;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::Value;

/// A schema nested deeper than this is refused before it is looked at.
const DEEPEST_JSON: usize = 200;

/// Reads a JSON value.
pub(crate) fn read_json(object: &Bound<'_, PyAny>, path: &str, depth: usize) -> PyResult<Value> {
    let py = object.py();
    let refuse = |what: String| error(py, "RenderError", format!("{path}{what}"), &PyDict::new(py));
    if depth > DEEPEST_JSON {
        let start: String = path.chars().take(80).collect();
        return Err(error(
            py,
            "RenderError",
            format!("{start}... is nested deeper than {DEEPEST_JSON}"),
            &PyDict::new(py),
        ));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(value) = object.cast::<PyString>() {
        return Ok(Value::String(value.to_str()?.to_owned()));
    }
    if object.is_instance_of::<PyInt>() {
        if let Ok(value) = object.extract::<i64>() {
            return Ok(value.into());
        }
        if let Ok(value) = object.extract::<u64>() {
            return Ok(value.into());
        }
    }
    if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() {
        let number = object.extract::<f64>().ok().and_then(serde_json::Number::from_f64);
        return number
            .map(Value::Number)
            .ok_or_else(|| refuse(" is a number that JSON cannot hold".to_owned()));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        let mut map = serde_json::Map::new();
        for (key, value) in dict.iter() {
            let Ok(key) = key.cast::<PyString>() else {
                return Err(refuse(format!(" has a key that is {}, not str", type_name(&key))));
            };
            let key = key.to_str()?.to_owned();
            let value = read_json(&value, &format!("{path}.{key}"), depth + 1)?;
            map.insert(key, value);
        }
        return Ok(Value::Object(map));
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.enumerate();
        let items = items.map(|(index, item)| read_json(&item?, &format!("{path}[{index}]"), depth + 1));
        return Ok(Value::Array(items.collect::<PyResult<_>>()?));
    }
    Err(refuse(format!(" is {}, which is no JSON", type_name(object))))
}
