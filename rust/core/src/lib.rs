//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! A value takes one way through this crate:
//! messages → frames → pieces → ids or text, and
//! ids or text → pieces → events → frames → messages.

mod chat_template;
pub mod error;
pub mod frame;
mod front;
mod header_grammar;
mod json;
mod legacy;
pub mod marker;
pub mod message;
pub mod parser;
pub mod piece;
pub mod render;
mod template;
pub mod tokenizer;
pub mod tool_name;
mod typescript;
mod unescaped;
mod wire;

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
