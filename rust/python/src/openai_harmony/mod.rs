//! What `motet.openai_harmony` is made of: its encoding and its parser, with openai-harmony's errors.

pub(crate) mod encoding;
mod json;
pub(crate) mod parser;

use crate::threads::{get_or_try_init, import_class};
use motet::frame::Role;
use motet::openai_harmony::{HarmonyError, Library, ParsedMessage};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

/// The names of the libraries that are reproduced.
fn read_library(name: &str) -> PyResult<Library> {
    match name {
        "openai_harmony" => Ok(Library::OpenaiHarmony),
        "oss_harmony" => Ok(Library::OssHarmony),
        _ => {
            let message = format!("dialect must be 'openai_harmony' or 'oss_harmony', not {name:?}");
            Err(PyValueError::new_err(message))
        }
    }
}

/// Reads the argument `mode`.
fn is_tolerant(mode: &str) -> PyResult<bool> {
    match mode {
        "exact" => Ok(false),
        "tolerant" => Ok(true),
        _ => Err(PyValueError::new_err(format!("mode must be 'exact' or 'tolerant', not {mode:?}"))),
    }
}

fn read_role(name: &str) -> PyResult<Role> {
    Role::from_name(name).ok_or_else(|| PyValueError::new_err(format!("unknown role: {name}")))
}

/// Makes a `motet.openai_harmony.HarmonyError`.
fn harmony_error(py: Python<'_>, error: HarmonyError) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    match import_class(&CLASS, py, "motet.openai_harmony.error", "HarmonyError") {
        Ok(class) => PyErr::from_type(class.clone(), error.0),
        Err(error) => error,
    }
}

/// A message as `(role, name, channel, recipient, content_type, text)`.
fn message_tuple<'py>(py: Python<'py>, message: &ParsedMessage) -> PyResult<Bound<'py, PyTuple>> {
    let ParsedMessage { header, text } = message;
    let name = header.author.name.as_deref();
    let role = role_object(py, header.author.role)?;
    let values = (header.channel.as_deref(), header.recipient.as_deref(), header.content_type.as_deref());
    (role, name, values.0, values.1, values.2, text).into_pyobject(py)
}

/// A member of `motet.openai_harmony.Role`.
fn role_object(py: Python<'_>, role: Role) -> PyResult<&Py<PyAny>> {
    static MEMBERS: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();
    let members = get_or_try_init(&MEMBERS, py, || {
        let class = py.import("motet.openai_harmony.role")?.getattr("Role")?;
        let member = |role: Role| Ok(class.call1((role.as_str(),))?.unbind());
        Role::ALL.into_iter().map(member).collect::<PyResult<_>>()
    })?;
    let member = Role::ALL.iter().position(|other| *other == role).and_then(|at| members.get(at));
    member.ok_or_else(|| PyValueError::new_err("motet.openai_harmony.Role has fewer members than the core"))
}
