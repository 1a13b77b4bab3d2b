//! What was read, as the dataclasses of `motet.message`: all at once, or of a parser that is at work, where each
//! finished frame is made once and the one that grows only when somebody looks.

use crate::convert::{self, Types};
use motet::classify::Kind;
use motet::error::Repair;
use motet::fold::{Fold, Parts, View};
use motet::frame::{Frame, Role, Stop};
use motet::parse::{Settings, Tokens};
use motet::reader::{Completion, Lane, is_trusted};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::sync::{Arc, Mutex};

/// A frame and, unless it is somebody else's turn, the part that it is.
struct Pair<'py> {
    frame: Bound<'py, PyAny>,
    part: Option<Bound<'py, PyAny>>,
}

fn pair<'py>(
    py: Python<'py>,
    view: View<'_>,
    implied: bool,
    parts: &mut Parts,
    settings: &Settings,
    trusted: bool,
) -> PyResult<Pair<'py>> {
    // Frame and part share one string.
    let content = PyString::new(py, view.content);
    let frame = convert::frame_with(py, view.header, &content, view.stop, implied)?;
    let part = match view.kind {
        Kind::Stray => None,
        _ => {
            let outline = parts.outline(view, &settings.tools, trusted);
            Some(convert::part(py, &outline, Some(&content))?)
        }
    };
    Ok(Pair { frame, part })
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
    settings: &Settings,
    read: &Completion,
) -> PyResult<Bound<'py, PyAny>> {
    let trusted = read.is_trusted();
    let (mut frames, mut content, mut parts) = (Vec::new(), Vec::new(), Parts::default());
    for (index, folded) in read.frames.iter().enumerate() {
        let Frame { header, content: text, stop, implied } = &folded.frame;
        let view = View { index, header, kind: folded.kind, content: text, stop: *stop };
        let pair = pair(py, view, *implied, &mut parts, settings, trusted)?;
        frames.push(pair.frame);
        content.extend(pair.part);
    }
    let repairs: Vec<_> =
        read.repairs.iter().map(|item| convert::repair(py, item)).collect::<PyResult<_>>()?;
    let role = settings.role.unwrap_or(Role::Assistant);
    Types::get(py)?.completion.bind(py).call1((
        convert::message_with(py, role, content, None)?,
        convert::stop(py, read.stop),
        PyTuple::new(py, frames)?,
        PyTuple::new(py, repairs)?,
        convert::word(py, Some(lane_name(read.lane))),
        convert::counts(py, &read.tokens, read.lane == Lane::Ids)?,
    ))
}

/// What a parser has read so far, and what was made of it already.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) fold: Fold,
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
        let repairs = self.fold.repairs.iter().map(|item: &Repair| convert::repair(py, item));
        let made = PyTuple::new(py, repairs.collect::<PyResult<Vec<_>>>()?)?;
        self.repairs = Some((self.fold.repaired, made.clone().unbind()));
        Ok(made)
    }

    /// The frames and parts as they were at a moment.
    fn at<'py>(&mut self, py: Python<'py>, moment: &Moment) -> PyResult<Vec<Pair<'py>>> {
        let finished = moment.frames - usize::from(moment.open.is_some());
        for index in self.made.len()..finished {
            let Some(folded) = self.fold.frames.get(index) else { break };
            let Frame { header, content, stop, implied } = &folded.frame;
            let view = View { index, header, kind: folded.kind, content, stop: *stop };
            let Pair { frame, part } =
                pair(py, view, *implied, &mut self.parts, &moment.settings, moment.trusted)?;
            self.made.push((frame.unbind(), part.map(Bound::unbind)));
        }
        let made = self.made.iter().take(finished);
        let mut pairs: Vec<Pair<'py>> = made
            .map(|(frame, part)| Pair {
                frame: frame.bind(py).clone(),
                part: part.as_ref().map(|part| part.bind(py).clone()),
            })
            .collect();
        if let (Some(length), Some(folded)) = (moment.open, self.fold.frames.get(finished)) {
            let Frame { header, content, implied, .. } = &folded.frame;
            let content = content.get(..length).unwrap_or_default();
            let view = View { index: finished, header, kind: folded.kind, content, stop: None };
            let mut parts = self.parts.clone();
            pairs.push(pair(py, view, *implied, &mut parts, &moment.settings, moment.trusted)?);
        }
        Ok(pairs)
    }
}

/// How far a parser had come when its completion was asked for. What it has read only grows, so that this can be
/// looked up when somebody does look: asking after each token costs the same each time.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Moment {
    heard: Arc<Mutex<Heard>>,
    settings: Arc<Settings>,
    frames: usize,
    /// The length of the last frame's content, if it has not ended.
    open: Option<usize>,
    trusted: bool,
}

#[pymethods]
impl Moment {
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pairs = convert::lock(&self.heard, py)?.at(py, self)?;
        let content = pairs.into_iter().filter_map(|pair| pair.part).collect();
        convert::message_with(py, self.settings.role.unwrap_or(Role::Assistant), content, None)
    }

    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let pairs = convert::lock(&self.heard, py)?.at(py, self)?;
        PyTuple::new(py, pairs.into_iter().map(|pair| pair.frame).collect::<Vec<_>>())
    }
}

/// What a parser at work knows beside what it has heard.
pub(crate) struct Progress {
    pub(crate) settings: Arc<Settings>,
    pub(crate) stop: Option<Stop>,
    pub(crate) tokens: Tokens,
    pub(crate) lane: Lane,
}

/// A completion whose message and frames are made when they are read.
pub(crate) fn so_far<'py>(
    py: Python<'py>,
    heard: &Arc<Mutex<Heard>>,
    progress: Progress,
) -> PyResult<Bound<'py, PyAny>> {
    let mut now = convert::lock(heard, py)?;
    let Progress { settings, stop, tokens, lane } = progress;
    let last = now.fold.frames.last().filter(|_| now.fold.open);
    let moment = Moment {
        heard: Arc::clone(heard),
        settings,
        frames: now.fold.frames.len(),
        open: last.map(|folded| folded.frame.content.len()),
        trusted: is_trusted(lane, &now.fold.repairs),
    };
    let repairs = now.repairs(py)?;
    Types::get(py)?.completion.bind(py).call_method1(
        intern!(py, "_at"),
        (
            moment,
            convert::stop(py, stop),
            repairs,
            convert::word(py, Some(lane_name(lane))),
            convert::counts(py, &tokens, lane == Lane::Ids)?,
        ),
    )
}
