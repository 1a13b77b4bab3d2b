//! The behaviour of the library openai-harmony 0.0.8, and of its successor oss-harmony 0.0.11, reproduced: the same ids for
//! the same messages, the same states after each token, the same texts of errors.
//!
//! Nothing is validated or repaired here: a header value may be any text, and a header is read as those libraries read it.
//! For everything else use [`crate::parser`] and [`mod@crate::render`].

pub mod builtin;
mod content;
mod error;
mod header;
mod parser;
mod render;
mod sections;
mod tolerant;
pub mod vocabulary;

pub use content::{
    Author, ChannelConfig, Content, DeveloperContent, Library, Message, SystemContent, ToolNamespace,
};
pub use error::HarmonyError;
pub use header::ParsedHeader;
pub use parser::{ParsedMessage, StreamState, StreamableParser};
pub use render::{
    render_conversation, render_conversation_for_completion, render_conversation_for_training, render_message,
};
pub use tolerant::TolerantParser;
