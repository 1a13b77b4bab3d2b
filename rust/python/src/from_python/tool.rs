//! Tools: names, tool dicts of several APIs, or objects that return such a dict.

use super::json::read_json;
use super::text::utf8;
use super::{iterate, type_name};
use crate::to_python::error::error;
use motet::message::Tool;
use motet::parser::tool_names::ToolNames;
use motet::tool_name::{function_recipient, is_built_in, name_of};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyType};

/// The key of a tool's JSON Schema in OpenAI's dicts.
const SCHEMA_KEY: &str = "parameters";

const PARAMETERS: &str =
    "parameters are read from \"parameters\", \"inputSchema\" (MCP) or \"input_schema\" (Anthropic)";

/// Keys of tool dicts that may hold an object which is not the schema.
const OTHER_KEYS: [&str; 9] = [
    "function",
    "annotations",
    "outputSchema",
    "output_schema",
    "execution",
    "_meta",
    "meta",
    "cache_control",
    "icons",
];

/// The names in a list of tools: strings, tool dicts, or objects with a `name` or a `function`. All but strings are
/// functions.
pub(crate) fn tool_names(tools: Option<&Bound<'_, PyAny>>) -> PyResult<ToolNames> {
    let Some(tools) = tools else { return Ok(ToolNames::default()) };
    let mut names = Vec::new();
    for (index, tool) in iterate_tools(tools)?.enumerate() {
        let tool = tool?;
        names.push(tool_name(&tool)?.ok_or_else(|| not_a_tool(&tool, index))?);
    }
    Ok(ToolNames::new(names))
}

fn tool_name(tool: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if let Ok(name) = tool.cast::<PyString>() {
        return Ok(Some(utf8(name)?.into_owned()));
    }
    let py = tool.py();
    let function = member(tool, intern!(py, "function"))?.filter(|function| !function.is_callable());
    match function {
        Some(function) => tool_name(&function),
        None => {
            let name: Option<String> =
                member(tool, intern!(py, "name"))?.and_then(|name| name.extract().ok());
            Ok(name.map(|name| if is_built_in(&name) { function_recipient(&name) } else { name }))
        }
    }
}

/// The value of a mapping's key, or of an object's attribute.
fn member<'py>(tool: &Bound<'py, PyAny>, key: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    match tool.cast::<PyMapping>() {
        Ok(mapping) if mapping.contains(key)? => mapping.get_item(key).map(Some),
        Ok(_) => Ok(None),
        Err(_) => tool.getattr_opt(key),
    }
}

/// Reads a list of tools.
pub(crate) fn read_tools(tools: &Bound<'_, PyAny>) -> PyResult<Vec<Tool>> {
    if tools.is_none() {
        return Ok(Vec::new());
    }
    let tools = iterate_tools(tools)?.enumerate();
    tools.map(|(index, tool)| ToolFields::read(&tool?, index)?.tool(index)).collect()
}

/// Tools as OpenAI tool dicts. Takes names, dicts of OpenAI, MCP or Anthropic, and objects with `to_dict` or
/// `model_dump`.
///
/// A dict in OpenAI's form is returned unchanged. Raises `TypeError` for other objects and for a dict with no
/// known place for its parameters, and `RenderError` for parameters that are text but not JSON.
#[pyfunction]
pub(crate) fn tool_dicts<'py>(tools: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let dicts = iterate_tools(tools)?.enumerate();
    let dicts = dicts.map(|(index, tool)| ToolFields::read(&tool?, index)?.dict());
    PyList::new(tools.py(), dicts.collect::<PyResult<Vec<_>>>()?)
}

fn iterate_tools<'py>(
    tools: &Bound<'py, PyAny>,
) -> PyResult<impl Iterator<Item = PyResult<Bound<'py, PyAny>>>> {
    if tools.is_instance_of::<PyString>() || tools.is_instance_of::<PyDict>() {
        return Err(PyTypeError::new_err(format!("tools must be a list of tools, not {}", type_name(tools))));
    }
    iterate(tools, "tools")
}

fn not_a_tool(tool: &Bound<'_, PyAny>, index: usize) -> PyErr {
    PyTypeError::new_err(format!(
        "tools[{index}] must be a name, a tool dict or a tool, not {}",
        type_name(tool)
    ))
}

/// The fields of a tool dict, wherever they are in it.
struct ToolFields<'py> {
    /// The dict that was read, if it is in OpenAI's form.
    openai: Option<Bound<'py, PyDict>>,
    name: Bound<'py, PyString>,
    description: Option<Bound<'py, PyString>>,
    parameters: Option<Bound<'py, PyAny>>,
    strict: Option<Bound<'py, PyAny>>,
}

impl<'py> ToolFields<'py> {
    fn read(tool: &Bound<'py, PyAny>, index: usize) -> PyResult<ToolFields<'py>> {
        if let Ok(name) = tool.cast::<PyString>() {
            let name = name.clone();
            return Ok(ToolFields { openai: None, name, description: None, parameters: None, strict: None });
        }
        let py = tool.py();
        let outer = as_dict(tool)?.ok_or_else(|| not_a_tool(tool, index))?;
        let refuse = |problem: &str| PyTypeError::new_err(format!("tools[{index}]{problem}"));
        if let Some(kind) = value(&outer, intern!(py, "type"))?
            && !(kind.eq(intern!(py, "function"))? || kind.eq(intern!(py, "custom"))?)
        {
            return Err(refuse(&format!(" has the type {}: only functions can be rendered", kind.repr()?)));
        }
        let function = value(&outer, intern!(py, "function"))?;
        let fields = match &function {
            Some(function) => as_dict(function)?.ok_or_else(|| refuse("[\"function\"] must be a dict"))?,
            None => outer.clone(),
        };
        let text = |key: &Bound<'py, PyString>| -> PyResult<Option<Bound<'py, PyString>>> {
            let text = value(&fields, key)?.map(|value| {
                value.cast_into::<PyString>().map_err(|error| {
                    let key = key.to_string_lossy();
                    refuse(&format!("[{key:?}] must be str, not {}", type_name(&error.into_inner())))
                })
            });
            text.transpose()
        };
        let name = text(intern!(py, "name"))?.ok_or_else(|| refuse(" has no name"))?;
        let (key, parameters) = match schema(&fields)? {
            Some((key, parameters)) => (key, Some(parameters)),
            None => match (unplaced_key(&fields)?, unplaced_key(&outer)?) {
                (Some(key), _) => return Err(refuse(&format!(" has the unknown key {key:?}: {PARAMETERS}"))),
                (None, Some(key)) => {
                    return Err(refuse(&format!(
                        " has {key:?} beside \"function\": {PARAMETERS}, within it"
                    )));
                }
                (None, None) => (SCHEMA_KEY, None),
            },
        };
        let is_text = parameters.as_ref().is_some_and(|parameters| parameters.is_instance_of::<PyString>());
        let parameters = parameters.map(|parameters| match parameters.cast_into::<PyString>() {
            Ok(text) => parsed(&text, &format!("tools[{index}].{key}")),
            Err(error) => Ok(error.into_inner()),
        });
        let is_openai = function.is_some_and(|function| function.is_instance_of::<PyDict>())
            && key == SCHEMA_KEY
            && !is_text;
        Ok(ToolFields {
            openai: is_openai.then_some(outer),
            name,
            description: text(intern!(py, "description"))?,
            parameters: parameters.transpose()?,
            strict: value(&fields, intern!(py, "strict"))?,
        })
    }

    fn tool(&self, index: usize) -> PyResult<Tool> {
        let parameters = self.parameters.as_ref();
        let parameters =
            parameters.map(|parameters| read_json(parameters, &format!("tools[{index}].parameters")));
        Ok(Tool {
            name: name_of(&utf8(&self.name)?).to_owned(),
            description: match &self.description {
                Some(description) => utf8(description)?.into_owned(),
                None => String::new(),
            },
            parameters: parameters.transpose()?,
        })
    }

    /// The tool in OpenAI's form.
    fn dict(self) -> PyResult<Bound<'py, PyDict>> {
        if let Some(dict) = self.openai {
            return Ok(dict);
        }
        let py = self.name.py();
        let (outer, function) = (PyDict::new(py), PyDict::new(py));
        function.set_item("name", name_of(&utf8(&self.name)?))?;
        for (key, value) in [
            ("description", self.description.map(Bound::into_any)),
            ("parameters", self.parameters),
            ("strict", self.strict),
        ] {
            if let Some(value) = value {
                function.set_item(key, value)?;
            }
        }
        outer.set_item("type", "function")?;
        outer.set_item("function", function)?;
        Ok(outer)
    }
}

/// The value of a key; `None` also where it is Python's `None`, as SDKs write keys that were not sent.
fn value<'py>(dict: &Bound<'py, PyDict>, key: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(dict.get_item(key)?.filter(|value| !value.is_none()))
}

/// A dict itself, that of another mapping, or the one that an object's `to_dict` or `model_dump` returns.
fn as_dict<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
    if let Ok(dict) = object.cast::<PyDict>() {
        return Ok(Some(dict.clone()));
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let dict = PyDict::new(object.py());
        dict.update(mapping)?;
        return Ok(Some(dict));
    }
    for method in [intern!(object.py(), "to_dict"), intern!(object.py(), "model_dump")] {
        // The methods of a class, and not of an object, need an argument.
        let method = object.getattr_opt(method)?.filter(|_| !object.is_instance_of::<PyType>());
        if let Some(method) = method
            && let Ok(dict) = method.call0()?.cast_into::<PyDict>()
        {
            return Ok(Some(dict));
        }
    }
    Ok(None)
}

/// The JSON Schema of a tool, and its key: that of OpenAI's, MCP's or Anthropic's dicts.
fn schema<'py>(fields: &Bound<'py, PyDict>) -> PyResult<Option<(&'static str, Bound<'py, PyAny>)>> {
    let py = fields.py();
    for (key, interned) in [
        (SCHEMA_KEY, intern!(py, "parameters")),
        ("inputSchema", intern!(py, "inputSchema")),
        ("input_schema", intern!(py, "input_schema")),
    ] {
        if let Some(schema) = value(fields, interned)? {
            return Ok(Some((key, schema)));
        }
    }
    Ok(None)
}

/// Parameters that are JSON text, as some servers list them.
fn parsed<'py>(text: &Bound<'py, PyString>, path: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = text.py();
    let refused = |problem: &str| error(py, "RenderError", format!("{path} {problem}"), &PyDict::new(py));
    let loads = py.import(intern!(py, "json"))?.getattr(intern!(py, "loads"))?;
    let schema = loads
        .call1((text,))
        .map_err(|error| refused(&format!("is text, but not JSON: {}", error.value(py))))?;
    if schema.is_instance_of::<PyDict>() {
        Ok(schema)
    } else {
        Err(refused(&format!("must be the JSON of an object, not of {}", type_name(&schema))))
    }
}

/// A key that may hold the schema in a place that is not known: an unknown one with an object in it.
fn unplaced_key(fields: &Bound<'_, PyDict>) -> PyResult<Option<String>> {
    for (key, value) in fields.iter() {
        let Ok(key) = key.extract::<String>() else { continue };
        let is_object = value.is_instance_of::<PyDict>()
            || value
                .cast::<PyString>()
                .is_ok_and(|text| text.to_string_lossy().trim_start().starts_with('{'));
        if is_object && !OTHER_KEYS.contains(&key.as_str()) && key != "description" {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
