//! A parsed completion, as `motet.message.Completion`.

use super::frame::{make_frame_with, make_repair, stop_name};
use super::interned;
use super::message::{make_message_with, make_part};
use crate::classes::Classes;
use motet::frame::{Frame, Role, Stop};
use motet::parser::assemble::{FrameView, Parts};
use motet::parser::classify::Kind;
use motet::parser::collect::ClassifiedFrame;
use motet::parser::stream::{Completion, Lane};
use motet::parser::{ChannelTokens, ParseOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// A frame with its content as a Python string, which the frame and the part made of it share.
pub(crate) struct SharedFrame<'a, 'py> {
    view: FrameView<'a>,
    implied: bool,
    content: Bound<'py, PyString>,
}

impl<'a, 'py> SharedFrame<'a, 'py> {
    /// A frame that has ended.
    pub(crate) fn new(py: Python<'py>, index: usize, frame: &'a ClassifiedFrame) -> SharedFrame<'a, 'py> {
        SharedFrame::of(py, index, frame, &frame.frame.content, frame.frame.stop)
    }

    /// A frame as it was while its content had `length` bytes and no stop token.
    pub(crate) fn open(
        py: Python<'py>,
        index: usize,
        frame: &'a ClassifiedFrame,
        length: usize,
    ) -> SharedFrame<'a, 'py> {
        SharedFrame::of(py, index, frame, frame.frame.content.get(..length).unwrap_or_default(), None)
    }

    fn of(
        py: Python<'py>,
        index: usize,
        frame: &'a ClassifiedFrame,
        content: &'a str,
        stop: Option<Stop>,
    ) -> SharedFrame<'a, 'py> {
        let ClassifiedFrame { frame: Frame { header, implied, .. }, kind } = frame;
        let view = FrameView { index, header, kind: *kind, content, stop };
        SharedFrame { view, implied: *implied, content: PyString::new(py, content) }
    }

    pub(crate) fn make_frame(&self) -> PyResult<Bound<'py, PyAny>> {
        let FrameView { header, stop, .. } = self.view;
        make_frame_with(self.content.py(), header, &self.content, stop, self.implied)
    }

    /// `None` for a frame of another role, which has no part in the completion's message.
    pub(crate) fn make_part(
        &self,
        parts: &mut Parts,
        options: &ParseOptions,
        trusted: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.view.kind == Kind::ForeignTurn {
            return Ok(None);
        }
        let part_without_text = parts.part_without_text(self.view, &options.tools, trusted);
        make_part(self.content.py(), &part_without_text, Some(&self.content)).map(Some)
    }
}

pub(crate) fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Ids => "ids",
        Lane::Text => "text",
    }
}

/// Makes a `Completion` of a whole input.
pub(crate) fn make_completion<'py>(
    py: Python<'py>,
    options: &ParseOptions,
    completion: &Completion,
) -> PyResult<Bound<'py, PyAny>> {
    let trusted = completion.is_trusted();
    let (mut frames, mut content, mut parts) = (Vec::new(), Vec::new(), Parts::default());
    for (index, frame) in completion.frames.iter().enumerate() {
        let frame = SharedFrame::new(py, index, frame);
        frames.push(frame.make_frame()?);
        content.extend(frame.make_part(&mut parts, options, trusted)?);
    }
    let repairs = completion.repairs.iter().map(|repair| make_repair(py, repair));
    let repairs: Vec<_> = repairs.collect::<PyResult<_>>()?;
    let role = options.role.unwrap_or(Role::Assistant);
    Classes::get(py)?.completion.bind(py).call1((
        make_message_with(py, role, PyTuple::new(py, content)?, None)?,
        stop_name(py, completion.stop),
        PyTuple::new(py, frames)?,
        PyTuple::new(py, repairs)?,
        interned(py, Some(lane_name(completion.lane))),
        make_counts(py, &completion.tokens, completion.lane == Lane::Ids)?,
    ))
}

/// Tokens by channel. `counted: false` leaves out those of contents: encoding text costs more than parsing it, so they
/// are counted when they are read.
pub(crate) fn make_counts<'py>(
    py: Python<'py>,
    tokens: &ChannelTokens,
    counted: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    if counted {
        counts.set_item("analysis", tokens.analysis)?;
        counts.set_item("commentary", tokens.commentary)?;
        counts.set_item("final", tokens.r#final)?;
    }
    counts.set_item("markup", tokens.markup)?;
    if tokens.other > 0 {
        counts.set_item("other", tokens.other)?;
    }
    Ok(counts)
}
