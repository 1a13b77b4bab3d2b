//! Frames before they are encoded, and the message that each is made of.

use super::notes::{Note, Notes};
use crate::error::RenderError;
use crate::frame::{Frame, Header, Role, Stop};
use crate::message::Message;
use std::sync::Arc;

/// A frame to be encoded, and the part that it comes from.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) frame: Frame,
    /// Offsets in the content at which the text of another part begins: openai-harmony encodes each part separately.
    pub(crate) cuts: Vec<usize>,
    /// The index of the part in its message; `None` for frames made from the options.
    pub(crate) part: Option<usize>,
    pub(crate) is_reasoning: bool,
    /// What its text writes although a reader could misread it.
    pub(crate) notes: Vec<Note>,
}

impl Draft {
    /// A draft that ends with `<|end|>`.
    pub(crate) fn new(header: Header, content: String) -> Draft {
        let frame = Frame { header, content, stop: Some(Stop::End), implied: false };
        Draft { frame, cuts: Vec::new(), part: None, is_reasoning: false, notes: Vec::new() }
    }

    /// A system frame made from the options.
    pub(crate) fn system(text: String) -> Draft {
        Draft::new(Header::new(Role::System), text)
    }

    /// A developer frame, whose text has these notes.
    pub(crate) fn developer(text: String, notes: Notes) -> Draft {
        Draft { notes: notes.finish(), ..Draft::new(Header::new(Role::Developer), text) }
    }

    /// The draft as part `part` of its message.
    pub(crate) fn of(self, part: usize) -> Draft {
        Draft { part: Some(part), ..self }
    }

    /// The same frame without its stop token.
    pub(crate) fn opened(&self) -> Draft {
        let frame = Frame { stop: None, ..self.frame.clone() };
        Draft { frame, cuts: self.cuts.clone(), notes: self.notes.clone(), ..*self }
    }

    pub(crate) fn is_final(&self) -> bool {
        self.frame.header.role == Role::Assistant && self.frame.header.channel.as_deref() == Some("final")
    }
}

/// A message and its frames.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    pub(crate) drafts: Vec<Arc<Draft>>,
    /// Parts for which the dialect has no frame.
    pub(crate) omitted: Vec<usize>,
}

/// An error at the message that the caller adds.
pub(crate) fn refusal(message: &str) -> RenderError {
    RenderError { message: message.to_owned(), at: None }
}
