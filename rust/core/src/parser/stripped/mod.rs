//! Completions whose markers were removed, by a server that skips special tokens when decoding.

pub(super) mod detect;
mod json;
mod reopen;
mod words;

use self::json::JsonTracker;

/// Whether headers without markers are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stripped {
    /// Where the text begins as only such a header does, or begins much like it and has another one behind it; and
    /// where such a header names an offered tool.
    #[default]
    Auto,
    /// The markers are known to be removed: every word that can be such a header is one.
    Always,
    Never,
}

/// The state of detection in content without markers.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::parser) struct StrippedProgress {
    /// The length of the held start of a completion at which it is inspected again.
    rescan_threshold: usize,
    /// The arguments of the open call.
    json: Option<JsonTracker>,
    /// Behind complete arguments: how much of the held text was inspected.
    behind_json: Option<usize>,
    /// Whether only calls of offered tools are headers.
    only_offered: bool,
    /// Whether a header was detected by its words: calls after it are not trusted.
    guessed: bool,
}

/// What follows a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parser) enum Follows {
    More,
    Marker,
    Nothing,
}
