//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! A value takes one way through this crate:
//! messages → frames → pieces → ids or text, and
//! ids or text → pieces → events → frames → messages.

mod chat_template;
pub mod classify;
pub mod error;
pub mod excerpt;
pub mod fold;
pub mod frame;
mod front;
pub mod header;
mod json;
mod legacy;
pub mod lex;
pub mod marker;
pub mod message;
pub mod parse;
pub mod piece;
pub mod reader;
pub mod render;
pub mod stripped;
mod template;
pub mod tokenizer;
mod typescript;
mod unescaped;
mod validate;
mod wire;
