//! Messages and their parts.

use super::frame::{position_name, stop_name};
use super::interned;
use crate::classes::Types;
use motet::frame::Role;
use motet::message::{Message, Part};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// A part of a message. `text` is its text or its arguments, if that is a Python string already.
pub(crate) fn make_part<'py>(
    py: Python<'py>,
    part: &Part,
    text: Option<&Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyAny>> {
    let types = Types::get(py)?;
    let said = |own: &str| text.cloned().unwrap_or_else(|| PyString::new(py, own));
    match part {
        Part::Reasoning { text, content_type } => {
            types.reasoning.bind(py).call1((said(text), interned(py, content_type.as_deref())))
        }
        Part::Preamble { text, content_type } => {
            types.preamble.bind(py).call1((said(text), interned(py, content_type.as_deref())))
        }
        Part::Text { text, channel, content_type } => types.text.bind(py).call1((
            said(text),
            interned(py, channel.as_deref()),
            interned(py, content_type.as_deref()),
        )),
        Part::ToolCall(call) => types.tool_call.bind(py).call1((
            interned(py, Some(&call.name)),
            said(&call.arguments),
            &call.id,
            call.trusted,
            interned(py, Some(&call.recipient)),
            position_name(py, call.recipient_at),
            interned(py, call.channel.as_deref()),
            interned(py, Some(call.content_type.as_deref().unwrap_or_default())),
            stop_name(py, call.stop),
        )),
        Part::ToolResult(result) => types.tool_result.bind(py).call1((
            &result.tool_call_id,
            said(&result.content),
            interned(py, result.name.as_deref()),
            interned(py, result.author.as_deref()),
            interned(py, result.recipient.as_deref()),
            interned(py, result.channel.as_deref()),
            interned(py, result.content_type.as_deref()),
        )),
        Part::System { text } => types.system.bind(py).call1((said(text),)),
        Part::Developer(developer) => {
            let text = developer.text.as_deref().map(said);
            types.developer.bind(py).call1((&developer.instructions, py.None(), text))
        }
    }
}

pub(crate) fn make_message<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyAny>> {
    let content = message.content.iter().map(|item| make_part(py, item, None));
    make_message_with(py, message.role, content.collect::<PyResult<_>>()?, message.name.as_deref())
}

pub(crate) fn make_message_with<'py>(
    py: Python<'py>,
    role: Role,
    content: Vec<Bound<'py, PyAny>>,
    name: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let content = PyTuple::new(py, content)?;
    Types::get(py)?.message.bind(py).call1((interned(py, Some(role.as_str())), content, name))
}
