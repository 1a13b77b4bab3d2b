//! The completion of a parser at work, whose fields are made when they are read. Polling it after each token costs the
//! same each time, however much is parsed: a snapshot keeps numbers and lengths, and what the parser has read only
//! grows. Objects of finished frames are made once and shared by all snapshots.

use super::completion::{SharedFrame, lane_name, make_counts};
use super::frame::{make_repair, make_repair_with, stop_name};
use super::growing::{GrowingText, GrowingTuple};
use super::interned;
use super::message::make_message_with;
use crate::classes::Classes;
use crate::threads::Lock;
use motet::error::Repair;
use motet::frame::{Role, Stop};
use motet::parser::assemble::Parts;
use motet::parser::classify::Kind;
use motet::parser::collect::{ClassifiedFrame, FrameCollector, MAX_SEPARATE_REPAIRS, count_contents};
use motet::parser::stream::{Lane, StreamParser};
use motet::parser::{ChannelTokens, ParseOptions};
use motet::tokenizer;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use std::sync::Arc;

/// What a parser has read, with the Python objects of it that were made.
#[derive(Default)]
pub(crate) struct ParsedState {
    pub(crate) collector: FrameCollector,
    frames: GrowingTuple,
    content: GrowingTuple,
    tool_calls: GrowingTuple,
    repairs: GrowingTuple,
    /// For each frame in `frames`: the lengths of `content` and `tool_calls` with it.
    lengths: Vec<(usize, usize)>,
    parts: Parts,
    reasoning: GrowingText,
    preamble: GrowingText,
    text: GrowingText,
    /// The tokens of the contents of the first so many frames.
    tokens: (usize, ChannelTokens),
}

impl ParsedState {
    /// The state of a parser whose completion comes behind so many turns of its conversation.
    pub(crate) fn new(turn: u64) -> ParsedState {
        ParsedState { collector: FrameCollector::new(turn), ..ParsedState::default() }
    }

    /// A copy that goes on by itself. The texts are joined anew.
    pub(crate) fn copied(&self, py: Python<'_>) -> ParsedState {
        ParsedState {
            collector: self.collector.clone(),
            frames: self.frames.copied(py),
            content: self.content.copied(py),
            tool_calls: self.tool_calls.copied(py),
            repairs: self.repairs.copied(py),
            lengths: self.lengths.clone(),
            parts: self.parts.clone(),
            tokens: self.tokens,
            ..ParsedState::default()
        }
    }

    /// Makes the frames and parts that were finished at a snapshot.
    fn make_frames(&mut self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<()> {
        let finished = &snapshot.finished;
        for index in self.frames.len()..*finished {
            let Some(frame) = self.collector.frames.get(index) else { break };
            let kind = frame.kind;
            let frame = SharedFrame::new(py, frame);
            if let Some(part) = frame.make_part(&mut self.parts)? {
                if kind == Kind::ToolCall {
                    self.tool_calls.push(part.clone());
                }
                self.content.push(part);
            }
            self.frames.push(frame.make_frame()?);
            self.lengths.push((self.content.len(), self.tool_calls.len()));
        }
        Ok(())
    }

    /// The lengths of `content` and `tool_calls` at a snapshot, without the open frame.
    fn lengths(&self, snapshot: &Snapshot) -> (usize, usize) {
        snapshot.finished.checked_sub(1).and_then(|last| self.lengths.get(last)).copied().unwrap_or_default()
    }

    /// The frame that was open at a snapshot, with the length of its content then.
    fn open(&self, snapshot: &Snapshot) -> Option<(&ClassifiedFrame, usize)> {
        self.collector.frames.get(snapshot.finished).zip(snapshot.open)
    }

    /// The part of the frame that was open at a snapshot. Finished frames must be made.
    fn open_part<'py>(&self, py: Python<'py>, snapshot: &Snapshot) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some((frame, length)) = self.open(snapshot) else { return Ok(None) };
        let frame = SharedFrame::open(py, frame, length);
        frame.make_part(&mut self.parts.clone())
    }

    /// The joined contents of one kind of frames.
    fn joined<'py>(
        &mut self,
        py: Python<'py>,
        snapshot: &Snapshot,
        kind: Kind,
    ) -> PyResult<Bound<'py, PyString>> {
        let ParsedState { collector, reasoning, preamble, text, .. } = self;
        let joined = match kind {
            Kind::Reasoning => reasoning,
            Kind::Preamble => preamble,
            _ => text,
        };
        let of_kind = |frame: &&ClassifiedFrame| frame.kind == kind;
        let finished = joined.extend(py, snapshot.finished, |from| {
            let frames = collector.frames.get(from..snapshot.finished).unwrap_or_default();
            frames.iter().filter(of_kind).map(|frame| frame.frame.content.as_str())
        })?;
        match self.open(snapshot).filter(|(frame, length)| frame.kind == kind && *length > 0) {
            Some((frame, length)) => {
                let open = frame.frame.content.get(..length).unwrap_or_default();
                Ok(finished.add(open)?.cast_into()?)
            }
            None => Ok(finished),
        }
    }

    fn make_repairs<'py>(&mut self, py: Python<'py>, marks: &RepairMarks) -> PyResult<Bound<'py, PyTuple>> {
        let RepairMarks { settled, live } = marks;
        for repair in self.collector.repairs.get(self.repairs.len()..*settled).unwrap_or_default() {
            self.repairs.push(make_repair(py, repair)?);
        }
        let live = live.iter().filter_map(|&RepairMark { index, count, length }| {
            let repair = self.collector.repairs.get(index)?;
            Some(make_repair_with(py, repair, repair.text.get(..length).unwrap_or_default(), count))
        });
        let live = live.collect::<PyResult<Vec<_>>>()?;
        self.repairs.first(py, *settled, live)
    }

    /// Tokens by channel in the text lane. Contents of finished frames are counted once.
    fn count_tokens(&mut self, snapshot: &Snapshot) -> ChannelTokens {
        let frames = &self.collector.frames;
        let count = |(from, mut tokens): (usize, ChannelTokens)| {
            let frames = frames.get(from..snapshot.finished).unwrap_or_default();
            tokens = count_contents(frames, tokens);
            tokens
        };
        let mut tokens = if self.tokens.0 <= snapshot.finished {
            self.tokens = (snapshot.finished, count(self.tokens));
            self.tokens.1
        } else {
            count((0, ChannelTokens::default()))
        };
        if let Some((frame, length)) = self.open(snapshot) {
            let content = frame.frame.content.get(..length).unwrap_or_default();
            *tokens.of(frame.bucket()) += tokenizer::count(content) as u64;
        }
        tokens.markup = snapshot.tokens.markup;
        tokens
    }
}

/// What `Completion.repairs` is made of: the number of repairs that no later one changes, and the others as they were.
struct RepairMarks {
    settled: usize,
    live: Vec<RepairMark>,
}

/// A repair that later ones may be added to: its count only grows, and its text only at the end.
struct RepairMark {
    index: usize,
    count: usize,
    length: usize,
}

impl RepairMarks {
    /// Later repairs are added to the last one, and to those behind the first [`MAX_SEPARATE_REPAIRS`].
    fn of(repairs: &[Repair]) -> RepairMarks {
        let settled = repairs.len().saturating_sub(1).min(MAX_SEPARATE_REPAIRS);
        let live = repairs.iter().enumerate().skip(settled);
        let live = live.map(|(index, Repair { count, text, .. })| RepairMark {
            index,
            count: *count,
            length: text.len(),
        });
        RepairMarks { settled, live: live.collect() }
    }
}

/// How far a parser was when its completion was polled. `motet._lazy_completion` reads the fields.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Snapshot {
    state: Arc<Lock<ParsedState>>,
    options: Arc<ParseOptions>,
    /// The number of frames that had ended.
    finished: usize,
    /// The length in bytes of the content of the frame that had not.
    open: Option<usize>,
    lane: Lane,
    tokens: ChannelTokens,
    repairs: RepairMarks,
}

#[pymethods]
impl Snapshot {
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut state = self.state.lock(py)?;
        state.make_frames(py, self)?;
        let open = state.open_part(py, self)?;
        let (length, _) = state.lengths(self);
        let content = state.content.first(py, length, open)?;
        make_message_with(py, self.options.role.unwrap_or(Role::Assistant), content, None)
    }

    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut state = self.state.lock(py)?;
        state.make_frames(py, self)?;
        let open = state.open(self).map(|(frame, length)| SharedFrame::open(py, frame, length));
        let open = open.map(|frame| frame.make_frame()).transpose()?;
        state.frames.first(py, self.finished, open)
    }

    #[getter]
    fn repairs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        self.state.lock(py)?.make_repairs(py, &self.repairs)
    }

    /// `Completion._tokens`, contents included.
    #[getter]
    fn _tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let tokens = match self.lane {
            Lane::Ids => self.tokens,
            Lane::Text => self.state.lock(py)?.count_tokens(self),
        };
        make_counts(py, &tokens)
    }

    #[getter]
    fn reasoning<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.state.lock(py)?.joined(py, self, Kind::Reasoning)
    }

    #[getter]
    fn preamble<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.state.lock(py)?.joined(py, self, Kind::Preamble)
    }

    #[getter]
    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.state.lock(py)?.joined(py, self, Kind::Text)
    }

    #[getter]
    fn tool_calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let mut state = self.state.lock(py)?;
        state.make_frames(py, self)?;
        let is_call = state.open(self).is_some_and(|(frame, _)| frame.kind == Kind::ToolCall);
        let open = if is_call { state.open_part(py, self)? } else { None };
        let (_, length) = state.lengths(self);
        state.tool_calls.first(py, length, open)
    }

    /// Pickled and deeply copied completions hold their fields themselves, and `None` in place of the snapshot.
    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyType>, Bound<'py, PyTuple>) {
        (py.None().bind(py).get_type(), PyTuple::empty(py))
    }
}

/// Makes the `Completion` of a parser at work.
pub(crate) fn make_snapshot<'py>(
    py: Python<'py>,
    parser: &StreamParser,
    state: Arc<Lock<ParsedState>>,
) -> PyResult<Bound<'py, PyAny>> {
    let snapshot = {
        let guard = state.lock_second(py)?;
        let FrameCollector { frames, repairs, open, .. } = &guard.collector;
        Snapshot {
            state: Arc::clone(&state),
            options: Arc::clone(parser.options()),
            finished: frames.len() - usize::from(*open),
            open: frames.last().filter(|_| *open).map(|frame| frame.frame.content.len()),
            lane: parser.lane(),
            tokens: parser.tokens(),
            repairs: RepairMarks::of(repairs),
        }
    };
    let (stop, lane): (Option<Stop>, _) = (parser.stop(), parser.lane());
    Classes::get(py)?.completion.bind(py).call_method1(
        intern!(py, "_from_snapshot"),
        (snapshot, stop_name(py, stop), interned(py, Some(lane_name(lane)))),
    )
}
