//! Python objects to Rust values: frames, messages, tools, settings.

use super::{Types, error, iterate, role, type_name};
use motet::frame::{Frame, Header, RecipientPosition, Role, Stop};
use motet::message::{Developer, Message, Part, Tool, ToolCall, ToolResult};
use motet::render::{self, Builtin, Dialect, Effort, KeepAnalysis, ResponseFormat};
use motet::tool_name::name_of;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use serde_json::Value;

fn text_field(object: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<String>> {
    let value = object.getattr(name)?;
    if value.is_none() {
        return Ok(None);
    }
    let text = value.cast::<PyString>().map_err(|_| {
        let (class, found) = (type_name(object), type_name(&value));
        PyTypeError::new_err(format!("{class}.{name} must be str, not {found}"))
    })?;
    Ok(Some(text.to_str()?.to_owned()))
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
        Some(found) => Ok(Some(found)),
        None => {
            let class = type_name(object);
            Err(PyValueError::new_err(format!("{class}.{name} cannot be {value:?}")))
        }
    }
}

fn place_named(name: &str) -> Option<RecipientPosition> {
    match name {
        "role" => Some(RecipientPosition::Role),
        "channel" => Some(RecipientPosition::Channel),
        _ => None,
    }
}

/// Reads a `motet.message.Frame`.
pub(crate) fn to_frame(object: &Bound<'_, PyAny>) -> PyResult<Frame> {
    let types = Types::get(object.py())?;
    if !object.is_instance(types.frame.bind(object.py()))? {
        return Err(PyTypeError::new_err(format!(
            "a frame must be a motet.Frame, not {}",
            type_name(object)
        )));
    }
    let role = choice(object, "role", Role::from_name)?;
    Ok(Frame {
        header: Header {
            role: role.ok_or_else(|| PyTypeError::new_err("Frame.role must be str, not None"))?,
            name: text_field(object, "name")?,
            recipient: text_field(object, "recipient")?,
            recipient_at: choice(object, "recipient_at", place_named)?,
            channel: text_field(object, "channel")?,
            content_type: text_field(object, "content_type")?,
        },
        content: required(object, "content")?,
        stop: choice(object, "stop", Stop::from_name)?,
        implied: object.getattr("implied")?.is_truthy()?,
    })
}

/// Reads a sequence of `motet.Message`.
pub(crate) fn to_messages(objects: &Bound<'_, PyAny>) -> PyResult<Vec<Message>> {
    let mut messages = Vec::new();
    for (index, object) in iterate(objects, "messages")?.enumerate() {
        let object = object?;
        let class = Types::get(object.py())?.message.bind(object.py());
        if !object.is_instance(class)? {
            let found = type_name(&object);
            return Err(PyTypeError::new_err(format!(
                "messages[{index}] must be a motet.Message, not {found}"
            )));
        }
        messages.push(to_message(&object)?);
    }
    Ok(messages)
}

fn to_message(object: &Bound<'_, PyAny>) -> PyResult<Message> {
    let role = choice(object, "role", Role::from_name)?;
    let content = object.getattr(intern!(object.py(), "content"))?;
    Ok(Message {
        role: role.ok_or_else(|| PyTypeError::new_err("Message.role must be str, not None"))?,
        name: text_field(object, "name")?,
        content: content.try_iter()?.map(|part| to_part(&part?)).collect::<PyResult<_>>()?,
    })
}

fn to_part(object: &Bound<'_, PyAny>) -> PyResult<Part> {
    let py = object.py();
    let types = Types::get(py)?;
    let is = |class: &Py<PyType>| {
        object.get_type().is(class.bind(py)) || object.is_instance(class.bind(py)).unwrap_or(false)
    };
    let optional = |name: &str| text_field(object, name);
    Ok(if is(&types.text) {
        Part::Text {
            text: required(object, "text")?,
            channel: optional("channel")?,
            content_type: optional("content_type")?,
        }
    } else if is(&types.reasoning) {
        Part::Reasoning { text: required(object, "text")?, content_type: optional("content_type")? }
    } else if is(&types.tool_call) {
        Part::ToolCall(ToolCall {
            id: required(object, "id")?,
            name: required(object, "name")?,
            arguments: required(object, "arguments")?,
            recipient: optional("recipient")?.unwrap_or_default(),
            recipient_at: choice(object, "recipient_at", place_named)?,
            channel: optional("channel")?,
            content_type: optional("content_type")?,
            stop: choice(object, "stop", Stop::from_name)?,
            trusted: object.getattr("trusted")?.is_truthy()?,
        })
    } else if is(&types.tool_result) {
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
    } else if is(&types.preamble) {
        Part::Preamble { text: required(object, "text")?, content_type: optional("content_type")? }
    } else if is(&types.system) {
        Part::System { text: required(object, "text")? }
    } else if is(&types.developer) {
        Part::Developer(Developer {
            instructions: required(object, "instructions")?,
            tools: to_tools(&object.getattr("tools")?)?,
            text: optional("text")?,
        })
    } else {
        let found = type_name(object);
        return Err(PyTypeError::new_err(format!("a message's content must be content parts, not {found}")));
    })
}

/// Reads a list of tools: names, OpenAI tool dicts, or objects that give such a dict of themselves.
pub(crate) fn to_tools(objects: &Bound<'_, PyAny>) -> PyResult<Vec<Tool>> {
    if objects.is_none() {
        return Ok(Vec::new());
    }
    if objects.is_instance_of::<PyString>() || objects.is_instance_of::<PyDict>() {
        return Err(PyTypeError::new_err(format!(
            "tools must be a list of tools, not {}",
            type_name(objects)
        )));
    }
    let tools = iterate(objects, "tools")?.enumerate();
    tools.map(|(index, tool)| to_tool(&tool?, index)).collect()
}

fn to_tool(object: &Bound<'_, PyAny>, index: usize) -> PyResult<Tool> {
    let refuse = |what: &str| PyTypeError::new_err(format!("tools[{index}]{what}"));
    if let Ok(name) = object.cast::<PyString>() {
        let name = name_of(name.to_str()?).to_owned();
        return Ok(Tool { name, description: String::new(), parameters: None });
    }
    let Ok(outer) = object.cast::<PyDict>() else {
        if let Some(as_dict) = object.getattr_opt(intern!(object.py(), "to_dict"))? {
            let shape = as_dict.call0()?;
            if shape.is_instance_of::<PyDict>() {
                return to_tool(&shape, index);
            }
        }
        return Err(refuse(&format!(
            " must be a name, an OpenAI tool dict or a tool, not {}",
            type_name(object)
        )));
    };
    let inner = outer.get_item("function")?;
    let fields = match &inner {
        Some(inner) => inner.cast::<PyDict>().map_err(|_| refuse("[\"function\"] must be a dict"))?,
        None => outer,
    };
    let text = |key: &str| -> PyResult<Option<String>> {
        let Some(value) = fields.get_item(key)?.filter(|value| !value.is_none()) else { return Ok(None) };
        let text = value
            .cast::<PyString>()
            .map_err(|_| refuse(&format!("[{key:?}] must be str, not {}", type_name(&value))))?;
        Ok(Some(text.to_str()?.to_owned()))
    };
    let parameters = fields.get_item("parameters")?.filter(|value| !value.is_none());
    Ok(Tool {
        name: name_of(&text("name")?.ok_or_else(|| refuse(" has no name"))?).to_owned(),
        description: text("description")?.unwrap_or_default(),
        parameters: parameters
            .map(|value| to_json(&value, &format!("tools[{index}].parameters"), 0))
            .transpose()?,
    })
}

/// A schema nested deeper than this is refused before it is looked at.
const DEEPEST_JSON: usize = 200;

/// Reads a JSON value.
pub(crate) fn to_json(object: &Bound<'_, PyAny>, path: &str, depth: usize) -> PyResult<Value> {
    let py = object.py();
    let refuse = |what: String| error(py, "RenderError", format!("{path}{what}"), &PyDict::new(py));
    if depth > DEEPEST_JSON {
        let start: String = path.chars().take(80).collect();
        return Err(error(
            py,
            "RenderError",
            format!("{start}... is nested deeper than {DEEPEST_JSON}"),
            &PyDict::new(py),
        ));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = object.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(value) = object.cast::<PyString>() {
        return Ok(Value::String(value.to_str()?.to_owned()));
    }
    if object.is_instance_of::<PyInt>() {
        if let Ok(value) = object.extract::<i64>() {
            return Ok(value.into());
        }
        if let Ok(value) = object.extract::<u64>() {
            return Ok(value.into());
        }
    }
    if object.is_instance_of::<PyInt>() || object.is_instance_of::<PyFloat>() {
        let number = object.extract::<f64>().ok().and_then(serde_json::Number::from_f64);
        return number
            .map(Value::Number)
            .ok_or_else(|| refuse(" is a number that JSON cannot hold".to_owned()));
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        let mut map = serde_json::Map::new();
        for (key, value) in dict.iter() {
            let Ok(key) = key.cast::<PyString>() else {
                return Err(refuse(format!(" has a key that is {}, not str", type_name(&key))));
            };
            let key = key.to_str()?.to_owned();
            let value = to_json(&value, &format!("{path}.{key}"), depth + 1)?;
            map.insert(key, value);
        }
        return Ok(Value::Object(map));
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let items = object.try_iter()?.enumerate();
        let items = items.map(|(index, item)| to_json(&item?, &format!("{path}[{index}]"), depth + 1));
        return Ok(Value::Array(items.collect::<PyResult<_>>()?));
    }
    Err(refuse(format!(" is {}, which is no JSON", type_name(object))))
}

/// Reads the keyword arguments of `motet.render`.
pub(crate) fn to_settings(given: Option<&Bound<'_, PyDict>>) -> PyResult<render::Settings> {
    let mut settings = render::Settings::default();
    for (name, value) in given.into_iter().flat_map(|given| given.iter()) {
        let name: String = name.extract()?;
        let text = || -> PyResult<Option<String>> {
            if value.is_none() {
                return Ok(None);
            }
            let text = value.cast::<PyString>().map_err(|_| {
                PyTypeError::new_err(format!("{name} must be str, not {}", type_name(&value)))
            })?;
            Ok(Some(text.to_str()?.to_owned()))
        };
        let one_of = |names: &[&str]| -> PyResult<usize> {
            let found = text()?.unwrap_or_else(|| "None".to_owned());
            names.iter().position(|known| *known == found).ok_or_else(|| {
                let known = names.join("', '");
                PyValueError::new_err(format!("{name} must be one of '{known}', not {found:?}"))
            })
        };
        match name.as_str() {
            "tools" => settings.tools = to_tools(&value)?,
            "builtin_tools" => {
                for tool in iterate(&value, "builtin_tools")? {
                    let tool: String = tool?.extract()?;
                    settings.builtin_tools.push(match tool.as_str() {
                        "browser" => Builtin::Browser,
                        "python" => Builtin::Python,
                        _ => {
                            return Err(PyValueError::new_err(format!(
                                "builtin_tools can be 'browser' and 'python', not {tool:?}"
                            )));
                        }
                    });
                }
            }
            "instructions" => settings.instructions = text()?,
            "response_format" if !value.is_none() => {
                let (name, description, schema): (String, Option<String>, Bound<'_, PyAny>) =
                    value.extract()?;
                let schema = to_json(&schema, "response_format.schema", 0)?;
                settings.response_format = Some(ResponseFormat { name, description, schema });
            }
            "response_format" => {}
            "reasoning_effort" => {
                settings.reasoning_effort =
                    [Effort::Low, Effort::Medium, Effort::High][one_of(&["low", "medium", "high"])?];
            }
            "current_date" => settings.current_date = text()?,
            "identity" => {
                settings.identity =
                    text()?.ok_or_else(|| PyTypeError::new_err("identity must be str, not None"))?
            }
            "knowledge_cutoff" => settings.knowledge_cutoff = text()?,
            "next_role" => settings.next_role = role(text()?.as_deref(), "next_role")?,
            "keep_analysis" => {
                let rules =
                    [KeepAnalysis::Turn, KeepAnalysis::All, KeepAnalysis::None, KeepAnalysis::OpenaiHarmony];
                settings.keep_analysis = rules[one_of(&["turn", "all", "none", "openai_harmony"])?];
            }
            "dialect" => {
                let dialects = [Dialect::Motet, Dialect::OpenaiHarmony, Dialect::ChatTemplate];
                settings.dialect = dialects[one_of(&["motet", "openai_harmony", "chat_template"])?];
            }
            _ => return Err(PyTypeError::new_err(format!("render() has no setting {name:?}"))),
        }
    }
    Ok(settings)
}
