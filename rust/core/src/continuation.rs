//! Prompts that go on with what a model sampled: the ids stand in the next prompt as they are, and what was read from
//! them says which message they are.

use crate::error::RenderError;
use crate::frame::{Frame, Header, Role, Stop};
use crate::message::{Message, Part, ToolCall};
use crate::parser::ParseOptions;
use crate::parser::assemble::completion_message;
use crate::parser::classify::Kind;
use crate::parser::collect::ClassifiedFrame;
use crate::parser::opened::Opened;
use crate::parser::stream::{Completion, parse_ids};
use crate::parser::tool_names::ToolNames;
use crate::render::{self, Prompt, RenderOptions, SampledFrame, SampledKind, SampledTurn};
use crate::tool_name::{function_recipient, name_of};
use std::sync::Arc;

/// The prompt with the ids that a model sampled behind it, and with the messages that follow.
///
/// All ids of the prompt and all of `sampled` stay, whatever they are; a stop token follows them if they end within a
/// frame. Results of tools without an id or a name that is known answer the sampled calls in their order. Takes time in
/// proportion to what is appended, however long the prompt is.
pub fn extend_ids(
    prompt: &Prompt,
    sampled: &[u32],
    messages: Vec<Message>,
    continue_final_message: bool,
) -> Result<Prompt, RenderError> {
    let options = prompt.options();
    let tools = ToolNames::new(tool_names(options));
    let opened = prompt.opened().and_then(|header| Opened::new(&header, &tools).ok());
    let options = ParseOptions { role: prompt.next_role(), opened, tools, ..ParseOptions::default() };
    let turn = read_sampled(sampled, options)?;
    let calls = calls(&turn.message).cloned().collect::<Vec<_>>();
    let messages = with_authors(messages, &calls);
    prompt.extend_sampled(turn, messages, continue_final_message)
}

/// Renders a conversation in which messages of the assistant stand as they were sampled: `sampled` has the index of each
/// and its ids. Of them `keep_analysis` drops reasoning, too; a frame that stays keeps its ids.
pub fn render_sampled(
    messages: Vec<Message>,
    sampled: Vec<(usize, Vec<u32>)>,
    options: RenderOptions,
) -> Result<Prompt, RenderError> {
    let tools = ToolNames::new(tool_names(&options));
    let turns = sampled.into_iter().map(|(at, ids)| {
        let of_assistant = messages.get(at).is_some_and(|message| message.role == Role::Assistant);
        if !of_assistant {
            let message = "sampled ids are for messages of the assistant".to_owned();
            return Err(RenderError { message, at: Some(at) });
        }
        let role = Some(Role::Assistant);
        let options = ParseOptions { role, tools: tools.clone(), ..ParseOptions::default() };
        Ok((at, read_sampled(&ids, options)?))
    });
    let turns = turns.collect::<Result<_, RenderError>>()?;
    render::render_sampled(messages, turns, options)
}

/// The names of all tools that a prompt offers in its options, those of functions with `functions.`.
pub fn tool_names(options: &RenderOptions) -> impl Iterator<Item = String> {
    let builtin = options.builtin_tools.iter().flat_map(|tool| tool.functions());
    let names = options.tools.iter().map(|tool| function_recipient(name_of(&tool.name)));
    names.chain(builtin.map(|name| (*name).to_owned()))
}

/// Reads a completion, and divides its ids among its frames.
pub fn read_sampled(ids: &[u32], options: ParseOptions) -> Result<SampledTurn, RenderError> {
    let options = Arc::new(ParseOptions { strict: false, ..options });
    let completion = parse_ids(ids, Arc::clone(&options))
        .map_err(|error| RenderError { message: error.to_string(), at: None })?;
    let message = completion_message(&options, &completion.frames);
    let close = completion.stop.is_none().then(|| missing_stop(&completion));
    let role = options.role.unwrap_or(Role::Assistant);
    Ok(SampledTurn { message, frames: frames(&completion.frames, ids, role), close })
}

/// The stop token of a completion that was cut: that of a call if it was cut in one.
fn missing_stop(completion: &Completion) -> Stop {
    let cut = completion.frames.last().filter(|frame| frame.frame.stop.is_none());
    if cut.is_some_and(|frame| frame.kind == Kind::ToolCall) { Stop::Call } else { Stop::End }
}

/// The frames with their ids. What lies in front of the first frame is its, and what lies behind a frame that frame's.
fn frames(classified: &[ClassifiedFrame], ids: &[u32], role: Role) -> Vec<SampledFrame> {
    let (mut frames, mut parts) = (Vec::with_capacity(classified.len()), 0);
    let mut start = 0;
    for (index, current) in classified.iter().enumerate() {
        let next =
            classified.get(index + 1).map_or(ids.len(), |next| (next.at as usize).clamp(start, ids.len()));
        let kind = match current.kind {
            Kind::Reasoning => SampledKind::Reasoning,
            Kind::Preamble => SampledKind::Preamble,
            Kind::Text => SampledKind::Text,
            Kind::ToolCall => SampledKind::Call,
            Kind::ForeignTurn | Kind::ToolResult | Kind::System | Kind::Developer => SampledKind::Foreign,
        };
        let part = (current.kind != Kind::ForeignTurn).then_some(parts);
        parts += usize::from(part.is_some());
        let ids = ids.get(start..next).unwrap_or_default().to_vec();
        frames.push(SampledFrame { frame: current.frame.clone(), kind, part, ids });
        start = next;
    }
    if frames.is_empty() {
        let frame = Frame { header: Header::new(role), content: String::new(), stop: None, implied: false };
        frames.push(SampledFrame { frame, kind: SampledKind::Text, part: None, ids: ids.to_vec() });
    }
    frames
}

fn calls(message: &Message) -> impl Iterator<Item = &ToolCall> {
    message.content.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    })
}

/// The messages, with the authors of results that have no name: by the id of the call, else by the order of the calls.
/// Ids of calls may be the caller's own.
fn with_authors(mut messages: Vec<Message>, calls: &[ToolCall]) -> Vec<Message> {
    let results =
        messages.iter_mut().flat_map(|message| &mut message.content).filter_map(|part| match part {
            Part::ToolResult(result) => Some(result),
            _ => None,
        });
    for (index, result) in results.enumerate() {
        if result.name.is_none() && result.author.is_none() {
            let call = calls.iter().find(|call| call.id == result.tool_call_id).or_else(|| calls.get(index));
            result.author = call.map(|call| call.recipient.clone());
        }
    }
    messages
}
