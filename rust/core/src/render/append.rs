//! Prompts that keep every id of the prompt they extend: completions as they were sampled, and messages behind them. Only
//! what is appended is rendered, so the cost does not grow with the history.

use super::chat_template::{self, MessageFrames};
use super::draft::{Conversation, Earlier, Entry, refusal};
use super::incremental::{EncodedDraft, write_draft};
use super::native;
use super::options::{Dialect, RenderOptions};
use super::prompt::{Base, Prompt, State, check_parts, last_draft};
use super::sampled::SampledTurn;
use crate::error::RenderError;
use crate::message::Message;
use std::sync::Arc;

impl Prompt {
    /// The prompt with a completion as it was sampled, and more messages behind it. All ids of the prompt stay, whatever
    /// `keep_analysis` says, so the time that it takes does not depend on the length of the prompt.
    ///
    /// `continue_final_message`: as in [`RenderOptions`], for the new messages.
    pub fn extend_sampled(
        &self,
        turn: SampledTurn,
        messages: Vec<Message>,
        continue_final_message: bool,
    ) -> Result<Prompt, RenderError> {
        self.append(Some(turn), messages, continue_final_message)
    }

    /// The prompt with a completion, or without the header that it ends with, and with more messages.
    pub(super) fn append(
        &self,
        turn: Option<SampledTurn>,
        messages: Vec<Message>,
        continue_final_message: bool,
    ) -> Result<Prompt, RenderError> {
        if turn.is_none() && messages.is_empty() {
            return Ok(self.clone());
        }
        if turn.is_none() && self.state.options.continue_final_message {
            return Err(refusal("the prompt ends in an open frame, which only sampled ids can go on with"));
        }
        let continues = turn.is_some() && self.state.options.continue_final_message;
        let messages_before = self.messages();
        let first = messages_before - usize::from(continues);
        check_parts(&messages, first + usize::from(turn.is_some()))?;
        let lead = if turn.is_some() { self.state.tail } else { 0 };
        let kept = if turn.is_some() { self.len() } else { self.len() - self.state.tail };
        let mut options = Arc::clone(&self.state.options);
        if options.continue_final_message != continue_final_message {
            options = Arc::new(RenderOptions { continue_final_message, ..RenderOptions::clone(&options) });
        }
        let base = Base { prompt: self.clone(), kept, messages: messages_before, continues };
        let mut state = State::new(options, Some(base));
        if let Some(turn) = turn {
            state.put_sampled(turn, kept - lead, lead, first);
        }
        state.put_messages(messages, kept, first)?;
        state.end();
        Ok(Prompt { state: Arc::new(state) })
    }
}

impl State {
    /// Appends a completion. `start`: where its first frame begins, with the `lead` ids that the base has of it.
    fn put_sampled(&mut self, turn: SampledTurn, start: usize, lead: usize, message: usize) {
        let (content, drafts) = turn.into_drafts();
        let mut from = start;
        for (index, draft) in drafts.iter().enumerate() {
            write_draft(draft, self.options.dialect, &mut self.ids);
            let end = start + lead + self.ids.len();
            let lead = if index == 0 { lead } else { 0 };
            let draft = Arc::clone(draft);
            self.encoded.push(EncodedDraft { draft, start: from, end, message: Some(message), lead });
            from = end;
        }
        self.spans.push((start, from));
        self.has_sampled = true;
        self.entries.push(Arc::new(Entry { message: content, drafts, omitted: Vec::new() }));
    }

    /// Appends messages behind `kept` ids of the base.
    fn put_messages(&mut self, messages: Vec<Message>, kept: usize, first: usize) -> Result<(), RenderError> {
        let count = messages.len();
        let frames = self.frames_behind(messages, first)?;
        for (index, (message, MessageFrames { drafts, omitted })) in frames.into_iter().enumerate() {
            let at = first + self.entries.len();
            let start = kept + self.ids.len();
            let entry = Arc::new(Entry { message, drafts, omitted });
            let continued = if self.options.continue_final_message && index + 1 == count {
                Some(last_draft(std::slice::from_ref(&entry))?)
            } else {
                None
            };
            for draft in &entry.drafts {
                let draft = match continued {
                    Some(last) if Arc::ptr_eq(last, draft) => Arc::new(draft.opened()),
                    _ => Arc::clone(draft),
                };
                let start = kept + self.ids.len();
                write_draft(&draft, self.options.dialect, &mut self.ids);
                let end = kept + self.ids.len();
                self.encoded.push(EncodedDraft { draft, start, end, message: Some(at), lead: 0 });
            }
            self.dropped.extend(entry.omitted.iter().map(|part| (at, *part)));
            self.spans.push((start, kept + self.ids.len()));
            self.entries.push(entry);
        }
        if self.options.continue_final_message && count == 0 {
            last_draft(&[])?;
        }
        Ok(())
    }

    /// The frames of messages that stand behind the prompt so far.
    fn frames_behind(
        &self,
        messages: Vec<Message>,
        first: usize,
    ) -> Result<Vec<(Message, MessageFrames)>, RenderError> {
        let place =
            |index: usize| move |error: RenderError| RenderError { at: error.at.or(Some(index)), ..error };
        let first = first + self.entries.len();
        let base = Conversation::base(self);
        if self.options.dialect == Dialect::ChatTemplate {
            let earlier = Earlier { base, entries: &self.entries };
            let frames = chat_template::frames_behind(&messages, earlier, &self.options)
                .map_err(|error| RenderError { at: error.at.map(|at| first + at), ..error })?;
            return Ok(messages.into_iter().zip(frames).collect());
        }
        let (mut entries, mut frames) = (self.entries.clone(), Vec::new());
        for (index, message) in messages.into_iter().enumerate() {
            let earlier = Earlier { base, entries: &entries };
            let drafts = native::drafts(&message, earlier, &self.options).map_err(place(first + index))?;
            let known = Entry { message: message.clone(), drafts: Vec::new(), omitted: Vec::new() };
            entries.push(Arc::new(known));
            frames.push((message, MessageFrames { drafts, omitted: Vec::new() }));
        }
        Ok(frames)
    }
}
