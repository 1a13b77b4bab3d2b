//! Arrow arrays of text or token ids to tokens, messages, prompts and costs.
//!
//! [`cells::Cells`] reads the rows of an array of any of the types that hold text or ids. Each function divides the rows
//! into blocks, works on them in threads, and returns a [`column::Column`] with an array for each block, so that no result
//! is copied. Nothing here knows Python; the binding passes the arrays through the Arrow C interface.

pub mod blocks;
pub mod cells;
mod chat;
pub mod column;
pub mod cost;
mod ids;
pub mod parse;
mod parsed_rows;
pub mod render;
mod rows;
mod runs;
mod text_builder;
pub mod tokens;

pub use blocks::Threads;
pub use cells::UnsupportedType;
pub use column::{Column, TooLarge};
pub use cost::UnequalLengths;
