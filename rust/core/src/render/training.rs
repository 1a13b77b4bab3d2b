//! Conversations as training samples.

use super::attribution::LossTokens;
use super::options::RenderOptions;
use super::prompt::{Prompt, render};
use crate::error::RenderError;
use crate::marker::Marker;
use crate::message::Message;

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
    Ok(TrainingSample::of(&prompt))
}

impl TrainingSample {
    /// The sample of a prompt without the header of a next frame.
    pub fn of(prompt: &Prompt) -> TrainingSample {
        let mut ids = prompt.ids().to_vec();
        let answer = prompt
            .encoded_drafts()
            .last()
            .filter(|last| last.draft.is_final() && last.draft.frame.header.recipient.is_none());
        if let Some(id) = answer.and_then(|last| ids.get_mut(last.end - 1)) {
            *id = Marker::Return.id();
        }
        let weights = prompt.loss_mask(LossTokens::Assistant);
        TrainingSample { spans: prompt.spans().to_vec(), ids, weights }
    }
}
