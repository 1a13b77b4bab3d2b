//! The error of openai-harmony, with its texts.

use std::fmt;

/// An error with the text that openai-harmony gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarmonyError(pub String);

impl fmt::Display for HarmonyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for HarmonyError {}
