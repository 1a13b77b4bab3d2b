//! Messages and their parts, as plain data. `parser/classify.rs` maps frames to parts, `render/native.rs` parts to
//! frames.

use crate::frame::{RecipientPosition, Role, Stop};
use serde_json::Value;

/// A role and its parts, in order. An assistant turn is one message of several frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: Role,
    /// The name of a user. The name of a tool is in its [`ToolResult`].
    pub name: Option<String>,
    pub content: Vec<Part>,
}

/// One part of a message's content. The fields beside the content hold the frame's header as written, so that a parsed
/// completion renders back to the same ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Reasoning {
        text: String,
        content_type: Option<String>,
    },
    Preamble {
        text: String,
        content_type: Option<String>,
    },
    /// `channel`: `None` is the role's usual one (`final` for the assistant, absent for others); the empty string is a
    /// frame without a channel.
    Text {
        text: String,
        channel: Option<String>,
        content_type: Option<String>,
    },
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    /// The text of a system frame, rendered verbatim.
    System {
        text: String,
    },
    Developer(Developer),
}

impl Part {
    /// The part's type in the dicts of messages.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Part::Reasoning { .. } => "reasoning",
            Part::Preamble { .. } => "preamble",
            Part::Text { .. } => "text",
            Part::ToolCall(_) => "tool_call",
            Part::ToolResult(_) => "tool_result",
            Part::System { .. } => "system_content",
            Part::Developer(_) => "developer_content",
        }
    }

    /// Whether a message of this role may hold the part. A part of another role would render as that role's words.
    pub(crate) const fn belongs_to(&self, role: Role) -> bool {
        match self {
            Part::Text { .. } => true,
            Part::Reasoning { .. } | Part::Preamble { .. } | Part::ToolCall(_) => {
                matches!(role, Role::Assistant)
            }
            Part::ToolResult(_) => matches!(role, Role::Tool),
            Part::System { .. } => matches!(role, Role::System),
            Part::Developer(_) => matches!(role, Role::Developer),
        }
    }

    /// The part with this text; for a call, with these arguments.
    pub(crate) fn with_text(mut self, new: String) -> Part {
        match &mut self {
            Part::Reasoning { text, .. }
            | Part::Preamble { text, .. }
            | Part::Text { text, .. }
            | Part::System { text } => *text = new,
            Part::ToolCall(call) => call.arguments = new,
            Part::ToolResult(result) => result.content = new,
            Part::Developer(developer) => developer.text = Some(new),
        }
        self
    }
}

/// A tool call of the assistant.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    pub id: String,
    /// Without the prefix `functions.`.
    pub name: String,
    /// As written; may be invalid JSON.
    pub arguments: String,
    /// As written: `functions.get_weather`, `browser.search`, `python`.
    pub recipient: String,
    pub recipient_at: Option<RecipientPosition>,
    pub channel: Option<String>,
    pub content_type: Option<String>,
    pub stop: Option<Stop>,
    /// Read from token ids, so that quoted text cannot produce it.
    pub trusted: bool,
}

impl ToolCall {
    /// A call of a conversation, written as the dialect writes calls.
    pub fn new(id: String, name: String, arguments: String) -> ToolCall {
        ToolCall {
            id,
            name,
            arguments,
            recipient: String::new(),
            recipient_at: None,
            channel: None,
            content_type: None,
            stop: Some(Stop::Call),
            trusted: true,
        }
    }
}

/// The result of a tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub tool_call_id: String,
    /// Without the prefix `functions.`; `None`: the name of the call with this id.
    pub name: Option<String>,
    pub content: String,
    /// The content is the JSON of an object or a list.
    pub is_json: bool,
    /// As written: `functions.get_weather`; `None`: derived from the name.
    pub author: Option<String>,
    /// `None`: `assistant`; the empty string: a frame without a recipient.
    pub recipient: Option<String>,
    /// `None`: `commentary`; the empty string: a frame without a channel.
    pub channel: Option<String>,
    pub content_type: Option<String>,
}

impl ToolResult {
    /// A result of a conversation, whose content is text, written as the dialect writes results.
    pub fn new(tool_call_id: String, name: Option<String>, content: String) -> ToolResult {
        ToolResult {
            tool_call_id,
            name,
            content,
            is_json: false,
            author: None,
            recipient: None,
            channel: None,
            content_type: None,
        }
    }
}

/// The instructions of a developer frame, and its tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Developer {
    pub instructions: String,
    pub tools: Vec<Tool>,
    /// The whole text as written, rendered verbatim; `None`: derived from the other fields.
    pub text: Option<String>,
}

impl Developer {
    /// Whether the frame defines functions.
    pub(crate) fn has_functions(&self) -> bool {
        !self.tools.is_empty()
            || self.text.as_deref().is_some_and(|text| text.contains("\nnamespace functions {"))
    }
}

/// A function that the model can call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Without the prefix `functions.`.
    pub name: String,
    pub description: String,
    /// The JSON Schema of the arguments; `None`: a function without arguments.
    pub parameters: Option<Value>,
}
