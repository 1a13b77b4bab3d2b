//! The frames of a message in the dialects `motet`, `openai_harmony` and `oss_harmony`.

use super::draft::{Draft, Earlier, refusal};
use super::notes::Notes;
use super::options::{Dialect, RenderOptions};
use super::renamed;
use super::system_text;
use crate::error::RenderError;
use crate::frame::{COMMENTARY, Header, RecipientPosition, Role, Stop};
use crate::header_grammar::{self, excerpt, is_author, is_callable, is_tool_name};
use crate::marker::Marker;
use crate::message::{Developer, Message, Part, Tool, ToolCall, ToolResult};
use crate::tool_name::{function_recipient, is_built_in, name_of, recipient_of};
use std::sync::Arc;

/// The frames of a message after the preface. `earlier`: the messages before it.
pub(crate) fn drafts(
    message: &Message,
    earlier: Earlier<'_>,
    options: &RenderOptions,
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
        let mut draft = part_draft(message, part, earlier, options)?;
        if options.dialect == Dialect::OssHarmony {
            draft.frame.header = as_oss_harmony(draft.frame.header);
        }
        header_grammar::header(&draft.frame.header, None)?;
        drafts.push(draft.of(at));
    }
    Ok(drafts.into_iter().map(Arc::new).collect())
}

/// Whether the part at `at` continues the frame before it: the texts of a user's message share one frame, those of the
/// assistant have one each.
fn continues(message: &Message, at: usize) -> bool {
    let previous = at.checked_sub(1).and_then(|index| message.content.get(index));
    message.role != Role::Assistant && matches!(previous, Some(Part::Text { .. }))
}

fn part_draft(
    message: &Message,
    part: &Part,
    earlier: Earlier<'_>,
    options: &RenderOptions,
) -> Result<Draft, RenderError> {
    Ok(match part {
        Part::Reasoning { text, content_type } => {
            let draft = Draft::new(assistant_header("analysis", content_type), text.clone());
            Draft { is_reasoning: true, ..draft }
        }
        Part::Preamble { text, content_type } => {
            Draft::new(assistant_header("commentary", content_type), text.clone())
        }
        Part::Text { text, channel, content_type } => text_draft(message, text, channel, content_type)?,
        Part::ToolCall(call) => call_draft(call, earlier, options)?,
        Part::ToolResult(result) => result_draft(result, message, earlier, options)?,
        Part::System { text } => Draft::system(text.clone()),
        Part::Developer(developer) => developer_draft(developer, options)?,
    })
}

/// The header with its values where oss-harmony writes them, for any author.
fn as_oss_harmony(header: Header) -> Header {
    let is_commentary = header.channel.as_deref() == Some(COMMENTARY);
    let position = if is_commentary { RecipientPosition::Channel } else { RecipientPosition::Role };
    let marker = Marker::Constrain.spelling();
    let constrained = |content_type: String| {
        if content_type.starts_with(marker) { content_type } else { format!("{marker}{content_type}") }
    };
    Header { recipient_at: Some(position), content_type: header.content_type.map(constrained), ..header }
}

fn developer_draft(developer: &Developer, options: &RenderOptions) -> Result<Draft, RenderError> {
    let mut notes = Notes::new(options.strict);
    let instructions = Some(developer.instructions.as_str());
    let text = match &developer.text {
        Some(text) => text.clone(),
        None => system_text::developer(instructions, &developer.tools, None, options.dialect, &mut notes)?,
    };
    Ok(Draft::developer(text, notes))
}

fn assistant_header(channel: &str, content_type: &Option<String>) -> Header {
    Header {
        channel: Some(channel.to_owned()),
        content_type: header_value(content_type, None),
        ..Header::new(Role::Assistant)
    }
}

fn text_draft(
    message: &Message,
    text: &str,
    channel: &Option<String>,
    content_type: &Option<String>,
) -> Result<Draft, RenderError> {
    if message.role == Role::Tool {
        return Err(refusal(
            "a tool message needs a ToolResult: plain text does not say which tool it is from",
        ));
    }
    let default_channel = (message.role == Role::Assistant).then_some("final");
    let header = Header {
        name: message.name.clone(),
        channel: header_value(channel, default_channel),
        content_type: header_value(content_type, None),
        ..Header::new(message.role)
    };
    Ok(Draft::new(header, text.to_owned()))
}

/// A header value: `value`, or the default where it is `None`; an empty string stands for no value.
fn header_value(value: &Option<String>, default: Option<&str>) -> Option<String> {
    value.as_deref().or(default).filter(|value| !value.is_empty()).map(str::to_owned)
}

fn call_draft(call: &ToolCall, earlier: Earlier<'_>, options: &RenderOptions) -> Result<Draft, RenderError> {
    let mut notes = Notes::new(options.strict);
    let recipient = call_recipient(call, earlier, options);
    let written = if call.recipient.is_empty() { &call.name } else { name_of(&call.recipient) };
    if name_of(&recipient) != name_of(written) {
        let subject = format!("the name {} of the called tool", excerpt(written));
        renamed::note(&mut notes, &subject, name_of(&recipient))?;
    }
    let built_in = is_built_in(&recipient);
    // Models call built-in tools on analysis with code, and functions on commentary with JSON.
    let (channel, content_type) = if built_in {
        ("analysis", "code".to_owned())
    } else {
        ("commentary", format!("{}json", Marker::Constrain.spelling()))
    };
    let position = match options.dialect {
        Dialect::OpenaiHarmony => Some(RecipientPosition::Role),
        Dialect::Motet | Dialect::OssHarmony | Dialect::ChatTemplate => call.recipient_at,
    };
    let header = Header {
        recipient: Some(recipient),
        recipient_at: position,
        channel: header_value(&call.channel, Some(channel)),
        content_type: header_value(&call.content_type, Some(&content_type)),
        ..Header::new(Role::Assistant)
    };
    let mut draft = Draft::new(header, call.arguments.clone());
    draft.frame.stop = Some(Stop::Call);
    draft.notes = notes.finish();
    Ok(draft)
}

fn result_draft(
    result: &ToolResult,
    message: &Message,
    earlier: Earlier<'_>,
    options: &RenderOptions,
) -> Result<Draft, RenderError> {
    let author = match (&result.author, &result.name) {
        (Some(author), _) => author.clone(),
        (None, Some(name)) => {
            let name = name_of(name);
            // The call decides whether the name is a built-in tool or a function.
            let call = is_built_in(name)
                .then(|| last_call(&result.tool_call_id, message, earlier))
                .flatten()
                .filter(|call| call.name == name);
            call.map_or_else(
                || tool_recipient(name, earlier, options),
                |call| call_recipient(call, earlier, options),
            )
        }
        (None, None) => {
            let id = &result.tool_call_id;
            let call = last_call(id, message, earlier).ok_or_else(|| {
                refusal(&format!("no tool call before it has the id {id:?}, and the result has no name"))
            })?;
            call_recipient(call, earlier, options)
        }
    };
    let mut notes = Notes::new(options.strict);
    let author = if result.author.is_some() || is_author(&author) {
        author
    } else {
        let name = renamed_recipient(name_of(&author), earlier, options);
        let subject = format!("the name {} of a result's tool", excerpt(name_of(&author)));
        renamed::note(&mut notes, &subject, name_of(&name))?;
        name
    };
    let header = Header {
        name: Some(author),
        recipient: header_value(&result.recipient, Some("assistant")),
        recipient_at: Some(RecipientPosition::Role),
        channel: header_value(&result.channel, Some("commentary")),
        content_type: header_value(&result.content_type, None),
        ..Header::new(Role::Tool)
    };
    Ok(Draft { notes: notes.finish(), ..Draft::new(header, result.content.clone()) })
}

/// The last call with this id.
fn last_call<'m>(id: &str, message: &'m Message, earlier: Earlier<'m>) -> Option<&'m ToolCall> {
    let parts = message.content.iter().rev().chain(earlier.parts_backwards());
    let mut calls = parts.filter_map(|part| match part {
        Part::ToolCall(call) if call.id == id => Some(call),
        _ => None,
    });
    calls.next()
}

fn call_recipient(call: &ToolCall, earlier: Earlier<'_>, options: &RenderOptions) -> String {
    if call.recipient.is_empty() {
        tool_recipient(&call.name, earlier, options)
    } else if is_callable(&call.recipient) {
        call.recipient.clone()
    } else {
        renamed_recipient(name_of(&call.recipient), earlier, options)
    }
}

/// The recipient of a tool whose name headers cannot hold.
fn renamed_recipient(name: &str, earlier: Earlier<'_>, options: &RenderOptions) -> String {
    let messages = || {
        let mut messages: Vec<_> = earlier.messages_backwards().collect();
        messages.reverse();
        messages
    };
    let name = renamed::name_in_prompt(name, std::iter::once_with(messages).flatten(), options);
    if is_built_in(&name) { name } else { function_recipient(&name) }
}

/// The recipient of calls of a tool. A function that the prompt defines stays one even if it is named as a built-in
/// tool.
fn tool_recipient(name: &str, earlier: Earlier<'_>, options: &RenderOptions) -> String {
    let has = |tools: &[Tool]| tools.iter().any(|tool| tool.name == name);
    let mut parts = earlier.parts_backwards();
    let is_declared = (is_built_in(name) || !is_tool_name(name))
        && (has(&options.tools)
            || parts.any(|part| matches!(part, Part::Developer(developer) if has(&developer.tools))));
    let is_function = is_declared && is_built_in(name);
    let recipient = if is_function { function_recipient(name) } else { recipient_of(name) };
    if is_tool_name(name) || (is_callable(&recipient) && !is_declared) {
        recipient
    } else {
        renamed_recipient(name, earlier, options)
    }
}
