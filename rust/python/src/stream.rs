//! Inputs that arrive in chunks, for Python: a parser and its events.

use crate::completion::{self, Heard, Progress};
use crate::convert::{self, Chunk, Raw};
use crate::ffi;
use crate::parse::{feed_runs, settings};
use motet::error::Repair;
use motet::frame::{Header, Stop};
use motet::parser::classify::Kind;
use motet::parser::collect::FrameCollector;
use motet::parser::stream::{self as core, Lane, MixedLanes};
use motet::parser::{ParseOptions, Sink};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};
use std::sync::{Arc, Mutex};

/// What all events of one frame share, as the Python objects that they give.
struct Head {
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
        let object = |word: Option<&str>| match convert::word(py, word) {
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
            stop: convert::stop(py, stop).map_or_else(|| py.None(), |stop| stop.into_any().unbind()),
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
struct Told(Vec<Option<(Word, Py<Event>)>>);

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
struct Recorder<'a, 'py> {
    py: Python<'py>,
    fold: &'a mut FrameCollector,
    head: &'a mut Option<Arc<Head>>,
    told: &'a mut Told,
    events: &'a mut Vec<Py<Event>>,
    error: Option<PyErr>,
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
            repair: convert::repair(py, repair)?.unbind(),
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
fn given_out<'py>(
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

#[pyclass(frozen, module = "motet._core")]
pub(crate) struct StreamParser(Mutex<Stream>);

struct Stream {
    reader: core::StreamParser,
    /// Shared with the completions that were asked for and not looked at.
    heard: Arc<Mutex<Heard>>,
    head: Option<Arc<Head>>,
    told: Told,
    closed: bool,
    /// Empty between two steps: what it has room for need not be asked for again.
    events: Vec<Py<Event>>,
    /// What was given out last.
    list: Option<Py<PyList>>,
}

impl Stream {
    fn new(settings: Arc<ParseOptions>) -> Stream {
        Stream {
            reader: core::StreamParser::new(settings),
            heard: Arc::default(),
            head: None,
            told: Told::default(),
            closed: false,
            events: Vec::new(),
            list: None,
        }
    }

    fn copied(&self, py: Python<'_>) -> PyResult<Stream> {
        let heard = Arc::new(Mutex::new(convert::lock(&self.heard, py)?.copied(py)));
        Ok(Stream {
            reader: self.reader.clone(),
            heard,
            head: self.head.clone(),
            told: Told::default(),
            closed: self.closed,
            events: Vec::new(),
            list: None,
        })
    }

    /// Lets the reader read, and gives the events of it.
    fn record<'py>(
        &mut self,
        py: Python<'py>,
        step: impl FnOnce(&mut core::StreamParser, &mut Recorder<'_, 'py>) -> Result<(), MixedLanes>,
    ) -> PyResult<Bound<'py, PyList>> {
        let Stream { reader, heard, head, told, events, list, .. } = self;
        events.clear();
        let mut heard = convert::lock(heard, py)?;
        let fold = &mut heard.fold;
        let mut recorder = Recorder { py, fold, head, told, events, error: None };
        let mixed = step(reader, &mut recorder);
        if let Some(error) = recorder.error {
            return Err(error);
        }
        if let Err(MixedLanes(lane)) = mixed {
            let (first, second) =
                if lane == Lane::Ids { ("token ids", "text") } else { ("text", "token ids") };
            return Err(PyTypeError::new_err(format!(
                "this parser was fed {first} first and cannot take {second}"
            )));
        }
        match reader.error() {
            Some(error) => Err(convert::parse_error(py, error, None)),
            None => given_out(py, list, events),
        }
    }
}

#[pymethods]
impl StreamParser {
    #[new]
    #[pyo3(
        signature = (role=Some("assistant"), *, tools=None, strict=false, stripped="auto"),
        text_signature = "(role='assistant', *, tools=None, strict=False, stripped='auto')"
    )]
    fn new(
        role: Option<&str>,
        tools: Option<&Bound<'_, PyAny>>,
        strict: bool,
        stripped: &str,
    ) -> PyResult<StreamParser> {
        Ok(StreamParser(Mutex::new(Stream::new(settings(role, tools, strict, stripped, false)?))))
    }

    #[pyo3(signature = (chunk, /))]
    fn feed<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = chunk.py();
        let chunk = convert::chunk(chunk)?;
        let mut stream = convert::lock(&self.0, py)?;
        if stream.closed {
            return Err(PyValueError::new_err(
                "this parser was closed: call reset() before feeding it again",
            ));
        }
        match chunk {
            Chunk::Id(id) => stream.record(py, |reader, sink| reader.feed_ids(&[id], sink)),
            Chunk::Raw(Raw::Text(text)) => {
                let text = text.bind(py).to_str()?;
                stream.record(py, |reader, sink| reader.feed_text(text, sink))
            }
            Chunk::Raw(Raw::Bytes(bytes)) => {
                stream.record(py, |reader, sink| reader.feed_bytes(&bytes, sink))
            }
            Chunk::Raw(Raw::Ids(runs)) => stream.record(py, |reader, sink| feed_runs(&runs, reader, sink)),
        }
    }

    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut stream = convert::lock(&self.0, py)?;
        stream.closed = true;
        stream.record(py, |reader, sink| {
            reader.close(sink);
            Ok(())
        })
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        let mut stream = convert::lock(&self.0, py)?;
        *stream = Stream::new(Arc::clone(stream.reader.options()));
        Ok(())
    }

    #[getter]
    fn completion<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = convert::lock(&self.0, py)?;
        let reader = &stream.reader;
        let (settings, lane) = (Arc::clone(reader.options()), reader.lane());
        let progress = Progress { settings, stop: reader.stop(), tokens: reader.tokens(), lane };
        completion::so_far(py, &stream.heard, progress)
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamParser> {
        Ok(StreamParser(Mutex::new(convert::lock(&self.0, py)?.copied(py)?)))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<StreamParser> {
        self.__copy__(py)
    }
}
