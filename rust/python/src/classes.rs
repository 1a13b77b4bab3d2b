//! The classes of `motet.message` that the binding fills and reads, looked up once.

use crate::threads;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The classes that are filled here.
pub(crate) struct Classes {
    pub(crate) frame: Py<PyType>,
    pub(crate) repair: Py<PyType>,
    pub(crate) message: Py<PyType>,
    pub(crate) completion: Py<PyType>,
    pub(crate) reasoning: Py<PyType>,
    pub(crate) preamble: Py<PyType>,
    pub(crate) text: Py<PyType>,
    pub(crate) tool_call: Py<PyType>,
    pub(crate) tool_result: Py<PyType>,
    pub(crate) system: Py<PyType>,
    pub(crate) developer: Py<PyType>,
}

impl Classes {
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Classes> {
        static TYPES: PyOnceLock<Classes> = PyOnceLock::new();
        threads::get_or_try_init(&TYPES, py, || {
            let module = py.import("motet.message")?;
            let class = |name: &str| -> PyResult<Py<PyType>> {
                Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
            };
            Ok(Classes {
                frame: class("Frame")?,
                repair: class("Repair")?,
                message: class("Message")?,
                completion: class("Completion")?,
                reasoning: class("Reasoning")?,
                preamble: class("Preamble")?,
                text: class("Text")?,
                tool_call: class("ToolCall")?,
                tool_result: class("ToolResult")?,
                system: class("SystemContent")?,
                developer: class("DeveloperContent")?,
            })
        })
    }
}
