//! The exceptions of `motet.errors`.

use motet::error::{ParseError, RenderError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(crate) fn error(py: Python<'_>, name: &str, message: String, known: &Bound<'_, PyDict>) -> PyErr {
    let make = || -> PyResult<Bound<'_, PyAny>> {
        py.import("motet.errors")?.getattr(name)?.call((message,), Some(known))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// `index`: which completion of a batch it is.
pub(crate) fn parse_error(py: Python<'_>, found: &ParseError, index: Option<usize>) -> PyErr {
    let known = PyDict::new(py);
    let fill = || -> PyResult<()> {
        known.set_item("code", found.repair.code.as_str())?;
        known.set_item("position", found.repair.at)?;
        known.set_item("state", found.state.as_str())?;
        known.set_item("expected", found.state.expected())?;
        known.set_item("context", found.excerpt.to_string())?;
        known.set_item("index", index)?;
        known.set_item("found", &found.repair.text)
    };
    match fill() {
        Ok(()) => {
            let which = index.map(|index| format!("completions[{index}]: ")).unwrap_or_default();
            error(py, "ParseError", format!("{which}{found}"), &known)
        }
        Err(error) => error,
    }
}

pub(crate) fn render_error(py: Python<'_>, found: &RenderError) -> PyErr {
    let known = PyDict::new(py);
    match known.set_item("message_index", found.at) {
        Ok(()) => error(py, "RenderError", found.to_string(), &known),
        Err(error) => error,
    }
}
