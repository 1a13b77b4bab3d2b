//! Frames become parts, and parts messages.

use crate::frame::{Frame, Header, Role, Stop};
use crate::message::{Developer, Message, Part, ToolCall, ToolResult};
use crate::parser::ParseOptions;
use crate::parser::classify::{Kind, ToolNames, tool_of};
use crate::parser::collect::ClassifiedFrame;
use crate::tool_name::name_of;

/// The message of a completion: all of its frames, but for turns of others.
pub fn completion_message(options: &ParseOptions, frames: &[ClassifiedFrame], trusted: bool) -> Message {
    let role = options.role.unwrap_or(Role::Assistant);
    let mut parts = Parts::default();
    let own = frames.iter().enumerate().filter(|(_, folded)| folded.kind != Kind::ForeignTurn);
    let content = own.map(|(index, folded)| parts.part(index, folded, &options.tools, trusted));
    Message { role, name: None, content: content.collect() }
}

/// The messages of a transcript: one for each turn of the assistant, one for each frame of the others.
pub fn conversation(frames: &[ClassifiedFrame], tools: &ToolNames, trusted: bool) -> Vec<Message> {
    let mut parts = Parts::default();
    let mut messages: Vec<Message> = Vec::new();
    for (index, folded) in frames.iter().enumerate() {
        let Frame { header, content, stop, .. } = &folded.frame;
        let tail =
            stop.is_none() && content.is_empty() && header.channel.is_none() && header.recipient.is_none();
        if tail && index + 1 == frames.len() {
            continue;
        }
        let part = parts.part(index, folded, tools, trusted);
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

/// A frame as far as it has been read.
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    /// The number of the frame.
    pub index: usize,
    pub header: &'a Header,
    pub kind: Kind,
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
    fn part(&mut self, index: usize, folded: &ClassifiedFrame, tools: &ToolNames, trusted: bool) -> Part {
        let ClassifiedFrame { frame: Frame { header, content, stop, .. }, kind } = folded;
        let view = FrameView { index, header, kind: *kind, content, stop: *stop };
        self.part_without_text(view, tools, trusted).with_text(content.clone())
    }

    /// The part that a frame is, but for its text, which is the content: whoever has a place for it need not copy it
    /// twice.
    pub fn part_without_text(&mut self, view: FrameView<'_>, tools: &ToolNames, trusted: bool) -> Part {
        let FrameView { header, kind, content, .. } = view;
        let (text, content_type) = (String::new(), header.content_type.clone());
        match kind {
            Kind::Reasoning => Part::Reasoning { text, content_type },
            Kind::Preamble => Part::Preamble { text, content_type },
            Kind::Text | Kind::ForeignTurn => {
                let usual = if header.role == Role::Assistant { Some("final") } else { None };
                let channel = header.channel.as_deref();
                let channel = (channel != usual).then(|| channel.unwrap_or_default().to_owned());
                Part::Text { text, channel, content_type }
            }
            Kind::ToolCall => Part::ToolCall(self.call(view, tools, trusted)),
            Kind::ToolResult => Part::ToolResult(self.result(header)),
            Kind::System => Part::System { text },
            Kind::Developer => Part::Developer(Developer {
                instructions: instructions(content).to_owned(),
                tools: Vec::new(),
                text: Some(text),
            }),
        }
    }

    fn call(&mut self, view: FrameView<'_>, tools: &ToolNames, trusted: bool) -> ToolCall {
        let FrameView { index, header, content, stop, .. } = view;
        let recipient = header.recipient.clone().unwrap_or_default();
        let name = tool_of(&recipient, tools).map_or(recipient.as_str(), |(name, _)| name).to_owned();
        let id = call_id(index, &recipient, content);
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
        // Results come in the order of the calls; calls of one tool are told apart by it.
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

/// An id made of what the call is and where it stands, so that parsing twice gives the same one (FNV-1a, 64 bits).
fn call_id(index: usize, recipient: &str, arguments: &str) -> String {
    let place = index.to_le_bytes();
    let parts = [place.as_slice(), recipient.as_bytes(), &[0], arguments.as_bytes()];
    let bytes = parts.into_iter().flatten();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("call_{hash:016x}")
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
