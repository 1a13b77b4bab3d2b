//! Spellings that Python shares with the core: markers, and the recipients of tools.

use crate::from_python::text::utf8;
use motet::marker::Marker;
use motet::{tool_name, wire_name};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy, PyString};
use std::borrow::Cow;

/// Adds `MARKERS`: the spelling of each marker by the word in it.
pub(crate) fn constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let markers = PyDict::new(module.py());
    for marker in Marker::ALL {
        markers.set_item(marker.word(), marker.spelling())?;
    }
    module.add("MARKERS", PyMappingProxy::new(module.py(), markers.as_mapping()))
}

/// The recipient of calls of a tool: `functions.get_weather` for `get_weather`.
///
/// Built-in tools (`python`, `browser.search`) keep their name.
#[pyfunction]
pub(crate) fn recipient_of(name: &str) -> String {
    tool_name::recipient_of(name)
}

/// The recipient of calls of a function: `functions.python` for `python` as a function, not the built-in tool.
#[pyfunction]
pub(crate) fn function_recipient(name: &str) -> String {
    tool_name::function_recipient(name)
}

/// The name of the tool that a recipient or an author stands for: `get_weather` for `functions.get_weather`.
///
/// A name without the prefix `functions.` is returned unchanged.
#[pyfunction]
pub(crate) fn name_of(recipient: &str) -> &str {
    tool_name::name_of(recipient)
}

/// The names under which tools stand in prompts: valid names unchanged, others with `_` for the characters that
/// headers cannot hold. No two different names of the list share one.
///
/// Valid are 1 to 64 of `A-Z a-z 0-9 _ . -` that are not a role's name.
#[pyfunction]
pub(crate) fn wire_names(names: Vec<Bound<'_, PyString>>) -> PyResult<Vec<String>> {
    let names = names.iter().map(utf8).collect::<PyResult<Vec<_>>>()?;
    Ok(wire_name::wire_names(names.iter().map(AsRef::as_ref)).into_iter().map(Cow::into_owned).collect())
}
