//! Tools as TypeScript-like function types, in three dialects.

pub(crate) mod chat_template;
pub(crate) mod native;
pub(crate) mod openai_harmony;
mod strict_text;

use super::options::Dialect;
use crate::error::RenderError;
use crate::header_grammar;
use crate::message::Tool;

/// The section of a developer frame that defines functions.
pub(crate) fn namespace(tools: &[Tool], dialect: Dialect) -> Result<String, RenderError> {
    let mut out = String::from("# Tools\n\n## functions\n\nnamespace functions {\n\n");
    for (at, tool) in tools.iter().enumerate() {
        if tools.iter().take(at).any(|other| other.name == tool.name) {
            let message = format!("two tools are named {:?}: a model could not tell them apart", tool.name);
            return Err(RenderError { message, at: None });
        }
        let text = header_grammar::tool_name(&tool.name).and_then(|()| match dialect {
            Dialect::Motet => native::function(tool),
            Dialect::OpenaiHarmony => openai_harmony::function(tool),
            Dialect::ChatTemplate => chat_template::function(tool),
        });
        out.push_str(&text.map_err(|error| RenderError {
            message: format!("tool {:?}: {}", tool.name, error.message),
            ..error
        })?);
    }
    out.push_str("} // namespace functions");
    Ok(out)
}
