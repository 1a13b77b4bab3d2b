//! A conversation as ids: which frames it has, and where each message lies.

use super::chat_template::{self, MessageFrames};
use super::draft::{Conversation, Draft, Earlier, Entry, refusal};
use super::frame_writer::{write_frame, write_header, write_next_role};
use super::incremental::{EncodedDraft, IncrementalWriter, Lead};
use super::native;
use super::notes::Note;
use super::options::{Dialect, RenderOptions};
use super::preface::Preface;
use super::retention::Retention;
use super::sampled::SampledTurn;
use crate::error::RenderError;
use crate::frame::{Frame, Role};
use crate::message::{Message, Part};
use crate::tokenizer::vocabulary;
use std::sync::{Arc, OnceLock};

/// A rendered conversation, immutable; [`Prompt::extend`] gives a longer one.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub(super) state: Arc<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Arc<RenderOptions>,
    /// What the prompt is appended to: all other fields are about what follows it.
    pub(super) base: Option<Base>,
    /// The frames made from the options.
    pub(super) preface: Vec<Arc<Draft>>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) ids: Vec<u32>,
    pub(super) encoded: Vec<EncodedDraft>,
    pub(super) spans: Vec<(usize, usize)>,
    pub(super) dropped: Vec<(usize, usize)>,
    /// The number of ids at the end that begin the next frame's header.
    pub(super) tail: usize,
    /// Whether the first entry is a completion that was appended.
    pub(super) has_sampled: bool,
    joined: Joined,
}

/// A prompt that another is appended to.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) prompt: Prompt,
    /// How many of its ids stay: all, or those before the header that it ends with.
    pub(super) kept: usize,
    pub(super) messages: usize,
    /// Whether the first message goes on with its last one.
    pub(super) continues: bool,
}

/// The ids and spans of a prompt together with those of its bases, made when they are first read.
#[derive(Debug, Default)]
pub(super) struct Joined {
    ids: OnceLock<Vec<u32>>,
    spans: OnceLock<Vec<(usize, usize)>>,
    dropped: OnceLock<Vec<(usize, usize)>>,
}

impl Drop for State {
    fn drop(&mut self) {
        // One base after the other: each would end within the end of the one behind it, and use up the stack.
        let mut base = self.base.take();
        while let Some(mut state) = base.and_then(|base| Arc::into_inner(base.prompt.state)) {
            base = state.base.take();
        }
    }
}

impl Conversation for State {
    fn base(&self) -> Option<&dyn Conversation> {
        self.base.as_ref().map(|base| &*base.prompt.state as &dyn Conversation)
    }

    fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }
}

impl Prompt {
    /// The number of ids.
    pub fn len(&self) -> usize {
        self.state.base.as_ref().map_or(0, |base| base.kept) + self.state.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn ids(&self) -> &[u32] {
        if self.state.base.is_none() {
            return &self.state.ids;
        }
        self.state.joined.ids.get_or_init(|| {
            let mut ids = Vec::with_capacity(self.len());
            for state in self.states() {
                ids.truncate(state.base.as_ref().map_or(0, |base| base.kept));
                ids.extend_from_slice(&state.ids);
            }
            ids
        })
    }

    /// The prompts that this one is made of, the first one first.
    fn states(&self) -> Vec<&State> {
        let mut states = vec![&*self.state];
        while let Some(base) = states.last().and_then(|state| state.base.as_ref()) {
            states.push(&base.prompt.state);
        }
        states.reverse();
        states
    }

    /// The prompt as text with spelled markers.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for encoded in self.encoded_drafts() {
            match &encoded.draft.sampled {
                None => write_frame(&encoded.draft.frame, &mut out),
                Some(_) => {
                    let ids = self.ids().get(encoded.start..encoded.end).unwrap_or_default();
                    let bytes = ids.iter().flat_map(|id| vocabulary::token_bytes(*id).unwrap_or_default());
                    out.push_str(&String::from_utf8_lossy(&bytes.copied().collect::<Vec<_>>()));
                }
            }
        }
        write_next_role(self.next_role(), &mut out);
        out
    }

    /// The role whose header ends the prompt.
    pub fn next_role(&self) -> Option<Role> {
        self.state.options.next_role.filter(|_| !self.state.options.continue_final_message)
    }

    /// The options that the prompt was rendered with.
    pub fn options(&self) -> &RenderOptions {
        &self.state.options
    }

    /// With `continue_final_message`, the header of the frame that the model continues, markers spelled.
    pub fn opened(&self) -> Option<String> {
        let last = self.state.encoded.last().filter(|_| self.state.options.continue_final_message)?;
        let mut header = String::new();
        write_header(&last.draft.frame.header, &mut header);
        Some(header)
    }

    /// The number of messages.
    pub fn messages(&self) -> usize {
        let before = self.state.base.as_ref().map_or(0, |base| base.messages - usize::from(base.continues));
        before + self.state.entries.len()
    }

    /// The messages that the prompt was rendered from. Of a prompt that was appended to another, those that were appended,
    /// without a sampled one.
    pub fn given_messages(&self) -> impl Iterator<Item = &Message> {
        let first = usize::from(self.state.has_sampled);
        self.state.entries.iter().skip(first).map(|entry| &entry.message)
    }

    /// The range of ids of each message; empty if no part of it was rendered.
    pub fn spans(&self) -> &[(usize, usize)] {
        if self.state.base.is_none() {
            return &self.state.spans;
        }
        self.state.joined.spans.get_or_init(|| {
            let mut spans: Vec<(usize, usize)> = Vec::with_capacity(self.messages());
            for state in self.states() {
                let continues = state.base.as_ref().is_some_and(|base| base.continues);
                let first = spans.pop_if(|_| continues).map_or_else(Vec::new, |(start, _)| vec![start]);
                let starts = first
                    .into_iter()
                    .chain(state.spans.iter().skip(usize::from(continues)).map(|span| span.0));
                spans.extend(starts.zip(state.spans.iter().map(|span| span.1)));
            }
            spans
        })
    }

    /// The indices of message and part of everything that was left out.
    pub fn dropped(&self) -> &[(usize, usize)] {
        if self.state.base.is_none() {
            return &self.state.dropped;
        }
        let all = || self.states().into_iter().flat_map(|state| state.dropped.iter().copied()).collect();
        self.state.joined.dropped.get_or_init(all)
    }

    /// The notes on the prompt, each with the index of its message; `None` for frames made from the options.
    pub fn notes(&self) -> Vec<(Option<usize>, &Note)> {
        let (mut notes, mut first) = (Vec::new(), 0);
        for state in self.states() {
            let preface = state.preface.iter().map(|draft| (None, draft));
            let entries = state.entries.iter().enumerate().flat_map(|(at, entry)| {
                let place = move |draft: &Draft| draft.part.is_some().then_some(first + at);
                entry.drafts.iter().map(move |draft| (place(draft), draft))
            });
            for (at, draft) in preface.chain(entries) {
                notes.extend(draft.notes.iter().map(|note| (at, note)));
            }
            first += state.entries.len();
        }
        notes
    }

    pub(crate) fn encoded_drafts(&self) -> impl Iterator<Item = &EncodedDraft> {
        self.states().into_iter().flat_map(|state| state.encoded.iter())
    }

    /// The frames of the prompt, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.encoded_drafts().map(|encoded| &encoded.draft.frame)
    }

    /// The prompt with more messages. Only new and changed frames are encoded. A prompt that has been extended by ids
    /// keeps all of them.
    pub fn extend(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        let state = &*self.state;
        if state.base.is_some() {
            return self.append(None, messages, state.options.continue_final_message);
        }
        check_parts(&messages, state.entries.len())?;
        let all = state.entries.iter().map(|entry| entry.message.clone());
        if state.options.dialect == Dialect::ChatTemplate {
            // The chat template drops earlier reasoning by what follows it, so every frame may change.
            return state.with_template(all.chain(messages).collect());
        }
        // The preface depends on the first message, and on the second one behind a system message.
        let undecided = match state.entries.as_slice() {
            [] => true,
            [only] => matches!(only.message.content.as_slice(), [Part::System { .. }]),
            _ => false,
        };
        if undecided {
            return render(all.chain(messages).collect(), RenderOptions::clone(&state.options));
        }
        state.with(messages, Vec::new())
    }
}

impl State {
    pub(super) fn new(options: Arc<RenderOptions>, base: Option<Base>) -> State {
        State {
            options,
            base,
            preface: Vec::new(),
            entries: Vec::new(),
            ids: Vec::new(),
            encoded: Vec::new(),
            spans: Vec::new(),
            dropped: Vec::new(),
            tail: 0,
            has_sampled: false,
            joined: Joined::default(),
        }
    }

    /// Writes the header of the next frame.
    pub(super) fn end(&mut self) {
        let role = self.options.next_role.filter(|_| !self.options.continue_final_message);
        let before = self.ids.len();
        write_next_role(role, &mut self.ids);
        self.tail = self.ids.len() - before;
    }

    /// The prompt with more messages, of which some were sampled: `turns` has the indices of those.
    fn with(&self, messages: Vec<Message>, turns: Vec<(usize, SampledTurn)>) -> Result<Prompt, RenderError> {
        let mut entries = self.entries.clone();
        let mut turns = turns.into_iter().peekable();
        for message in messages {
            let at = entries.len();
            let place = |error: RenderError| RenderError { at: error.at.or(Some(at)), ..error };
            let drafts = match turns.next_if(|(index, _)| *index == at) {
                Some((_, turn)) => turn.into_drafts().1,
                None => {
                    let earlier = Earlier { base: None, entries: &entries };
                    native::drafts(&message, earlier, &self.options).map_err(place)?
                }
            };
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
            writer.put(draft, None, Lead::Nothing);
        }
        let mut index = preface.len();
        for (at, entry) in entries.iter().enumerate() {
            let start = writer.ids.len();
            let mut end = start;
            // The prompt before a completion ends with the header of its first frame.
            let mut lead = Lead::StartAndRole;
            for draft in &entry.drafts {
                if continued.is_some_and(|last| Arc::ptr_eq(last, draft)) {
                    writer.put(&Arc::new(draft.opened()), Some(at), Lead::Nothing);
                    end = writer.ids.len();
                } else if retention.keeps(index, draft) {
                    let message = draft.part.is_some() || draft.sampled.is_some();
                    writer.put(
                        draft,
                        message.then_some(at),
                        draft.sampled.as_ref().map_or(Lead::Nothing, |_| lead),
                    );
                    lead = Lead::Nothing;
                    end = if message { writer.ids.len() } else { end };
                } else {
                    dropped.extend(draft.part.map(|part| (at, part)));
                    lead = next_lead(&entry.drafts, draft);
                }
                index += 1;
            }
            dropped.extend(entry.omitted.iter().map(|part| (at, *part)));
            spans.push((start, end));
        }
        let IncrementalWriter { ids, drafts: encoded, .. } = writer;
        let mut state = State::new(Arc::clone(&self.options), None);
        (state.preface, state.entries, state.encoded) = (preface, entries, encoded);
        (state.ids, state.spans, state.dropped) = (ids, spans, dropped);
        state.end();
        Ok(Prompt { state: Arc::new(state) })
    }
}

/// The last frame of the last message, which must be the assistant's.
pub(super) fn last_draft(entries: &[Arc<Entry>]) -> Result<&Arc<Draft>, RenderError> {
    let last = entries.last().and_then(|entry| entry.drafts.last());
    last.filter(|draft| draft.frame.header.role == Role::Assistant && draft.part.is_some()).ok_or_else(|| {
        refusal(
            "continue_final_message needs a last message of the assistant, with text or a call to continue",
        )
    })
}

/// Refuses messages that hold parts of another role: a user's message could speak as the system with them.
pub(super) fn check_parts(messages: &[Message], first_index: usize) -> Result<(), RenderError> {
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
    render_sampled(messages, Vec::new(), options)
}

/// Renders a conversation in which some messages of the assistant stand as they were sampled: `turns` has their indices,
/// ascending. Of them `keep_analysis` drops reasoning, too.
pub fn render_sampled(
    messages: Vec<Message>,
    turns: Vec<(usize, SampledTurn)>,
    options: RenderOptions,
) -> Result<Prompt, RenderError> {
    check_parts(&messages, 0)?;
    if options.dialect == Dialect::ChatTemplate {
        if let Some((at, _)) = turns.first() {
            let message =
                "the chat template renders messages anew: it has no place for sampled ids".to_owned();
            return Err(RenderError { message, at: Some(*at) });
        }
        let options = chat_template::with_template_defaults(options);
        return State::new(Arc::new(options), None).with_template(messages);
    }
    let mut preface = Preface::read(&messages, &options);
    let mut state = State::new(Arc::new(options), None);
    state.preface = preface.generated(&state.options)?;
    let mut messages = messages.into_iter();
    for message in messages.by_ref().take(preface.messages) {
        let drafts = preface.drafts(&message, state.entries.len(), &state.options)?;
        state.entries.push(Arc::new(Entry { message, drafts, omitted: Vec::new() }));
    }
    state.with(messages.collect(), turns)
}

/// What a sampled frame lacks if the frame before it is dropped.
fn next_lead(drafts: &[Arc<Draft>], dropped: &Arc<Draft>) -> Lead {
    let at = drafts.iter().position(|draft| Arc::ptr_eq(draft, dropped));
    at.and_then(|at| drafts.get(at + 1)).map_or(Lead::Nothing, |next| next.missing_lead())
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
            for (old, new) in prompt.encoded_drafts().zip(longer.encoded_drafts()) {
                assert!(Arc::ptr_eq(&old.draft, &new.draft), "{:?} is a new draft", new.draft);
            }
            assert_eq!(longer.frames().count(), prompt.frames().count() + 1);
        }
    }
}
