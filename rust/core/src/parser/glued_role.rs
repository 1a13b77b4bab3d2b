//! A role in content that may belong to the next header: `{"a":1}assistant<|channel|>final<|message|>`, where
//! `<|end|><|start|>` are lost. The word is held back until a marker shows that a header goes on behind it.

use super::Sink;
use super::header_buffer::HeaderBuffer;
use super::machine::{Parser, State};
use crate::frame::{CHANNELS, Role};
use crate::header_grammar::is_name_char;
use crate::marker::Marker;
use crate::parser::tool_names::TYPES;

const ASSISTANT: &str = Role::Assistant.as_str();

/// No more than this is held back: a role, a channel, and a recipient of 128 characters.
const MAX_HELD: usize = 176;

/// Where the end of a text begins that may be the beginning of a header without `<|start|>`; `before` gives the
/// character before the text.
///
/// The first position counts from which the text is such a beginning up to its end, so that the result does not depend on
/// chunk boundaries.
fn glued_start(text: &str, before: impl Fn() -> Option<char>) -> Option<usize> {
    let last = *text.as_bytes().last()?;
    let follows_border = |at: usize| {
        let (head, _) = text.split_at(at);
        head.chars().next_back().or_else(&before).is_some_and(ends_content)
    };
    if text.len() >= ASSISTANT.len() {
        let window = (text.len().saturating_sub(MAX_HELD)..).find(|at| text.is_char_boundary(*at))?;
        let tail = text.get(window..).unwrap_or_default();
        let starts = memchr::memmem::find_iter(tail.as_bytes(), ASSISTANT).map(|at| window + at);
        let begins = |at: &usize| text.get(*at..).is_some_and(may_be_header);
        if let Some(at) = starts.filter(begins).find(|at| follows_border(*at)) {
            return Some(at);
        }
    }
    if !ASSISTANT.as_bytes().contains(&last) {
        return None;
    }
    let lengths = (1..ASSISTANT.len().min(text.len() + 1)).rev();
    let starts = lengths.filter(|length| text.ends_with(ASSISTANT.split_at(*length).0));
    starts.map(|length| text.len() - length).find(|at| follows_border(*at))
}

/// Whether a content can end with this character, and a role without a blank follow it.
fn ends_content(c: char) -> bool {
    matches!(c, '}' | ']' | ')' | '.' | '!' | '?' | '>' | '*' | '`' | '|' | '\n' | '…' | '。' | '！' | '？')
}

/// Whether a text is `assistant`, a channel, ` to=`, a name and a type, each as far as the text goes.
fn may_be_header(text: &str) -> bool {
    let rest = match text.strip_prefix(ASSISTANT) {
        _ if text.len() > MAX_HELD => return false,
        Some(rest) => rest,
        None => return ASSISTANT.starts_with(text),
    };
    let behind_channel = CHANNELS.iter().find_map(|channel| rest.strip_prefix(channel)).unwrap_or(rest);
    if CHANNELS.iter().any(|channel| channel.starts_with(behind_channel)) {
        return true;
    }
    let Some(value) = behind_channel.strip_prefix(" to=") else {
        return " to=".starts_with(behind_channel) || is_type(behind_channel);
    };
    is_type(value.trim_start_matches(is_name_char))
}

fn is_type(text: &str) -> bool {
    let Some(word) = text.strip_prefix(' ') else { return text.is_empty() };
    word.is_empty() || TYPES.iter().any(|kind| kind.starts_with(word))
}

impl Parser {
    /// Where the end of a content begins that is held back, because it may be the role of the next header.
    #[inline]
    pub fn glued_start(&self, text: &str, sink: &impl Sink) -> Option<usize> {
        glued_start(text, || sink.content().chars().next_back())
    }

    /// Reads content whose end, from byte `start` on, may be the beginning of a header.
    #[cold]
    pub(super) fn hold_role(
        &mut self,
        text: &str,
        start: usize,
        at: usize,
        tokens: u64,
        sink: &mut impl Sink,
    ) {
        let mut held = HeaderBuffer::default();
        held.push_text(text, at, tokens);
        let head = held.cut(start, self.per_byte);
        self.count_content(head.tokens);
        self.delta(&head.text, sink);
        if self.state == State::Content {
            self.buffer = held;
            self.state = State::GluedRole;
        }
    }

    /// Reads text behind the beginning of such a header.
    pub(super) fn read_glued_role(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        self.buffer.push_text(text, at, tokens);
        if may_be_header(&self.buffer.text) {
            return;
        }
        let before = || sink.content().chars().next_back();
        let start = glued_start(&self.buffer.text, before).unwrap_or(self.buffer.text.len());
        self.emit(start, sink);
        if self.buffer.is_empty() && self.state == State::GluedRole {
            self.state = State::Content;
        }
    }

    /// A marker behind such a beginning: a header goes on, or all of it is content.
    pub(super) fn end_glued_role(&mut self, marker: Marker, sink: &mut impl Sink) {
        let goes_on = matches!(marker, Marker::Channel | Marker::Constrain | Marker::Message)
            && self.buffer.text.starts_with(ASSISTANT);
        if goes_on {
            self.state = State::Candidate;
        } else {
            self.state = State::Content;
            self.emit_held(sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_headers_are_held_behind_the_end_of_a_content() {
        let cases = [
            ("}assistant", Some(1)),
            ("}assis", Some(1)),
            ("}a", Some(1)),
            ("}assistants", None),
            ("an assistant", None),
            ("done.assistantfinal", Some(5)),
            ("done.assistant to=functions.f json", Some(5)),
            ("done.assistant to=functions.f jsonl", None),
            ("done.assistant to=x. assistant", None),
            ("done.assistant to=x.assistant to=y", Some(20)),
            ("a", None),
        ];
        for (text, start) in cases {
            assert_eq!(glued_start(text, || None), start, "{text}");
            // Equal to reading it character by character.
            let mut held = None;
            for end in (1..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let from = held.unwrap_or(0);
                let tail = &text[from..end];
                if held.is_none() || !may_be_header(tail) {
                    held = glued_start(tail, || text[..from].chars().next_back()).map(|at| from + at);
                }
            }
            assert_eq!(held, start, "{text}");
        }
    }
}
