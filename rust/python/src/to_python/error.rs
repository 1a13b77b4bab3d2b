//! The exceptions of `motet.errors`.

use motet::error::{ParseError, RenderError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Makes an exception of `motet.errors`, with keyword arguments.
pub(crate) fn error(py: Python<'_>, name: &str, message: String, attributes: &Bound<'_, PyDict>) -> PyErr {
    let make = || -> PyResult<Bound<'_, PyAny>> {
        py.import("motet.errors")?.getattr(name)?.call((message,), Some(attributes))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// `index`: which completion of a batch it is.
pub(crate) fn parse_error(py: Python<'_>, parse_error: &ParseError, index: Option<usize>) -> PyErr {
    let attributes = PyDict::new(py);
    let fill = || -> PyResult<()> {
        attributes.set_item("code", parse_error.repair.code.as_str())?;
        attributes.set_item("position", parse_error.repair.at)?;
        attributes.set_item("state", parse_error.state.as_str())?;
        attributes.set_item("expected", parse_error.state.expected())?;
        attributes.set_item("context", parse_error.excerpt.to_string())?;
        attributes.set_item("index", index)?;
        attributes.set_item("found", &parse_error.repair.text)
    };
    match fill() {
        Ok(()) => {
            let which = index.map(|index| format!("completions[{index}]: ")).unwrap_or_default();
            error(py, "ParseError", format!("{which}{parse_error}"), &attributes)
        }
        Err(error) => error,
    }
}

pub(crate) fn render_error(py: Python<'_>, render_error: &RenderError) -> PyErr {
    let attributes = PyDict::new(py);
    match attributes.set_item("message_index", render_error.at) {
        Ok(()) => error(py, "RenderError", render_error.to_string(), &attributes),
        Err(error) => error,
    }
}
