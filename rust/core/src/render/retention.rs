//! Which reasoning stays in a prompt.

use super::draft::Draft;
use super::options::KeepAnalysis;
use crate::frame::Role;
use std::sync::Arc;

/// A rule, and the index of the frame before which it drops reasoning.
pub(crate) struct Retention {
    rule: KeepAnalysis,
    boundary: usize,
}

impl Retention {
    pub(crate) fn new<'a>(
        rule: KeepAnalysis,
        drafts: impl Iterator<Item = &'a Arc<Draft>> + Clone,
    ) -> Retention {
        let last = |matches: &dyn Fn(&Draft) -> bool| {
            drafts.clone().enumerate().filter(|(_, draft)| matches(draft)).last().map(|(index, _)| index)
        };
        let channel_is_final = |draft: &Draft| draft.frame.header.channel.as_deref() == Some("final");
        let boundary = match rule {
            KeepAnalysis::All | KeepAnalysis::None => None,
            KeepAnalysis::Turn => last(&Draft::is_final),
            KeepAnalysis::OpenaiHarmony => last(&|draft| draft.frame.header.role == Role::Assistant)
                .and_then(|index| drafts.clone().nth(index))
                .filter(|draft| channel_is_final(draft))
                .and_then(|_| drafts.clone().position(|draft| channel_is_final(draft))),
        };
        Retention { rule, boundary: boundary.unwrap_or(0) }
    }

    /// Whether the frame at `index` stays in the prompt.
    pub(crate) fn keeps(&self, index: usize, draft: &Draft) -> bool {
        match self.rule {
            KeepAnalysis::All => true,
            KeepAnalysis::None => !draft.is_reasoning,
            KeepAnalysis::Turn => !draft.is_reasoning || index >= self.boundary,
            KeepAnalysis::OpenaiHarmony => {
                draft.frame.header.channel.as_deref() != Some("analysis") || index >= self.boundary
            }
        }
    }
}
