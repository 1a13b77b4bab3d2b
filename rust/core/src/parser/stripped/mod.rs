//! Completions whose markers were taken out, as a server does that leaves out special tokens when it decodes.

pub(crate) mod detect;
mod reopen;

/// Whether headers without markers are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stripped {
    /// Where the text begins as only such a header does, or begins much like it and has another one behind it.
    #[default]
    Auto,
    /// The markers are known to be gone: every word that can be such a header is one.
    Always,
    Never,
}
