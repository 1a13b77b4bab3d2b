//! A conversation as ids: which frames it has, and where each message lies.

use super::chat_template::{self, MessageFrames};
use super::draft::{Draft, Entry, refusal};
use super::frame_writer::{write_frame, write_next_role};
use super::incremental::{EncodedDraft, IncrementalWriter};
use super::native;
use super::notes::Note;
use super::options::{Dialect, RenderOptions};
use super::preface::Preface;
use super::retention::Retention;
use crate::error::RenderError;
use crate::frame::{Frame, Role};
use crate::message::{Message, Part};
use std::sync::Arc;

/// A rendered conversation, immutable; [`Prompt::extend`] gives a longer one.
#[derive(Clone, Debug)]
pub struct Prompt {
    options: Arc<RenderOptions>,
    /// The frames made from the options.
    preface: Vec<Arc<Draft>>,
    entries: Vec<Arc<Entry>>,
    ids: Vec<u32>,
    encoded: Vec<EncodedDraft>,
    spans: Vec<(usize, usize)>,
    dropped: Vec<(usize, usize)>,
}

impl Prompt {
    fn empty(preface: Vec<Arc<Draft>>, options: RenderOptions) -> Prompt {
        Prompt {
            options: Arc::new(options),
            preface,
            entries: Vec::new(),
            ids: Vec::new(),
            encoded: Vec::new(),
            spans: Vec::new(),
            dropped: Vec::new(),
        }
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The prompt as text with spelled markers.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for encoded in &self.encoded {
            write_frame(&encoded.draft.frame, &mut out);
        }
        write_next_role(self.next_role(), &mut out);
        out
    }

    /// The role whose header ends the prompt.
    fn next_role(&self) -> Option<Role> {
        self.options.next_role.filter(|_| !self.options.continue_final_message)
    }

    /// The range of ids of each message; empty if no part of it was rendered.
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// The indices of message and part of everything that was left out.
    pub fn dropped(&self) -> &[(usize, usize)] {
        &self.dropped
    }

    /// The notes on the prompt, each with the index of its message; `None` for frames made from the options.
    pub fn notes(&self) -> Vec<(Option<usize>, &Note)> {
        let preface = self.preface.iter().map(|draft| (None, draft));
        let entries = self.entries.iter().enumerate().flat_map(|(at, entry)| {
            entry.drafts.iter().map(move |draft| (draft.part.is_some().then_some(at), draft))
        });
        let drafts = preface.chain(entries);
        drafts.flat_map(|(at, draft)| draft.notes.iter().map(move |note| (at, note))).collect()
    }

    pub(crate) fn encoded_drafts(&self) -> &[EncodedDraft] {
        &self.encoded
    }

    /// The frames of the prompt, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.encoded.iter().map(|encoded| &encoded.draft.frame)
    }

    /// The prompt with more messages. Only new and changed frames are encoded.
    pub fn extend(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        check_parts(&messages, self.entries.len())?;
        let all = self.entries.iter().map(|entry| entry.message.clone());
        if self.options.dialect == Dialect::ChatTemplate {
            // The chat template drops earlier reasoning by what follows it, so every frame may change.
            return self.with_template(all.chain(messages).collect());
        }
        // The preface depends on the first message, and on the second one behind a system message.
        let undecided = match self.entries.as_slice() {
            [] => true,
            [only] => matches!(only.message.content.as_slice(), [Part::System { .. }]),
            _ => false,
        };
        if undecided {
            return render(all.chain(messages).collect(), RenderOptions::clone(&self.options));
        }
        self.with(messages)
    }

    fn with(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        let mut entries = self.entries.clone();
        for message in messages {
            let at = entries.len();
            let place = |error: RenderError| RenderError { at: error.at.or(Some(at)), ..error };
            let drafts = native::drafts(&message, &entries, &self.options).map_err(place)?;
            entries.push(Arc::new(Entry { message, drafts, omitted: Vec::new() }));
        }
        self.write(self.preface.clone(), entries)
    }

    /// The prompt of these messages in the dialect of the chat template.
    fn with_template(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        let (preface, frames) = chat_template::frames(&messages, &self.options)?;
        let entry =
            |(message, MessageFrames { drafts, omitted })| Arc::new(Entry { message, drafts, omitted });
        self.write(preface, messages.into_iter().zip(frames).map(entry).collect())
    }

    /// The prompt of these frames without those that the retention rule drops. Ids of known frames are copied.
    fn write(&self, preface: Vec<Arc<Draft>>, entries: Vec<Arc<Entry>>) -> Result<Prompt, RenderError> {
        let all = preface.iter().chain(entries.iter().flat_map(|entry| &entry.drafts));
        let retention = Retention::new(self.options.keep_analysis, all);
        let continued = if self.options.continue_final_message { Some(last_draft(&entries)?) } else { None };
        let mut writer = IncrementalWriter::new(self.options.dialect, &self.encoded, &self.ids);
        let (mut spans, mut dropped) = (Vec::with_capacity(entries.len()), Vec::new());
        for draft in &preface {
            writer.put(draft);
        }
        let mut index = preface.len();
        for (at, entry) in entries.iter().enumerate() {
            let start = writer.ids.len();
            let mut end = start;
            for draft in &entry.drafts {
                if continued.is_some_and(|last| Arc::ptr_eq(last, draft)) {
                    writer.put(&Arc::new(draft.opened()));
                    end = writer.ids.len();
                } else if retention.keeps(index, draft) {
                    writer.put(draft);
                    end = if draft.part.is_some() { writer.ids.len() } else { end };
                } else {
                    dropped.extend(draft.part.map(|part| (at, part)));
                }
                index += 1;
            }
            dropped.extend(entry.omitted.iter().map(|part| (at, *part)));
            spans.push((start, end));
        }
        let IncrementalWriter { mut ids, drafts: encoded, .. } = writer;
        write_next_role(self.next_role(), &mut ids);
        let options = Arc::clone(&self.options);
        Ok(Prompt { options, preface, entries, ids, encoded, spans, dropped })
    }
}

/// The last frame of the last message, which must be the assistant's.
fn last_draft(entries: &[Arc<Entry>]) -> Result<&Arc<Draft>, RenderError> {
    let last = entries.last().and_then(|entry| entry.drafts.last());
    last.filter(|draft| draft.frame.header.role == Role::Assistant && draft.part.is_some()).ok_or_else(|| {
        refusal(
            "continue_final_message needs a last message of the assistant, with text or a call to continue",
        )
    })
}

/// Refuses messages that hold parts of another role: a user's message could speak as the system with them.
fn check_parts(messages: &[Message], first_index: usize) -> Result<(), RenderError> {
    for (at, message) in messages.iter().enumerate() {
        let parts = message.content.iter().enumerate();
        if let Some((index, part)) = parts.into_iter().find(|(_, part)| !part.belongs_to(message.role)) {
            let (part, role) = (part.type_name(), message.role.as_str());
            let message = format!("content[{index}] is a {part} part, which a {role} message cannot hold");
            return Err(RenderError { message, at: Some(first_index + at) });
        }
    }
    Ok(())
}

/// Renders a conversation.
pub fn render(messages: Vec<Message>, options: RenderOptions) -> Result<Prompt, RenderError> {
    check_parts(&messages, 0)?;
    if options.dialect == Dialect::ChatTemplate {
        let options = chat_template::with_template_defaults(options);
        return Prompt::empty(Vec::new(), options).with_template(messages);
    }
    let mut preface = Preface::read(&messages, &options);
    let prompt = Prompt::empty(preface.generated(&options)?, options);
    let mut messages = messages.into_iter();
    let mut entries = Vec::new();
    for message in messages.by_ref().take(preface.messages) {
        let drafts = preface.drafts(&message, entries.len(), &prompt.options)?;
        entries.push(Arc::new(Entry { message, drafts, omitted: Vec::new() }));
    }
    Prompt { entries, ..prompt }.with(messages.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Message {
        let part = crate::message::Part::Text { text: text.to_owned(), channel: None, content_type: None };
        Message { role: crate::frame::Role::User, name: None, content: vec![part] }
    }

    #[test]
    fn extend_shares_unchanged_frames() {
        for messages in [vec![user("first")], vec![user("first"), user("second")]] {
            let prompt = render(messages, RenderOptions::default()).expect("renders");
            let longer = prompt.extend(vec![user("more")]).expect("renders");
            for (old, new) in prompt.encoded.iter().zip(&longer.encoded) {
                assert!(Arc::ptr_eq(&old.draft, &new.draft), "{:?} is a new draft", new.draft);
            }
            assert_eq!(longer.encoded.len(), prompt.encoded.len() + 1);
        }
    }
}
