//! Python objects to Rust values. Only types are checked here: the core decides what values mean.

pub(crate) mod chat;
mod json;
mod message;
mod options;
mod raw;
pub(crate) mod text;
mod tool;

pub(crate) use message::{is_message, read_frame, read_header, read_message_list};
pub(crate) use options::{ParseArguments, parse_options, render_options};
pub(crate) use raw::{Chunk, IdRun, IdRuns, Raw, chunk, ids, integer, raw};
pub(crate) use tool::tool_dicts;

use motet::frame::Role;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyIterator;

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

/// The items of an argument that must be iterable.
pub(crate) fn iterate<'py>(items: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyIterator>> {
    items
        .try_iter()
        .map_err(|_| PyTypeError::new_err(format!("{name} must be a list, not {}", type_name(items))))
}

pub(crate) fn read_role(value: Option<&str>, name: &str) -> PyResult<Option<Role>> {
    let Some(value) = value else { return Ok(None) };
    Role::from_name(value).map(Some).ok_or_else(|| {
        let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        PyValueError::new_err(format!("{name} must be one of {}, not {value:?}", roles.join(", ")))
    })
}
