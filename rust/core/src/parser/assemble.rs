//! Assembles frames into parts, and parts into messages.

use crate::frame::{Frame, Header, Role, Stop};
use crate::message::{Developer, Message, Part, ToolCall, ToolResult};
use crate::parser::ParseOptions;
use crate::parser::classify::{Kind, channel_of};
use crate::parser::collect::{Call, ClassifiedFrame};
use crate::tool_name::name_of;

/// The message of a completion: all of its frames, except those of other roles.
pub fn completion_message(options: &ParseOptions, frames: &[ClassifiedFrame]) -> Message {
    let role = options.role.unwrap_or(Role::Assistant);
    let mut parts = Parts::default();
    let own = frames.iter().filter(|frame| frame.kind != Kind::ForeignTurn);
    let content = own.map(|frame| parts.part(frame));
    Message { role, name: None, content: content.collect() }
}

/// The messages of a transcript: one for each turn of the assistant, one for each frame of the others.
pub fn conversation(frames: &[ClassifiedFrame]) -> Vec<Message> {
    let mut parts = Parts::default();
    let mut messages: Vec<Message> = Vec::new();
    for (index, classified) in frames.iter().enumerate() {
        let Frame { header, content, stop, .. } = &classified.frame;
        let tail =
            stop.is_none() && content.is_empty() && header.channel.is_none() && header.recipient.is_none();
        if tail && index + 1 == frames.len() {
            continue;
        }
        let part = parts.part(classified);
        let name = if header.role == Role::Tool { None } else { header.name.clone() };
        match messages.last_mut() {
            Some(last) if last.role == header.role && header.role == Role::Assistant && last.name == name => {
                last.content.push(part);
            }
            _ => messages.push(Message { role: header.role, name, content: vec![part] }),
        }
    }
    messages
}

/// A frame, possibly incomplete.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    pub header: &'a Header,
    pub kind: Kind,
    pub call: Option<&'a Call>,
    pub content: &'a str,
    pub stop: Option<Stop>,
}

/// Makes parts of frames, and remembers the calls that have no result yet.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Name and id of each.
    calls: Vec<(String, String)>,
}

impl Parts {
    fn part(&mut self, classified: &ClassifiedFrame) -> Part {
        let ClassifiedFrame { frame: Frame { header, content, stop, .. }, kind, call, .. } = classified;
        let view = FrameView { header, kind: *kind, call: call.as_ref(), content, stop: *stop };
        self.part_without_text(view).with_text(content.clone())
    }

    /// The part of a frame without its text, so that callers with a buffer of their own avoid a copy.
    pub fn part_without_text(&mut self, view: FrameView<'_>) -> Part {
        let FrameView { header, kind, content, .. } = view;
        let (text, content_type) = (String::new(), header.content_type.clone());
        match kind {
            Kind::Reasoning => Part::Reasoning { text, content_type },
            Kind::Preamble => Part::Preamble { text, content_type },
            Kind::Text | Kind::ForeignTurn => {
                let usual = if header.role == Role::Assistant { Some("final") } else { None };
                let channel = channel_of(header);
                let channel = (channel != usual).then(|| channel.unwrap_or_default().to_owned());
                Part::Text { text, channel, content_type }
            }
            Kind::ToolCall => Part::ToolCall(self.call(view)),
            Kind::ToolResult => Part::ToolResult(self.result(header)),
            Kind::System => Part::System { text },
            Kind::Developer => Part::Developer(Developer {
                instructions: instructions(content).to_owned(),
                tools: Vec::new(),
                text: Some(text),
            }),
        }
    }

    fn call(&mut self, view: FrameView<'_>) -> ToolCall {
        let FrameView { header, call, stop, .. } = view;
        let recipient = header.recipient.clone().unwrap_or_default();
        let (id, name, trusted) =
            call.map_or_else(Default::default, |call| (call.id.clone(), call.name.clone(), call.trusted));
        self.calls.push((name.clone(), id.clone()));
        ToolCall {
            id,
            name,
            arguments: String::new(),
            recipient_at: header.recipient_at,
            channel: header.channel.clone(),
            content_type: header.content_type.clone(),
            recipient,
            stop,
            trusted,
        }
    }

    fn result(&mut self, header: &Header) -> ToolResult {
        let author = header.name.clone().unwrap_or_default();
        let name = name_of(&author).to_owned();
        // Results come in the order of the calls, which distinguishes calls of one tool.
        let call = self.calls.iter().position(|(called, _)| *called == name);
        let id = call.map(|call| self.calls.remove(call).1).unwrap_or_default();
        let unusual = |value: &Option<String>, usual: &str| {
            (value.as_deref() != Some(usual)).then(|| value.clone().unwrap_or_default())
        };
        ToolResult {
            tool_call_id: id,
            name: Some(name),
            content: String::new(),
            is_json: false,
            author: Some(author),
            recipient: unusual(&header.recipient, "assistant"),
            channel: unusual(&header.channel, "commentary"),
            content_type: header.content_type.clone(),
        }
    }
}

/// The instructions in the text of a developer frame: what stands under `# Instructions`, or all of it.
fn instructions(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("# Instructions\n\n") else {
        let other = text.starts_with("# Tools\n\n") || text.starts_with("# Response Formats\n\n");
        return if other { "" } else { text };
    };
    let end =
        ["\n\n# Tools\n\n", "\n\n# Response Formats\n\n"].iter().filter_map(|title| rest.find(title)).min();
    end.and_then(|end| rest.get(..end)).unwrap_or(rest)
}
