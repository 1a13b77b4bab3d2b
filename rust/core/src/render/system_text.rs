//! The texts of system and developer frames, from their fields.

use super::notes::Notes;
use super::options::{Builtin, Dialect, RenderOptions, ResponseFormat};
use super::schema::namespace;
use super::schema::native::{comment, literal};
use crate::error::RenderError;
use crate::header_grammar;
use crate::message::Tool;
use std::fmt::Write as _;

/// The description of a built-in tool.
///
/// Those of `browser` and `python` are openai-harmony 0.0.8's, byte for byte. No publisher states the other two. The
/// text of `container` is that of the tool server in vLLM's recipe for gpt-oss, its arguments those of the recipe and of
/// prompts in public logs. The functions and arguments of `repo_browser` are those that gpt-oss calls without being
/// told of them, as arXiv 2604.00362 measured; the descriptions are motet's.
const fn description(tool: Builtin) -> &'static str {
    match tool {
        Builtin::Browser => include_str!("texts/browser.txt"),
        Builtin::Container => include_str!("texts/container.txt"),
        Builtin::Python => include_str!("texts/python.txt"),
        Builtin::RepoBrowser => include_str!("texts/repo_browser.txt"),
    }
}

/// Tools that the published chat template describes; it ignores other names.
const IN_CHAT_TEMPLATE: [Builtin; 2] = [Builtin::Browser, Builtin::Python];

/// The text of the system frame.
pub(crate) fn system(options: &RenderOptions, with_functions: bool) -> Result<String, RenderError> {
    let mut out = options.identity.clone();
    if let Some(cutoff) = &options.knowledge_cutoff {
        header_grammar::line("knowledge_cutoff", cutoff)?;
        let _ = write!(out, "\nKnowledge cutoff: {cutoff}");
    }
    if let Some(date) = &options.current_date {
        header_grammar::date(date)?;
        let _ = write!(out, "\nCurrent date: {date}");
    }
    let _ = write!(out, "\n\nReasoning: {}", options.reasoning_effort.as_str());
    if !options.builtin_tools.is_empty() {
        out.push_str("\n\n# Tools");
        for tool in Builtin::ALL.into_iter().filter(|tool| options.builtin_tools.contains(tool)) {
            if options.dialect == Dialect::ChatTemplate && !IN_CHAT_TEMPLATE.contains(&tool) {
                let name = tool.as_str();
                let message = format!(
                    "the chat template describes browser and python, not {name}; use another dialect"
                );
                return Err(RenderError { message, at: None });
            }
            let _ = write!(out, "\n\n{}", description(tool).trim_end());
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

/// The text of a developer frame: instructions, tools and response format, as far as they are there.
pub(crate) fn developer(
    instructions: Option<&str>,
    tools: &[Tool],
    format: Option<&ResponseFormat>,
    dialect: Dialect,
    notes: &mut Notes,
) -> Result<String, RenderError> {
    let mut sections = Vec::new();
    if let Some(text) = instructions {
        sections.push(format!("# Instructions\n\n{text}"));
    }
    if !tools.is_empty() {
        sections.push(namespace(tools, dialect, notes)?);
    }
    if let Some(format) = format {
        sections.push(response_format(format)?);
    }
    Ok(sections.join("\n\n"))
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
