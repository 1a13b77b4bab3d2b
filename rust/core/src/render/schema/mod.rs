//! Tools as TypeScript-like function types, in three dialects.

pub(crate) mod chat_template;
pub(crate) mod native;
pub(crate) mod openai_harmony;
mod strict_text;

use super::notes::{NoteCode, Notes};
use super::options::Dialect;
use crate::error::RenderError;
use crate::header_grammar;
use crate::message::Tool;

/// The section of a developer frame that defines functions.
pub(crate) fn namespace(tools: &[Tool], dialect: Dialect, notes: &mut Notes) -> Result<String, RenderError> {
    let mut types = native::NamedTypes::default();
    let mut out = String::from("# Tools\n\n## functions\n\nnamespace functions {\n\n");
    for (at, tool) in tools.iter().enumerate() {
        if tools.iter().take(at).any(|other| other.name == tool.name) {
            let message = format!("two tools are named {:?}: a model could not tell them apart", tool.name);
            if dialect == Dialect::Motet {
                return Err(RenderError { message, at: None });
            }
            notes.add(NoteCode::DuplicateTool, message)?;
        }
        out.push_str(&notes.within(&format!("tool {:?}: ", tool.name), |notes| {
            header_grammar::tool_name(&tool.name)?;
            match dialect {
                Dialect::Motet => native::function(tool, tools, &mut types, notes),
                Dialect::OpenaiHarmony => openai_harmony::function(tool, notes),
                Dialect::ChatTemplate => chat_template::function(tool, notes),
            }
        })?);
    }
    out.push_str("} // namespace functions");
    Ok(out)
}
