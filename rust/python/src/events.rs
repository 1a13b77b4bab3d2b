//! Events of the stream parser, and the sink that makes them.

use crate::ffi;
use crate::to_python::frame::{make_repair, stop_name};
use crate::to_python::interned;
use motet::error::Repair;
use motet::frame::{Header, Stop};
use motet::parser::Sink;
use motet::parser::classify::Kind;
use motet::parser::collect::FrameCollector;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};
use std::sync::Arc;

/// What all events of one frame share, as the Python objects that they give.
pub(crate) struct Head {
    index: Py<PyAny>,
    kind: Py<PyAny>,
    role: Py<PyAny>,
    name: Py<PyAny>,
    channel: Py<PyAny>,
    recipient: Py<PyAny>,
    content_type: Py<PyAny>,
}

impl Head {
    fn new(py: Python<'_>, header: &Header, kind: Kind, index: usize) -> PyResult<Head> {
        let object = |word: Option<&str>| match interned(py, word) {
            Some(word) => word.into_any().unbind(),
            None => py.None(),
        };
        Ok(Head {
            index: index.into_pyobject(py)?.into_any().unbind(),
            kind: object(Some(kind.as_str())),
            role: object(Some(header.role.as_str())),
            name: object(header.name.as_deref()),
            channel: object(header.channel.as_deref()),
            recipient: object(header.recipient.as_deref()),
            content_type: object(header.content_type.as_deref()),
        })
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
        }
    }
}

/// Its fields are ready-made objects: reading one is a look at a slot, which a stream of tokens does all the time.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Event {
    #[pyo3(get, name = "type")]
    name_of_type: Py<PyAny>,
    #[pyo3(get)]
    kind: Py<PyAny>,
    #[pyo3(get)]
    index: Py<PyAny>,
    #[pyo3(get)]
    delta: Py<PyAny>,
    #[pyo3(get)]
    role: Py<PyAny>,
    #[pyo3(get)]
    name: Py<PyAny>,
    #[pyo3(get)]
    channel: Py<PyAny>,
    #[pyo3(get)]
    recipient: Py<PyAny>,
    #[pyo3(get)]
    content_type: Py<PyAny>,
    #[pyo3(get)]
    stop: Py<PyAny>,
    #[pyo3(get)]
    repair: Py<PyAny>,
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
        } = self;
        let fields =
            [name_of_type, kind, index, delta, role, name, channel, recipient, content_type, stop, repair];
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

/// Deltas that the open frame has told before: models say the same words again and again, and an event never changes.
#[derive(Default)]
pub(crate) struct Told(Vec<Option<(Word, Py<Event>)>>);

/// A short text: its bytes, and behind them their number.
type Word = [u8; 16];

impl Told {
    const BITS: u32 = 10;

    fn word(text: &str) -> Option<Word> {
        let mut word = [0; 16];
        word.get_mut(..text.len()).filter(|_| text.len() < 16)?.copy_from_slice(text.as_bytes());
        word[15] = text.len() as u8;
        Some(word)
    }

    /// Where an event of this text is, or would be.
    fn slot(&mut self, word: &Word) -> &mut Option<(Word, Py<Event>)> {
        if self.0.is_empty() {
            self.0.resize_with(1 << Self::BITS, || None);
        }
        let (low, high) = word.split_at(8);
        let half = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let mixed = (half(low) ^ half(high).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &mut self.0[(mixed >> (64 - Self::BITS)) as usize]
    }
}

/// Keeps what is read, and makes Python events of it.
pub(crate) struct Recorder<'a, 'py> {
    pub(crate) py: Python<'py>,
    pub(crate) fold: &'a mut FrameCollector,
    pub(crate) head: &'a mut Option<Arc<Head>>,
    pub(crate) told: &'a mut Told,
    pub(crate) events: &'a mut Vec<Py<Event>>,
    pub(crate) error: Option<PyErr>,
}

impl Recorder<'_, '_> {
    fn push(&mut self, event: Event) {
        match Bound::new(self.py, event) {
            Ok(event) => self.events.push(event.unbind()),
            Err(error) => self.error = Some(error),
        }
    }

    /// An event of the frame that is open.
    fn tell(&mut self, name: &Bound<'_, PyString>, delta: &str, stop: Option<Stop>) {
        if let Some(head) = self.head.as_deref() {
            let delta =
                if delta.is_empty() { intern!(self.py, "").clone() } else { PyString::new(self.py, delta) };
            self.push(head.event(self.py, name, delta, stop));
        }
    }

    fn repaired(&self, repair: &Repair) -> PyResult<Event> {
        let py = self.py;
        Ok(Event {
            name_of_type: intern!(py, "repair").clone().into_any().unbind(),
            delta: intern!(py, "").clone().into_any().unbind(),
            index: self.fold.frames.len().into_pyobject(py)?.into_any().unbind(),
            repair: make_repair(py, repair)?.unbind(),
            kind: py.None(),
            role: py.None(),
            name: py.None(),
            channel: py.None(),
            recipient: py.None(),
            content_type: py.None(),
            stop: py.None(),
        })
    }
}

impl Sink for Recorder<'_, '_> {
    fn start(&mut self, header: Header, kind: Kind, implied: bool) {
        match Head::new(self.py, &header, kind, self.fold.frames.len()) {
            Ok(head) => {
                *self.head = Some(Arc::new(head));
                self.told.0.clear();
            }
            Err(error) => self.error = Some(error),
        }
        self.fold.start(header, kind, implied);
        self.tell(intern!(self.py, "start"), "", None);
    }

    fn delta(&mut self, text: &str) {
        self.fold.delta(text);
        let Some(word) = Told::word(text) else {
            return self.tell(intern!(self.py, "delta"), text, None);
        };
        let slot = self.told.slot(&word);
        if let Some((_, event)) = slot.as_ref().filter(|(known, _)| *known == word) {
            return self.events.push(event.clone_ref(self.py));
        }
        self.tell(intern!(self.py, "delta"), text, None);
        if let Some(event) = self.events.last() {
            *self.told.slot(&word) = Some((word, event.clone_ref(self.py)));
        }
    }

    fn end(&mut self, stop: Option<Stop>) {
        self.fold.end(stop);
        self.tell(intern!(self.py, "end"), "", stop);
    }

    fn repair(&mut self, repair: Repair) {
        match self.repaired(&repair) {
            Ok(event) => self.push(event),
            Err(error) => self.error = Some(error),
        }
        self.fold.repair(repair);
    }

    fn content(&self) -> &str {
        self.fold.content()
    }
}

/// The events, in a list; the same one as last time, if nobody has it any more.
pub(crate) fn given_out<'py>(
    py: Python<'py>,
    last: &mut Option<Py<PyList>>,
    events: &mut Vec<Py<Event>>,
) -> PyResult<Bound<'py, PyList>> {
    let free = last.as_ref().map(|list| list.bind(py)).filter(|list| ffi::is_unshared(list));
    if let (Some(list), [event]) = (free.filter(|list| list.len() == 1), events.as_slice()) {
        list.set_item(0, event.clone_ref(py))?;
        events.clear();
        return Ok(list.clone());
    }
    let list = PyList::new(py, events.drain(..))?;
    *last = Some(list.clone().unbind());
    Ok(list)
}
