//! Messages and their parts.

use super::frame::{position_name, stop_name};
use super::interned;
use crate::classes::Classes;
use crate::from_python::chat::{NO_ARGUMENTS, PlainMessage, PlainPart};
use motet::frame::Role;
use motet::message::{Message, Part, Tool};
use pyo3::intern;
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

/// Makes a message as it was given to the renderer: rendered anew, it gives the same.
pub(crate) fn make_given_message<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyAny>> {
    let content = message.content.iter().map(|part| make_given_part(py, part));
    let content = PyTuple::new(py, content.collect::<PyResult<Vec<_>>>()?)?;
    make_message_with(py, message.role, content, message.name.as_deref())
}

fn make_given_part<'py>(py: Python<'py>, part: &Part) -> PyResult<Bound<'py, PyAny>> {
    let classes = Classes::get(py)?;
    match part {
        Part::ToolCall(call) => classes.tool_call.bind(py).call1((
            &call.name,
            &call.arguments,
            &call.id,
            call.trusted,
            Some(&call.recipient).filter(|recipient| !recipient.is_empty()),
            position_name(py, call.recipient_at),
            call.channel.as_deref(),
            call.content_type.as_deref(),
            stop_name(py, call.stop),
        )),
        Part::ToolResult(result) => classes.tool_result.bind(py).call1((
            &result.tool_call_id,
            &result.content,
            result.name.as_deref(),
            result.author.as_deref(),
            result.recipient.as_deref(),
            result.channel.as_deref(),
            result.content_type.as_deref(),
            result.is_json,
        )),
        Part::Developer(developer) => {
            let tools = developer.tools.iter().map(|tool| make_tool_dict(py, tool));
            let tools = tools.collect::<PyResult<Vec<_>>>()?;
            let tools = (!tools.is_empty()).then_some(tools);
            let fields = (&developer.instructions, tools, developer.text.as_deref());
            classes.developer.bind(py).call1(fields)
        }
        part => make_part(py, part, None),
    }
}

/// A tool as an OpenAI tool dict.
fn make_tool_dict<'py>(py: Python<'py>, tool: &Tool) -> PyResult<Bound<'py, PyAny>> {
    let mut function = serde_json::json!({"name": tool.name, "description": tool.description});
    if let Some(parameters) = &tool.parameters {
        function["parameters"] = parameters.clone();
    }
    let text = serde_json::json!({"type": "function", "function": function}).to_string();
    py.import(intern!(py, "json"))?.getattr(intern!(py, "loads"))?.call1((text,))
}

/// Makes the message of a plain chat dict.
pub(crate) fn make_plain_message<'py>(
    py: Python<'py>,
    message: PlainMessage<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let content = message.parts.into_iter().map(|part| make_plain_part(py, part));
    let content = PyTuple::new(py, content.collect::<PyResult<Vec<_>>>()?)?;
    let role = interned(py, Some(message.role.as_str()));
    Classes::get(py)?.message.bind(py).call1((role, content, message.name))
}

fn make_plain_part<'py>(py: Python<'py>, part: PlainPart<'py>) -> PyResult<Bound<'py, PyAny>> {
    let classes = Classes::get(py)?;
    let text =
        |text: Option<Bound<'py, PyString>>, default| text.unwrap_or_else(|| PyString::new(py, default));
    match part {
        PlainPart::Developer(text) => classes.developer.bind(py).call1((text,)),
        PlainPart::Text(text) => classes.text.bind(py).call1((text,)),
        PlainPart::Reasoning(text) => classes.reasoning.bind(py).call1((text,)),
        PlainPart::Preamble(text) => classes.preamble.bind(py).call1((text,)),
        PlainPart::Call { name, arguments, id } => {
            let (arguments, id) = (text(arguments, NO_ARGUMENTS), text(id, ""));
            classes.tool_call.bind(py).call1((interned(py, Some(&name)), arguments, id))
        }
        PlainPart::Result { id, content, name } => {
            classes.tool_result.bind(py).call1((text(id, ""), content, interned(py, name.as_deref())))
        }
    }
}
