//! A parsed completion, as `motet.message.Completion`.

use super::frame::{make_frame_with, make_repair, stop_name};
use super::interned;
use super::message::{make_message_with, make_part};
use crate::classes::Classes;
use motet::frame::{Frame, Role, Stop};
use motet::parser::assemble::{FrameView, Parts};
use motet::parser::classify::{ChannelBucket, Kind};
use motet::parser::collect::ClassifiedFrame;
use motet::parser::stream::{Completion, Lane};
use motet::parser::{ChannelTokens, ParseOptions};
use motet::tokenizer;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// A frame with its content as a Python string, which the frame and the part made of it share.
pub(crate) struct SharedFrame<'a, 'py> {
    view: FrameView<'a>,
    implied: bool,
    content: Bound<'py, PyString>,
}

impl<'a, 'py> SharedFrame<'a, 'py> {
    /// A frame that has ended.
    pub(crate) fn new(py: Python<'py>, frame: &'a ClassifiedFrame) -> SharedFrame<'a, 'py> {
        SharedFrame::of(py, frame, &frame.frame.content, frame.frame.stop)
    }

    /// A frame as it was while its content had `length` bytes and no stop token.
    pub(crate) fn open(py: Python<'py>, frame: &'a ClassifiedFrame, length: usize) -> SharedFrame<'a, 'py> {
        SharedFrame::of(py, frame, frame.frame.content.get(..length).unwrap_or_default(), None)
    }

    fn of(
        py: Python<'py>,
        frame: &'a ClassifiedFrame,
        content: &'a str,
        stop: Option<Stop>,
    ) -> SharedFrame<'a, 'py> {
        let ClassifiedFrame { frame: Frame { header, implied, .. }, kind, call, .. } = frame;
        let view = FrameView { header, kind: *kind, call: call.as_ref(), content, stop };
        SharedFrame { view, implied: *implied, content: PyString::new(py, content) }
    }

    pub(crate) fn make_frame(&self) -> PyResult<Bound<'py, PyAny>> {
        let FrameView { header, stop, .. } = self.view;
        make_frame_with(self.content.py(), header, &self.content, stop, self.implied)
    }

    /// `None` for a frame of another role, which has no part in the completion's message.
    pub(crate) fn make_part(&self, parts: &mut Parts) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.view.kind == Kind::ForeignTurn {
            return Ok(None);
        }
        let part_without_text = parts.part_without_text(self.view);
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
    let (mut frames, mut content, mut parts) = (Vec::new(), Vec::new(), Parts::default());
    let mut uncounted = Vec::new();
    for classified in &completion.frames {
        let frame = SharedFrame::new(py, classified);
        frames.push(frame.make_frame()?);
        content.extend(frame.make_part(&mut parts)?);
        if completion.lane == Lane::Text {
            uncounted.push((classified.bucket(), frame.content.unbind()));
        }
    }
    let tokens = match completion.lane {
        Lane::Ids => make_counts(py, &completion.tokens)?.into_any(),
        Lane::Text => {
            let tokens = UncountedTokens { contents: uncounted, counted: completion.tokens };
            Bound::new(py, tokens)?.into_any()
        }
    };
    let repairs = completion.repairs.iter().map(|repair| make_repair(py, repair));
    let repairs: Vec<_> = repairs.collect::<PyResult<_>>()?;
    let role = options.role.unwrap_or(Role::Assistant);
    Classes::get(py)?.completion.bind(py).call1((
        make_message_with(py, role, PyTuple::new(py, content)?, None)?,
        stop_name(py, completion.stop),
        PyTuple::new(py, frames)?,
        PyTuple::new(py, repairs)?,
        interned(py, Some(lane_name(completion.lane))),
        tokens,
    ))
}

/// The tokens of a completion that was read from text. Encoding a text costs more than parsing it, so the contents are
/// counted when `Completion.tokens` is read; the frames have the same strings.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct UncountedTokens {
    contents: Vec<(ChannelBucket, Py<PyString>)>,
    /// The tokens of markers and headers.
    counted: ChannelTokens,
}

#[pymethods]
impl UncountedTokens {
    fn count<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut tokens = self.counted;
        for (bucket, content) in &self.contents {
            *tokens.of(*bucket) += tokenizer::count(content.bind(py).to_str()?) as u64;
        }
        make_counts(py, &tokens)
    }

    /// Pickled and deeply copied completions hold the counts.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyType>, (Bound<'py, PyDict>,))> {
        Ok((py.get_type::<PyDict>(), (self.count(py)?,)))
    }
}

/// Tokens by channel.
pub(crate) fn make_counts<'py>(py: Python<'py>, tokens: &ChannelTokens) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    counts.set_item("analysis", tokens.analysis)?;
    counts.set_item("commentary", tokens.commentary)?;
    counts.set_item("final", tokens.r#final)?;
    counts.set_item("markup", tokens.markup)?;
    if tokens.other > 0 {
        counts.set_item("other", tokens.other)?;
    }
    Ok(counts)
}
