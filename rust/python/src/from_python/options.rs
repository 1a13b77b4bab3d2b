//! The keyword arguments of the parsers and of `motet.render`.

use super::json::read_json;
use super::text::utf8;
use super::tool::{read_tools, tool_names};
use super::{iterate, read_role, type_name};
use motet::marker::Marker;
use motet::parser::ParseOptions;
use motet::parser::opened::{Opened, OpenedError};
use motet::parser::stripped::Stripped;
use motet::parser::tool_names::ToolNames;
use motet::render::{Builtin, Dialect, Effort, KeepAnalysis, RenderOptions, ResponseFormat};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::borrow::Cow;
use std::sync::Arc;

/// The keyword arguments that the parsers have in common.
pub(crate) struct ParseArguments<'a, 'py> {
    pub(crate) role: Option<&'a str>,
    pub(crate) opened: Option<&'a str>,
    pub(crate) tools: Option<&'a Bound<'py, PyAny>>,
    pub(crate) strict: bool,
    pub(crate) stripped: &'a str,
    pub(crate) turn: u64,
}

pub(crate) fn parse_options(
    arguments: &ParseArguments<'_, '_>,
    transcript: bool,
) -> PyResult<Arc<ParseOptions>> {
    let &ParseArguments { role, opened, tools, strict, stripped, turn } = arguments;
    let (role, tools) = (read_role(role, "role")?, tool_names(tools)?);
    let opened = opened.map(|text| read_opened(text, &tools)).transpose()?;
    let stripped = match stripped {
        "auto" => Stripped::Auto,
        "always" => Stripped::Always,
        "never" => Stripped::Never,
        _ => {
            let message = format!("stripped must be 'auto', 'always' or 'never', not {stripped:?}");
            return Err(PyValueError::new_err(message));
        }
    };
    Ok(Arc::new(ParseOptions { role, opened, transcript, strict, stripped, tools, turn }))
}

fn read_opened(text: &str, tools: &ToolNames) -> PyResult<Opened> {
    Opened::new(text, tools).map_err(|error| {
        let message = Marker::Message.spelling();
        let reason = match error {
            OpenedError::Content => format!("text behind {message} belongs to the completion"),
            OpenedError::Marker(marker) => format!("{} does not belong to a header", marker.spelling()),
            OpenedError::NotAHeader => {
                let channel = Marker::Channel.spelling();
                format!("give a channel ('analysis') or a header ('{channel}analysis{message}')")
            }
        };
        PyValueError::new_err(format!("opened is not the header that a prompt ends with: {text:?}; {reason}"))
    })
}

/// The names of the values that a render option can have.
const EFFORTS: [(&str, Effort); 3] =
    [("low", Effort::Low), ("medium", Effort::Medium), ("high", Effort::High)];
const KEEP_ANALYSIS: [(&str, KeepAnalysis); 4] = [
    ("turn", KeepAnalysis::Turn),
    ("all", KeepAnalysis::All),
    ("none", KeepAnalysis::None),
    ("openai_harmony", KeepAnalysis::OpenaiHarmony),
];
const DIALECTS: [(&str, Dialect); 4] = [
    ("motet", Dialect::Motet),
    ("openai_harmony", Dialect::OpenaiHarmony),
    ("oss_harmony", Dialect::OssHarmony),
    ("chat_template", Dialect::ChatTemplate),
];

/// One keyword argument.
struct Keyword<'a, 'py> {
    name: &'a str,
    value: &'a Bound<'py, PyAny>,
}

impl<'a> Keyword<'a, '_> {
    fn str(&self) -> PyResult<Option<Cow<'a, str>>> {
        let Keyword { name, value } = *self;
        if value.is_none() {
            return Ok(None);
        }
        let text = value
            .cast::<PyString>()
            .map_err(|_| PyTypeError::new_err(format!("{name} must be str, not {}", type_name(value))))?;
        utf8(text).map(Some)
    }

    fn text(&self) -> PyResult<Option<String>> {
        Ok(self.str()?.map(Cow::into_owned))
    }

    fn required_text(&self) -> PyResult<String> {
        let missing = || PyTypeError::new_err(format!("{} must be str, not None", self.name));
        self.text()?.ok_or_else(missing)
    }

    fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> PyResult<T> {
        let text = self.str()?.unwrap_or(Cow::Borrowed("None"));
        let choice = choices.iter().find(|(name, _)| *name == text);
        choice.map(|(_, choice)| *choice).ok_or_else(|| {
            let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("', '");
            PyValueError::new_err(format!("{} must be one of '{names}', not {text:?}", self.name))
        })
    }

    fn builtin_tools(&self) -> PyResult<Vec<Builtin>> {
        let names = iterate(self.value, self.name)?.map(|name| name?.extract::<String>());
        let tools = names.map(|name| {
            let name = name?;
            Builtin::ALL.into_iter().find(|tool| tool.as_str() == name).ok_or_else(|| {
                let names = Builtin::ALL.map(Builtin::as_str).join("', '");
                PyValueError::new_err(format!("builtin_tools can be '{names}', not {name:?}"))
            })
        });
        tools.collect()
    }

    /// `(name, description, schema)`, as `motet.harmony` passes it.
    fn response_format(&self) -> PyResult<Option<ResponseFormat>> {
        if self.value.is_none() {
            return Ok(None);
        }
        let (name, description, schema): (String, Option<String>, Bound<'_, PyAny>) = self.value.extract()?;
        let schema = read_json(&schema, "response_format.schema")?;
        Ok(Some(ResponseFormat { name, description, schema }))
    }
}

/// Reads the keyword arguments of `motet.render`.
pub(crate) fn render_options(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<RenderOptions> {
    let mut options = RenderOptions::default();
    for (name, value) in keywords.into_iter().flat_map(|keywords| keywords.iter()) {
        let name = utf8(name.cast::<PyString>()?)?;
        let keyword = Keyword { name: &name, value: &value };
        match keyword.name {
            "tools" => options.tools = read_tools(&value)?,
            "builtin_tools" => options.builtin_tools = keyword.builtin_tools()?,
            "instructions" => options.instructions = keyword.text()?,
            "response_format" => options.response_format = keyword.response_format()?,
            "reasoning_effort" => options.reasoning_effort = keyword.choice(&EFFORTS)?,
            "current_date" => options.current_date = keyword.text()?,
            "identity" => options.identity = keyword.required_text()?,
            "knowledge_cutoff" => options.knowledge_cutoff = keyword.text()?,
            "next_role" => options.next_role = read_role(keyword.str()?.as_deref(), "next_role")?,
            "keep_analysis" => options.keep_analysis = keyword.choice(&KEEP_ANALYSIS)?,
            "dialect" => options.dialect = keyword.choice(&DIALECTS)?,
            "continue_final_message" => options.continue_final_message = value.is_truthy()?,
            "strict" => options.strict = value.is_truthy()?,
            name => return Err(PyTypeError::new_err(format!("render() has no option {name:?}"))),
        }
    }
    Ok(options)
}
