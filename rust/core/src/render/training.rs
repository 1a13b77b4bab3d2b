//! Conversations as training samples.

use super::frame_writer::author;
use super::options::RenderOptions;
use super::prompt::render;
use crate::error::RenderError;
use crate::frame::Role;
use crate::marker::Marker;
use crate::message::Message;
use crate::tokenizer;

/// A conversation as a training sample: the reasoning of every turn is kept, and the last answer ends with
/// `<|return|>`.
#[derive(Clone, Debug)]
pub struct TrainingSample {
    pub ids: Vec<u32>,
    /// The loss mask: for each id whether the assistant wrote it.
    pub weights: Vec<bool>,
    /// The range of ids of each message.
    pub spans: Vec<(usize, usize)>,
}

/// Renders a conversation for training. `next_role` is ignored; `keep_analysis` decides what is dropped.
pub fn render_training(
    messages: Vec<Message>,
    options: RenderOptions,
) -> Result<TrainingSample, RenderError> {
    let prompt = render(messages, RenderOptions { next_role: None, ..options })?;
    let mut ids = prompt.ids().to_vec();
    let mut weights = vec![false; ids.len()];
    for encoded in prompt.encoded_drafts() {
        let header = &encoded.draft.frame.header;
        if header.role == Role::Assistant {
            // The prompt gives `<|start|>` and the author; the model writes the rest.
            let prefix = 1 + tokenizer::count(&author(header));
            weights.get_mut(encoded.start + prefix..encoded.end).unwrap_or_default().fill(true);
        }
    }
    let answer = prompt
        .encoded_drafts()
        .last()
        .filter(|last| last.draft.is_final() && last.draft.frame.header.recipient.is_none());
    if let Some(id) = answer.and_then(|last| ids.get_mut(last.end - 1)) {
        *id = Marker::Return.id();
    }
    Ok(TrainingSample { spans: prompt.spans().to_vec(), ids, weights })
}
