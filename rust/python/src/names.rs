//! Spellings that Python shares with the core: markers, and the recipients of tools.

use motet::marker::Marker;
use motet::tool_name;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMappingProxy};

/// Adds `MARKERS`: the spelling of each marker by the word in it.
pub(crate) fn constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let markers = PyDict::new(module.py());
    for marker in Marker::ALL {
        markers.set_item(marker.word(), marker.spelling())?;
    }
    module.add("MARKERS", PyMappingProxy::new(module.py(), markers.as_mapping()))
}

#[pyfunction]
pub(crate) fn recipient_of(name: &str) -> String {
    tool_name::recipient_of(name)
}

#[pyfunction]
pub(crate) fn name_of(recipient: &str) -> &str {
    tool_name::name_of(recipient)
}
