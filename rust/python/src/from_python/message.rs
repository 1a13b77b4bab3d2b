//! Frames and messages, from the dataclasses of `motet.message`.

use super::chat::read_plain;
use super::text::utf8;
use super::tool::read_tools;
use super::type_name;
use crate::classes::Classes;
use motet::frame::{Frame, Header, RecipientPosition, Role, Stop};
use motet::message::{Developer, Message, Part, ToolCall, ToolResult};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};
use std::borrow::Cow;

/// An attribute by its name, which is interned: making the name's `str` takes as long as reading the attribute.
macro_rules! attribute {
    ($object:expr, $name:literal) => {
        Attribute::read($object, intern!($object.py(), $name))
    };
}

/// An attribute of a dataclass.
struct Attribute<'a, 'py> {
    object: &'a Bound<'py, PyAny>,
    name: &'a Bound<'py, PyString>,
    value: Bound<'py, PyAny>,
}

impl<'a, 'py> Attribute<'a, 'py> {
    fn read(object: &'a Bound<'py, PyAny>, name: &'a Bound<'py, PyString>) -> PyResult<Self> {
        Ok(Attribute { object, name, value: object.getattr(name)? })
    }

    /// The attribute's name with that of its class, for errors.
    fn path(&self) -> String {
        format!("{}.{}", type_name(self.object), self.name)
    }

    fn str(&self) -> PyResult<Option<Cow<'_, str>>> {
        if self.value.is_none() {
            return Ok(None);
        }
        let text = self.value.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!("{} must be str, not {}", self.path(), type_name(&self.value)))
        })?;
        utf8(text).map(Some)
    }

    fn text(&self) -> PyResult<Option<String>> {
        Ok(self.str()?.map(Cow::into_owned))
    }

    fn required<T>(&self, value: Option<T>) -> PyResult<T> {
        value.ok_or_else(|| PyTypeError::new_err(format!("{} must be str, not None", self.path())))
    }

    fn required_text(&self) -> PyResult<String> {
        self.required(self.text()?)
    }

    fn choice<T>(&self, find: impl Fn(&str) -> Option<T>) -> PyResult<Option<T>> {
        let Some(value) = self.str()? else { return Ok(None) };
        let choice = find(&value);
        choice.map(Some).ok_or_else(|| PyValueError::new_err(format!("{} cannot be {value:?}", self.path())))
    }
}

fn position(name: &str) -> Option<RecipientPosition> {
    match name {
        "role" => Some(RecipientPosition::Role),
        "channel" => Some(RecipientPosition::Channel),
        _ => None,
    }
}

fn role(object: &Bound<'_, PyAny>) -> PyResult<Role> {
    let role = attribute!(object, "role")?;
    role.required(role.choice(Role::from_name)?)
}

/// Reads a `motet.message.Frame`.
pub(crate) fn read_frame(object: &Bound<'_, PyAny>) -> PyResult<Frame> {
    Ok(Frame {
        header: read_header(object)?,
        content: attribute!(object, "content")?.required_text()?,
        stop: attribute!(object, "stop")?.choice(Stop::from_name)?,
        implied: object.getattr(intern!(object.py(), "implied"))?.is_truthy()?,
    })
}

/// Reads the header of a `motet.message.Frame`.
pub(crate) fn read_header(object: &Bound<'_, PyAny>) -> PyResult<Header> {
    if !object.is_instance(Classes::get(object.py())?.frame.bind(object.py()))? {
        let class = type_name(object);
        return Err(PyTypeError::new_err(format!("a frame must be a motet.Frame, not {class}")));
    }
    Ok(Header {
        role: role(object)?,
        name: attribute!(object, "name")?.text()?,
        recipient: attribute!(object, "recipient")?.text()?,
        recipient_at: attribute!(object, "recipient_at")?.choice(position)?,
        channel: attribute!(object, "channel")?.text()?,
        content_type: attribute!(object, "content_type")?.text()?,
    })
}

/// Reads a list or tuple of `motet.Message` and plain chat dicts; `None` for anything else, which `motet.dialects.chat`
/// reads or refuses. `unnamed_results`: see [`read_plain`].
pub(crate) fn read_message_list(
    objects: &Bound<'_, PyAny>,
    unnamed_results: bool,
) -> PyResult<Option<Vec<Message>>> {
    let mut messages = Vec::new();
    let mut read = |object: &Bound<'_, PyAny>| {
        let message = if is_message(object)? {
            Some(read_message(object)?)
        } else {
            read_plain(object, unnamed_results)?.map(|plain| plain.message()).transpose()?
        };
        let is_read = message.is_some();
        messages.extend(message);
        PyResult::Ok(is_read)
    };
    let mut is_read = true;
    if let Ok(list) = objects.cast_exact::<PyList>() {
        for object in list.iter() {
            is_read = is_read && read(&object)?;
        }
    } else if let Ok(tuple) = objects.cast_exact::<PyTuple>() {
        for object in tuple.iter_borrowed() {
            is_read = is_read && read(&object)?;
        }
    } else {
        is_read = false;
    }
    Ok(is_read.then_some(messages))
}

/// Whether an object is a `motet.Message`.
pub(crate) fn is_message(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let class = Classes::get(object.py())?.message.bind(object.py());
    Ok(object.get_type().is(class) || object.is_instance(class)?)
}

fn read_message(object: &Bound<'_, PyAny>) -> PyResult<Message> {
    let content = object.getattr(intern!(object.py(), "content"))?;
    Ok(Message {
        role: role(object)?,
        name: attribute!(object, "name")?.text()?,
        content: content.try_iter()?.map(|part| read_part(&part?)).collect::<PyResult<_>>()?,
    })
}

fn read_part(object: &Bound<'_, PyAny>) -> PyResult<Part> {
    let py = object.py();
    let classes = Classes::get(py)?;
    let is = |class: &Py<PyType>| {
        object.get_type().is(class.bind(py)) || object.is_instance(class.bind(py)).unwrap_or(false)
    };
    Ok(if is(&classes.text) {
        Part::Text {
            text: attribute!(object, "text")?.required_text()?,
            channel: attribute!(object, "channel")?.text()?,
            content_type: attribute!(object, "content_type")?.text()?,
        }
    } else if is(&classes.reasoning) {
        Part::Reasoning {
            text: attribute!(object, "text")?.required_text()?,
            content_type: attribute!(object, "content_type")?.text()?,
        }
    } else if is(&classes.tool_call) {
        Part::ToolCall(ToolCall {
            id: attribute!(object, "id")?.required_text()?,
            name: attribute!(object, "name")?.required_text()?,
            arguments: attribute!(object, "arguments")?.required_text()?,
            recipient: attribute!(object, "recipient")?.text()?.unwrap_or_default(),
            recipient_at: attribute!(object, "recipient_at")?.choice(position)?,
            channel: attribute!(object, "channel")?.text()?,
            content_type: attribute!(object, "content_type")?.text()?,
            stop: attribute!(object, "stop")?.choice(Stop::from_name)?,
            trusted: object.getattr(intern!(object.py(), "trusted"))?.is_truthy()?,
        })
    } else if is(&classes.tool_result) {
        Part::ToolResult(ToolResult {
            tool_call_id: attribute!(object, "tool_call_id")?.required_text()?,
            name: attribute!(object, "name")?.text()?,
            content: attribute!(object, "content")?.required_text()?,
            is_json: object.getattr(intern!(object.py(), "is_json"))?.is_truthy()?,
            author: attribute!(object, "author")?.text()?,
            recipient: attribute!(object, "recipient")?.text()?,
            channel: attribute!(object, "channel")?.text()?,
            content_type: attribute!(object, "content_type")?.text()?,
        })
    } else if is(&classes.preamble) {
        Part::Preamble {
            text: attribute!(object, "text")?.required_text()?,
            content_type: attribute!(object, "content_type")?.text()?,
        }
    } else if is(&classes.system) {
        Part::System { text: attribute!(object, "text")?.required_text()? }
    } else if is(&classes.developer) {
        Part::Developer(Developer {
            instructions: attribute!(object, "instructions")?.required_text()?,
            tools: read_tools(&object.getattr(intern!(object.py(), "tools"))?)?,
            text: attribute!(object, "text")?.text()?,
        })
    } else {
        let class = type_name(object);
        return Err(PyTypeError::new_err(format!("a message's content must be content parts, not {class}")));
    })
}
