//! The harmony format of gpt-oss: tokens, frames, messages.
//!
//! A value takes one way through this crate:
//! messages → frames → pieces → ids or text ([`render`]), and
//! ids or text → pieces → events → frames → messages ([`parse`]).

pub mod marker;
