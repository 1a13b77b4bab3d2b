//! The texts of system and developer frames, from their fields.

use crate::error::RenderError;
use crate::message::Tool;
use crate::render::{Builtin, Dialect, ResponseFormat, Settings};
use crate::typescript::{comment, literal, parameters};
use crate::{chat_template, header_grammar, legacy};
use std::fmt::Write as _;

/// The built-in tools as openai-harmony 0.0.8 describes them to the models; other words would be other prompts.
const BROWSER: &str = include_str!("template/browser.txt");
const PYTHON: &str = include_str!("template/python.txt");

/// The text of the system frame.
pub(crate) fn system(settings: &Settings, with_functions: bool) -> Result<String, RenderError> {
    let mut out = settings.identity.clone();
    if let Some(cutoff) = &settings.knowledge_cutoff {
        header_grammar::line("knowledge_cutoff", cutoff)?;
        let _ = write!(out, "\nKnowledge cutoff: {cutoff}");
    }
    if let Some(date) = &settings.current_date {
        header_grammar::date(date)?;
        let _ = write!(out, "\nCurrent date: {date}");
    }
    let _ = write!(out, "\n\nReasoning: {}", settings.reasoning_effort.as_str());
    if !settings.builtin_tools.is_empty() {
        out.push_str("\n\n# Tools");
        for (tool, text) in [(Builtin::Browser, BROWSER), (Builtin::Python, PYTHON)] {
            if settings.builtin_tools.contains(&tool) {
                let _ = write!(out, "\n\n{}", text.trim_end());
            }
        }
    }
    out.push_str(
        "\n\n# Valid channels: analysis, commentary, final. Channel must be included for every message.",
    );
    if with_functions {
        out.push_str("\nCalls to these tools must go to the commentary channel: 'functions'.");
    }
    Ok(out)
}

/// The text of a developer frame: its sections, those that there are.
pub(crate) fn developer(
    instructions: Option<&str>,
    tools: &[Tool],
    format: Option<&ResponseFormat>,
    dialect: Dialect,
) -> Result<String, RenderError> {
    let mut sections = Vec::new();
    if let Some(text) = instructions {
        sections.push(format!("# Instructions\n\n{text}"));
    }
    if !tools.is_empty() {
        sections.push(functions(tools, dialect)?);
    }
    if let Some(format) = format {
        sections.push(response_format(format)?);
    }
    Ok(sections.join("\n\n"))
}

/// The section of the tools.
pub(crate) fn functions(tools: &[Tool], dialect: Dialect) -> Result<String, RenderError> {
    let mut out = String::from("# Tools\n\n## functions\n\nnamespace functions {\n\n");
    for (at, tool) in tools.iter().enumerate() {
        if tools.iter().take(at).any(|other| other.name == tool.name) {
            let message = format!("two tools are named {:?}: a model could not tell them apart", tool.name);
            return Err(RenderError { message, at: None });
        }
        let text = header_grammar::tool_name(&tool.name).and_then(|()| match dialect {
            Dialect::Motet => function(tool),
            Dialect::OpenaiHarmony => legacy_function(tool),
            Dialect::ChatTemplate => chat_template::schema::function(tool),
        });
        out.push_str(&text.map_err(|error| RenderError {
            message: format!("tool {:?}: {}", tool.name, error.message),
            ..error
        })?);
    }
    out.push_str("} // namespace functions");
    Ok(out)
}

/// A tool as a function type, with what it does above.
fn function(tool: &Tool) -> Result<String, RenderError> {
    let mut out = String::new();
    if !tool.description.is_empty() {
        comment(&mut out, "", &tool.description);
    }
    let parameters = parameters(tool.parameters.as_ref())?;
    let _ = write!(out, "{}type {} = ({}) => any;\n\n", parameters.comments, tool.name, parameters.text);
    Ok(out)
}

fn legacy_function(tool: &Tool) -> Result<String, RenderError> {
    let mut out = String::new();
    for line in tool.description.lines() {
        if line.chars().any(header_grammar::is_line_break) {
            let message =
                "the description has a line break other than a newline; dialect=\"motet\" writes it safely";
            return Err(RenderError { message: message.to_owned(), at: None });
        }
        let _ = writeln!(out, "// {line}");
    }
    let parameters = match &tool.parameters {
        Some(schema) => format!("_: {}", legacy::parameters(schema)?),
        None => String::new(),
    };
    let _ = write!(out, "type {} = ({parameters}) => any;\n\n", tool.name);
    Ok(out)
}

fn response_format(format: &ResponseFormat) -> Result<String, RenderError> {
    header_grammar::tool_name(&format.name).map_err(|error| RenderError {
        message: error.message.replacen("tool name", "response format", 1),
        ..error
    })?;
    let mut out = format!("# Response Formats\n\n## {}\n\n", format.name);
    if let Some(description) = &format.description {
        comment(&mut out, "", description);
    }
    out.push_str(&literal(&format.schema));
    Ok(out)
}
