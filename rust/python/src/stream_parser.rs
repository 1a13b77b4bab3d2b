//! `StreamParser`: a completion that arrives in chunks.

use crate::delta_cache::Key;
use crate::event_maker::{EventMaker, Recorder};
use crate::events::Event;
use crate::ffi;
use crate::ffi::method::UnaryMethod;
use crate::from_python::text::{JoinedChunk, SurrogateJoiner};
use crate::from_python::{self, Chunk, ParseArguments, Raw};
use crate::parse::feed_runs;
use crate::threads::{Lock, Locked};
use crate::to_python::error::parse_error;
use crate::to_python::snapshot::{ParsedState, make_snapshot};
use motet::parser::stream::{self as core, Lane, MixedLanes};
use motet::parser::{ParseOptions, Sink};
use motet::tokenizer::vocabulary;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use std::ffi::CStr;
use std::sync::Arc;

/// Parses a completion while it arrives, in chunks of any size.
///
/// Arguments: see `parse`. Takes token ids or text; the first chunk decides. The same input gives the same frames and
/// repairs however it is cut. A marker that may begin a frame is held back for at most 1 KiB; text that may have lost
/// its markers for at most 8 KiB. Threads may share a parser; `copy.copy` gives an independent one.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct StreamParser(Lock<Inner>);

/// What the parser has read.
enum State {
    /// No completion was polled: the parser's lock is enough. A second one would take a tenth of the time of a token.
    Own(Box<ParsedState>),
    /// Shared with the completions that were polled and not read yet.
    Shared(Arc<Lock<ParsedState>>),
}

impl State {
    fn new(turn: u64) -> State {
        State::Own(Box::new(ParsedState::new(turn)))
    }

    fn with<R>(&mut self, py: Python<'_>, work: impl FnOnce(&mut ParsedState) -> R) -> PyResult<R> {
        Ok(match self {
            State::Own(state) => work(state),
            State::Shared(state) => work(&mut *state.lock_second(py)?),
        })
    }

    fn share(&mut self) -> Arc<Lock<ParsedState>> {
        let shared = match self {
            State::Own(state) => Arc::new(Lock::new(std::mem::take(&mut **state))),
            State::Shared(state) => return Arc::clone(state),
        };
        *self = State::Shared(Arc::clone(&shared));
        shared
    }
}

/// Longer lists of ids are read into memory that the parser does not keep.
const MAX_KEPT_IDS: usize = 1024;

struct Inner {
    parser: core::StreamParser,
    state: State,
    events: EventMaker,
    joiner: SurrogateJoiner,
    /// The ids of a short list. Empty between two steps: its memory is used again.
    ids: Vec<u32>,
    closed: bool,
}

impl Inner {
    fn new(options: Arc<ParseOptions>) -> Inner {
        Inner {
            state: State::new(options.turn),
            parser: core::StreamParser::new(options),
            events: EventMaker::default(),
            joiner: SurrogateJoiner::default(),
            ids: Vec::new(),
            closed: false,
        }
    }

    fn copied(&mut self, py: Python<'_>) -> PyResult<Inner> {
        Ok(Inner {
            parser: self.parser.clone(),
            state: State::Own(Box::new(self.state.with(py, |state| state.copied(py))?)),
            events: self.events.copied(),
            joiner: self.joiner.clone(),
            ids: Vec::new(),
            closed: self.closed,
        })
    }

    /// Lets the parser read, and returns the events of it.
    fn record<'py>(
        &mut self,
        py: Python<'py>,
        step: impl FnOnce(&mut core::StreamParser, &mut Recorder<'_, 'py>) -> Result<(), MixedLanes>,
    ) -> PyResult<Bound<'py, PyList>> {
        let Inner { parser, state, events, .. } = self;
        let mixed = state.with(py, |state| {
            let mut recorder = events.recorder(py, &mut state.collector);
            let mixed = step(parser, &mut recorder);
            recorder.finish().map(|()| mixed)
        })??;
        if let Err(MixedLanes(lane)) = mixed {
            let (first, second) =
                if lane == Lane::Ids { ("token ids", "text") } else { ("text", "token ids") };
            return Err(PyTypeError::new_err(format!(
                "this parser was fed {first} first and cannot take {second}"
            )));
        }
        match parser.error() {
            Some(error) => Err(parse_error(py, error, None)),
            None => events.list(py),
        }
    }

    /// Reads a chunk whose text is plain, and whose event is most often known. `None`: nothing was read. Most tokens of a
    /// stream are such chunks, and take a third of the time of `feed` this way.
    #[inline]
    fn feed_plain<'a, 'py>(
        &mut self,
        py: Python<'py>,
        lane: Lane,
        key: Option<Key>,
        text: impl FnOnce() -> Option<&'a str>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let Inner { parser, state, events, .. } = self;
        let Some(key) = key.filter(|_| parser.takes_plain(lane)) else { return Ok(None) };
        let Some(event) = events.plain_delta(py, key, text)? else { return Ok(None) };
        let text = event.get().text(py)?;
        state.with(py, |state| parser.feed_plain(text, &mut state.collector))?;
        events.list_of(py, event).map(Some)
    }

    /// Reads a plain chunk whose event is known, and returns the event with the list of the chunk before. `None`: nothing
    /// was read.
    #[inline]
    fn feed_known<'py>(
        &mut self,
        py: Python<'py>,
        lane: Lane,
        key: Key,
    ) -> Option<(Bound<'py, PyList>, Bound<'py, Event>)> {
        let Inner { parser, state: State::Own(state), events, joiner, .. } = self else { return None };
        if !parser.takes_plain(lane) || joiner.high().is_some() {
            return None;
        }
        let (list, event) = events.known_delta(py, key)?;
        let text = event.get().text(py).ok()?;
        parser.feed_plain(text, &mut state.collector);
        Some((list.clone(), event.clone()))
    }

    fn feed_id<'py>(&mut self, py: Python<'py>, id: u32) -> PyResult<Bound<'py, PyList>> {
        let text = || vocabulary::ordinary_text(id);
        match self.feed_plain(py, Lane::Ids, Some(Key::of_plain_id(id)), text)? {
            Some(events) => Ok(events),
            None => self.record(py, |parser, sink| parser.feed_ids(&[id], sink)),
        }
    }

    /// Reads a list of ids. `None`: it is long or has other items, and nothing was read.
    fn feed_list<'py>(&mut self, list: &Bound<'py, PyList>) -> PyResult<Option<Bound<'py, PyList>>> {
        if list.len() > MAX_KEPT_IDS {
            return Ok(None);
        }
        let mut ids = std::mem::take(&mut self.ids);
        ffi::leading_ids(list, &mut ids);
        let events = if ids.len() == list.len() {
            self.record(list.py(), |parser, sink| parser.feed_ids(&ids, sink)).map(Some)
        } else {
            Ok(None)
        };
        ids.clear();
        self.ids = ids;
        events
    }

    fn feed_text<'py>(
        &mut self,
        py: Python<'py>,
        text: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyList>> {
        let text = match self.joiner.feed(text)? {
            JoinedChunk::Utf8(text) => text,
            chunk => return self.record(py, |parser, sink| parser.feed_bytes(&chunk.parser_bytes(), sink)),
        };
        match self.feed_plain(py, Lane::Text, Key::of_plain_text(text), || Some(text))? {
            Some(events) => Ok(events),
            None => self.record(py, |parser, sink| parser.feed_text(text, sink)),
        }
    }

    fn feed_raw<'py>(&mut self, py: Python<'py>, raw: &Raw) -> PyResult<Bound<'py, PyList>> {
        match raw {
            Raw::Text(text) => self.feed_text(py, text.bind(py)),
            Raw::Bytes(bytes) => {
                let held = self.joiner.close();
                self.record(py, |parser, sink| {
                    feed_held(held, parser, sink)?;
                    parser.feed_bytes(bytes, sink)
                })
            }
            Raw::Ids(runs) => self.record(py, |parser, sink| feed_runs(runs, parser, sink)),
        }
    }
}

/// Feeds a surrogate that was held for its other half, which did not come.
fn feed_held(
    held: Option<JoinedChunk<'_>>,
    parser: &mut core::StreamParser,
    sink: &mut impl Sink,
) -> Result<(), MixedLanes> {
    held.map_or(Ok(()), |held| parser.feed_bytes(&held.parser_bytes(), sink))
}

impl StreamParser {
    #[inline]
    fn opened(&self, py: Python<'_>) -> PyResult<Locked<'_, Inner>> {
        let inner = self.0.lock(py)?;
        if inner.closed {
            return Err(PyValueError::new_err(
                "this parser was closed: call reset() before feeding it again",
            ));
        }
        Ok(inner)
    }

    fn feed<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = chunk.py();
        let raw = match from_python::chunk(chunk)? {
            Chunk::Id(id) => return self.opened(py)?.feed_id(py, id),
            Chunk::Text(text) => return self.opened(py)?.feed_text(py, text),
            Chunk::List(list) => match self.opened(py)?.feed_list(list)? {
                Some(events) => return Ok(events),
                None => None,
            },
            Chunk::Raw(raw) => Some(raw),
        };
        // Behind the lock: reading a list may run code of its items.
        let raw = raw.map_or_else(|| from_python::raw(chunk, "chunk"), Ok)?;
        self.opened(py)?.feed_raw(py, &raw)
    }
}

impl UnaryMethod for StreamParser {
    const METHOD: &'static CStr = c"feed";
    const METHOD_DOC: &'static CStr = c"feed($self, chunk, /)
--

The events of a chunk: one token id, an iterable or buffer of ids, or text as `str` or bytes.

Raises `ParseError` if `strict`, `TypeError` for ids after text or text after ids, `ValueError` after `close`.";

    #[inline]
    fn call_at_once<'py>(&self, chunk: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let (lane, key) = match ffi::exact_id(chunk) {
            Some(id) => (Lane::Ids, Key::of_plain_id(id)),
            None => (Lane::Text, Key::of_plain_text(chunk.cast_exact::<PyString>().ok()?.to_str().ok()?)?),
        };
        let (list, event) = self.0.try_now()?.feed_known(chunk.py(), lane, key)?;
        // Behind the lock: the item before may be one that the caller set, and freeing it may run code that feeds this parser.
        list.set_item(0, event).ok()?;
        Some(list.into_any())
    }

    fn call<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.feed(chunk).map(Bound::into_any)
    }
}

#[pymethods]
impl StreamParser {
    #[new]
    #[pyo3(
        signature = (role=Some("assistant"), *, opened=None, tools=None, strict=false, stripped="auto", turn=0),
        text_signature = "(role='assistant', *, opened=None, tools=None, strict=False, stripped='auto', turn=0)"
    )]
    fn new(
        role: Option<&str>,
        opened: Option<&str>,
        tools: Option<&Bound<'_, PyAny>>,
        strict: bool,
        stripped: &str,
        turn: u64,
    ) -> PyResult<StreamParser> {
        let arguments = ParseArguments { role, opened, tools, strict, stripped, turn };
        let options = from_python::parse_options(&arguments, false)?;
        Ok(StreamParser(Lock::new(Inner::new(options))))
    }

    /// The events that were held back, and the end of the open frame. `feed` raises `ValueError` until `reset`.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut inner = self.0.lock(py)?;
        inner.closed = true;
        let held = inner.joiner.close();
        inner.record(py, |parser, sink| {
            feed_held(held, parser, sink)?;
            parser.close(sink);
            Ok(())
        })
    }

    /// Makes the parser ready for another completion, with the same arguments.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        let mut inner = self.0.lock(py)?;
        let new = Inner::new(Arc::clone(inner.parser.options()));
        let old = std::mem::replace(&mut *inner, new);
        // Behind the lock: freeing objects may run code that uses this parser.
        drop(inner);
        drop(old);
        Ok(())
    }

    /// The completion so far, as a value that later chunks do not change. What is held back is not in it.
    ///
    /// Takes constant time: fields are made when they are read, and those of ended frames once. Each read of the open
    /// frame's content copies it; to show it as it grows, use the deltas of the events.
    #[getter]
    fn completion<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut inner = self.0.lock(py)?;
        let Inner { parser, state, .. } = &mut *inner;
        make_snapshot(py, parser, state.share())
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamParser> {
        Ok(StreamParser(Lock::new(self.0.lock(py)?.copied(py)?)))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<StreamParser> {
        self.__copy__(py)
    }
}
