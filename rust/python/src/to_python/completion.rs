//! What was read, as the dataclasses of `motet.message`: all at once, or of a parser that is at work, where each
//! finished frame is made once and the one that grows only when somebody looks.

use super::frame::{make_frame_with, make_repair, stop_name};
use super::interned;
use super::message::{make_message_with, make_part};
use crate::classes::Types;
use crate::threads::lock;
use motet::error::Repair;
use motet::frame::{Frame, Role, Stop};
use motet::parser::assemble::{FrameView, Parts};
use motet::parser::classify::Kind;
use motet::parser::collect::{ClassifiedFrame, FrameCollector};
use motet::parser::stream::{Completion, Lane, is_trusted};
use motet::parser::{ChannelTokens, ParseOptions};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::sync::{Arc, Mutex};

/// A frame, with its content as a Python string: the frame and the part that it is share it.
struct Said<'a, 'py> {
    view: FrameView<'a>,
    implied: bool,
    content: Bound<'py, PyString>,
}

impl<'a, 'py> Said<'a, 'py> {
    /// `length`: how much of the content there was, if the frame had not ended.
    fn new(
        py: Python<'py>,
        index: usize,
        folded: &'a ClassifiedFrame,
        length: Option<usize>,
    ) -> Said<'a, 'py> {
        let ClassifiedFrame { frame: Frame { header, content, stop, implied }, kind } = folded;
        let (content, stop) = match length {
            Some(length) => (content.get(..length).unwrap_or_default(), None),
            None => (content.as_str(), *stop),
        };
        let view = FrameView { index, header, kind: *kind, content, stop };
        Said { view, implied: *implied, content: PyString::new(py, content) }
    }

    fn frame(&self) -> PyResult<Bound<'py, PyAny>> {
        let FrameView { header, stop, .. } = self.view;
        make_frame_with(self.content.py(), header, &self.content, stop, self.implied)
    }

    /// `None`: somebody else's turn.
    fn part(
        &self,
        parts: &mut Parts,
        settings: &ParseOptions,
        trusted: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.view.kind == Kind::ForeignTurn {
            return Ok(None);
        }
        let part_without_text = parts.part_without_text(self.view, &settings.tools, trusted);
        make_part(self.content.py(), &part_without_text, Some(&self.content)).map(Some)
    }
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Ids => "ids",
        Lane::Text => "text",
    }
}

/// A whole completion.
pub(crate) fn whole<'py>(
    py: Python<'py>,
    settings: &ParseOptions,
    read: &Completion,
) -> PyResult<Bound<'py, PyAny>> {
    let trusted = read.is_trusted();
    let (mut frames, mut content, mut parts) = (Vec::new(), Vec::new(), Parts::default());
    for (index, folded) in read.frames.iter().enumerate() {
        let said = Said::new(py, index, folded, None);
        frames.push(said.frame()?);
        content.extend(said.part(&mut parts, settings, trusted)?);
    }
    let repairs: Vec<_> = read.repairs.iter().map(|item| make_repair(py, item)).collect::<PyResult<_>>()?;
    let role = settings.role.unwrap_or(Role::Assistant);
    Types::get(py)?.completion.bind(py).call1((
        make_message_with(py, role, content, None)?,
        stop_name(py, read.stop),
        PyTuple::new(py, frames)?,
        PyTuple::new(py, repairs)?,
        interned(py, Some(lane_name(read.lane))),
        counts(py, &read.tokens, read.lane == Lane::Ids)?,
    ))
}

/// What a parser has read so far, and what was made of it already.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) fold: FrameCollector,
    made: Vec<(Py<PyAny>, Option<Py<PyAny>>)>,
    parts: Parts,
    /// With the number of repairs that it was made of.
    repairs: Option<(usize, Py<PyTuple>)>,
}

impl Heard {
    pub(crate) fn copied(&self, py: Python<'_>) -> Heard {
        let made = self.made.iter();
        let made =
            made.map(|(frame, part)| (frame.clone_ref(py), part.as_ref().map(|part| part.clone_ref(py))));
        Heard { fold: self.fold.clone(), made: made.collect(), parts: self.parts.clone(), repairs: None }
    }

    fn repairs<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        if let Some((_, made)) = self.repairs.as_ref().filter(|(count, _)| *count == self.fold.repaired) {
            return Ok(made.bind(py).clone());
        }
        let repairs = self.fold.repairs.iter().map(|item: &Repair| make_repair(py, item));
        let made = PyTuple::new(py, repairs.collect::<PyResult<Vec<_>>>()?)?;
        self.repairs = Some((self.fold.repaired, made.clone().unbind()));
        Ok(made)
    }

    /// Makes the frames and the parts that were finished at a moment.
    fn make(&mut self, py: Python<'_>, moment: &Moment) -> PyResult<()> {
        for index in self.made.len()..moment.finished {
            let Some(folded) = self.fold.frames.get(index) else { break };
            let said = Said::new(py, index, folded, None);
            let part = said.part(&mut self.parts, &moment.settings, moment.trusted)?;
            self.made.push((said.frame()?.unbind(), part.map(Bound::unbind)));
        }
        Ok(())
    }

    /// The frame that was not.
    fn open<'py>(&self, py: Python<'py>, moment: &Moment) -> Option<Said<'_, 'py>> {
        let folded = self.fold.frames.get(moment.finished).filter(|_| moment.open.is_some());
        folded.map(|folded| Said::new(py, moment.finished, folded, moment.open))
    }
}

/// How far a parser had come when its completion was asked for. What it has read only grows, so that this can be
/// looked up when somebody does look: asking after each token costs the same each time.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Moment {
    heard: Arc<Mutex<Heard>>,
    settings: Arc<ParseOptions>,
    /// How many frames had ended.
    finished: usize,
    /// How long the content was of one that had not.
    open: Option<usize>,
    trusted: bool,
}

#[pymethods]
impl Moment {
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut heard = lock(&self.heard, py)?;
        heard.make(py, self)?;
        let last = match heard.open(py, self) {
            Some(said) => said.part(&mut heard.parts.clone(), &self.settings, self.trusted)?,
            None => None,
        };
        let made = heard.made.iter().take(self.finished);
        let made = made.filter_map(|(_, part)| part.as_ref().map(|part| part.bind(py).clone()));
        let role = self.settings.role.unwrap_or(Role::Assistant);
        make_message_with(py, role, made.chain(last).collect(), None)
    }

    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut heard = lock(&self.heard, py)?;
        heard.make(py, self)?;
        let last = heard.open(py, self).map(|said| said.frame()).transpose()?;
        let made = heard.made.iter().take(self.finished).map(|(frame, _)| frame.bind(py).clone());
        PyTuple::new(py, made.chain(last).collect::<Vec<_>>())
    }
}

/// What a parser at work knows beside what it has heard.
pub(crate) struct Progress {
    pub(crate) settings: Arc<ParseOptions>,
    pub(crate) stop: Option<Stop>,
    pub(crate) tokens: ChannelTokens,
    pub(crate) lane: Lane,
}

/// A completion whose message and frames are made when they are read.
pub(crate) fn so_far<'py>(
    py: Python<'py>,
    heard: &Arc<Mutex<Heard>>,
    progress: Progress,
) -> PyResult<Bound<'py, PyAny>> {
    let mut now = lock(heard, py)?;
    let Progress { settings, stop, tokens, lane } = progress;
    let last = now.fold.frames.last().filter(|_| now.fold.open);
    let moment = Moment {
        heard: Arc::clone(heard),
        settings,
        finished: now.fold.frames.len() - usize::from(now.fold.open),
        open: last.map(|folded| folded.frame.content.len()),
        trusted: is_trusted(lane, &now.fold.repairs),
    };
    let repairs = now.repairs(py)?;
    Types::get(py)?.completion.bind(py).call_method1(
        intern!(py, "_at"),
        (
            moment,
            stop_name(py, stop),
            repairs,
            interned(py, Some(lane_name(lane))),
            counts(py, &tokens, lane == Lane::Ids)?,
        ),
    )
}
/// ChannelTokens by channel; without those of contents if they were not counted.
pub(crate) fn counts<'py>(
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
