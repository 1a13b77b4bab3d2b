//! The encoding of `motet.openai_harmony`: conversations to ids, ids to messages and text.

use super::json::{Conversation, Message};
use super::{harmony_error, is_tolerant, message_tuple, read_library, read_role};
use crate::ffi;
use crate::from_python::text::utf8;
use crate::special::special_token_error;
use motet::marker::Marker;
use motet::openai_harmony::{self as core, HarmonyError, Library, builtin, vocabulary};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

/// The encoding of a library: `"openai_harmony"` (0.0.8) or `"oss_harmony"` (0.0.11).
#[pyclass(frozen, module = "motet._core", name = "_HarmonyEncoding")]
pub(crate) struct HarmonyEncoding(pub(super) Library);

/// The argument `tokens`: a list of ids.
pub(crate) struct Tokens(Vec<u32>);

impl<'py> FromPyObject<'_, 'py> for Tokens {
    type Error = PyErr;

    fn extract(list: Borrowed<'_, 'py, PyAny>) -> PyResult<Tokens> {
        let list = list.cast::<PyList>()?;
        let mut tokens = Vec::with_capacity(list.len());
        ffi::leading_ids(&list, &mut tokens);
        for item in list.iter().skip(tokens.len()) {
            tokens.push(read_token(&item, "tokens")?);
        }
        Ok(Tokens(tokens))
    }
}

/// The argument `token`.
pub(crate) struct Token(pub(super) u32);

impl<'py> FromPyObject<'_, 'py> for Token {
    type Error = PyErr;

    fn extract(item: Borrowed<'_, 'py, PyAny>) -> PyResult<Token> {
        read_token(&item, "token").map(Token)
    }
}

fn read_token(item: &Bound<'_, PyAny>, argument: &str) -> PyResult<u32> {
    item.extract().map_err(|error: PyErr| {
        let is_type_error = error.is_instance_of::<PyTypeError>(item.py());
        if is_type_error {
            PyTypeError::new_err(format!("argument '{argument}': {}", error.value(item.py())))
        } else {
            error
        }
    })
}

fn read_conversation(json: &str) -> PyResult<Vec<core::Message>> {
    serde_json::from_str::<Conversation>(json)
        .map(Conversation::into_messages)
        .map_err(|error| PyValueError::new_err(format!("invalid conversation JSON: {error}")))
}

/// Anything but a `bool` counts as the default, as in openai-harmony.
fn flag(value: &Bound<'_, PyAny>, default: bool) -> bool {
    value.extract().unwrap_or(default)
}

#[pymethods]
impl HarmonyEncoding {
    #[new]
    fn new(dialect: &str) -> PyResult<HarmonyEncoding> {
        read_library(dialect).map(HarmonyEncoding)
    }

    /// The name of the library.
    #[getter]
    fn dialect(&self) -> &'static str {
        match self.0 {
            Library::OpenaiHarmony => "openai_harmony",
            Library::OssHarmony => "oss_harmony",
        }
    }

    /// The namespace of the tools for browsing, as JSON.
    #[staticmethod]
    fn browser_tool() -> &'static str {
        builtin::BROWSER
    }

    /// The namespace of the tool for Python, as JSON.
    #[staticmethod]
    fn python_tool() -> &'static str {
        builtin::PYTHON
    }

    /// The ids of a conversation as JSON, and of the header that `next_turn_role` begins.
    fn render_conversation_for_completion<'py>(
        &self,
        conversation_json: &Bound<'py, PyString>,
        next_turn_role: &str,
        auto_drop_analysis: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (py, json) = (conversation_json.py(), conversation_json.to_str()?);
        let (drop, mut ids) = (flag(auto_drop_analysis, true), Vec::new());
        let messages = py.detach(|| read_conversation(json))?;
        let role = read_role(next_turn_role)?;
        py.detach(|| core::render_conversation_for_completion(&messages, role, drop, self.0, &mut ids))
            .map_err(|error| harmony_error(py, error))?;
        ffi::list(py, &ids)
    }

    /// The ids of a conversation as JSON.
    fn render_conversation<'py>(
        &self,
        conversation_json: &Bound<'py, PyString>,
        auto_drop_analysis: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.render(conversation_json, auto_drop_analysis, core::render_conversation)
    }

    /// The ids of a conversation as JSON, in which `<|return|>` ends the last answer.
    fn render_conversation_for_training<'py>(
        &self,
        conversation_json: &Bound<'py, PyString>,
        auto_drop_analysis: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.render(conversation_json, auto_drop_analysis, core::render_conversation_for_training)
    }

    /// The ids of a message as JSON.
    fn render_message<'py>(
        &self,
        message_json: &Bound<'py, PyString>,
        conversation_has_function_tools: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (py, json) = (message_json.py(), message_json.to_str()?);
        let message = serde_json::from_str::<Message>(json)
            .map_err(|error| PyValueError::new_err(format!("invalid message JSON: {error}")))?;
        let (has_tools, mut ids) = (flag(conversation_has_function_tools, false), Vec::new());
        core::render_message(&message.into(), has_tools, self.0, &mut ids).map_err(runtime_error)?;
        ffi::list(py, &ids)
    }

    /// The messages of a completion: `(role, name, channel, recipient, content_type, text)` of each.
    fn parse_messages<'py>(
        &self,
        py: Python<'py>,
        tokens: Tokens,
        role: Option<&str>,
        strict: Option<bool>,
        mode: &str,
    ) -> PyResult<Bound<'py, PyList>> {
        let (strict, tolerant) = (strict.unwrap_or(true), is_tolerant(mode)?);
        let role = role.map(read_role).transpose()?;
        let parse = || {
            if tolerant {
                let mut parser = core::TolerantParser::new(role);
                tokens.0.iter().for_each(|token| parser.process(*token));
                parser.process_eos();
                return Ok(parser.messages().to_vec());
            }
            let mut parser = core::StreamableParser::new(role, strict, self.0);
            tokens.0.iter().try_for_each(|token| parser.process(*token))?;
            parser.process_eos()?;
            Ok(parser.into_messages())
        };
        let messages = py.detach(parse).map_err(|error| harmony_error(py, error))?;
        let tuples = messages.iter().map(|message| message_tuple(py, message));
        PyList::new(py, tuples.collect::<PyResult<Vec<_>>>()?)
    }

    /// The text of ids, which must be UTF-8.
    fn decode_utf8(&self, py: Python<'_>, tokens: Tokens) -> PyResult<String> {
        vocabulary::decode_utf8(&tokens.0).map_err(|error| harmony_error(py, error))
    }

    /// The bytes of ids.
    fn decode_bytes<'py>(&self, py: Python<'py>, tokens: Tokens) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = vocabulary::decode_bytes(&tokens.0).map_err(|error| harmony_error(py, error))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The spellings of all special tokens.
    fn special_tokens(&self) -> Vec<&'static str> {
        vocabulary::special_tokens().collect()
    }

    /// Whether an id is that of a special token.
    fn is_special_token(&self, token: Token) -> bool {
        vocabulary::is_special_token(token.0)
    }

    /// The ids of the tokens that end a message.
    fn stop_tokens(&self) -> [u32; 3] {
        [Marker::Return.id(), Marker::End.id(), Marker::Call.id()]
    }

    /// The ids of the tokens that end the model's generation.
    fn stop_tokens_for_assistant_actions(&self) -> [u32; 2] {
        [Marker::Return.id(), Marker::Call.id()]
    }
}

type RenderConversation = fn(&[core::Message], bool, Library, &mut Vec<u32>) -> Result<(), HarmonyError>;

impl HarmonyEncoding {
    fn render<'py>(
        &self,
        conversation_json: &Bound<'py, PyString>,
        auto_drop_analysis: &Bound<'py, PyAny>,
        render: RenderConversation,
    ) -> PyResult<Bound<'py, PyList>> {
        let (py, json) = (conversation_json.py(), conversation_json.to_str()?);
        let (drop, mut ids) = (flag(auto_drop_analysis, true), Vec::new());
        let messages = py.detach(|| read_conversation(json))?;
        py.detach(|| render(&messages, drop, self.0, &mut ids)).map_err(runtime_error)?;
        ffi::list(py, &ids)
    }
}

/// Methods other than that for completions raise `RuntimeError` itself, as in openai-harmony.
fn runtime_error(error: HarmonyError) -> PyErr {
    PyRuntimeError::new_err(error.0)
}

/// Which spellings of special tokens in a text become tokens (`allowed`), and which are refused.
///
/// Strings that are not spellings of special tokens have no effect.
#[pyclass(frozen, module = "motet._core", name = "_HarmonySpecialTokens")]
pub(crate) struct SpecialTokens(vocabulary::SpecialTokens);

#[pymethods]
impl SpecialTokens {
    #[new]
    fn new(allowed: &Bound<'_, PyAny>, refused: &Bound<'_, PyAny>) -> PyResult<SpecialTokens> {
        let mut specials = vocabulary::SpecialTokens::default();
        for spelling in allowed.try_iter()? {
            specials.allow(&utf8(spelling?.cast::<PyString>()?)?);
        }
        for spelling in refused.try_iter()? {
            specials.refuse(&utf8(spelling?.cast::<PyString>()?)?);
        }
        Ok(SpecialTokens(specials))
    }

    /// The ids of a text. Raises `SpecialTokenError` for a spelling that is refused.
    fn encode<'py>(&self, text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
        let py = text.py();
        let (text, mut ids) = (utf8(text)?, Vec::new());
        self.0.encode(&text, &mut ids).map_err(|found| special_token_error(py, "text", &found))?;
        ffi::list(py, &ids)
    }
}
