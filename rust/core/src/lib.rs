//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! Two pipelines: [`mod@render`] turns messages into frames and these into ids or text; [`parser`] turns ids or text into
//! events, frames and messages. Both use the [`tokenizer`].
//!
//! [`extend_ids`] puts what was sampled into the next prompt, id for id.
//!
//! The names at the root of the crate are its stable interface: they follow semantic versioning, and enums that will grow
//! are marked `non_exhaustive`. The modules also hold what the Python package needs, which can change with every version.
//!
//! # An answer while it is generated
//! An engine feeds each id to a [`StreamParser`], and receives events as soon as no later id can change them:
//!
//! ```
//! use motet::{FrameStart, Kind, ParseOptions, Repair, Role, Sink, SpecialPolicy, Stop, StreamParser, encode_with};
//! use std::sync::Arc;
//!
//! /// Passes on the text of the answer, without reasoning and calls.
//! #[derive(Default)]
//! struct Answer {
//!     is_open: bool,
//!     content: String,
//!     sent: String,
//! }
//!
//! impl Sink for Answer {
//!     fn start(&mut self, frame: FrameStart) {
//!         self.is_open = frame.kind == Kind::Text;
//!         self.content.clear();
//!     }
//!     fn delta(&mut self, text: &str) {
//!         self.content.push_str(text);
//!         if self.is_open {
//!             self.sent.push_str(text);
//!         }
//!     }
//!     fn end(&mut self, _stop: Option<Stop>) {}
//!     fn repair(&mut self, _repair: Repair) {}
//!     fn content(&self) -> &str {
//!         &self.content
//!     }
//! }
//!
//! let mut ids = Vec::new();
//! let sampled = "<|channel|>analysis<|message|>A greeting.<|end|>\
//!                <|start|>assistant<|channel|>final<|message|>Hello!<|return|>";
//! encode_with(sampled, SpecialPolicy::Token, &mut ids).expect("no special token is refused");
//!
//! let options = ParseOptions { role: Some(Role::Assistant), ..ParseOptions::default() };
//! let (mut parser, mut answer) = (StreamParser::new(Arc::new(options)), Answer::default());
//! for id in ids {
//!     parser.feed_ids(&[id], &mut answer).expect("ids only");
//! }
//! parser.close(&mut answer);
//! assert_eq!(answer.sent, "Hello!");
//! ```
//!
//! # The next prompt, and what to train on
//! ```
//! use motet::{LossTokens, Message, Part, RenderOptions, Role, SpecialPolicy, encode_with, extend_ids, render};
//!
//! fn user(text: &str) -> Message {
//!     let text = Part::Text { text: text.to_owned(), channel: None, content_type: None };
//!     Message { role: Role::User, name: None, content: vec![text] }
//! }
//!
//! let prompt = render(vec![user("2+2?")], RenderOptions::default())?;
//! let mut sampled = Vec::new();
//! encode_with("<|channel|>final<|message|>4<|return|>", SpecialPolicy::Token, &mut sampled).expect("no refusal");
//!
//! let longer = extend_ids(&prompt, &sampled, vec![user("And 3+3?")], false)?;
//! assert_eq!(longer.ids()[..prompt.len()], *prompt.ids());
//! assert_eq!(longer.ids()[prompt.len()..][..sampled.len()], sampled);
//! let mask = longer.loss_mask(LossTokens::Assistant);
//! assert_eq!(mask.iter().filter(|is_trained| **is_trained).count(), sampled.len());
//! # Ok::<(), motet::RenderError>(())
//! ```

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
