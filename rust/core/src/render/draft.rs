//! Frames before they are encoded, and the message that each is made of.

use super::notes::{Note, Notes};
use crate::error::RenderError;
use crate::frame::{Frame, Header, Role, Stop};
use crate::message::{Message, Part};
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
    /// Notes on its text.
    pub(crate) notes: Vec<Note>,
    /// The ids that a model sampled for it; they stand for the frame.
    pub(crate) sampled: Option<SampledIds>,
}

impl Draft {
    /// A draft that ends with `<|end|>`.
    pub(crate) fn new(header: Header, content: String) -> Draft {
        let frame = Frame { header, content, stop: Some(Stop::End), implied: false };
        Draft { frame, cuts: Vec::new(), part: None, is_reasoning: false, notes: Vec::new(), sampled: None }
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
        Draft { frame, cuts: self.cuts.clone(), notes: self.notes.clone(), sampled: None, ..*self }
    }

    pub(crate) fn is_final(&self) -> bool {
        self.frame.header.role == Role::Assistant && self.frame.header.channel.as_deref() == Some("final")
    }
}

/// What a sampled frame says, as the parser classifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampledKind {
    Reasoning,
    Preamble,
    Text,
    Call,
    /// A frame of another role.
    Foreign,
}

/// The ids of a draft that was sampled.
#[derive(Clone, Debug)]
pub(crate) struct SampledIds {
    pub(crate) ids: Vec<u32>,
    pub(crate) kind: SampledKind,
    /// The stop token that was not sampled.
    pub(crate) close: Option<Stop>,
}

/// A message and its frames.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    pub(crate) drafts: Vec<Arc<Draft>>,
    /// Parts for which the dialect has no frame.
    pub(crate) omitted: Vec<usize>,
}

/// A conversation whose beginning may be another one.
pub(crate) trait Conversation {
    /// The conversation that it goes on with.
    fn base(&self) -> Option<&dyn Conversation>;
    /// The messages that follow those of the base.
    fn entries(&self) -> &[Arc<Entry>];
}

/// The messages before one.
#[derive(Clone, Copy)]
pub(crate) struct Earlier<'a> {
    pub(crate) base: Option<&'a dyn Conversation>,
    pub(crate) entries: &'a [Arc<Entry>],
}

impl<'a> Earlier<'a> {
    /// The messages, the last one first.
    pub(crate) fn messages_backwards(self) -> impl Iterator<Item = &'a Message> {
        let bases = std::iter::successors(self.base, |conversation| conversation.base());
        let groups = std::iter::once(self.entries).chain(bases.map(Conversation::entries));
        groups.flat_map(|entries| entries.iter().rev()).map(|entry| &entry.message)
    }

    /// The parts of the messages, the last one first.
    pub(crate) fn parts_backwards(self) -> impl Iterator<Item = &'a Part> {
        self.messages_backwards().flat_map(|message| message.content.iter().rev())
    }
}

/// An error at the message that the caller adds.
pub(crate) fn refusal(message: &str) -> RenderError {
    RenderError { message: message.to_owned(), at: None }
}
