//! Ids of a prompt that extends another: known frames are copied, new ones encoded.

use super::draft::Draft;
use super::frame_writer::{write_frame, write_header, write_next_role, write_stop};
use super::options::Dialect;
use super::piece_writer::Writer;
use crate::frame::Role;
use crate::marker::Marker;
use std::sync::Arc;

/// A draft and its range of ids.
#[derive(Clone, Debug)]
pub(crate) struct EncodedDraft {
    pub(crate) draft: Arc<Draft>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The index of its message; `None` for frames made from the options.
    pub(crate) message: Option<usize>,
    /// The number of ids at the start that the prompt gives to a sampled frame: `<|start|>` and the role.
    pub(crate) lead: usize,
}

/// How much of `<|start|>` and the role a sampled frame lacks in its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    Nothing,
    Start,
    StartAndRole,
}

/// Collects the ids of drafts; those of an earlier prompt are copied from its ids.
pub(crate) struct IncrementalWriter<'a> {
    dialect: Dialect,
    earlier_drafts: std::slice::Iter<'a, EncodedDraft>,
    earlier_ids: &'a [u32],
    pub(crate) ids: Vec<u32>,
    pub(crate) drafts: Vec<EncodedDraft>,
}

impl<'a> IncrementalWriter<'a> {
    pub(crate) fn new(dialect: Dialect, drafts: &'a [EncodedDraft], ids: &'a [u32]) -> Self {
        IncrementalWriter {
            dialect,
            earlier_drafts: drafts.iter(),
            earlier_ids: ids,
            ids: Vec::with_capacity(ids.len() + 64),
            drafts: Vec::with_capacity(drafts.len() + 4),
        }
    }

    pub(crate) fn put(&mut self, draft: &Arc<Draft>, message: Option<usize>, lead: Lead) {
        let start = self.ids.len();
        write_lead(lead, draft.frame.header.role, &mut self.ids);
        let lead = self.ids.len() - start;
        // Frames keep their order, so an earlier form of this draft is further on; those before it were dropped.
        let mut rest = self.earlier_drafts.clone();
        // The chat template makes new drafts for every prompt, and most equal the earlier ones.
        let by_value = self.dialect == Dialect::ChatTemplate;
        let is_same = |earlier: &&EncodedDraft| {
            Arc::ptr_eq(&earlier.draft, draft) || by_value && earlier.draft.frame == draft.frame
        };
        match rest.find(is_same) {
            Some(earlier) => {
                let ids = self.earlier_ids.get(earlier.start + earlier.lead..earlier.end).unwrap_or_default();
                self.ids.extend_from_slice(ids);
                self.earlier_drafts = rest;
            }
            None => write_draft(draft, self.dialect, &mut self.ids),
        }
        self.drafts.push(EncodedDraft {
            draft: Arc::clone(draft),
            start,
            end: self.ids.len(),
            message,
            lead,
        });
    }
}

fn write_lead(lead: Lead, role: Role, out: &mut Vec<u32>) {
    match lead {
        Lead::Nothing => {}
        Lead::Start => out.mark(Marker::Start),
        Lead::StartAndRole => write_next_role(Some(role), out),
    }
}

pub(crate) fn write_draft(draft: &Draft, dialect: Dialect, out: &mut Vec<u32>) {
    if let Some(sampled) = &draft.sampled {
        out.extend_from_slice(&sampled.ids);
        return write_stop(sampled.close, out);
    }
    if dialect == Dialect::Motet || draft.cuts.is_empty() {
        return write_frame(&draft.frame, out);
    }
    write_header(&draft.frame.header, out);
    let mut start = 0;
    for &end in draft.cuts.iter().chain(std::iter::once(&draft.frame.content.len())) {
        out.text(draft.frame.content.get(start..end).unwrap_or_default());
        start = end;
    }
    write_stop(draft.frame.stop, out);
}
