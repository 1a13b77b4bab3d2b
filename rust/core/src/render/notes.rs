//! Notes on a prompt: texts that its dialect writes although a model could misread them.

use crate::error::RenderError;

/// The kind of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteCode {
    /// Text of a tool leaves its comment, string or name, as in the implementation that the dialect stands in for.
    UnescapedText,
    /// Two tools have one name.
    DuplicateTool,
    /// A tool's name that a header cannot hold is written as another.
    RenamedTool,
    /// A schema refers to a definition that it does not hold; its type is `any`.
    UnresolvedReference,
}

impl NoteCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            NoteCode::UnescapedText => "unescaped_text",
            NoteCode::DuplicateTool => "duplicate_tool",
            NoteCode::RenamedTool => "renamed_tool",
            NoteCode::UnresolvedReference => "unresolved_reference",
        }
    }
}

/// A remark on a rendered prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub code: NoteCode,
    /// What is written, and where, in one sentence.
    pub message: String,
}

/// Collects notes. Rendering with `strict` raises the first one.
#[derive(Debug)]
pub(crate) struct Notes {
    strict: bool,
    notes: Vec<Note>,
}

impl Notes {
    pub(crate) const fn new(strict: bool) -> Notes {
        Notes { strict, notes: Vec::new() }
    }

    pub(crate) fn add(&mut self, code: NoteCode, message: String) -> Result<(), RenderError> {
        if self.strict {
            return Err(RenderError { message, at: None });
        }
        self.notes.push(Note { code, message });
        Ok(())
    }

    /// The result of `write`, whose notes and error begin with `prefix`.
    pub(crate) fn within<T>(
        &mut self,
        prefix: &str,
        write: impl FnOnce(&mut Notes) -> Result<T, RenderError>,
    ) -> Result<T, RenderError> {
        let start = self.notes.len();
        let result = write(self);
        for note in self.notes.iter_mut().skip(start) {
            note.message.insert_str(0, prefix);
        }
        result.map_err(|error| RenderError { message: format!("{prefix}{}", error.message), ..error })
    }

    /// An empty collection with the same strictness, for an attempt that may be given up.
    pub(crate) const fn fork(&self) -> Notes {
        Notes::new(self.strict)
    }

    pub(crate) fn join(&mut self, attempt: Notes) {
        self.notes.extend(attempt.notes);
    }

    pub(crate) fn finish(self) -> Vec<Note> {
        self.notes
    }
}
