//! Checks of schema text for dialects without escaping. Text that leaves its comment, string or name is written as the
//! implementation that the dialect stands in for writes it, and noted; rendering with `strict` refuses it.

use crate::error::RenderError;
use crate::header_grammar::is_line_break;
use crate::render::notes::{NoteCode, Notes};

/// Deeper schemas are refused: openai-harmony's JSON parser stops at 128 levels, of which a property takes two.
const MAX_DEPTH: usize = 128;

/// The path to the current place in a schema, and the notes on its text.
#[derive(Debug)]
pub(crate) struct SchemaPath<'n> {
    path: Vec<String>,
    notes: &'n mut Notes,
}

impl<'n> SchemaPath<'n> {
    pub(crate) fn new(notes: &'n mut Notes) -> SchemaPath<'n> {
        SchemaPath { path: Vec::new(), notes }
    }

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

    fn sentence(&self, what: &str) -> String {
        let path = if self.path.is_empty() { "the root".to_owned() } else { self.path.join(".") };
        format!("the schema {what} at {path}")
    }

    pub(crate) fn error(&self, what: &str) -> RenderError {
        RenderError { message: self.sentence(what), at: None }
    }

    fn note(&mut self, what: &str) -> Result<(), RenderError> {
        let message = format!("{}; dialect=\"motet\" escapes it", self.sentence(what));
        self.notes.add(NoteCode::UnescapedText, message)
    }

    /// The description of the tool itself, of which `written` is in a comment.
    pub(crate) fn tool_description(&mut self, written: &str) -> Result<(), RenderError> {
        if written.chars().any(is_line_break) {
            let message =
                "the description has a line break that leaves its comment; dialect=\"motet\" escapes it";
            self.notes.add(NoteCode::UnescapedText, message.to_owned())?;
        }
        Ok(())
    }

    /// Text in a comment of one line.
    pub(crate) fn line<'v>(&mut self, what: &str, text: &'v str) -> Result<&'v str, RenderError> {
        if text.chars().any(is_line_break) {
            self.note(&format!("has a line break in a {what}"))?;
        }
        Ok(text)
    }

    /// Text between quotes.
    pub(crate) fn quoted<'v>(&mut self, what: &str, text: &'v str) -> Result<&'v str, RenderError> {
        if text.contains(['"', '\\']) {
            self.note(&format!("has a quotation mark or backslash in a {what}"))?;
        }
        self.line(what, text)
    }

    /// The name of a field or of a type.
    pub(crate) fn key<'v>(&mut self, key: &'v str) -> Result<&'v str, RenderError> {
        let odd = |c: char| is_line_break(c) || c.is_control() || "\"'`:;,(){}[]<>/\\=|".contains(c);
        if key.contains(odd) || key.is_empty() {
            self.note(&format!("has a field named {key:?}"))?;
        }
        Ok(key)
    }
}
