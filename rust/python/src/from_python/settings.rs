//! The keyword arguments of the parsers and of `motet.render`.

use super::json::read_json;
use super::tool::{read_tools, tool_names};
use super::{iterate, read_role, type_name};
use motet::parser::ParseOptions;
use motet::parser::stripped::Stripped;
use motet::render::{Builtin, Dialect, Effort, KeepAnalysis, RenderOptions, ResponseFormat};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;

pub(crate) fn parse_options(
    role: Option<&str>,
    tools: Option<&Bound<'_, PyAny>>,
    strict: bool,
    stripped: &str,
    transcript: bool,
) -> PyResult<Arc<ParseOptions>> {
    let (role, tools) = (read_role(role, "role")?, tool_names(tools)?);
    let stripped = read_stripped(stripped)?;
    Ok(Arc::new(ParseOptions { role, transcript, strict, stripped, tools }))
}

fn read_stripped(value: &str) -> PyResult<Stripped> {
    match value {
        "auto" => Ok(Stripped::Auto),
        "always" => Ok(Stripped::Always),
        "never" => Ok(Stripped::Never),
        _ => {
            Err(PyValueError::new_err(format!("stripped must be 'auto', 'always' or 'never', not {value:?}")))
        }
    }
}

/// Reads the keyword arguments of `motet.render`.
pub(crate) fn render_options(given: Option<&Bound<'_, PyDict>>) -> PyResult<RenderOptions> {
    let mut settings = RenderOptions::default();
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
            "tools" => settings.tools = read_tools(&value)?,
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
                let schema = read_json(&schema, "response_format.schema", 0)?;
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
            "next_role" => settings.next_role = read_role(text()?.as_deref(), "next_role")?,
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
