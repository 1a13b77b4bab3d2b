//! Messages and their parts.

use super::frame::{position_name, stop_name};
use super::interned;
use crate::classes::Classes;
use motet::frame::Role;
use motet::message::{Message, Part};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// Makes a part of a message. `content` is its text or its arguments, if that is a Python string already.
pub(crate) fn make_part<'py>(
    py: Python<'py>,
    part: &Part,
    content: Option<&Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyAny>> {
    let classes = Classes::get(py)?;
    let string = |own: &str| content.cloned().unwrap_or_else(|| PyString::new(py, own));
    match part {
        Part::Reasoning { text, content_type } => {
            classes.reasoning.bind(py).call1((string(text), interned(py, content_type.as_deref())))
        }
        Part::Preamble { text, content_type } => {
            classes.preamble.bind(py).call1((string(text), interned(py, content_type.as_deref())))
        }
        Part::Text { text, channel, content_type } => classes.text.bind(py).call1((
            string(text),
            interned(py, channel.as_deref()),
            interned(py, content_type.as_deref()),
        )),
        Part::ToolCall(call) => classes.tool_call.bind(py).call1((
            interned(py, Some(&call.name)),
            string(&call.arguments),
            &call.id,
            call.trusted,
            interned(py, Some(&call.recipient)),
            position_name(py, call.recipient_at),
            interned(py, call.channel.as_deref()),
            interned(py, Some(call.content_type.as_deref().unwrap_or_default())),
            stop_name(py, call.stop),
        )),
        Part::ToolResult(result) => classes.tool_result.bind(py).call1((
            &result.tool_call_id,
            string(&result.content),
            interned(py, result.name.as_deref()),
            interned(py, result.author.as_deref()),
            interned(py, result.recipient.as_deref()),
            interned(py, result.channel.as_deref()),
            interned(py, result.content_type.as_deref()),
        )),
        Part::System { text } => classes.system.bind(py).call1((string(text),)),
        Part::Developer(developer) => {
            let text = developer.text.as_deref().map(string);
            classes.developer.bind(py).call1((&developer.instructions, py.None(), text))
        }
    }
}

pub(crate) fn make_message<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyAny>> {
    let content = message.content.iter().map(|part| make_part(py, part, None));
    let content = PyTuple::new(py, content.collect::<PyResult<Vec<_>>>()?)?;
    make_message_with(py, message.role, content, message.name.as_deref())
}

pub(crate) fn make_message_with<'py>(
    py: Python<'py>,
    role: Role,
    content: Bound<'py, PyTuple>,
    name: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    Classes::get(py)?.message.bind(py).call1((interned(py, Some(role.as_str())), content, name))
}
