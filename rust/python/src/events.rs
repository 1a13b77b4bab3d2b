//! Events of the stream parser, and the sink that makes them.

use crate::ffi;
use crate::to_python::frame::{make_repair, stop_name};
use crate::to_python::interned;
use motet::error::Repair;
use motet::frame::{Frame, Stop};
use motet::parser::collect::{ClassifiedFrame, FrameCollector};
use motet::parser::{FrameStart, Sink};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};
use std::sync::{Arc, Mutex};

/// An event of a stream parser: a frame starts, grows or ends, or a deviation from the format is repaired.
///
/// Immutable, comparable and hashable. `match` takes `type`, `kind`, `index` and `delta` by position.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Event {
    // The fields are Python objects already, so that reading one takes one reference: streams read them at each token.
    /// `"start"`, `"delta"`, `"end"` or `"repair"`.
    #[pyo3(get, name = "type")]
    name_of_type: Py<PyAny>,
    /// What the frame becomes in a message, as `"reasoning"` or `"tool_call"`. `None` for a repair.
    #[pyo3(get)]
    kind: Py<PyAny>,
    /// The number of the frame, from 0. Of a repair: the number of frames that started before it.
    #[pyo3(get)]
    index: Py<PyAny>,
    /// The text that is new since the event before. Empty unless `type` is `"delta"`.
    #[pyo3(get)]
    delta: Py<PyAny>,
    /// The role in the frame's header. `None` for a repair.
    #[pyo3(get)]
    role: Py<PyAny>,
    /// Of a tool call, the name of the tool without `functions.`: of `tools=`, if a damaged name means one of them.
    /// Otherwise the author in the frame's header, as `functions.get_weather` of a tool's result.
    #[pyo3(get)]
    name: Py<PyAny>,
    /// The channel in the frame's header. `None` if it has none.
    #[pyo3(get)]
    channel: Py<PyAny>,
    /// The recipient in the frame's header as written, without `to=`. `None` if it has none.
    #[pyo3(get)]
    recipient: Py<PyAny>,
    /// The content type in the frame's header, with its marker if it has one. `None` if it has none.
    #[pyo3(get)]
    content_type: Py<PyAny>,
    /// The token that ended the frame. `None` if `type` is not `"end"` or the input ended first.
    #[pyo3(get)]
    stop: Py<PyAny>,
    /// The repair. `None` unless `type` is `"repair"`.
    #[pyo3(get)]
    repair: Py<PyAny>,
    /// The id of a tool call, known from its start on. `None` for other frames.
    #[pyo3(get)]
    call_id: Py<PyAny>,
}

impl Event {
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let Event {
            name_of_type,
            kind,
            index,
            delta,
            role,
            name,
            channel,
            recipient,
            content_type,
            stop,
            repair,
            call_id,
        } = self;
        let fields = [
            name_of_type,
            kind,
            index,
            delta,
            role,
            name,
            channel,
            recipient,
            content_type,
            stop,
            repair,
            call_id,
        ];
        PyTuple::new(py, fields.map(|field| field.bind(py)))
    }
}

#[pymethods]
impl Event {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["type", "kind", "index", "delta"])
    }

    #[new]
    #[pyo3(signature = (r#type, kind=None, index=0, delta="", *fields))]
    fn new<'py>(
        r#type: Bound<'py, PyString>,
        kind: Option<Bound<'py, PyAny>>,
        index: usize,
        delta: &str,
        fields: &Bound<'py, PyTuple>,
    ) -> PyResult<Event> {
        let py = r#type.py();
        let field = |at: usize| fields.get_item(at).map_or_else(|_| py.None(), Bound::unbind);
        Ok(Event {
            name_of_type: r#type.into_any().unbind(),
            kind: kind.map_or_else(|| py.None(), Bound::unbind),
            index: index.into_pyobject(py)?.into_any().unbind(),
            delta: PyString::new(py, delta).into_any().unbind(),
            role: field(0),
            name: field(1),
            channel: field(2),
            recipient: field(3),
            content_type: field(4),
            stop: field(5),
            repair: field(6),
            call_id: field(7),
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Event>(), self.fields(py)?))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = other.py();
        match other.cast::<Event>() {
            Ok(other) => self.fields(py)?.eq(other.get().fields(py)?),
            Err(_) => Ok(false),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.fields(py)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Event { name_of_type, kind, index, delta, stop, repair, .. } = self;
        Ok(match name_of_type.extract::<&str>(py)? {
            "delta" => format!("Event('delta', {kind}, {})", delta.bind(py).repr()?),
            "end" => format!("Event('end', {kind}, stop={stop})"),
            "repair" => format!("Event('repair', {})", repair.bind(py).repr()?),
            name => format!("Event('{name}', {kind}, index={index})"),
        })
    }
}

/// The fields that all events of one frame share.
struct FrameFields {
    index: Py<PyAny>,
    kind: Py<PyAny>,
    role: Py<PyAny>,
    name: Py<PyAny>,
    channel: Py<PyAny>,
    recipient: Py<PyAny>,
    content_type: Py<PyAny>,
    call_id: Py<PyAny>,
    is_call: bool,
}

impl FrameFields {
    fn new(py: Python<'_>, frame: &ClassifiedFrame, index: usize) -> PyResult<FrameFields> {
        let ClassifiedFrame { frame: Frame { header, .. }, kind, call, .. } = frame;
        let tool = call.as_ref().map(|call| call.name.as_str());
        let object = |word: Option<&str>| match interned(py, word) {
            Some(word) => word.into_any().unbind(),
            None => py.None(),
        };
        Ok(FrameFields {
            index: index.into_pyobject(py)?.into_any().unbind(),
            kind: object(Some(kind.as_str())),
            role: object(Some(header.role.as_str())),
            name: object(tool.or(header.name.as_deref())),
            channel: object(header.channel.as_deref()),
            recipient: object(header.recipient.as_deref()),
            content_type: object(header.content_type.as_deref()),
            call_id: match call {
                Some(call) => PyString::new(py, &call.id).into_any().unbind(),
                None => py.None(),
            },
            is_call: call.is_some(),
        })
    }

    /// Whether events of both frames have the same fields. Words are interned and small numbers made once, so that equal
    /// ones are the same object.
    fn is_same(&self, other: &FrameFields) -> bool {
        let FrameFields { index, kind, role, name, channel, recipient, content_type, call_id, is_call: _ } =
            self;
        index.is(&other.index)
            && kind.is(&other.kind)
            && role.is(&other.role)
            && name.is(&other.name)
            && channel.is(&other.channel)
            && recipient.is(&other.recipient)
            && content_type.is(&other.content_type)
            && call_id.is(&other.call_id)
    }

    /// An event of this frame.
    fn event(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        delta: Bound<'_, PyString>,
        stop: Option<Stop>,
    ) -> Event {
        Event {
            name_of_type: name.clone().into_any().unbind(),
            delta: delta.into_any().unbind(),
            stop: stop_name(py, stop).map_or_else(|| py.None(), |stop| stop.into_any().unbind()),
            repair: py.None(),
            index: self.index.clone_ref(py),
            kind: self.kind.clone_ref(py),
            role: self.role.clone_ref(py),
            name: self.name.clone_ref(py),
            channel: self.channel.clone_ref(py),
            recipient: self.recipient.clone_ref(py),
            content_type: self.content_type.clone_ref(py),
            call_id: self.call_id.clone_ref(py),
        }
    }
}

/// Cache of one frame's delta events by text. Events are immutable and words repeat.
#[derive(Default)]
struct DeltaCache {
    /// A power of 2, or none. Few at first: most frames are short, and empty slots cost time, too.
    slots: Vec<Option<(ShortText, Py<Event>)>>,
    /// How many events were added to so many slots.
    added: usize,
}

/// A text of at most 15 bytes: its first and its last bytes, with their number above them.
type ShortText = [u64; 2];

impl DeltaCache {
    const MIN_SLOTS: usize = 32;
    const MAX_SLOTS: usize = 4096;

    /// Two overlapping reads of a fixed length each take half the time of a copy of a length that differs.
    #[inline]
    fn key(text: &str) -> Option<ShortText> {
        let bytes = text.as_bytes();
        let length = (bytes.len() as u64) << 56;
        let number = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            // Of at most 15 bytes the last 7 and the first 8 are all.
            return (bytes.len() < 16).then_some([first, last >> 8 | length]);
        }
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Some([number(*first) | number(*last) << 32, length]);
        }
        let byte = |at: usize| bytes.get(at).map_or(0, |byte| u64::from(*byte) << (8 * at));
        Some([byte(0) | byte(1) | byte(2), length])
    }

    /// The index of the slot of a text. There are slots.
    fn index(&self, key: &ShortText) -> usize {
        let [first, last] = key;
        let hash = (first ^ last.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> (u64::BITS - self.slots.len().ilog2())) as usize
    }

    fn get(&self, key: &ShortText) -> Option<&Py<Event>> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.index(key)].as_ref();
        slot.filter(|(cached, _)| cached == key).map(|(_, event)| event)
    }

    /// Adds the event of a text, in the place of one whose text has the same slot.
    fn add(&mut self, key: ShortText, event: Py<Event>) {
        if self.added * 2 >= self.slots.len() && self.slots.len() < Self::MAX_SLOTS {
            let slots = (self.slots.len() * 8).clamp(Self::MIN_SLOTS, Self::MAX_SLOTS);
            let old = std::mem::take(self).slots;
            self.slots.resize_with(slots, || None);
            old.into_iter().flatten().for_each(|(key, event)| self.put(key, event));
        }
        self.added += 1;
        self.put(key, event);
    }

    fn put(&mut self, key: ShortText, event: Py<Event>) {
        let index = self.index(&key);
        self.slots[index] = Some((key, event));
    }
}

/// The frame that is open, or that was last, with its delta events. When it is dropped, a frame with the same fields takes
/// over the events: most completions have the same few headers, and an event takes as long to make as a token to feed.
#[derive(Default)]
struct OpenFrame {
    fields: Option<Arc<FrameFields>>,
    deltas: DeltaCache,
}

/// The fields and delta events of dropped frames, the last one behind the others.
static DROPPED_FRAMES: Mutex<Vec<(Arc<FrameFields>, DeltaCache)>> = Mutex::new(Vec::new());

/// So many frames are kept; each has up to 800 kB of events.
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
        let Some(fields) = self.fields.take().filter(|fields| !fields.is_call && self.deltas.added > 0)
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
    /// The list that `recycled_list` returned last.
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

    /// The events of the last step in a list: the list of the step before, if it held one event and has no other
    /// reference left. Making a list and freeing it takes a sixth of the time of feeding a token.
    pub(crate) fn recycled_list<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let last = self.list.as_ref().map(|list| list.bind(py)).filter(|list| ffi::is_unshared(list));
        if let (Some(list), [event]) = (last.filter(|list| list.len() == 1), self.events.as_slice()) {
            list.set_item(0, event.clone_ref(py))?;
            self.events.clear();
            return Ok(list.clone());
        }
        let list = PyList::new(py, self.events.drain(..))?;
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

    fn repair_event(&self, repair: &Repair) -> PyResult<Event> {
        let py = self.py;
        Ok(Event {
            name_of_type: intern!(py, "repair").clone().into_any().unbind(),
            delta: intern!(py, "").clone().into_any().unbind(),
            index: self.collector.frames.len().into_pyobject(py)?.into_any().unbind(),
            repair: make_repair(py, repair)?.unbind(),
            kind: py.None(),
            role: py.None(),
            name: py.None(),
            channel: py.None(),
            recipient: py.None(),
            content_type: py.None(),
            stop: py.None(),
            call_id: py.None(),
        })
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
        let Some(key) = DeltaCache::key(text) else {
            return self.push_of_frame(intern!(self.py, "delta"), text, None);
        };
        if let Some(event) = self.maker.frame.deltas.get(&key) {
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
        match self.repair_event(&repair) {
            Ok(event) => self.push(event),
            Err(error) => self.error = Some(error),
        }
        self.collector.repair(repair);
    }

    fn content(&self) -> &str {
        self.collector.content()
    }
}
