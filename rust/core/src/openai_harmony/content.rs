//! The messages of openai-harmony: flat, with several contents. Plain data.

use crate::frame::Role;
use crate::message::Tool;
use crate::render::Effort;
use std::collections::BTreeMap;

/// Whose behaviour is reproduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Library {
    /// openai-harmony 0.0.8.
    #[default]
    OpenaiHarmony,
    /// oss-harmony 0.0.11: recipients stand behind the channel of commentary, content types behind `<|constrain|>`, and
    /// channels after the first in a header are ignored.
    OssHarmony,
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub role: Role,
    pub name: Option<String>,
}

/// A message. Header values may be any text.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub author: Author,
    pub recipient: Option<String>,
    pub content: Vec<Content>,
    pub channel: Option<String>,
    pub content_type: Option<String>,
}

/// One of a message's contents.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Text(String),
    System(SystemContent),
    Developer(DeveloperContent),
}

/// The fields of a system message. What is `None` leaves its line out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemContent {
    pub model_identity: Option<String>,
    pub reasoning_effort: Option<Effort>,
    /// By their keys, in alphabetical order.
    pub tools: Option<BTreeMap<String, ToolNamespace>>,
    pub conversation_start_date: Option<String>,
    pub knowledge_cutoff: Option<String>,
    pub channel_config: Option<ChannelConfig>,
}

/// The channels that a system message names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelConfig {
    pub valid_channels: Vec<String>,
    pub channel_required: bool,
}

/// The fields of a developer message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeveloperContent {
    pub instructions: Option<String>,
    pub tools: Option<BTreeMap<String, ToolNamespace>>,
}

/// Tools under one name.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolNamespace {
    pub name: String,
    pub description: Option<String>,
    pub tools: Vec<Tool>,
}
