//! Tools: names, OpenAI tool dicts, or objects that give such a dict of themselves.

use super::json::read_json;
use super::text::utf8;
use super::{iterate, type_name};
use motet::message::Tool;
use motet::parser::tool_names::ToolNames;
use motet::tool_name::name_of;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// The names in a list of tools: strings, OpenAI dicts, or objects with a `name`.
pub(crate) fn tool_names(tools: Option<&Bound<'_, PyAny>>) -> PyResult<ToolNames> {
    let Some(tools) = tools else { return Ok(ToolNames::default()) };
    if tools.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("tools must be a list of tools, not str"));
    }
    let mut names = Vec::new();
    for (index, tool) in iterate(tools, "tools")?.enumerate() {
        let tool = tool?;
        let name = tool_name(&tool)?.ok_or_else(|| {
            let found = type_name(&tool);
            PyTypeError::new_err(format!(
                "tools[{index}] must be a name, an OpenAI tool dict or a tool, not {found}"
            ))
        })?;
        names.push(name);
    }
    Ok(ToolNames::new(names))
}

fn tool_name(tool: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if let Ok(name) = tool.cast::<PyString>() {
        return Ok(Some(utf8(name)?.into_owned()));
    }
    if let Ok(dict) = tool.cast::<PyDict>() {
        if let Some(function) = dict.get_item("function")? {
            return tool_name(&function);
        }
        return dict.get_item("name")?.map(|name| name.extract()).transpose();
    }
    match tool.getattr_opt(intern!(tool.py(), "name"))? {
        Some(name) => Ok(name.extract().ok()),
        None => Ok(None),
    }
}

/// Reads a list of tools: names, OpenAI tool dicts, or objects that give such a dict of themselves.
pub(crate) fn read_tools(objects: &Bound<'_, PyAny>) -> PyResult<Vec<Tool>> {
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
    tools.map(|(index, tool)| read_tool(&tool?, index)).collect()
}

fn read_tool(object: &Bound<'_, PyAny>, index: usize) -> PyResult<Tool> {
    let refuse = |what: &str| PyTypeError::new_err(format!("tools[{index}]{what}"));
    if let Ok(name) = object.cast::<PyString>() {
        let name = name_of(&utf8(name)?).to_owned();
        return Ok(Tool { name, description: String::new(), parameters: None });
    }
    let Ok(outer) = object.cast::<PyDict>() else {
        if let Some(as_dict) = object.getattr_opt(intern!(object.py(), "to_dict"))? {
            let shape = as_dict.call0()?;
            if shape.is_instance_of::<PyDict>() {
                return read_tool(&shape, index);
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
        Ok(Some(utf8(text)?.into_owned()))
    };
    let parameters = fields.get_item("parameters")?.filter(|value| !value.is_none());
    Ok(Tool {
        name: name_of(&text("name")?.ok_or_else(|| refuse(" has no name"))?).to_owned(),
        description: text("description")?.unwrap_or_default(),
        parameters: parameters
            .map(|value| read_json(&value, &format!("tools[{index}].parameters")))
            .transpose()?,
    })
}
