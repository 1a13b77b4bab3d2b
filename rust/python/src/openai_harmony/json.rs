//! Messages of openai-harmony as JSON. The types are named and derived as there, because their names and serde's
//! reading of them are part of the texts of errors.

use motet::frame::Role as CoreRole;
use motet::message::Tool;
use motet::openai_harmony as core;
use motet::render::Effort;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Deserialize)]
pub(super) struct Conversation {
    messages: Vec<Message>,
}

impl Conversation {
    pub(super) fn into_messages(self) -> Vec<core::Message> {
        self.messages.into_iter().map(core::Message::from).collect()
    }
}

#[derive(Deserialize)]
pub(super) struct Message {
    #[serde(flatten)]
    author: Author,
    recipient: Option<String>,
    #[serde(deserialize_with = "text_or_contents")]
    content: Vec<Content>,
    channel: Option<String>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct Author {
    role: Role,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    User,
    Assistant,
    System,
    Developer,
    Tool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
enum Content {
    Text(TextContent),
    SystemContent(SystemContent),
    DeveloperContent(DeveloperContent),
}

#[derive(Deserialize)]
struct TextContent {
    text: String,
}

#[derive(Deserialize)]
struct SystemContent {
    model_identity: Option<String>,
    reasoning_effort: Option<ReasoningEffort>,
    tools: Option<BTreeMap<String, ToolNamespaceConfig>>,
    conversation_start_date: Option<String>,
    knowledge_cutoff: Option<String>,
    channel_config: Option<ChannelConfig>,
}

#[derive(Deserialize)]
enum ReasoningEffort {
    Low,
    Medium,
    High,
}

#[derive(Deserialize)]
struct ChannelConfig {
    valid_channels: Vec<String>,
    channel_required: bool,
}

#[derive(Deserialize)]
struct DeveloperContent {
    instructions: Option<String>,
    tools: Option<BTreeMap<String, ToolNamespaceConfig>>,
}

#[derive(Deserialize)]
struct ToolNamespaceConfig {
    name: String,
    description: Option<String>,
    tools: Vec<ToolDescription>,
}

#[derive(Deserialize)]
struct ToolDescription {
    name: String,
    description: String,
    parameters: Option<Value>,
}

/// Reads contents; a string stands for one text.
fn text_or_contents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Content>, D::Error> {
    struct TextOrContents;

    impl<'de> Visitor<'de> for TextOrContents {
        type Value = Vec<Content>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("string or list of content")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<Content>, E> {
            Ok(vec![Content::Text(TextContent { text: text.to_owned() })])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, contents: A) -> Result<Vec<Content>, A::Error> {
            Deserialize::deserialize(SeqAccessDeserializer::new(contents))
        }
    }

    deserializer.deserialize_any(TextOrContents)
}

impl From<Message> for core::Message {
    fn from(message: Message) -> core::Message {
        let Message { author, recipient, content, channel, content_type } = message;
        let role = match author.role {
            Role::User => CoreRole::User,
            Role::Assistant => CoreRole::Assistant,
            Role::System => CoreRole::System,
            Role::Developer => CoreRole::Developer,
            Role::Tool => CoreRole::Tool,
        };
        core::Message {
            author: core::Author { role, name: author.name },
            recipient,
            content: content.into_iter().map(core::Content::from).collect(),
            channel,
            content_type,
        }
    }
}

impl From<Content> for core::Content {
    fn from(content: Content) -> core::Content {
        match content {
            Content::Text(TextContent { text }) => core::Content::Text(text),
            Content::SystemContent(system) => core::Content::System(system.into()),
            Content::DeveloperContent(developer) => core::Content::Developer(core::DeveloperContent {
                instructions: developer.instructions,
                tools: developer.tools.map(into_namespaces),
            }),
        }
    }
}

impl From<SystemContent> for core::SystemContent {
    fn from(system: SystemContent) -> core::SystemContent {
        core::SystemContent {
            model_identity: system.model_identity,
            reasoning_effort: system.reasoning_effort.map(|effort| match effort {
                ReasoningEffort::Low => Effort::Low,
                ReasoningEffort::Medium => Effort::Medium,
                ReasoningEffort::High => Effort::High,
            }),
            tools: system.tools.map(into_namespaces),
            conversation_start_date: system.conversation_start_date,
            knowledge_cutoff: system.knowledge_cutoff,
            channel_config: system.channel_config.map(|config| core::ChannelConfig {
                valid_channels: config.valid_channels,
                channel_required: config.channel_required,
            }),
        }
    }
}

fn into_namespaces(configs: BTreeMap<String, ToolNamespaceConfig>) -> BTreeMap<String, core::ToolNamespace> {
    let namespace = |config: ToolNamespaceConfig| core::ToolNamespace {
        name: config.name,
        description: config.description,
        tools: config.tools.into_iter().map(into_tool).collect(),
    };
    configs.into_iter().map(|(key, config)| (key, namespace(config))).collect()
}

fn into_tool(tool: ToolDescription) -> Tool {
    Tool { name: tool.name, description: tool.description, parameters: tool.parameters }
}
