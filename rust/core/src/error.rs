//! What can be wrong: repairs that the tolerant parser makes, and errors that strict parsing and rendering raise.
//! The texts that people read are made here; the places that find a fault say only which it is and where.

use std::fmt;

/// Why a conversation could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// What is wrong, where, and what to do, in one sentence.
    pub message: String,
    /// The index of the message in the input, if one is to blame.
    pub at: Option<usize>,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "messages[{at}]: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for RenderError {}
