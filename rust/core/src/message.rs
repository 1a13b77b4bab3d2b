//! Messages and their parts: what a chat user means, as plain data.
//! Which frame becomes which part is decided in `classify.rs`; which part becomes which frame, in `render/native.rs`.

use crate::frame::{RecipientPosition, Role, Stop};
use serde_json::Value;

/// A role and what it says, in order. One assistant turn is one message, made of several frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: Role,
    /// The name of a user. Tools are named by their [`ToolResult`].
    pub name: Option<String>,
    pub content: Vec<Part>,
}

/// One piece of a message's content. Fields beside the content itself say how it stood on the wire, so that
/// what a model wrote renders back to the ids it wrote.
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
    /// `channel`: `None` is the usual one of its role (`final` for the assistant, none for others);
    /// the empty string says that none was written.
    Text {
        text: String,
        channel: Option<String>,
        content_type: Option<String>,
    },
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    /// The text of a system frame, rendered as it is.
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

    /// The same with this text; of a call, these arguments.
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

/// A tool call, as the assistant writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    pub id: String,
    /// Without the prefix `functions.`.
    pub name: String,
    /// As written; not always JSON.
    pub arguments: String,
    /// As written: `functions.get_weather`, `browser.search`, `python`.
    pub recipient: String,
    pub recipient_at: Option<RecipientPosition>,
    pub channel: Option<String>,
    pub content_type: Option<String>,
    pub stop: Option<Stop>,
    /// Read from token ids, so that no quoted text can have made it.
    pub trusted: bool,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    pub tool_call_id: String,
    /// Without the prefix `functions.`; `None`: the name of the call with this id.
    pub name: Option<String>,
    pub content: String,
    /// The content came as an object or a list, and is its JSON.
    pub is_json: bool,
    /// As written: `functions.get_weather`; `None`: made from the name.
    pub author: Option<String>,
    /// `None`: `assistant`; the empty string says that none was written.
    pub recipient: Option<String>,
    /// `None`: `commentary`; the empty string says that none was written.
    pub channel: Option<String>,
    pub content_type: Option<String>,
}

/// The instructions of a developer frame, and its tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Developer {
    pub instructions: String,
    pub tools: Vec<Tool>,
    /// The whole text as it stood on the wire, rendered as it is; `None`: made from the other fields.
    pub text: Option<String>,
}

impl Developer {
    /// Whether the frame defines functions.
    pub(crate) fn has_functions(&self) -> bool {
        !self.tools.is_empty()
            || self.text.as_deref().is_some_and(|text| text.contains("\nnamespace functions {"))
    }
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Without the prefix `functions.`.
    pub name: String,
    pub description: String,
    /// The JSON Schema of the arguments; `None`: takes none.
    pub parameters: Option<Value>,
}
