//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! A value takes one way through this crate:
//! messages → frames → pieces → ids or text, and
//! ids or text → pieces → events → frames → messages.

pub mod error;
pub mod frame;
mod header_grammar;
pub mod marker;
pub mod message;
pub mod parser;
pub mod render;
pub mod tokenizer;
pub mod tool_name;

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
