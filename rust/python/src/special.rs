//! The argument `special`: what becomes of the spellings of special tokens in a text.

use crate::from_python::{iterate, type_name};
use crate::to_python::error::error;
use motet::tokenizer::{self, SpecialPolicy, SpecialSet, SpecialTokenFound};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// A prepared value for `special`, for sets that are used again and again.
///
/// Spellings in `tokens` become special tokens, those in `errors` raise `SpecialTokenError` (also if they are in both),
/// and all others are encoded as ordinary text. Raises `ValueError` for an unknown spelling.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct SpecialChoice(tokenizer::SpecialChoice);

#[pymethods]
impl SpecialChoice {
    #[new]
    #[pyo3(signature = (tokens=None, errors=None), text_signature = "(tokens=(), errors=())")]
    fn new(tokens: Option<&Bound<'_, PyAny>>, errors: Option<&Bound<'_, PyAny>>) -> PyResult<SpecialChoice> {
        let set = |spellings: Option<&Bound<'_, PyAny>>, name: &str| {
            spellings.map_or_else(|| Ok(SpecialSet::default()), |spellings| read_set(spellings, name))
        };
        Ok(SpecialChoice(tokenizer::SpecialChoice {
            tokens: set(tokens, "tokens")?,
            errors: set(errors, "errors")?,
        }))
    }
}

fn read_set(spellings: &Bound<'_, PyAny>, name: &str) -> PyResult<SpecialSet> {
    let mut set = SpecialSet::default();
    for spelling in iterate(spellings, name)? {
        let spelling = spelling?;
        let text = spelling.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!("{name} must be a set of str, not of {}", type_name(&spelling)))
        })?;
        if !text.to_str().is_ok_and(|text| set.insert(text)) {
            return Err(PyValueError::new_err(format!(
                "unknown special token in {name}: {}; motet.SPECIAL_TOKENS has all of them",
                text.repr()?
            )));
        }
    }
    Ok(set)
}

/// The value of the argument.
pub(crate) enum Special {
    Fixed(SpecialPolicy<'static>),
    Set(Box<tokenizer::SpecialChoice>),
    Choice(Py<SpecialChoice>),
}

impl Special {
    pub(crate) const TEXT: Special = Special::Fixed(SpecialPolicy::Text);

    pub(crate) fn policy(&self) -> SpecialPolicy<'_> {
        match self {
            Special::Fixed(policy) => *policy,
            Special::Set(choice) => SpecialPolicy::Choice(choice),
            Special::Choice(choice) => SpecialPolicy::Choice(&choice.get().0),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Special {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Special> {
        let expected = "special must be 'text', 'token', 'error' or a set of special tokens";
        if let Ok(name) = value.cast::<PyString>() {
            return match name.to_str() {
                Ok("text") => Ok(Special::TEXT),
                Ok("token") => Ok(Special::Fixed(SpecialPolicy::Token)),
                Ok("error") => Ok(Special::Fixed(SpecialPolicy::Error)),
                _ => Err(PyValueError::new_err(format!("{expected}: {}", name.repr()?))),
            };
        }
        if let Ok(choice) = value.cast::<SpecialChoice>() {
            return Ok(Special::Choice(choice.to_owned().unbind()));
        }
        if value.try_iter().is_err() {
            return Err(PyTypeError::new_err(format!("{expected}, not {}", type_name(&value))));
        }
        let tokens = read_set(&value, "special")?;
        Ok(Special::Set(Box::new(tokenizer::SpecialChoice { tokens, ..Default::default() })))
    }
}

/// The error for a special token in a text that may have none. `name` is the argument with the text.
pub(crate) fn special_token_error(py: Python<'_>, name: &str, found: &SpecialTokenFound) -> PyErr {
    let fields = PyDict::new(py);
    let message = format!(
        "{name} holds the special token {:?} at byte {}: pass special=\"text\" to encode it as text, \
         or special=\"token\" as the control token",
        found.spelling, found.at
    );
    match fields.set_item("token", &found.spelling).and_then(|()| fields.set_item("position", found.at)) {
        Ok(()) => error(py, "SpecialTokenError", message, &fields),
        Err(error) => error,
    }
}
