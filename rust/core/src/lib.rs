//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! A value takes one way through this crate:
//! messages → frames → pieces → ids or text, and
//! ids or text → pieces → events → frames → messages.

pub mod error;
pub mod frame;
pub mod marker;
pub mod message;
pub mod piece;
