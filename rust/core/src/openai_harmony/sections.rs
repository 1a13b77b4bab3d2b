//! The texts of system and developer contents.

use super::content::{DeveloperContent, Library, SystemContent, ToolNamespace};
use super::error::HarmonyError;
use crate::render::{Notes, Numbers, openai_harmony_function};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text of a system content: its sections, with an empty line between them.
pub(super) fn system(
    content: &SystemContent,
    has_function_tools: bool,
    library: Library,
) -> Result<String, HarmonyError> {
    let mut sections = Vec::new();
    let head: Vec<String> = [
        content.model_identity.clone(),
        content.knowledge_cutoff.as_ref().map(|cutoff| format!("Knowledge cutoff: {cutoff}")),
        content.conversation_start_date.as_ref().map(|date| format!("Current date: {date}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !head.is_empty() {
        sections.push(head.join("\n"));
    }
    if let Some(effort) = content.reasoning_effort {
        sections.push(format!("Reasoning: {}", effort.as_str()));
    }
    sections.extend(tools(content.tools.as_ref(), library)?);
    if let Some(config) = content.channel_config.as_ref().filter(|config| !config.valid_channels.is_empty()) {
        let mut text = format!("# Valid channels: {}.", config.valid_channels.join(", "));
        if config.channel_required {
            text.push_str(" Channel must be included for every message.");
        }
        if has_function_tools {
            text.push_str("\nCalls to these tools must go to the commentary channel: 'functions'.");
        }
        sections.push(text);
    }
    Ok(sections.join("\n\n"))
}

/// The text of a developer content.
pub(super) fn developer(content: &DeveloperContent, library: Library) -> Result<String, HarmonyError> {
    let instructions = content.instructions.as_ref().map(|text| format!("# Instructions\n\n{text}"));
    let sections: Vec<String> =
        instructions.into_iter().chain(tools(content.tools.as_ref(), library)?).collect();
    Ok(sections.join("\n\n"))
}

fn tools(
    namespaces: Option<&BTreeMap<String, ToolNamespace>>,
    library: Library,
) -> Result<Option<String>, HarmonyError> {
    let numbers = match library {
        Library::OpenaiHarmony => Numbers::OpenaiHarmonyRead,
        Library::OssHarmony => Numbers::OssHarmony,
    };
    let Some(namespaces) = namespaces.filter(|namespaces| !namespaces.is_empty()) else { return Ok(None) };
    let mut out = "# Tools".to_owned();
    for namespace in namespaces.values() {
        out.push_str("\n\n");
        push_namespace(namespace, numbers, &mut out)?;
    }
    Ok(Some(out))
}

/// A namespace: its description and its functions as types. One without tools has its description as plain text.
fn push_namespace(namespace: &ToolNamespace, numbers: Numbers, out: &mut String) -> Result<(), HarmonyError> {
    let ToolNamespace { name, description, tools } = namespace;
    let mut lines = vec![format!("## {name}\n")];
    let comment = if tools.is_empty() { "" } else { "// " };
    lines.extend(description.iter().flat_map(|text| text.lines()).map(|line| format!("{comment}{line}")));
    if !tools.is_empty() {
        let mut block = format!("namespace {name} {{\n\n");
        let mut notes = Notes::new(false);
        for tool in tools {
            block.push_str(
                &openai_harmony_function(tool, numbers, &mut notes)
                    .map_err(|error| HarmonyError(error.message))?,
            );
        }
        let _ = write!(block, "}} // namespace {name}");
        lines.push(block);
    }
    out.push_str(&lines.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Tool;
    use crate::openai_harmony::builtin;
    use crate::render::{Builtin, RenderOptions, render};
    use serde_json::Value;

    fn namespace(json: &str) -> ToolNamespace {
        let value: Value = serde_json::from_str(json).expect("JSON");
        let text = |value: &Value, key: &str| value[key].as_str().expect("a string").to_owned();
        let tool = |tool: &Value| Tool {
            name: text(tool, "name"),
            description: text(tool, "description"),
            parameters: Some(tool["parameters"].clone()),
        };
        ToolNamespace {
            name: text(&value, "name"),
            description: Some(text(&value, "description")),
            tools: value["tools"].as_array().expect("a list").iter().map(tool).collect(),
        }
    }

    #[test]
    fn descriptors_give_the_texts_of_prompts() {
        let namespaces = [namespace(builtin::BROWSER), namespace(builtin::PYTHON)];
        let tools = namespaces.map(|namespace| (namespace.name.clone(), namespace)).into();
        let text = super::tools(Some(&tools), Library::OpenaiHarmony).expect("a text").expect("tools");
        let options =
            RenderOptions { builtin_tools: vec![Builtin::Browser, Builtin::Python], ..Default::default() };
        let prompt = render(Vec::new(), options).expect("a prompt").text();
        assert!(prompt.contains(&text), "{text}");
    }
}
