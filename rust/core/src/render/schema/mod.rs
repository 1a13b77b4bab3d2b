//! Tools as TypeScript-like function types, in three dialects.

pub(crate) mod chat_template;
pub(crate) mod native;
pub(crate) mod openai_harmony;
mod strict_text;

use self::openai_harmony::Numbers;
use super::notes::{NoteCode, Notes};
use super::options::Dialect;
use super::renamed;
use crate::error::RenderError;
use crate::header_grammar;
use crate::message::Tool;
use crate::wire_name::wire_names;
use std::borrow::Cow;

/// The section of a developer frame that defines functions.
pub(crate) fn namespace(tools: &[Tool], dialect: Dialect, notes: &mut Notes) -> Result<String, RenderError> {
    let mut types = native::NamedTypes::default();
    let declared = tools;
    let wires = wire_names(tools.iter().map(|tool| tool.name.as_str()));
    let renamed: Vec<Tool>;
    let tools = if wires.iter().all(|wire| matches!(wire, Cow::Borrowed(_))) {
        tools
    } else {
        let names = wires.into_iter().map(Cow::into_owned);
        renamed = tools.iter().zip(names).map(|(tool, name)| Tool { name, ..tool.clone() }).collect();
        &renamed
    };
    let mut out = String::from("# Tools\n\n## functions\n\nnamespace functions {\n\n");
    for (at, (tool, Tool { name, .. })) in tools.iter().zip(declared).enumerate() {
        if tools.iter().take(at).any(|other| other.name == tool.name) {
            let message = format!("two tools are named {:?}: a model could not tell them apart", tool.name);
            if dialect == Dialect::Motet {
                return Err(RenderError { message, at: None });
            }
            notes.add(NoteCode::DuplicateTool, message)?;
        }
        out.push_str(&notes.within(&format!("tool {}: ", header_grammar::excerpt(name)), |notes| {
            if name.is_empty() {
                header_grammar::tool_name(name)?;
            }
            if *name != tool.name {
                renamed::note(notes, "its name", &tool.name)?;
            }
            match dialect {
                Dialect::Motet => native::function(tool, tools, &mut types, notes),
                Dialect::OpenaiHarmony => openai_harmony::function(tool, Numbers::OpenaiHarmony, notes),
                Dialect::OssHarmony => openai_harmony::function(tool, Numbers::OssHarmony, notes),
                Dialect::ChatTemplate => chat_template::function(tool, notes),
            }
        })?);
    }
    out.push_str("} // namespace functions");
    Ok(out)
}
