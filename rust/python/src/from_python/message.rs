//! Frames and messages, from the dataclasses of `motet.message`.

use super::text::utf8;
use super::tool::read_tools;
use super::{iterate, type_name};
use crate::classes::Classes;
use motet::frame::{Frame, Header, RecipientPosition, Role, Stop};
use motet::message::{Developer, Message, Part, ToolCall, ToolResult};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

fn text_field(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<String>> {
    let value = object.getattr(name)?;
    if value.is_none() {
        return Ok(None);
    }
    let text = value.cast::<PyString>().map_err(|_| {
        let (class, value_class) = (type_name(object), type_name(&value));
        PyTypeError::new_err(format!("{class}.{name} must be str, not {value_class}"))
    })?;
    Ok(Some(utf8(text)?.into_owned()))
}

fn required(object: &Bound<'_, PyAny>, name: &str) -> PyResult<String> {
    text_field(object, name)?.ok_or_else(|| {
        let class = type_name(object);
        PyTypeError::new_err(format!("{class}.{name} must be str, not None"))
    })
}

fn choice<T>(object: &Bound<'_, PyAny>, name: &str, find: impl Fn(&str) -> Option<T>) -> PyResult<Option<T>> {
    let Some(value) = text_field(object, name)? else { return Ok(None) };
    match find(&value) {
        Some(choice) => Ok(Some(choice)),
        None => {
            let class = type_name(object);
            Err(PyValueError::new_err(format!("{class}.{name} cannot be {value:?}")))
        }
    }
}

fn position(name: &str) -> Option<RecipientPosition> {
    match name {
        "role" => Some(RecipientPosition::Role),
        "channel" => Some(RecipientPosition::Channel),
        _ => None,
    }
}

/// Reads a `motet.message.Frame`.
pub(crate) fn read_frame(object: &Bound<'_, PyAny>) -> PyResult<Frame> {
    Ok(Frame {
        header: read_header(object)?,
        content: required(object, "content")?,
        stop: choice(object, "stop", Stop::from_name)?,
        implied: object.getattr("implied")?.is_truthy()?,
    })
}

/// Reads the header of a `motet.message.Frame`.
pub(crate) fn read_header(object: &Bound<'_, PyAny>) -> PyResult<Header> {
    if !object.is_instance(Classes::get(object.py())?.frame.bind(object.py()))? {
        let class = type_name(object);
        return Err(PyTypeError::new_err(format!("a frame must be a motet.Frame, not {class}")));
    }
    let role = choice(object, "role", Role::from_name)?;
    Ok(Header {
        role: role.ok_or_else(|| PyTypeError::new_err("Frame.role must be str, not None"))?,
        name: text_field(object, "name")?,
        recipient: text_field(object, "recipient")?,
        recipient_at: choice(object, "recipient_at", position)?,
        channel: text_field(object, "channel")?,
        content_type: text_field(object, "content_type")?,
    })
}

/// Reads a sequence of `motet.Message`.
pub(crate) fn read_messages(objects: &Bound<'_, PyAny>) -> PyResult<Vec<Message>> {
    let mut messages = Vec::new();
    for (index, object) in iterate(objects, "messages")?.enumerate() {
        let object = object?;
        let class = Classes::get(object.py())?.message.bind(object.py());
        if !object.is_instance(class)? {
            let class = type_name(&object);
            return Err(PyTypeError::new_err(format!(
                "messages[{index}] must be a motet.Message, not {class}"
            )));
        }
        messages.push(read_message(&object)?);
    }
    Ok(messages)
}

fn read_message(object: &Bound<'_, PyAny>) -> PyResult<Message> {
    let role = choice(object, "role", Role::from_name)?;
    let content = object.getattr(intern!(object.py(), "content"))?;
    Ok(Message {
        role: role.ok_or_else(|| PyTypeError::new_err("Message.role must be str, not None"))?,
        name: text_field(object, "name")?,
        content: content.try_iter()?.map(|part| read_part(&part?)).collect::<PyResult<_>>()?,
    })
}

fn read_part(object: &Bound<'_, PyAny>) -> PyResult<Part> {
    let py = object.py();
    let classes = Classes::get(py)?;
    let is = |class: &Py<PyType>| {
        object.get_type().is(class.bind(py)) || object.is_instance(class.bind(py)).unwrap_or(false)
    };
    let optional = |name: &str| text_field(object, name);
    Ok(if is(&classes.text) {
        Part::Text {
            text: required(object, "text")?,
            channel: optional("channel")?,
            content_type: optional("content_type")?,
        }
    } else if is(&classes.reasoning) {
        Part::Reasoning { text: required(object, "text")?, content_type: optional("content_type")? }
    } else if is(&classes.tool_call) {
        Part::ToolCall(ToolCall {
            id: required(object, "id")?,
            name: required(object, "name")?,
            arguments: required(object, "arguments")?,
            recipient: optional("recipient")?.unwrap_or_default(),
            recipient_at: choice(object, "recipient_at", position)?,
            channel: optional("channel")?,
            content_type: optional("content_type")?,
            stop: choice(object, "stop", Stop::from_name)?,
            trusted: object.getattr("trusted")?.is_truthy()?,
        })
    } else if is(&classes.tool_result) {
        Part::ToolResult(ToolResult {
            tool_call_id: required(object, "tool_call_id")?,
            name: optional("name")?,
            content: required(object, "content")?,
            is_json: object.getattr("is_json")?.is_truthy()?,
            author: optional("author")?,
            recipient: optional("recipient")?,
            channel: optional("channel")?,
            content_type: optional("content_type")?,
        })
    } else if is(&classes.preamble) {
        Part::Preamble { text: required(object, "text")?, content_type: optional("content_type")? }
    } else if is(&classes.system) {
        Part::System { text: required(object, "text")? }
    } else if is(&classes.developer) {
        Part::Developer(Developer {
            instructions: required(object, "instructions")?,
            tools: read_tools(&object.getattr("tools")?)?,
            text: optional("text")?,
        })
    } else {
        let class = type_name(object);
        return Err(PyTypeError::new_err(format!("a message's content must be content parts, not {class}")));
    })
}
