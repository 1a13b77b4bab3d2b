//! The frames of a conversation in the published chat template of gpt-oss: which it writes, omits and refuses. The
//! template takes chat dicts, so each message is read as one: reasoning is its `thinking`, other text its `content`.

use super::draft::{Draft, Earlier, refusal};
use super::notes::Notes;
use super::options::{KeepAnalysis, RenderOptions};
use super::python_json::{Fault, Json};
use super::renamed;
use super::schema::namespace;
use super::system_text;
use crate::error::RenderError;
use crate::frame::{Header, RecipientPosition, Role, Stop};
use crate::header_grammar;
use crate::marker::Marker;
use crate::message::{Developer, Message, Part, ToolCall, ToolResult};
use crate::tool_name::{function_recipient, name_of};
use std::sync::Arc;

/// The channels whose headers the template refuses in the assistant's text, as signs of an unparsed completion.
const REFUSED_CHANNELS: [&str; 2] = ["analysis", "final"];

/// The options with the values that the template fixes: its knowledge cutoff, and its own rule for reasoning.
pub(crate) fn with_template_defaults(options: RenderOptions) -> RenderOptions {
    let knowledge_cutoff = Some("2024-06".to_owned());
    RenderOptions { knowledge_cutoff, keep_analysis: KeepAnalysis::All, ..options }
}

/// The frames made from the options, and those of each message.
pub(crate) fn frames(
    messages: &[Message],
    options: &RenderOptions,
) -> Result<(Vec<Arc<Draft>>, Vec<MessageFrames>), RenderError> {
    if !matches!(options.next_role, None | Some(Role::Assistant)) {
        return Err(refusal(
            "next_role must be assistant or none: the chat template prompts for the assistant only",
        ));
    }
    if options.response_format.is_some() {
        return Err(refusal("the chat template has no place for a response_format"));
    }
    if options.current_date.is_none() {
        return Err(refusal("the chat template writes the date, so it needs a current_date"));
    }
    let first = messages.first().filter(|message| matches!(message.role, Role::System | Role::Developer));
    let (developer, with_functions) = developer(first, options)?;
    let mut preface = vec![Arc::new(Draft::system(system_text::system(options, with_functions)?))];
    let mut frames = Vec::with_capacity(messages.len());
    if let Some(first) = first {
        let mut builder = FrameBuilder::new(first);
        if let Some(draft) = developer {
            builder.put(draft, &FieldText::new(first, content_text).parts)?;
        }
        frames.push(builder.finish());
    } else if let Some(draft) = developer {
        preface.push(Arc::new(draft));
    }
    let ends_with_message = options.next_role.is_none() || options.continue_final_message;
    let earlier = Earlier { base: None, entries: &[] };
    let last_answer = messages.iter().rposition(is_answer);
    let mut history = History { first, earlier, options, last_tool: None, last_answer };
    for (at, message) in messages.iter().enumerate().skip(frames.len()) {
        let is_last = ends_with_message && at + 1 == messages.len();
        let place = |error: RenderError| RenderError { at: Some(at), ..error };
        frames.push(history.message(at, message, is_last).map_err(place)?);
    }
    Ok((preface, frames))
}

/// The frames of messages that stand behind others.
pub(crate) fn frames_behind(
    messages: &[Message],
    earlier: Earlier<'_>,
    options: &RenderOptions,
) -> Result<Vec<MessageFrames>, RenderError> {
    let ends_with_message = options.next_role.is_none() || options.continue_final_message;
    let last_answer = messages.iter().rposition(is_answer);
    let mut history = History { first: None, earlier, options, last_tool: None, last_answer };
    history.last_tool = last_tool(earlier).map(|name| history.name_in_prompt(name));
    let frames = messages.iter().enumerate().map(|(at, message)| {
        let is_last = ends_with_message && at + 1 == messages.len();
        history.message(at, message, is_last).map_err(|error| RenderError { at: Some(at), ..error })
    });
    frames.collect()
}

/// The tool after which the template names the next result.
fn last_tool(earlier: Earlier<'_>) -> Option<&str> {
    let mut said = earlier.messages_backwards().filter(|message| {
        message.role == Role::Assistant && (is_answer(message) || calls(message).next().is_some())
    });
    said.next().and_then(|message| calls(message).next()).map(|(_, call)| name_of(&call.name))
}

/// The developer frame, if there is one, and whether it offers functions.
fn developer(first: Option<&Message>, options: &RenderOptions) -> Result<(Option<Draft>, bool), RenderError> {
    let mut notes = Notes::new(options.strict);
    let parts = first.map_or(&[][..], |message| &message.content);
    let no_options = options.instructions.is_none() && options.tools.is_empty();
    if let [Part::Developer(read @ Developer { text: Some(text), .. })] = parts
        && no_options
    {
        return Ok((Some(Draft::developer(text.clone(), notes)), read.has_functions()));
    }
    let mut tools = options.tools.clone();
    for part in parts {
        if let Part::Developer(developer) = part {
            tools.extend_from_slice(&developer.tools);
        }
    }
    let own = first.map(|message| FieldText::new(message, content_text).text);
    let instructions = [options.instructions.clone(), own].into_iter().flatten();
    let instructions: Vec<String> = instructions.filter(|text| !text.is_empty()).collect();
    let mut out = String::new();
    if !instructions.is_empty() {
        out = format!("# Instructions\n\n{}\n\n", instructions.join("\n\n"));
    }
    if !tools.is_empty() {
        out.push_str(&namespace(&tools, options.dialect, &mut notes)?);
    }
    let draft = (!out.is_empty()).then(|| Draft::developer(out, notes));
    Ok((draft, !tools.is_empty()))
}

/// The text of one field of a message's chat dict, and the parts that it is made of.
struct FieldText {
    text: String,
    parts: Vec<usize>,
}

impl FieldText {
    fn new(message: &Message, field: fn(&Part) -> Option<&str>) -> FieldText {
        let mut field_text = FieldText { text: String::new(), parts: Vec::new() };
        for (at, part) in message.content.iter().enumerate() {
            if let Some(text) = field(part) {
                field_text.text.push_str(text);
                field_text.parts.push(at);
            }
        }
        field_text
    }

    /// Refuses an unparsed completion passed as text.
    fn without_markers(self, field: &str) -> Result<FieldText, RenderError> {
        if memchr::memchr(b'<', self.text.as_bytes()).is_none() {
            return Ok(self);
        }
        let headers = REFUSED_CHANNELS
            .map(|channel| format!("{}{channel}{}", Marker::Channel.spelling(), Marker::Message.spelling()));
        match headers.iter().find(|header| self.text.contains(*header)) {
            Some(marker) => Err(refusal(&format!(
                "{field} holds {marker}, which the chat template refuses: reasoning belongs in thinking, the \
                 answer in content, both without markers"
            ))),
            None => Ok(self),
        }
    }
}

/// The field `content`.
fn content_text(part: &Part) -> Option<&str> {
    match part {
        Part::Text { text, .. } | Part::Preamble { text, .. } | Part::System { text } => Some(text),
        Part::Developer(developer) => Some(&developer.instructions),
        Part::Reasoning { .. } | Part::ToolCall(_) | Part::ToolResult(_) => None,
    }
}

/// The field `thinking`.
fn thinking_text(part: &Part) -> Option<&str> {
    if let Part::Reasoning { text, .. } = part { Some(text) } else { None }
}

fn calls(message: &Message) -> impl Iterator<Item = (usize, &ToolCall)> {
    message.content.iter().enumerate().filter_map(|(at, part)| match part {
        Part::ToolCall(call) => Some((at, call)),
        _ => None,
    })
}

fn results(message: &Message) -> impl Iterator<Item = (usize, &ToolResult)> {
    message.content.iter().enumerate().filter_map(|(at, part)| match part {
        Part::ToolResult(result) => Some((at, result)),
        _ => None,
    })
}

/// Whether the message is an answer without tool calls, before which the template drops reasoning.
fn is_answer(message: &Message) -> bool {
    message.role == Role::Assistant
        && calls(message).next().is_none()
        && message.content.iter().any(|part| !matches!(part, Part::ToolResult(_)))
}

/// The frames of a message, and its parts without a frame.
pub(crate) struct MessageFrames {
    pub(crate) drafts: Vec<Arc<Draft>>,
    pub(crate) omitted: Vec<usize>,
}

/// Collects the frames of a message.
struct FrameBuilder {
    drafts: Vec<Arc<Draft>>,
    /// For each part whether a frame contains it.
    rendered: Vec<bool>,
}

impl FrameBuilder {
    fn new(message: &Message) -> FrameBuilder {
        FrameBuilder { drafts: Vec::new(), rendered: vec![false; message.content.len()] }
    }

    fn put(&mut self, draft: Draft, parts: &[usize]) -> Result<(), RenderError> {
        header_grammar::header(&draft.frame.header, None)?;
        for part in parts {
            self.rendered[*part] = true;
        }
        self.drafts.push(Arc::new(draft.of(parts.first().copied().unwrap_or_default())));
        Ok(())
    }

    fn finish(self) -> MessageFrames {
        let parts = self.rendered.into_iter().enumerate();
        let omitted = parts.filter(|(_, rendered)| !rendered).map(|(at, _)| at).collect();
        MessageFrames { drafts: self.drafts, omitted }
    }
}

/// The template's state between messages.
struct History<'a> {
    /// The message of the developer frame; `None` if there is none, or if it is in `earlier`.
    first: Option<&'a Message>,
    earlier: Earlier<'a>,
    options: &'a RenderOptions,
    /// The name of the last called tool in the prompt, until the assistant answers.
    last_tool: Option<String>,
    /// The index of the last message in which the assistant answers.
    last_answer: Option<usize>,
}

impl<'a> History<'a> {
    fn message(
        &mut self,
        at: usize,
        message: &'a Message,
        is_last: bool,
    ) -> Result<MessageFrames, RenderError> {
        let mut builder = FrameBuilder::new(message);
        let content = FieldText::new(message, content_text);
        match message.role {
            Role::User if !content.parts.is_empty() => {
                builder.put(Draft::new(Header::new(Role::User), content.text), &content.parts)?;
            }
            Role::Assistant => self.assistant(at, message, is_last, &mut builder)?,
            Role::Tool if !content.parts.is_empty() => {
                let json = Json::Text(content.text).to_string();
                builder.put(Draft::new(self.author()?, json), &content.parts)?;
            }
            _ => {}
        }
        for (part, result) in results(message) {
            let content = if result.is_json {
                python_json(&result.content)?
            } else {
                Json::Text(result.content.clone()).to_string()
            };
            builder.put(Draft::new(self.author()?, content), &[part])?;
        }
        Ok(builder.finish())
    }

    fn assistant(
        &mut self,
        at: usize,
        message: &'a Message,
        is_last: bool,
        builder: &mut FrameBuilder,
    ) -> Result<(), RenderError> {
        let content = FieldText::new(message, content_text).without_markers("content")?;
        let thinking = FieldText::new(message, thinking_text).without_markers("thinking")?;
        let on = |channel: &str| Header { channel: Some(channel.to_owned()), ..Header::new(Role::Assistant) };
        if let Some((part, call)) = calls(message).next() {
            let analysis = match (content.text.is_empty(), thinking.text.is_empty()) {
                (false, false) => {
                    return Err(refusal(
                        "holds both content and thinking beside tool calls, where the chat template has one \
                         place for the two: leave one out",
                    ));
                }
                (false, true) => content,
                (true, _) => thinking,
            };
            if !analysis.text.is_empty() && self.last_answer < Some(at) {
                builder.put(Draft::new(on("analysis"), analysis.text), &analysis.parts)?;
            }
            let name = self.name_in_prompt(name_of(&call.name));
            builder.put(self.call_draft(call, &name)?, &[part])?;
            self.last_tool = Some(name);
        } else if is_answer(message) {
            // Reasoning alone is an answer with empty content, as in the dict.
            let mut answer = Draft::new(on("final"), content.text);
            if is_last && results(message).next().is_none() {
                if !thinking.parts.is_empty() {
                    builder.put(Draft::new(on("analysis"), thinking.text), &thinking.parts)?;
                }
                answer.frame.stop = Some(Stop::Return);
            }
            builder.put(answer, &content.parts)?;
            self.last_tool = None;
        }
        Ok(())
    }

    fn name_in_prompt(&self, name: &str) -> String {
        let first = || self.first.or_else(|| self.earlier.messages_backwards().last());
        renamed::name_in_prompt(name, std::iter::once_with(first).flatten(), self.options)
    }

    fn call_draft(&self, call: &ToolCall, wire: &str) -> Result<Draft, RenderError> {
        let mut notes = Notes::new(self.options.strict);
        let name = name_of(&call.name);
        if wire != name {
            let subject = format!("the name {} of the called tool", header_grammar::excerpt(name));
            renamed::note(&mut notes, &subject, wire)?;
        }
        let header = Header {
            recipient: Some(function_recipient(wire)),
            recipient_at: Some(RecipientPosition::Role),
            channel: Some("commentary".to_owned()),
            content_type: Some("json".to_owned()),
            ..Header::new(Role::Assistant)
        };
        let mut draft = Draft::new(header, python_json(&call.arguments)?);
        draft.frame.stop = Some(Stop::Call);
        draft.notes = notes.finish();
        Ok(draft)
    }

    /// The header of a result, named after the last call, as the template does.
    fn author(&self) -> Result<Header, RenderError> {
        let name = self.last_tool.as_deref().ok_or_else(|| {
            refusal(
                "is a tool's result, and no tool call stands before it: the chat template names results after \
                 the last call",
            )
        })?;
        Ok(Header {
            name: Some(function_recipient(name)),
            recipient: Some("assistant".to_owned()),
            recipient_at: Some(RecipientPosition::Role),
            channel: Some("commentary".to_owned()),
            ..Header::new(Role::Tool)
        })
    }
}

/// JSON text as Python writes its value; other text as a JSON string.
fn python_json(text: &str) -> Result<String, RenderError> {
    match Json::parse(text) {
        Ok(value) => Ok(value.to_string()),
        Err(Fault::NotJson) => Ok(Json::Text(text.to_owned()).to_string()),
        Err(Fault::TooDeep) => Err(refusal("holds JSON that is nested too deep")),
    }
}
