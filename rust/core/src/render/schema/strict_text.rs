//! Checks of schema text for dialects without escaping: text that would leave its comment, string or name is refused.

use super::native::MAX_DEPTH;
use crate::error::RenderError;
use crate::header_grammar::is_line_break;

/// The path to the current place in a schema.
#[derive(Debug, Default)]
pub(crate) struct SchemaPath {
    path: Vec<String>,
}

impl SchemaPath {
    pub(crate) fn enter(&mut self, name: &str) -> Result<(), RenderError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(self.error(&format!("is nested deeper than {MAX_DEPTH}")));
        }
        self.path.push(name.to_owned());
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    pub(crate) fn error(&self, what: &str) -> RenderError {
        let path = if self.path.is_empty() { "the root".to_owned() } else { self.path.join(".") };
        let advice = "; dialect=\"motet\" writes it safely";
        RenderError { message: format!("the schema {what} at {path}{advice}"), at: None }
    }

    /// Text for a comment: one line.
    pub(crate) fn line<'v>(&self, what: &str, text: &'v str) -> Result<&'v str, RenderError> {
        if text.chars().any(is_line_break) {
            return Err(self.error(&format!("has a line break in a {what}")));
        }
        Ok(text)
    }

    /// Text between quotes.
    pub(crate) fn quoted<'v>(&self, what: &str, text: &'v str) -> Result<&'v str, RenderError> {
        if text.contains(['"', '\\']) {
            return Err(self.error(&format!("has a quotation mark or backslash in a {what}")));
        }
        self.line(what, text)
    }

    /// The name of a field or of a type.
    pub(crate) fn key<'v>(&self, key: &'v str) -> Result<&'v str, RenderError> {
        let odd = |c: char| is_line_break(c) || c.is_control() || "\"'`:;,(){}[]<>/\\=|".contains(c);
        if key.contains(odd) || key.is_empty() {
            return Err(self.error(&format!("has a field named {key:?}")));
        }
        Ok(key)
    }
}
