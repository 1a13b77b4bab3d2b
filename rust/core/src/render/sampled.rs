//! Completions as they were sampled: ids that stand in a prompt for the frames that they were read as.

use super::draft::{Draft, SampledIds, SampledKind};
use super::incremental::Lead;
use crate::frame::{Frame, Role, Stop};
use crate::marker::Marker;
use crate::message::Message;
use crate::tokenizer::vocabulary;
use std::sync::Arc;

/// A completion as ids, and what was read from them.
#[derive(Clone, Debug)]
pub struct SampledTurn {
    /// What the completion says.
    pub message: Message,
    /// Its frames, which share all of the ids among them. Never empty.
    pub frames: Vec<SampledFrame>,
    /// The stop token that the last frame lacks.
    pub close: Option<Stop>,
}

/// One frame of a completion.
#[derive(Clone, Debug)]
pub struct SampledFrame {
    pub frame: Frame,
    pub kind: SampledKind,
    /// The index of the message's part; `None`: a frame of another role, or ids that no frame was read from.
    pub part: Option<usize>,
    pub ids: Vec<u32>,
}

impl SampledTurn {
    /// The message, and a draft for each frame.
    pub(crate) fn into_drafts(self) -> (Message, Vec<Arc<Draft>>) {
        let last = self.frames.len().saturating_sub(1);
        let drafts = self.frames.into_iter().enumerate().map(|(index, sampled)| {
            let SampledFrame { mut frame, kind, part, ids } = sampled;
            let close = self.close.filter(|_| index == last);
            frame.stop = frame.stop.or(close);
            let is_reasoning = kind == SampledKind::Reasoning;
            let sampled = Some(SampledIds { ids, kind, close });
            let draft = Draft::new(frame.header.clone(), String::new());
            Arc::new(Draft { frame, part, is_reasoning, sampled, ..draft })
        });
        let drafts = drafts.collect();
        (self.message, drafts)
    }
}

impl Draft {
    /// What has to stand before the draft's ids, if the frame before it is not there.
    pub(crate) fn missing_lead(&self) -> Lead {
        let Some(sampled) = &self.sampled else { return Lead::Nothing };
        if sampled.ids.first() == Some(&Marker::Start.id()) {
            return Lead::Nothing;
        }
        let (role, mut beginning) = (Role::Assistant.as_str().as_bytes(), Vec::new());
        // A role has at most as many tokens as bytes.
        for id in sampled.ids.iter().take(role.len()) {
            beginning.extend_from_slice(vocabulary::token_bytes(*id).unwrap_or_default());
        }
        if beginning.starts_with(role) { Lead::Start } else { Lead::StartAndRole }
    }
}
