//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! Two pipelines: [`mod@render`] turns messages into frames and these into ids or text; [`parser`] turns ids or text into
//! events, frames and messages. Both use the [`tokenizer`].
//!
//! The names at the root of the crate are its stable interface. The modules also hold what the Python package needs, which
//! can change with every version.

pub mod continuation;
pub mod error;
pub mod frame;
mod header_grammar;
pub mod marker;
pub mod message;
pub mod openai_harmony;
pub mod parser;
pub mod render;
pub mod tokenizer;
pub mod tool_name;
pub mod wire_name;

pub use continuation::extend_ids;
pub use error::excerpt::Excerpt;
pub use error::{Code, ParseError, ParseStage, RenderError, Repair, Tier};
pub use frame::{CHANNELS, Frame, Header, RecipientPosition, Role, Stop};
pub use marker::Marker;
pub use message::{Developer, Message, Part, Tool, ToolCall, ToolResult};
pub use parser::assemble::{completion_message, conversation};
pub use parser::classify::Kind;
pub use parser::collect::{Call, ClassifiedFrame, FrameCollector};
pub use parser::opened::{Opened, OpenedError};
pub use parser::stream::{Completion, Lane, MixedLanes, StreamParser, parse_ids, parse_text};
pub use parser::stripped::Stripped;
pub use parser::tool_names::ToolNames;
pub use parser::{ChannelTokens, FrameStart, ParseOptions, Sink};
pub use render::{
    Attribution, Builtin, Dialect, Effort, KeepAnalysis, LossTokens, Note, NoteCode, Prompt, RenderOptions,
    ResponseFormat, TokenKind, TrainingSample, Writer, render, render_frames, render_training,
};
pub use tokenizer::{
    DecodeError, InvalidId, Side, SpecialChoice, SpecialPolicy, SpecialSet, SpecialTokenFound, StreamDecoder,
    StreamEncoder, count, count_with, decode_into, encode, encode_into, encode_with, encode_with_ends,
    token_id, truncate,
};

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
