//! The sink that makes the events of a stream parser, and what it keeps between two chunks.

use crate::delta_cache::{DeltaCache, Key};
use crate::events::{Event, FrameFields};
use crate::ffi;
use motet::error::Repair;
use motet::frame::Stop;
use motet::parser::collect::FrameCollector;
use motet::parser::stream::is_plain;
use motet::parser::{FrameStart, Sink};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use std::sync::{Arc, Mutex};

/// The frame that is open, or that was last, with its delta events. When it is dropped, a frame with the same fields takes
/// over the events: most completions have the same few headers, and an event takes as long to make as a token to feed.
#[derive(Default)]
struct OpenFrame {
    fields: Option<Arc<FrameFields>>,
    deltas: DeltaCache,
}

/// The fields and delta events of dropped frames, the last one behind the others.
static DROPPED_FRAMES: Mutex<Vec<(Arc<FrameFields>, DeltaCache)>> = Mutex::new(Vec::new());

/// So many frames are kept; each has up to 1.6 MB of events.
const MAX_DROPPED_FRAMES: usize = 4;

impl OpenFrame {
    fn new(fields: FrameFields) -> OpenFrame {
        // Never waits: another thread may hold the lock while it waits for the interpreter.
        let kept = DROPPED_FRAMES.try_lock().ok().and_then(|mut frames| {
            let index = frames.iter().rposition(|(other, _)| fields.is_same(other))?;
            Some(frames.remove(index))
        });
        let (fields, deltas) = kept.unwrap_or_else(|| (Arc::new(fields), DeltaCache::default()));
        OpenFrame { fields: Some(fields), deltas }
    }
}

impl Drop for OpenFrame {
    fn drop(&mut self) {
        let Some(fields) = self.fields.take().filter(|fields| !fields.is_call && !self.deltas.is_empty())
        else {
            return;
        };
        if let Ok(mut frames) = DROPPED_FRAMES.try_lock() {
            frames.push((fields, std::mem::take(&mut self.deltas)));
            let oldest = (frames.len() > MAX_DROPPED_FRAMES).then(|| frames.remove(0));
            // Behind the lock, as freeing objects runs Python's code.
            drop(frames);
            drop(oldest);
        }
    }
}

/// Makes the events of one parser.
#[derive(Default)]
pub(crate) struct EventMaker {
    frame: OpenFrame,
    /// Empty between two steps: its memory is used again.
    events: Vec<Py<Event>>,
    /// The list that `list_of` made last.
    list: Option<Py<PyList>>,
}

impl EventMaker {
    /// A maker that goes on with the same frame.
    pub(crate) fn copied(&self) -> EventMaker {
        let frame = OpenFrame { fields: self.frame.fields.clone(), deltas: DeltaCache::default() };
        EventMaker { frame, ..EventMaker::default() }
    }

    /// A sink that makes events of what it adds to the collector.
    pub(crate) fn recorder<'a, 'py>(
        &'a mut self,
        py: Python<'py>,
        collector: &'a mut FrameCollector,
    ) -> Recorder<'a, 'py> {
        self.events.clear();
        Recorder { py, collector, maker: self, error: None }
    }

    /// The delta event of a plain text, which is asked for if the cache has none. `None`: no frame is open, or the text is
    /// not plain.
    #[inline]
    pub(crate) fn plain_delta<'a>(
        &mut self,
        py: Python<'_>,
        key: Key,
        text: impl FnOnce() -> Option<&'a str>,
    ) -> PyResult<Option<Py<Event>>> {
        match self.frame.deltas.get(key) {
            Some(event) => Ok(Some(event.clone_ref(py))),
            None => self.new_plain_delta(py, key, text()),
        }
    }

    /// A delta event that the cache has, with the list that it can be returned in: see `list_of`.
    #[inline]
    pub(crate) fn known_delta<'a, 'py>(
        &'a self,
        py: Python<'py>,
        key: Key,
    ) -> Option<(&'a Bound<'py, PyList>, &'a Bound<'py, Event>)> {
        let list = self.unshared_list(py)?;
        Some((list, self.frame.deltas.get(key)?.bind(py)))
    }

    /// The last list of one event, if it still has one and has no other reference left.
    #[inline]
    fn unshared_list<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyList>> {
        let list = self.list.as_ref()?.bind(py);
        (ffi::is_unshared(list) && list.len() == 1).then_some(list)
    }

    #[inline(never)]
    fn new_plain_delta(
        &mut self,
        py: Python<'_>,
        key: Key,
        text: Option<&str>,
    ) -> PyResult<Option<Py<Event>>> {
        let OpenFrame { fields: Some(fields), deltas } = &mut self.frame else { return Ok(None) };
        let Some(text) = text.filter(|text| is_plain(text)) else { return Ok(None) };
        let event = fields.event(py, intern!(py, "delta"), PyString::new(py, text), None);
        let event = Py::new(py, event)?;
        deltas.add(key, event.clone_ref(py));
        Ok(Some(event))
    }

    /// The events of the last step in a list.
    pub(crate) fn list<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        match self.events.pop() {
            Some(event) if self.events.is_empty() => self.list_of(py, event),
            last => PyList::new(py, self.events.drain(..).chain(last).collect::<Vec<_>>()),
        }
    }

    /// One event in a list: the last one if it is unshared. Making a list and freeing it takes a sixth of the time of feeding
    /// a token.
    #[inline]
    pub(crate) fn list_of<'py>(&mut self, py: Python<'py>, event: Py<Event>) -> PyResult<Bound<'py, PyList>> {
        if let Some(list) = self.unshared_list(py) {
            list.set_item(0, event)?;
            return Ok(list.clone());
        }
        let list = PyList::new(py, [event])?;
        self.list = Some(list.clone().unbind());
        Ok(list)
    }
}

/// Collects what is read, and makes Python events of it.
pub(crate) struct Recorder<'a, 'py> {
    py: Python<'py>,
    collector: &'a mut FrameCollector,
    maker: &'a mut EventMaker,
    error: Option<PyErr>,
}

impl Recorder<'_, '_> {
    /// The exception that kept an event from being made.
    pub(crate) fn finish(self) -> PyResult<()> {
        self.error.map_or(Ok(()), Err)
    }

    fn push(&mut self, event: Event) {
        match Bound::new(self.py, event) {
            Ok(event) => self.maker.events.push(event.unbind()),
            Err(error) => self.error = Some(error),
        }
    }

    /// Adds an event of the frame that is open.
    fn push_of_frame(&mut self, name: &Bound<'_, PyString>, delta: &str, stop: Option<Stop>) {
        if let Some(frame) = self.maker.frame.fields.as_deref() {
            let delta =
                if delta.is_empty() { intern!(self.py, "").clone() } else { PyString::new(self.py, delta) };
            let event = frame.event(self.py, name, delta, stop);
            self.push(event);
        }
    }
}

impl Sink for Recorder<'_, '_> {
    fn start(&mut self, start: FrameStart) {
        self.collector.start(start);
        let index = self.collector.frames.len() - 1;
        match FrameFields::new(self.py, &self.collector.frames[index], index) {
            Ok(fields) => {
                // The frame before is dropped first: it may have the same fields.
                self.maker.frame = OpenFrame::default();
                self.maker.frame = OpenFrame::new(fields);
            }
            Err(error) => self.error = Some(error),
        }
        self.push_of_frame(intern!(self.py, "start"), "", None);
    }

    fn delta(&mut self, text: &str) {
        self.collector.delta(text);
        let Some(key) = Key::of_text(text) else {
            return self.push_of_frame(intern!(self.py, "delta"), text, None);
        };
        if let Some(event) = self.maker.frame.deltas.get(key) {
            return self.maker.events.push(event.clone_ref(self.py));
        }
        self.push_of_frame(intern!(self.py, "delta"), text, None);
        if let Some(event) = self.maker.events.last() {
            self.maker.frame.deltas.add(key, event.clone_ref(self.py));
        }
    }

    fn end(&mut self, stop: Option<Stop>) {
        self.collector.end(stop);
        self.push_of_frame(intern!(self.py, "end"), "", stop);
    }

    fn repair(&mut self, repair: Repair) {
        match Event::of_repair(self.py, &repair, self.collector.frames.len()) {
            Ok(event) => self.push(event),
            Err(error) => self.error = Some(error),
        }
        self.collector.repair(repair);
    }

    fn content(&self) -> &str {
        self.collector.content()
    }
}
