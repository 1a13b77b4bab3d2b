//! Renders messages as frames, and frames as token ids or text.
//!
//! `prompt` takes drafts of frames from `preface` and `native` (or `chat_template`), `retention`
//! drops reasoning, and `incremental` encodes the frames that are new.

mod append;
mod attribution;
mod chat_template;
mod draft;
mod frame_writer;
mod incremental;
mod native;
mod notes;
mod options;
mod piece_writer;
mod preface;
mod prompt;
mod python_json;
mod renamed;
mod retention;
mod sampled;
mod schema;
mod system_text;
mod training;

pub use attribution::{Attribution, LossTokens, TokenKind};
pub use draft::SampledKind;
pub use frame_writer::render_frames;
pub(crate) use notes::Notes;
pub use notes::{Note, NoteCode};
pub use options::{Builtin, Dialect, Effort, KeepAnalysis, RenderOptions, ResponseFormat};
pub use piece_writer::Writer;
pub use prompt::{Prompt, render, render_sampled};
pub use sampled::{SampledFrame, SampledTurn};
pub(crate) use schema::openai_harmony::{Numbers, function as openai_harmony_function};
pub use training::{TrainingSample, render_training};
