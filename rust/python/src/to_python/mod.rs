//! Rust values to Python objects.

pub(crate) mod completion;
pub(crate) mod error;
pub(crate) mod frame;
pub(crate) mod message;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// A short string of a header: the same few come again and again.
pub(crate) fn interned<'py>(py: Python<'py>, word: Option<&str>) -> Option<Bound<'py, PyString>> {
    word.map(|word| PyString::intern(py, word))
}
