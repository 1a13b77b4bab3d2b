//! Messages become frames, frames become pieces. Which reasoning is kept, what the next role is, where each message
//! lies in the ids.

use crate::chat_template::{self, Made};
use crate::error::RenderError;
use crate::frame::{Frame, Header, RecipientPosition, Role, Stop};
use crate::front::Front;
use crate::marker::Marker;
use crate::message::{Message, Part, Tool, ToolCall, ToolResult};
use crate::piece::Writer;
use crate::tool_name::{is_built_in, name_of, recipient_of};
use crate::wire::{author, write_frame, write_header, write_next_role, write_stop};
use crate::{header_grammar, template, tokenizer};
use serde_json::Value;
use std::sync::Arc;

/// Who sets the rules of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// The order in which models write headers; every construct of a schema.
    #[default]
    Motet,
    /// The ids of openai-harmony 0.0.8.
    OpenaiHarmony,
    /// The text of gpt-oss's published chat template: it has rules of its own for what is kept.
    ChatTemplate,
}

/// Which reasoning of earlier frames the model gets to see again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAnalysis {
    /// That of the running turn: what stands before a final answer is dropped.
    #[default]
    Turn,
    All,
    None,
    /// The rule of openai-harmony 0.0.8: if the assistant's last frame is final, all of the analysis channel before
    /// the first final is dropped, tool calls and results on it included; else nothing is.
    OpenaiHarmony,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    Low,
    #[default]
    Medium,
    High,
}

impl Effort {
    pub const fn as_str(self) -> &'static str {
        match self {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
        }
    }
}

/// A tool that the models were trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    Browser,
    Python,
}

/// The format that an answer has to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseFormat {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema.
    pub schema: Value,
}

/// What a prompt says beside its messages.
#[derive(Clone, Debug)]
pub struct Settings {
    pub tools: Vec<Tool>,
    pub builtin_tools: Vec<Builtin>,
    pub instructions: Option<String>,
    pub response_format: Option<ResponseFormat>,
    pub reasoning_effort: Effort,
    /// As `2025-06-28`; `None`: no date is given.
    pub current_date: Option<String>,
    pub identity: String,
    pub knowledge_cutoff: Option<String>,
    /// Whose header the prompt ends with.
    pub next_role: Option<Role>,
    pub keep_analysis: KeepAnalysis,
    pub dialect: Dialect,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            tools: Vec::new(),
            builtin_tools: Vec::new(),
            instructions: None,
            response_format: None,
            reasoning_effort: Effort::default(),
            current_date: None,
            identity: "You are ChatGPT, a large language model trained by OpenAI.".to_owned(),
            knowledge_cutoff: Some("2024-06".to_owned()),
            next_role: Some(Role::Assistant),
            keep_analysis: KeepAnalysis::default(),
            dialect: Dialect::default(),
        }
    }
}

/// A frame to be written, and the part that it comes from.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) frame: Frame,
    /// Where in the content the text of another part begins: openai-harmony encodes each for itself.
    cuts: Vec<usize>,
    /// The index of its part in the message; `None` if it is made from the settings.
    part: Option<usize>,
    is_reasoning: bool,
}

impl Draft {
    /// The same, of this part of the message.
    pub(crate) fn of(self, part: usize) -> Draft {
        Draft { part: Some(part), ..self }
    }

    fn is_final(&self) -> bool {
        self.frame.header.role == Role::Assistant && self.frame.header.channel.as_deref() == Some("final")
    }
}

/// A message and its frames.
#[derive(Debug)]
struct Entry {
    message: Message,
    drafts: Vec<Arc<Draft>>,
    /// The parts that the dialect has no frame for.
    left_out: Vec<usize>,
}

/// A draft and where its ids lie.
#[derive(Clone, Debug)]
struct Written {
    draft: Arc<Draft>,
    start: usize,
    end: usize,
}

/// A rendered conversation: a value, of which [`Prompt::extend`] makes a longer one.
#[derive(Clone, Debug)]
pub struct Prompt {
    settings: Arc<Settings>,
    /// The frames made from the settings.
    preface: Vec<Arc<Draft>>,
    entries: Vec<Arc<Entry>>,
    ids: Vec<u32>,
    written: Vec<Written>,
    spans: Vec<(usize, usize)>,
    dropped: Vec<(usize, usize)>,
}

impl Prompt {
    fn empty(preface: Vec<Arc<Draft>>, settings: Settings) -> Prompt {
        Prompt {
            settings: Arc::new(settings),
            preface,
            entries: Vec::new(),
            ids: Vec::new(),
            written: Vec::new(),
            spans: Vec::new(),
            dropped: Vec::new(),
        }
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The prompt with its markers spelled.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for written in &self.written {
            write_frame(&written.draft.frame, &mut out);
        }
        write_next_role(self.settings.next_role, &mut out);
        out
    }

    /// For each message its range of ids; empty if nothing of it was rendered.
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// Message and part of all that was left out.
    pub fn dropped(&self) -> &[(usize, usize)] {
        &self.dropped
    }

    /// The frames that it is made of.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.written.iter().map(|written| &written.draft.frame)
    }

    /// The same prompt with more messages. Only frames that are new or changed are encoded.
    pub fn extend(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        let all = self.entries.iter().map(|entry| entry.message.clone());
        if self.settings.dialect == Dialect::ChatTemplate {
            // What comes later decides what is kept, up to the first frame.
            return self.with_template(all.chain(messages).collect());
        }
        // The first message decides what stands at the front, and the one behind a system message with it.
        let undecided = match self.entries.as_slice() {
            [] => true,
            [only] => matches!(only.message.content.as_slice(), [Part::System { .. }]),
            _ => false,
        };
        if undecided {
            return render(all.chain(messages).collect(), Settings::clone(&self.settings));
        }
        self.with(messages)
    }

    fn with(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        let mut entries = self.entries.clone();
        for message in messages {
            let at = entries.len();
            let place = |error: RenderError| RenderError { at: error.at.or(Some(at)), ..error };
            let drafts = drafts(&message, &entries, &self.settings).map_err(place)?;
            entries.push(Arc::new(Entry { message, drafts, left_out: Vec::new() }));
        }
        Ok(self.write(self.preface.clone(), entries))
    }

    /// The prompt that the chat template makes of these messages.
    fn with_template(&self, messages: Vec<Message>) -> Result<Prompt, RenderError> {
        let (preface, made) = chat_template::frames(&messages, &self.settings)?;
        let made = messages.into_iter().zip(made);
        let entry = |(message, Made { drafts, left_out })| Arc::new(Entry { message, drafts, left_out });
        Ok(self.write(preface, made.map(entry).collect()))
    }

    /// Writes all frames that are kept, with the ids of those that this prompt holds already.
    fn write(&self, preface: Vec<Arc<Draft>>, entries: Vec<Arc<Entry>>) -> Prompt {
        let kept = Kept::new(
            self.settings.keep_analysis,
            preface.iter().chain(entries.iter().flat_map(|e| &e.drafts)),
        );
        let mut writing = Writing {
            dialect: self.settings.dialect,
            known: self.written.iter(),
            old: &self.ids,
            ids: Vec::with_capacity(self.ids.len() + 64),
            written: Vec::with_capacity(self.written.len() + 4),
        };
        let (mut spans, mut dropped) = (Vec::with_capacity(entries.len()), Vec::new());
        for draft in &preface {
            writing.put(draft);
        }
        let mut index = preface.len();
        for (at, entry) in entries.iter().enumerate() {
            let start = writing.ids.len();
            let mut end = start;
            for draft in &entry.drafts {
                if kept.keeps(index, draft) {
                    writing.put(draft);
                    end = if draft.part.is_some() { writing.ids.len() } else { end };
                } else {
                    dropped.extend(draft.part.map(|part| (at, part)));
                }
                index += 1;
            }
            dropped.extend(entry.left_out.iter().map(|part| (at, *part)));
            spans.push((start, end));
        }
        let Writing { mut ids, written, .. } = writing;
        write_next_role(self.settings.next_role, &mut ids);
        let settings = Arc::clone(&self.settings);
        Prompt { settings, preface, entries, ids, written, spans, dropped }
    }
}

/// Renders a conversation.
pub fn render(messages: Vec<Message>, settings: Settings) -> Result<Prompt, RenderError> {
    if settings.dialect == Dialect::ChatTemplate {
        return Prompt::empty(Vec::new(), chat_template::settled(settings)).with_template(messages);
    }
    let mut front = Front::read(&messages, &settings);
    let prompt = Prompt::empty(front.preface(&settings)?, settings);
    let mut messages = messages.into_iter();
    let mut entries = Vec::new();
    for message in messages.by_ref().take(front.messages) {
        let drafts = front.drafts(&message, entries.len(), &prompt.settings)?;
        entries.push(Arc::new(Entry { message, drafts, left_out: Vec::new() }));
    }
    Prompt { entries, ..prompt }.with(messages.collect())
}

/// A conversation as a training sample: the reasoning of every turn, `<|return|>` behind the last answer.
#[derive(Clone, Debug)]
pub struct Training {
    pub ids: Vec<u32>,
    /// For each id whether the assistant wrote it: the loss mask.
    pub weights: Vec<bool>,
    /// For each message its range of ids.
    pub spans: Vec<(usize, usize)>,
}

/// Renders a conversation for training. `next_role` is not used; nothing is dropped unless the settings say so.
pub fn render_training(messages: Vec<Message>, settings: Settings) -> Result<Training, RenderError> {
    let prompt = render(messages, Settings { next_role: None, ..settings })?;
    let mut training =
        Training { weights: vec![false; prompt.ids.len()], spans: prompt.spans.clone(), ids: prompt.ids };
    for written in &prompt.written {
        if written.draft.frame.header.role == Role::Assistant {
            // `<|start|>` and the author are given to the model, the rest is its own.
            let given = 1 + tokenizer::count(&author(&written.draft.frame.header));
            let own = training.weights.get_mut(written.start + given..written.end).unwrap_or_default();
            own.fill(true);
        }
    }
    let answer = prompt
        .written
        .last()
        .filter(|last| last.draft.is_final() && last.draft.frame.header.recipient.is_none());
    if let Some(id) = answer.and_then(|last| training.ids.get_mut(last.end - 1)) {
        *id = Marker::Return.id();
    }
    Ok(training)
}

/// Frames exactly as they are: without a stop token where there was none, without a header where it was implied.
pub fn render_frames(frames: &[Frame], out: &mut impl Writer) -> Result<(), RenderError> {
    for (at, frame) in frames.iter().enumerate() {
        header_grammar::header(&frame.header, Some(at))
            .map_err(|error| RenderError { message: format!("frames[{at}]: {}", error.message), at: None })?;
        write_frame(frame, out);
    }
    Ok(())
}

/// Ids in the making: a frame that the old prompt holds is copied, others are encoded.
struct Writing<'a> {
    dialect: Dialect,
    known: std::slice::Iter<'a, Written>,
    old: &'a [u32],
    ids: Vec<u32>,
    written: Vec<Written>,
}

impl Writing<'_> {
    fn put(&mut self, draft: &Arc<Draft>) {
        let start = self.ids.len();
        // Frames keep their order, so the old one, if there is one, is further on; those before it were dropped.
        let mut rest = self.known.clone();
        // The chat template's are made anew each time, and most come out the same.
        let anew = self.dialect == Dialect::ChatTemplate;
        match rest.find(|known| Arc::ptr_eq(&known.draft, draft) || anew && known.draft.frame == draft.frame)
        {
            Some(written) => {
                self.ids.extend_from_slice(self.old.get(written.start..written.end).unwrap_or_default());
                self.known = rest;
            }
            None => write_draft(draft, self.dialect, &mut self.ids),
        }
        self.written.push(Written { draft: Arc::clone(draft), start, end: self.ids.len() });
    }
}

/// Which reasoning is kept: by the rule, and the number of frames before the final answer that it looks at.
struct Kept {
    rule: KeepAnalysis,
    before: usize,
}

impl Kept {
    fn new<'a>(rule: KeepAnalysis, drafts: impl Iterator<Item = &'a Arc<Draft>> + Clone) -> Kept {
        let last = |wanted: &dyn Fn(&Draft) -> bool| {
            drafts.clone().enumerate().filter(|(_, draft)| wanted(draft)).last().map(|(index, _)| index)
        };
        let channel_is_final = |draft: &Draft| draft.frame.header.channel.as_deref() == Some("final");
        let before = match rule {
            KeepAnalysis::All | KeepAnalysis::None => None,
            KeepAnalysis::Turn => last(&Draft::is_final),
            KeepAnalysis::OpenaiHarmony => last(&|draft| draft.frame.header.role == Role::Assistant)
                .and_then(|index| drafts.clone().nth(index))
                .filter(|draft| channel_is_final(draft))
                .and_then(|_| drafts.clone().position(|draft| channel_is_final(draft))),
        };
        Kept { rule, before: before.unwrap_or(0) }
    }

    fn keeps(&self, index: usize, draft: &Draft) -> bool {
        match self.rule {
            KeepAnalysis::All => true,
            KeepAnalysis::None => !draft.is_reasoning,
            KeepAnalysis::Turn => !draft.is_reasoning || index >= self.before,
            KeepAnalysis::OpenaiHarmony => {
                draft.frame.header.channel.as_deref() != Some("analysis") || index >= self.before
            }
        }
    }
}

pub(crate) fn draft(header: Header, content: String) -> Draft {
    let frame = Frame { header, content, stop: Some(Stop::End), implied: false };
    Draft { frame, cuts: Vec::new(), part: None, is_reasoning: false }
}

/// A frame made from the settings.
pub(crate) fn generated(role: Role, text: String) -> Arc<Draft> {
    Arc::new(draft(Header::new(role), text))
}

/// The frames of a message behind the front.
fn drafts(
    message: &Message,
    before: &[Arc<Entry>],
    settings: &Settings,
) -> Result<Vec<Arc<Draft>>, RenderError> {
    let mut drafts: Vec<Draft> = Vec::new();
    for (at, part) in message.content.iter().enumerate() {
        if let (Part::Text { text, .. }, Some(last)) =
            (part, drafts.last_mut().filter(|_| continues(message, at)))
        {
            last.cuts.push(last.frame.content.len());
            last.frame.content.push_str(text);
            continue;
        }
        let made = one_draft(message, part, before, settings)?;
        header_grammar::header(&made.frame.header, None)?;
        drafts.push(made.of(at));
    }
    Ok(drafts.into_iter().map(Arc::new).collect())
}

/// Whether the text at `at` goes on with the text before it: the parts of a user's message are one frame, those of
/// the assistant are frames of their own.
fn continues(message: &Message, at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| message.content.get(before));
    message.role != Role::Assistant && matches!(before, Some(Part::Text { .. }))
}

fn one_draft(
    message: &Message,
    part: &Part,
    before: &[Arc<Entry>],
    settings: &Settings,
) -> Result<Draft, RenderError> {
    let assistant = |channel: &str, content_type: &Option<String>| Header {
        channel: Some(channel.to_owned()),
        content_type: written(content_type, None),
        ..Header::new(Role::Assistant)
    };
    Ok(match part {
        Part::Reasoning { text, content_type } => {
            Draft { is_reasoning: true, ..draft(assistant("analysis", content_type), text.clone()) }
        }
        Part::Preamble { text, content_type } => draft(assistant("commentary", content_type), text.clone()),
        Part::Text { text, channel, content_type } => {
            let usual = (message.role == Role::Assistant).then_some("final");
            let header = Header {
                name: message.name.clone(),
                channel: written(channel, usual),
                content_type: written(content_type, None),
                ..Header::new(message.role)
            };
            if message.role == Role::Tool {
                return Err(refuse(
                    "a tool message needs a ToolResult: plain text does not say which tool it is from",
                ));
            }
            draft(header, text.clone())
        }
        Part::ToolCall(call) => call_draft(call, settings),
        Part::ToolResult(result) => result_draft(result, message, before)?,
        Part::System { text } => draft(Header::new(Role::System), text.clone()),
        Part::Developer(developer) => {
            let text = match &developer.text {
                Some(text) => text.clone(),
                None => template::developer(
                    Some(&developer.instructions),
                    &developer.tools,
                    None,
                    settings.dialect,
                )?,
            };
            draft(Header::new(Role::Developer), text)
        }
    })
}

fn refuse(message: &str) -> RenderError {
    RenderError { message: message.to_owned(), at: None }
}

/// A value of the wire: what is given, the usual one, or none where the empty string says so.
fn written(value: &Option<String>, usual: Option<&str>) -> Option<String> {
    value.as_deref().or(usual).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn call_draft(call: &ToolCall, settings: &Settings) -> Draft {
    let recipient = if call.recipient.is_empty() { recipient_of(&call.name) } else { call.recipient.clone() };
    let built_in = is_built_in(&recipient);
    // Built-in tools are called in the analysis, in code of their own; functions in commentary, in JSON.
    let (channel, content_type) =
        if built_in { ("analysis", "code") } else { ("commentary", "<|constrain|>json") };
    let place = match settings.dialect {
        Dialect::OpenaiHarmony => Some(RecipientPosition::Role),
        Dialect::Motet | Dialect::ChatTemplate => call.recipient_at,
    };
    let header = Header {
        recipient: Some(recipient),
        recipient_at: place,
        channel: written(&call.channel, Some(channel)),
        content_type: written(&call.content_type, Some(content_type)),
        ..Header::new(Role::Assistant)
    };
    let mut draft = draft(header, call.arguments.clone());
    draft.frame.stop = Some(Stop::Call);
    draft
}

fn result_draft(result: &ToolResult, message: &Message, before: &[Arc<Entry>]) -> Result<Draft, RenderError> {
    let author = match (&result.author, &result.name) {
        (Some(author), _) => author.clone(),
        (None, Some(name)) => recipient_of(name_of(name)),
        (None, None) => caller(&result.tool_call_id, message, before)?,
    };
    let header = Header {
        name: Some(author),
        recipient: written(&result.recipient, Some("assistant")),
        recipient_at: Some(RecipientPosition::Role),
        channel: written(&result.channel, Some("commentary")),
        content_type: written(&result.content_type, None),
        ..Header::new(Role::Tool)
    };
    Ok(draft(header, result.content.clone()))
}

/// The recipient of the call that a result answers: the last one with its id.
fn caller(id: &str, message: &Message, before: &[Arc<Entry>]) -> Result<String, RenderError> {
    let parts = before.iter().flat_map(|entry| &entry.message.content).chain(&message.content);
    let mut calls = parts.filter_map(|part| match part {
        Part::ToolCall(call) if call.id == id => Some(call),
        _ => None,
    });
    match calls.next_back() {
        Some(call) if call.recipient.is_empty() => Ok(recipient_of(&call.name)),
        Some(call) => Ok(call.recipient.clone()),
        None => Err(refuse(&format!("no tool call before it has the id {id:?}, and the result has no name"))),
    }
}

fn write_draft(draft: &Draft, dialect: Dialect, out: &mut Vec<u32>) {
    if dialect == Dialect::Motet || draft.cuts.is_empty() {
        return write_frame(&draft.frame, out);
    }
    write_header(&draft.frame.header, out);
    let mut done = 0;
    for &cut in draft.cuts.iter().chain(std::iter::once(&draft.frame.content.len())) {
        out.text(draft.frame.content.get(done..cut).unwrap_or_default());
        done = cut;
    }
    write_stop(draft.frame.stop, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Message {
        let part = Part::Text { text: text.to_owned(), channel: None, content_type: None };
        Message { role: Role::User, name: None, content: vec![part] }
    }

    #[test]
    fn extending_shares_the_frames_that_it_does_not_change() {
        for messages in [vec![user("first")], vec![user("first"), user("second")]] {
            let prompt = render(messages, Settings::default()).expect("harmless");
            let longer = prompt.extend(vec![user("more")]).expect("harmless");
            for (old, new) in prompt.written.iter().zip(&longer.written) {
                assert!(Arc::ptr_eq(&old.draft, &new.draft), "{:?} was made again", new.draft);
            }
            assert_eq!(longer.written.len(), prompt.written.len() + 1);
        }
    }
}
