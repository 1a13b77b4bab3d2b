//! The parser of `motet.openai_harmony`. What servers read after each token is made once for each message.

use super::encoding::{HarmonyEncoding, Token};
use super::{harmony_error, is_tolerant, message_tuple, read_role, role_object};
use crate::ffi;
use crate::to_python::frame::make_repair;
use crate::to_python::interned;
use motet::openai_harmony::{self as core, HarmonyError, ParsedHeader, StreamState};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// The native half of `motet.openai_harmony.StreamableParser`, which begins with `_begin`.
#[pyclass(subclass, module = "motet._core", name = "_StreamableParser")]
pub(crate) struct StreamableParser {
    parser: Parser,
    /// The number of the message that the parser shows, and its values.
    header: Option<(usize, HeaderObjects)>,
}

/// A parser of either mode.
enum Parser {
    Exact(core::StreamableParser),
    Tolerant(Box<core::TolerantParser>),
}

impl Parser {
    fn process(&mut self, token: u32) -> Result<(), HarmonyError> {
        match self {
            Parser::Exact(parser) => parser.process(token),
            Parser::Tolerant(parser) => {
                parser.process(token);
                Ok(())
            }
        }
    }

    fn process_eos(&mut self) -> Result<(), HarmonyError> {
        match self {
            Parser::Exact(parser) => parser.process_eos(),
            Parser::Tolerant(parser) => {
                parser.process_eos();
                Ok(())
            }
        }
    }
}

/// What both parsers show.
macro_rules! of_either {
    ($parser:expr, $($call:tt)+) => {
        match $parser {
            Parser::Exact(parser) => parser.$($call)+,
            Parser::Tolerant(parser) => parser.$($call)+,
        }
    };
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
        let index = of_either!(&self.parser, current_index());
        if index != self.header.as_ref().map(|(index, _)| *index) {
            let header = of_either!(&self.parser, current_header());
            let objects = header.map(|header| HeaderObjects::new(py, header)).transpose()?;
            self.header = index.zip(objects);
        }
        Ok(())
    }

    fn header(&self) -> Option<&HeaderObjects> {
        self.header.as_ref().map(|(_, objects)| objects)
    }
}

#[pymethods]
impl StreamableParser {
    /// Takes any arguments, so that subclasses are free to take their own.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> StreamableParser {
        let parser = core::StreamableParser::new(None, true, core::Library::default());
        StreamableParser { parser: Parser::Exact(parser), header: None }
    }

    /// Begins a completion. `mode`: `"exact"` or `"tolerant"`.
    fn _begin(
        &mut self,
        encoding: &HarmonyEncoding,
        role: Option<&str>,
        strict: Option<bool>,
        mode: &str,
    ) -> PyResult<()> {
        let role = role.map(read_role).transpose()?;
        self.parser = if is_tolerant(mode)? {
            Parser::Tolerant(Box::new(core::TolerantParser::new(role)))
        } else {
            Parser::Exact(core::StreamableParser::new(role, strict.unwrap_or(true), encoding.0))
        };
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
        of_either!(&self.parser, current_content())
    }

    /// The role of the open message, or of the message to come if it is known.
    #[getter]
    fn current_role<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(header) = self.header() {
            return Ok(Some(header.role.bind(py).clone()));
        }
        let role = of_either!(&self.parser, current_role()).map(|role| role_object(py, role)).transpose()?;
        Ok(role.map(|role| role.bind(py).clone()))
    }

    /// The channel of the open message.
    #[getter]
    fn current_channel(&self) -> Option<&Py<PyString>> {
        self.header()?.channel.as_ref()
    }

    /// The recipient of the open message.
    #[getter]
    fn current_recipient(&self) -> Option<&Py<PyString>> {
        self.header()?.recipient.as_ref()
    }

    /// The content type of the open message.
    #[getter]
    fn current_content_type(&self) -> Option<&Py<PyString>> {
        self.header()?.content_type.as_ref()
    }

    /// The text that the last token added; `None` outside of content, and while a character is incomplete.
    #[getter]
    fn last_content_delta(&self) -> Option<&str> {
        of_either!(&self.parser, last_content_delta())
    }

    /// All tokens that were read.
    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ffi::list(py, of_either!(&self.parser, tokens()))
    }

    /// In the mode `"tolerant"`, what did not follow the format: `motet.message.Repair`.
    #[getter]
    fn repairs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let repairs = match &self.parser {
            Parser::Exact(_) => &[],
            Parser::Tolerant(parser) => parser.repairs(),
        };
        let repairs = repairs.iter().map(|repair| make_repair(py, repair));
        PyList::new(py, repairs.collect::<PyResult<Vec<_>>>()?)
    }

    /// The state with its tokens, as JSON would hold it.
    #[getter]
    fn state_data<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let data = PyDict::new(py);
        data.set_item("state", of_either!(&self.parser, state_name()))?;
        match of_either!(&mut self.parser, state()) {
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
        of_either!(&self.parser, state_name())
    }

    /// The messages that have ended: `(role, name, channel, recipient, content_type, text)` of each.
    #[getter]
    fn _messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let tuples = of_either!(&self.parser, messages()).iter().map(|message| message_tuple(py, message));
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
