//! An input to be parsed: text, its bytes, token ids, or a buffer of either.

use super::type_name;
use crate::ffi;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyInt, PyList, PyString};

/// An input to be parsed.
pub(crate) enum Raw {
    Text(Py<PyString>),
    Bytes(Vec<u8>),
    Ids(IdRuns),
}

/// Token ids, with the integers among them that do not fit 32 bits.
#[derive(Default)]
pub(crate) struct IdRuns {
    /// The ids before the first such integer: most often all.
    pub(crate) first: Vec<u32>,
    pub(crate) rest: Vec<IdRun>,
}

/// Token ids, or an integer that does not fit 32 bits, in its decimal spelling.
pub(crate) enum IdRun {
    Ids(Vec<u32>),
    Invalid(String),
}

impl IdRuns {
    fn with_capacity(length: usize) -> IdRuns {
        IdRuns { first: Vec::with_capacity(length), rest: Vec::new() }
    }

    fn push(&mut self, id: Result<u32, String>) {
        match (id, self.rest.last_mut()) {
            (Ok(id), None) => self.first.push(id),
            (Ok(id), Some(IdRun::Ids(ids))) => ids.push(id),
            (Ok(id), Some(IdRun::Invalid(_))) => self.rest.push(IdRun::Ids(vec![id])),
            (Err(written), _) => self.rest.push(IdRun::Invalid(written)),
        }
    }
}

/// Reads what `parse` and `feed` take: text, its bytes, ids, or a buffer of either.
pub(crate) fn raw(input: &Bound<'_, PyAny>, name: &str) -> PyResult<Raw> {
    if let Ok(text) = input.cast::<PyString>() {
        return Ok(Raw::Text(text.clone().unbind()));
    }
    if let Ok(bytes) = input.cast::<PyBytes>() {
        return Ok(Raw::Bytes(bytes.as_bytes().to_vec()));
    }
    if let Ok(list) = input.cast::<PyList>() {
        return id_runs(list, name);
    }
    if let Some(buffer) = buffer(input)? {
        return Ok(buffer);
    }
    let items = input.try_iter().map_err(|_| {
        let kind = type_name(input);
        PyTypeError::new_err(format!("{name} must be str, bytes or an iterable of token ids, not {kind}"))
    })?;
    let items: Vec<Bound<'_, PyAny>> = items.collect::<PyResult<_>>()?;
    id_runs(&PyList::new(input.py(), items)?, name)
}

/// The value of a Python integer as an id; `None` if it does not fit 32 bits.
#[inline]
fn as_id(item: &Bound<'_, PyAny>) -> Option<u32> {
    item.extract::<i64>().ok().and_then(|value| u32::try_from(value).ok())
}

fn id_runs(items: &Bound<'_, PyList>, name: &str) -> PyResult<Raw> {
    let mut runs = IdRuns::with_capacity(items.len());
    ffi::leading_ids(items, &mut runs.first);
    // An item of another type may run code that changes the list, so the rest is read by PyO3's checked iterator.
    for (index, item) in items.iter().enumerate().skip(runs.first.len()) {
        runs.push(integer(&item).map_err(|class| {
            PyTypeError::new_err(format!("{name}[{index}] must be a token id (an int), not {class}"))
        })?);
    }
    Ok(Raw::Ids(runs))
}

/// What `feed` takes: one id, or what `parse` takes.
pub(crate) enum Chunk<'a, 'py> {
    Id(u32),
    Text(&'a Bound<'py, PyString>),
    /// A list that was not read.
    List(&'a Bound<'py, PyList>),
    Raw(Raw),
}

/// Reads what `feed` takes. The caller holds no lock: reading may run code of the argument's class.
#[inline]
pub(crate) fn chunk<'a, 'py>(input: &'a Bound<'py, PyAny>) -> PyResult<Chunk<'a, 'py>> {
    // The commonest types first: asking for each type in turn takes longer than parsing a token.
    if let Some(id) = ffi::exact_id(input) {
        return Ok(Chunk::Id(id));
    }
    match (input.cast_exact(), input.cast_exact()) {
        (Ok(text), _) => Ok(Chunk::Text(text)),
        (_, Ok(list)) => Ok(Chunk::List(list)),
        _ => other_chunk(input),
    }
}

fn other_chunk<'a, 'py>(input: &'a Bound<'py, PyAny>) -> PyResult<Chunk<'a, 'py>> {
    if !input.is_instance_of::<PyString>() {
        match integer(input) {
            Ok(Ok(id)) => return Ok(Chunk::Id(id)),
            Ok(Err(written)) => {
                let rest = vec![IdRun::Invalid(written)];
                return Ok(Chunk::Raw(Raw::Ids(IdRuns { rest, ..IdRuns::default() })));
            }
            Err(_) => {}
        }
    }
    raw(input, "chunk").map(Chunk::Raw)
}

/// An id; for an integer that does not fit, its decimal spelling; for another object, the name of its type.
pub(crate) fn integer(item: &Bound<'_, PyAny>) -> Result<Result<u32, String>, String> {
    if item.cast_exact::<PyInt>().is_ok() {
        return Ok(as_id(item).ok_or_else(|| item.to_string()));
    }
    if item.is_instance_of::<PyBool>() {
        return Err("bool".to_owned());
    }
    match item.call_method0(intern!(item.py(), "__index__")) {
        Ok(value) => Ok(as_id(&value).ok_or_else(|| value.to_string())),
        Err(_) => Err(type_name(item)),
    }
}

/// Reads a buffer: bytes are text, wider integers are ids.
fn buffer(input: &Bound<'_, PyAny>) -> PyResult<Option<Raw>> {
    let py = input.py();
    if let Ok(bytes) = PyBuffer::<u8>::get(input) {
        return Ok(Some(Raw::Bytes(bytes.to_vec(py)?)));
    }
    if let Ok(ids) = PyBuffer::<u32>::get(input) {
        return Ok(Some(Raw::Ids(IdRuns { first: ids.to_vec(py)?, ..IdRuns::default() })));
    }
    let wide: Option<Vec<i64>> = if let Ok(ids) = PyBuffer::<i64>::get(input) {
        Some(ids.to_vec(py)?)
    } else if let Ok(ids) = PyBuffer::<i32>::get(input) {
        Some(ids.to_vec(py)?.into_iter().map(i64::from).collect())
    } else if let Ok(ids) = PyBuffer::<u16>::get(input) {
        Some(ids.to_vec(py)?.into_iter().map(i64::from).collect())
    } else {
        None
    };
    let Some(wide) = wide else { return Ok(None) };
    let mut runs = IdRuns::with_capacity(wide.len());
    for value in wide {
        runs.push(u32::try_from(value).map_err(|_| value.to_string()));
    }
    Ok(Some(Raw::Ids(runs)))
}

/// Reads ids where all of them have to be valid: for decoding.
pub(crate) fn ids(input: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<u32>> {
    if integer(input).is_ok() {
        return Err(PyTypeError::new_err(format!("{name} must be token ids, not one {}", type_name(input))));
    }
    let Raw::Ids(runs) = raw(input, name)? else {
        return Err(PyTypeError::new_err(format!("{name} must be token ids, not {}", type_name(input))));
    };
    match runs.rest.first() {
        Some(IdRun::Invalid(written)) => {
            let at = runs.first.len();
            Err(PyValueError::new_err(format!("{name}[{at}] is {written}, which is not a token id")))
        }
        _ => Ok(runs.first),
    }
}
