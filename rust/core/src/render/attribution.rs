//! Where each token of a prompt is from, and which tokens a model is trained on. Read from the ids and their frames when
//! it is asked for, so that rendering costs no more.

use super::draft::{Draft, SampledKind};
use super::frame_writer::author;
use super::incremental::EncodedDraft;
use super::prompt::Prompt;
use crate::frame::{Header, Role};
use crate::marker::Marker;
use crate::tokenizer::{self, vocabulary};
use std::ops::Range;

/// What a token is to its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Content,
    /// Text between `<|start|>` and `<|message|>`.
    Header,
    /// A special token that gives the format its structure.
    Marker,
}

/// Where the tokens of a prompt are from: one item for each id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    /// The index of the message; `None`: frames made from the options, and the header that ends the prompt.
    pub messages: Vec<Option<u32>>,
    /// The index of the part in its message; `None`: no part of it.
    pub parts: Vec<Option<u32>>,
    pub kinds: Vec<TokenKind>,
    /// Whether the model writes the token: all ids that were sampled, and of the assistant's other frames what follows
    /// `<|start|>` and the role.
    pub sampled: Vec<bool>,
}

/// A choice of the tokens that a model is trained on. `<|start|>` and the role are in none, and neither is a stop token
/// that was not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossTokens {
    /// All frames of the assistant.
    Assistant,
    /// The answers alone.
    Final,
    /// All but the reasoning.
    WithoutReasoning,
    /// The tool calls alone.
    Calls,
}

impl LossTokens {
    const fn includes(self, kind: SampledKind) -> bool {
        match (self, kind) {
            (_, SampledKind::Foreign) => false,
            (LossTokens::Assistant, _) => true,
            (LossTokens::Final, kind) => matches!(kind, SampledKind::Text),
            (LossTokens::WithoutReasoning, kind) => !matches!(kind, SampledKind::Reasoning),
            (LossTokens::Calls, kind) => matches!(kind, SampledKind::Call),
        }
    }
}

impl Prompt {
    /// Where each token is from. Takes linear time.
    pub fn attribution(&self) -> Attribution {
        let ids = self.ids();
        let mut all = Attribution {
            messages: vec![None; ids.len()],
            parts: vec![None; ids.len()],
            kinds: ids.iter().map(|id| kind_of(*id, TokenKind::Header)).collect(),
            sampled: vec![false; ids.len()],
        };
        for encoded in self.encoded_drafts() {
            let Layout { sampled, content, .. } = layout(encoded, ids);
            let message = encoded.message.map(index);
            let part = encoded.message.and(encoded.draft.part).map(index);
            fill(&mut all.messages, encoded.start..encoded.end, message);
            fill(&mut all.parts, encoded.start..encoded.end, part);
            fill(&mut all.sampled, sampled, true);
            for (id, kind) in ids.iter().zip(&mut all.kinds).take(content.end).skip(content.start) {
                *kind = kind_of(*id, TokenKind::Content);
            }
            part_cuts(&encoded.draft, content, ids, &mut all.parts);
        }
        all
    }

    /// For each token whether it is one of those that the model is trained on.
    pub fn loss_mask(&self, tokens: LossTokens) -> Vec<bool> {
        let ids = self.ids();
        let mut mask = vec![false; ids.len()];
        for encoded in self.encoded_drafts().filter(|encoded| tokens.includes(said(&encoded.draft))) {
            let Layout { sampled, author_end, .. } = layout(encoded, ids);
            fill(&mut mask, author_end.max(sampled.start)..sampled.end, true);
        }
        mask
    }
}

fn index(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn fill<T: Copy>(items: &mut [T], range: Range<usize>, value: T) {
    items.get_mut(range).unwrap_or_default().fill(value);
}

const fn kind_of(id: u32, otherwise: TokenKind) -> TokenKind {
    if Marker::from_id(id).is_some() { TokenKind::Marker } else { otherwise }
}

/// What a frame of the assistant says.
fn said(draft: &Draft) -> SampledKind {
    if let Some(sampled) = &draft.sampled {
        return sampled.kind;
    }
    let Header { role, recipient, channel, .. } = &draft.frame.header;
    match (role, recipient, channel.as_deref()) {
        (Role::System | Role::Developer | Role::User | Role::Tool, ..) => SampledKind::Foreign,
        (Role::Assistant, Some(_), _) => SampledKind::Call,
        (Role::Assistant, None, Some("analysis")) => SampledKind::Reasoning,
        (Role::Assistant, None, Some("commentary")) => SampledKind::Preamble,
        (Role::Assistant, None, _) => SampledKind::Text,
    }
}

/// The places in the ids at which a frame's pieces lie.
struct Layout {
    /// What the model writes.
    sampled: Range<usize>,
    /// The end of `<|start|>` and the author.
    author_end: usize,
    /// The content without its stop token.
    content: Range<usize>,
}

fn layout(encoded: &EncodedDraft, ids: &[u32]) -> Layout {
    let EncodedDraft { draft, start, end, lead, .. } = encoded;
    let header = &draft.frame.header;
    let message = |range: Range<usize>| {
        let place = ids.get(range.clone())?.iter().position(|id| *id == Marker::Message.id())?;
        Some(range.start + place + 1)
    };
    let Some(written) = &draft.sampled else {
        let author_end = start + 1 + tokenizer::count(&author(header));
        let is_model = header.role == Role::Assistant && encoded.message.is_some();
        let sampled = if is_model { author_end..*end } else { *start..*start };
        return Layout { sampled, author_end, content: message(*start..*end).unwrap_or(*end)..*end };
    };
    let first = start + lead;
    let last = *end - usize::from(written.close.is_some());
    let author_end = if *lead > 1 { first } else { sampled_author_end(header, ids, first..last, *lead == 1) };
    let stop = ids.get(first..last).unwrap_or_default().iter().rposition(|id| is_stop(*id));
    let stop = stop.filter(|_| written.close.is_none()).map_or(last, |at| first + at);
    let suffix = || content_suffix(ids, first..stop, draft.frame.content.len());
    let bare = draft.frame.implied && header.channel.is_none() && header.recipient.is_none();
    let content = if bare { suffix() } else { message(first..stop).unwrap_or_else(suffix) };
    Layout { sampled: first..last, author_end, content: content..*end }
}

const fn is_stop(id: u32) -> bool {
    matches!(Marker::from_id(id), Some(Marker::End | Marker::Return | Marker::Call | Marker::EndOfText))
}

/// The end of the author of a sampled frame: behind its `<|start|>`, or without it if that is lost.
fn sampled_author_end(header: &Header, ids: &[u32], range: Range<usize>, has_start: bool) -> usize {
    let (author, mut written) = (author(header).into_bytes(), Vec::new());
    let starts = !has_start && ids.get(range.start) == Some(&Marker::Start.id());
    let from = range.start + usize::from(starts);
    for (at, id) in ids.iter().enumerate().take(range.end).skip(from) {
        written.extend_from_slice(vocabulary::token_bytes(*id).unwrap_or_default());
        if written.len() >= author.len() {
            return if written.starts_with(&author) { at + 1 } else { from };
        }
    }
    from
}

/// Where the ids begin that have the last `length` bytes.
fn content_suffix(ids: &[u32], range: Range<usize>, length: usize) -> usize {
    let mut bytes = 0;
    let mut start = range.end;
    for id in ids.get(range).unwrap_or_default().iter().rev() {
        if bytes >= length {
            break;
        }
        bytes += vocabulary::token_bytes(*id).map_or(0, <[u8]>::len);
        start -= 1;
    }
    start
}

/// Gives the texts that share a frame their own part: a token belongs to the part of its first byte.
fn part_cuts(draft: &Draft, content: Range<usize>, ids: &[u32], parts: &mut [Option<u32>]) {
    let Some(part) = draft.part.filter(|_| !draft.cuts.is_empty()) else { return };
    let mut bytes = 0;
    let tokens = ids.iter().zip(parts).take(content.end).skip(content.start);
    for (id, place) in tokens {
        *place = Some(index(part + draft.cuts.partition_point(|cut| *cut <= bytes)));
        bytes += vocabulary::token_bytes(*id).map_or(0, <[u8]>::len);
    }
}
