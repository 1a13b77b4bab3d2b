//! Rust values to Python objects.

pub(crate) mod completion;
pub(crate) mod error;
pub(crate) mod frame;
mod growing;
pub(crate) mod message;
pub(crate) mod snapshot;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// A word of a header: a few words repeat, so each is one string.
pub(crate) fn interned<'py>(py: Python<'py>, word: Option<&str>) -> Option<Bound<'py, PyString>> {
    word.map(|word| PyString::intern(py, word))
}
