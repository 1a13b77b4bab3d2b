//! The parser of `motet.openai_harmony`. What servers read after each token is made once for each message.

use super::encoding::{HarmonyEncoding, Token};
use super::{harmony_error, message_tuple, read_role, role_object};
use crate::ffi;
use crate::to_python::interned;
use motet::openai_harmony::{self as core, ParsedHeader, StreamState};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// The native half of `motet.openai_harmony.StreamableParser`, which begins with `_begin`.
#[pyclass(subclass, module = "motet._core", name = "_StreamableParser")]
pub(crate) struct StreamableParser {
    parser: core::StreamableParser,
    /// The values of the open message.
    header: Option<HeaderObjects>,
}

struct HeaderObjects {
    role: Py<PyAny>,
    recipient: Option<Py<PyString>>,
    channel: Option<Py<PyString>>,
    content_type: Option<Py<PyString>>,
}

impl HeaderObjects {
    fn new(py: Python<'_>, header: &ParsedHeader) -> PyResult<HeaderObjects> {
        let object = |value: &Option<String>| interned(py, value.as_deref()).map(Bound::unbind);
        Ok(HeaderObjects {
            role: role_object(py, header.author.role)?.clone_ref(py),
            recipient: object(&header.recipient),
            channel: object(&header.channel),
            content_type: object(&header.content_type),
        })
    }
}

impl StreamableParser {
    /// Follows the parser into a message and out of it.
    fn update_header(&mut self, py: Python<'_>) -> PyResult<()> {
        let header = self.parser.current_header();
        if header.is_some() != self.header.is_some() {
            self.header = header.map(|header| HeaderObjects::new(py, header)).transpose()?;
        }
        Ok(())
    }
}

#[pymethods]
impl StreamableParser {
    /// Takes any arguments, so that subclasses are free to take their own.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> StreamableParser {
        let parser = core::StreamableParser::new(None, true, core::Library::default());
        StreamableParser { parser, header: None }
    }

    /// Begins a completion.
    fn _begin(
        &mut self,
        encoding: &HarmonyEncoding,
        role: Option<&str>,
        strict: Option<bool>,
    ) -> PyResult<()> {
        let role = role.map(read_role).transpose()?;
        self.parser = core::StreamableParser::new(role, strict.unwrap_or(true), encoding.0);
        self.header = None;
        Ok(())
    }

    /// Reads one token, and returns the parser.
    ///
    /// Raises `HarmonyError` for a token that does not follow the format.
    fn process<'py>(mut slf: PyRefMut<'py, Self>, token: Token) -> PyResult<PyRefMut<'py, Self>> {
        let py = slf.py();
        let result = slf.parser.process(token.0);
        slf.update_header(py)?;
        result.map_err(|error| harmony_error(py, error))?;
        Ok(slf)
    }

    /// Ends the completion and with it the open message, and returns the parser.
    ///
    /// Raises `HarmonyError` within a header.
    fn process_eos<'py>(mut slf: PyRefMut<'py, Self>) -> PyResult<PyRefMut<'py, Self>> {
        let py = slf.py();
        let result = slf.parser.process_eos();
        slf.update_header(py)?;
        result.map_err(|error| harmony_error(py, error))?;
        Ok(slf)
    }

    /// The content of the open message so far.
    #[getter]
    fn current_content(&self) -> &str {
        self.parser.current_content()
    }

    /// The role of the open message, or of the message to come if it is known.
    #[getter]
    fn current_role<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(header) = &self.header {
            return Ok(Some(header.role.bind(py).clone()));
        }
        let role = self.parser.current_role().map(|role| role_object(py, role)).transpose()?;
        Ok(role.map(|role| role.bind(py).clone()))
    }

    /// The channel of the open message.
    #[getter]
    fn current_channel(&self) -> Option<&Py<PyString>> {
        self.header.as_ref()?.channel.as_ref()
    }

    /// The recipient of the open message.
    #[getter]
    fn current_recipient(&self) -> Option<&Py<PyString>> {
        self.header.as_ref()?.recipient.as_ref()
    }

    /// The content type of the open message.
    #[getter]
    fn current_content_type(&self) -> Option<&Py<PyString>> {
        self.header.as_ref()?.content_type.as_ref()
    }

    /// The text that the last token added; `None` outside of content, and while a character is incomplete.
    #[getter]
    fn last_content_delta(&self) -> Option<&str> {
        self.parser.last_content_delta()
    }

    /// All tokens that were read.
    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ffi::list(py, self.parser.tokens())
    }

    /// The state with its tokens, as JSON would hold it.
    #[getter]
    fn state_data<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let data = PyDict::new(py);
        data.set_item("state", self.parser.state_name())?;
        match self.parser.state() {
            StreamState::ExpectStart => {}
            StreamState::Header { tokens } => data.set_item("header_tokens", ffi::list(py, tokens)?)?,
            StreamState::Content { header, tokens } => {
                data.set_item("header", header_dict(py, header)?)?;
                data.set_item("content_tokens", ffi::list(py, tokens)?)?;
            }
        }
        Ok(data)
    }

    /// The name of the state.
    #[getter]
    fn _state(&self) -> &'static str {
        self.parser.state_name()
    }

    /// The messages that have ended: `(role, name, channel, recipient, content_type, text)` of each.
    #[getter]
    fn _messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let tuples = self.parser.messages().iter().map(|message| message_tuple(py, message));
        PyList::new(py, tuples.collect::<PyResult<Vec<_>>>()?)
    }
}

fn header_dict<'py>(py: Python<'py>, header: &ParsedHeader) -> PyResult<Bound<'py, PyDict>> {
    let (author, values) = (PyDict::new(py), PyDict::new(py));
    author.set_item("role", header.author.role.as_str())?;
    if let Some(name) = &header.author.name {
        author.set_item("name", name)?;
    }
    values.set_item("author", author)?;
    values.set_item("recipient", &header.recipient)?;
    values.set_item("channel", &header.channel)?;
    values.set_item("content_type", &header.content_type)?;
    Ok(values)
}
