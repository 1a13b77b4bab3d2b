//! Plain chat dicts: the ones that most conversations are made of, read at the speed of rendering.
//!
//! `motet.dialects.chat` reads the dicts of every API and says what is wrong with the others; it is the statement of what
//! a dict means. A dict is plain if it is a `dict` itself, of a role of the Chat API, with `str` or text parts where texts
//! are, and with nothing that needs a second look: no tools of its own, no results or arguments that are not text. What is
//! read of it here is the same as there: `tests/dialects/test_plain_chat.py` compares the two.

use super::text::utf8;
use motet::frame::Role;
use motet::message::{Developer, Message, Part, ToolCall, ToolResult};
use motet::tool_name::name_of;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

type Text<'py> = Bound<'py, PyString>;

/// A part of a plain dict. Texts are the caller's own strings, which may hold lone surrogates.
pub(crate) enum PlainPart<'py> {
    Developer(Text<'py>),
    Text(Text<'py>),
    Reasoning(Text<'py>),
    Preamble(Text<'py>),
    /// `arguments` is `None` for a call without any.
    Call {
        name: String,
        arguments: Option<Text<'py>>,
        id: Option<Text<'py>>,
    },
    Result {
        id: Option<Text<'py>>,
        content: Text<'py>,
        name: Option<String>,
    },
}

/// A plain chat dict.
pub(crate) struct PlainMessage<'py> {
    pub(crate) role: Role,
    pub(crate) name: Option<Text<'py>>,
    pub(crate) parts: Vec<PlainPart<'py>>,
}

/// The arguments of a call that has none.
pub(crate) const NO_ARGUMENTS: &str = "{}";

/// What a key of a dict holds.
enum Value<'py> {
    /// `None`, or no such key.
    Missing,
    Text(Text<'py>),
    Other(Bound<'py, PyAny>),
}

macro_rules! value {
    ($dict:expr, $key:literal) => {
        Value::of($dict.get_item(intern!($dict.py(), $key))?)
    };
}

impl<'py> Value<'py> {
    fn of(value: Option<Bound<'py, PyAny>>) -> Value<'py> {
        match value {
            None => Value::Missing,
            Some(value) if value.is_none() => Value::Missing,
            Some(value) => match value.cast_into_exact::<PyString>() {
                Ok(text) => Value::Text(text),
                Err(error) => Value::Other(error.into_inner()),
            },
        }
    }

    /// The text, where a dict that has anything else is not plain.
    fn optional(self) -> Option<Option<Text<'py>>> {
        match self {
            Value::Missing => Some(None),
            Value::Text(text) => Some(Some(text)),
            Value::Other(_) => None,
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Value::Missing)
    }
}

/// Reads a plain chat dict; `None` for any other object. `unnamed_results`: results may have neither an id nor a name.
pub(crate) fn read_plain<'py>(
    object: &Bound<'py, PyAny>,
    unnamed_results: bool,
) -> PyResult<Option<PlainMessage<'py>>> {
    let Ok(dict) = object.cast_exact::<PyDict>() else { return Ok(None) };
    // Items of the Responses API have a type.
    let (Value::Missing, Value::Text(role)) = (value!(dict, "type"), value!(dict, "role")) else {
        return Ok(None);
    };
    let content = value!(dict, "content");
    let message = |role, parts| PlainMessage { role, name: None, parts };
    Ok(match role.to_str() {
        Ok("user") => {
            let (parts, name) = (user_parts(content)?, value!(dict, "name").optional());
            parts.zip(name).map(|(parts, name)| PlainMessage { role: Role::User, name, parts })
        }
        Ok("assistant") => assistant_parts(dict, content)?.map(|parts| message(Role::Assistant, parts)),
        Ok("tool" | "function") => {
            let part = tool_result(dict, content, unnamed_results)?;
            part.map(|part| message(Role::Tool, vec![part]))
        }
        Ok("system" | "developer") if value!(dict, "tools").is_missing() => {
            let instructions = match content {
                Value::Missing => Some(None),
                content => joined(content, &TEXT_TYPES)?.map(Some),
            };
            let parts = instructions.map(|text| text.filter(|text| !is_empty(text)));
            parts.map(|text| message(Role::Developer, text.map(PlainPart::Developer).into_iter().collect()))
        }
        _ => None,
    })
}

fn is_empty(text: &Text<'_>) -> bool {
    text.len().is_ok_and(|length| length == 0)
}

/// The types of parts that are text in the Chat API, and of those that are text in any API.
const CHAT_TEXT_TYPES: [&str; 2] = ["text", "input_text"];
const TEXT_TYPES: [&str; 3] = ["text", "input_text", "output_text"];

/// The texts of a list of text parts; `None` if it holds anything else.
fn text_parts<'py>(content: &Bound<'py, PyAny>, types: &[&str]) -> PyResult<Option<Vec<Text<'py>>>> {
    let Ok(list) = content.cast_exact::<PyList>() else { return Ok(None) };
    let mut texts = Vec::with_capacity(list.len());
    for part in list.iter() {
        let Ok(part) = part.cast_into_exact::<PyDict>() else { return Ok(None) };
        let (Value::Text(kind), Value::Text(text)) = (value!(part, "type"), value!(part, "text")) else {
            return Ok(None);
        };
        if !kind.to_str().is_ok_and(|kind| types.contains(&kind)) {
            return Ok(None);
        }
        texts.push(text);
    }
    Ok(Some(texts))
}

/// A text, or text parts as one.
fn joined<'py>(content: Value<'py>, types: &[&str]) -> PyResult<Option<Text<'py>>> {
    match content {
        Value::Missing => Ok(None),
        Value::Text(text) => Ok(Some(text)),
        Value::Other(content) => {
            let Some(texts) = text_parts(&content, types)? else { return Ok(None) };
            let py = content.py();
            let text = PyString::new(py, "").call_method1(intern!(py, "join"), (texts,))?;
            Ok(text.cast_into().ok())
        }
    }
}

fn user_parts(content: Value<'_>) -> PyResult<Option<Vec<PlainPart<'_>>>> {
    Ok(match content {
        Value::Missing => None,
        Value::Text(text) => Some(vec![PlainPart::Text(text)]),
        Value::Other(content) => text_parts(&content, &TEXT_TYPES)?.map(|texts| match texts.is_empty() {
            // The user is silent, and the message keeps its place.
            true => vec![PlainPart::Text(PyString::new(content.py(), ""))],
            false => texts.into_iter().map(PlainPart::Text).collect(),
        }),
    })
}

fn assistant_parts<'py>(
    dict: &Bound<'py, PyDict>,
    content: Value<'py>,
) -> PyResult<Option<Vec<PlainPart<'py>>>> {
    if !value!(dict, "function_call").is_missing() {
        return Ok(None);
    }
    let mut reasoning = None;
    for value in [value!(dict, "reasoning"), value!(dict, "reasoning_content"), value!(dict, "thinking")] {
        let Some(text) = value.optional() else { return Ok(None) };
        reasoning = reasoning.or(text.filter(|text| !is_empty(text)));
    }
    let calls = match value!(dict, "tool_calls") {
        Value::Missing => Some(Vec::new()),
        Value::Text(_) => None,
        Value::Other(calls) => tool_calls(&calls)?,
    };
    let Some(calls) = calls else { return Ok(None) };
    let text = match content {
        // A refusal may stand in its place; without calls and reasoning, a key is missing.
        Value::Missing if !value!(dict, "refusal").is_missing() => return Ok(None),
        Value::Missing if calls.is_empty() && reasoning.is_none() => return Ok(None),
        Value::Missing => None,
        content => {
            let Some(text) = joined(content, &TEXT_TYPES)? else { return Ok(None) };
            Some(text)
        }
    };
    let has_reasoning = reasoning.is_some();
    let mut parts = Vec::with_capacity(calls.len() + 2);
    parts.extend(reasoning.map(PlainPart::Reasoning));
    match text {
        // Beside calls it is what the model said on the way; else it is the answer.
        Some(text) if !is_empty(&text) => {
            parts.push(if calls.is_empty() { PlainPart::Text(text) } else { PlainPart::Preamble(text) });
        }
        _ if calls.is_empty() && !has_reasoning => parts.push(PlainPart::Text(PyString::new(dict.py(), ""))),
        _ => {}
    }
    parts.extend(calls);
    Ok(Some(parts))
}

fn tool_calls<'py>(calls: &Bound<'py, PyAny>) -> PyResult<Option<Vec<PlainPart<'py>>>> {
    let Ok(list) = calls.cast_exact::<PyList>() else { return Ok(None) };
    let mut parts = Vec::with_capacity(list.len());
    for call in list.iter() {
        let Ok(call) = call.cast_into_exact::<PyDict>() else { return Ok(None) };
        let Value::Other(function) = value!(call, "function") else { return Ok(None) };
        let Ok(function) = function.cast_into_exact::<PyDict>() else { return Ok(None) };
        let Value::Text(name) = value!(function, "name") else { return Ok(None) };
        let arguments = value!(function, "arguments").optional();
        let Some((arguments, id)) = arguments.zip(value!(call, "id").optional()) else { return Ok(None) };
        let Ok(name) = name.to_str() else { return Ok(None) };
        let arguments = arguments.filter(|arguments| !is_empty(arguments));
        parts.push(PlainPart::Call { name: name_of(name).to_owned(), arguments, id });
    }
    Ok(Some(parts))
}

fn tool_result<'py>(
    dict: &Bound<'py, PyDict>,
    content: Value<'py>,
    unnamed_results: bool,
) -> PyResult<Option<PlainPart<'py>>> {
    let id = value!(dict, "tool_call_id").optional();
    let names = value!(dict, "name").optional().zip(value!(dict, "tool_name").optional());
    let (Some(id), Some((name, tool_name))) = (id, names) else { return Ok(None) };
    let id = id.filter(|id| !is_empty(id));
    let name = match name.filter(|name| !is_empty(name)).or(tool_name) {
        None => None,
        Some(name) => match name.to_str() {
            Ok(name) if !name.is_empty() => Some(name_of(name).to_owned()),
            _ => return Ok(None),
        },
    };
    if id.is_none() && name.is_none() && !unnamed_results {
        return Ok(None);
    }
    // An empty list is JSON that a tool returned.
    let is_empty_list =
        matches!(&content, Value::Other(content) if content.len().is_ok_and(|length| length == 0));
    if is_empty_list {
        return Ok(None);
    }
    let content = joined(content, &CHAT_TEXT_TYPES)?;
    Ok(content.map(|content| PlainPart::Result { id, content, name }))
}

impl PlainMessage<'_> {
    pub(crate) fn message(&self) -> PyResult<Message> {
        Ok(Message {
            role: self.role,
            name: self.name.as_ref().map(owned).transpose()?,
            content: self.parts.iter().map(PlainPart::part).collect::<PyResult<_>>()?,
        })
    }
}

fn owned(text: &Text<'_>) -> PyResult<String> {
    Ok(utf8(text)?.into_owned())
}

fn or_empty(text: Option<&Text<'_>>) -> PyResult<String> {
    text.map_or_else(|| Ok(String::new()), owned)
}

impl PlainPart<'_> {
    fn part(&self) -> PyResult<Part> {
        Ok(match self {
            PlainPart::Developer(text) => {
                Part::Developer(Developer { instructions: owned(text)?, tools: Vec::new(), text: None })
            }
            PlainPart::Text(text) => Part::Text { text: owned(text)?, channel: None, content_type: None },
            PlainPart::Reasoning(text) => Part::Reasoning { text: owned(text)?, content_type: None },
            PlainPart::Preamble(text) => Part::Preamble { text: owned(text)?, content_type: None },
            PlainPart::Call { name, arguments, id } => Part::ToolCall(ToolCall::new(
                or_empty(id.as_ref())?,
                name.clone(),
                arguments.as_ref().map_or_else(|| Ok(NO_ARGUMENTS.to_owned()), owned)?,
            )),
            PlainPart::Result { id, content, name } => {
                Part::ToolResult(ToolResult::new(or_empty(id.as_ref())?, name.clone(), owned(content)?))
            }
        })
    }
}
