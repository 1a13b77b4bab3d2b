//! Parsing, for Python: whole inputs, and inputs that arrive in chunks.

use crate::convert::{self, IdRun, Raw};
use motet::classify::Kind;
use motet::error::{ParseError, Repair};
use motet::fold::{self, Fold};
use motet::frame::{Frame, Header, Role, Stop};
use motet::parse::{Settings, Sink, Tokens};
use motet::reader::{Completion, Lane, MixedLanes, Reader, parse_ids, parse_text};
use motet::tokenizer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use std::sync::{Arc, Mutex};

fn settings(
    role: Option<&str>,
    tools: Option<&Bound<'_, PyAny>>,
    strict: bool,
    transcript: bool,
) -> PyResult<Arc<Settings>> {
    let (role, tools) = (convert::role(role, "role")?, convert::tool_names(tools)?);
    Ok(Arc::new(Settings { role, transcript, strict, tools }))
}

/// Parses a whole input, with other Python threads running meanwhile.
fn read(py: Python<'_>, input: &Bound<'_, PyAny>, settings: &Arc<Settings>) -> PyResult<Completion> {
    let raw = convert::raw(input, "raw")?;
    let settings = Arc::clone(settings);
    let parsed = match &raw {
        Raw::Text(text) => {
            let text = text.bind(py).to_str()?;
            py.detach(|| parse_text(text.as_bytes(), settings))
        }
        Raw::Bytes(bytes) => py.detach(|| parse_text(bytes, settings)),
        Raw::Ids(runs) => match runs.as_slice() {
            [IdRun::Ids(ids)] => py.detach(|| parse_ids(ids, settings)),
            runs => py.detach(|| parse_runs(runs, settings)),
        },
    };
    parsed.map_err(|error| convert::parse_error(py, &error))
}

/// Ids with integers among them that fit none.
fn parse_runs(runs: &[IdRun], settings: Arc<Settings>) -> Result<Completion, ParseError> {
    let (mut reader, mut fold) = (Reader::new(settings), Fold::default());
    for run in runs {
        // A new reader takes either lane.
        let _ = match run {
            IdRun::Ids(ids) => reader.feed_ids(ids, &mut fold),
            IdRun::Invalid(written) => reader.feed_invalid_id(written.clone(), &mut fold),
        };
    }
    reader.finish(fold)
}

#[pyfunction]
#[pyo3(
    signature = (raw, *, role=Some("assistant"), tools=None, strict=false),
    text_signature = "(raw, *, role='assistant', tools=None, strict=False)"
)]
pub(crate) fn parse<'py>(
    raw: &Bound<'py, PyAny>,
    role: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = raw.py();
    let settings = settings(role, tools, strict, false)?;
    convert::completion(py, &settings, &read(py, raw, &settings)?)
}

#[pyfunction]
#[pyo3(signature = (raw, *, tools=None, strict=false))]
pub(crate) fn parse_conversation<'py>(
    raw: &Bound<'py, PyAny>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
) -> PyResult<Bound<'py, PyList>> {
    let py = raw.py();
    let settings = settings(None, tools, strict, true)?;
    let Completion { frames, lane, .. } = read(py, raw, &settings)?;
    let messages = fold::conversation(&frames, &settings.tools, lane == Lane::Ids);
    let messages: Vec<_> = messages.iter().map(|item| convert::message(py, item)).collect::<PyResult<_>>()?;
    PyList::new(py, messages)
}

#[pyfunction]
#[pyo3(signature = (raw, *, role=None, tools=None, strict=false))]
pub(crate) fn frames<'py>(
    raw: &Bound<'py, PyAny>,
    role: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
) -> PyResult<Bound<'py, PyList>> {
    let py = raw.py();
    let settings = settings(role, tools, strict, true)?;
    let Completion { frames, .. } = read(py, raw, &settings)?;
    let frames: Vec<_> =
        frames.iter().map(|item| convert::frame(py, &item.frame)).collect::<PyResult<_>>()?;
    PyList::new(py, frames)
}

/// Counts the contents of frames that were read from text.
#[pyfunction]
pub(crate) fn tokens_by_channel<'py>(
    py: Python<'py>,
    frames: &Bound<'py, PyAny>,
    markup: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let mut tokens = Tokens { markup, ..Tokens::default() };
    for frame in frames.try_iter()? {
        let Frame { header, content, .. } = convert::to_frame(&frame?)?;
        *tokens.of(&header) += tokenizer::count(&content) as u64;
    }
    convert::counts(py, &tokens, true)
}

/// What all events of one frame share.
struct Head {
    kind: Option<Kind>,
    role: Option<Role>,
    name: Option<String>,
    channel: Option<String>,
    recipient: Option<String>,
    content_type: Option<String>,
}

#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Event {
    what: What,
    index: usize,
    head: Arc<Head>,
}

enum What {
    Start,
    Delta(Py<PyString>),
    End(Option<Stop>),
    Repair(Py<PyAny>),
}

#[pymethods]
impl Event {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["type", "kind", "index", "delta"])
    }

    #[getter]
    fn r#type<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.what {
            What::Start => pyo3::intern!(py, "start").clone(),
            What::Delta(_) => pyo3::intern!(py, "delta").clone(),
            What::End(_) => pyo3::intern!(py, "end").clone(),
            What::Repair(_) => pyo3::intern!(py, "repair").clone(),
        }
    }

    #[getter]
    fn kind<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.head.kind.map(|kind| convert::kind(py, kind))
    }

    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    #[getter]
    fn delta<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match &self.what {
            What::Delta(text) => text.bind(py).clone(),
            _ => pyo3::intern!(py, "").clone(),
        }
    }

    #[getter]
    fn role<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        convert::word(py, self.head.role.map(|role| role.as_str()))
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        convert::word(py, self.head.name.as_deref())
    }

    #[getter]
    fn channel<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        convert::word(py, self.head.channel.as_deref())
    }

    #[getter]
    fn recipient<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        convert::word(py, self.head.recipient.as_deref())
    }

    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        convert::word(py, self.head.content_type.as_deref())
    }

    #[getter]
    fn stop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        match self.what {
            What::End(stop) => convert::stop(py, stop),
            _ => None,
        }
    }

    #[getter]
    fn repair<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match &self.what {
            What::Repair(repair) => Some(repair.bind(py).clone()),
            _ => None,
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let kind = self.head.kind.map_or("", Kind::as_str);
        Ok(match &self.what {
            What::Start => format!("Event('start', {kind}, index={})", self.index),
            What::Delta(text) => format!("Event('delta', {kind}, {})", text.bind(py).repr()?),
            What::End(stop) => format!("Event('end', {kind}, stop={})", stop.map_or("None", Stop::as_str)),
            What::Repair(repair) => format!("Event('repair', {})", repair.bind(py).repr()?),
        })
    }
}

/// Keeps what is read, and makes Python events of it.
struct Recorder<'a, 'py> {
    py: Python<'py>,
    fold: &'a mut Fold,
    head: &'a mut Arc<Head>,
    events: Vec<Bound<'py, Event>>,
    error: Option<PyErr>,
}

impl Recorder<'_, '_> {
    fn push(&mut self, what: What, head: Arc<Head>) {
        let frames = self.fold.frames.len();
        let index = if head.kind.is_some() { frames.saturating_sub(1) } else { frames };
        match Bound::new(self.py, Event { what, index, head }) {
            Ok(event) => self.events.push(event),
            Err(error) => self.error = Some(error),
        }
    }
}

impl Sink for Recorder<'_, '_> {
    fn start(&mut self, header: Header, kind: Kind, implied: bool) {
        let Header { role, name, recipient, channel, content_type, .. } = header.clone();
        *self.head =
            Arc::new(Head { kind: Some(kind), role: Some(role), name, channel, recipient, content_type });
        self.fold.start(header, kind, implied);
        self.push(What::Start, Arc::clone(self.head));
    }

    fn delta(&mut self, text: &str) {
        self.fold.delta(text);
        let text = PyString::new(self.py, text).unbind();
        self.push(What::Delta(text), Arc::clone(self.head));
    }

    fn end(&mut self, stop: Option<Stop>) {
        self.fold.end(stop);
        self.push(What::End(stop), Arc::clone(self.head));
    }

    fn repair(&mut self, repair: Repair) {
        match convert::repair(self.py, &repair) {
            Ok(made) => self.push(What::Repair(made.unbind()), no_head()),
            Err(error) => self.error = Some(error),
        }
        self.fold.repair(repair);
    }

    fn content(&self) -> &str {
        self.fold.content()
    }
}

fn no_head() -> Arc<Head> {
    Arc::new(Head { kind: None, role: None, name: None, channel: None, recipient: None, content_type: None })
}

#[pyclass(frozen, module = "motet._core")]
pub(crate) struct StreamParser(Mutex<Stream>);

#[derive(Clone)]
struct Stream {
    reader: Reader,
    fold: Fold,
    head: Arc<Head>,
    closed: bool,
}

impl Stream {
    fn new(settings: Arc<Settings>) -> Stream {
        Stream { reader: Reader::new(settings), fold: Fold::default(), head: no_head(), closed: false }
    }

    /// Lets the reader read, and gives the events of it.
    fn record<'py>(
        &mut self,
        py: Python<'py>,
        step: impl FnOnce(&mut Reader, &mut Recorder<'_, 'py>) -> Result<(), MixedLanes>,
    ) -> PyResult<Bound<'py, PyList>> {
        let Stream { reader, fold, head, .. } = self;
        let mut recorder = Recorder { py, fold, head, events: Vec::new(), error: None };
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
            Some(error) => Err(convert::parse_error(py, error)),
            None => PyList::new(py, recorder.events),
        }
    }
}

#[pymethods]
impl StreamParser {
    #[new]
    #[pyo3(
        signature = (role=Some("assistant"), *, tools=None, strict=false),
        text_signature = "(role='assistant', *, tools=None, strict=False)"
    )]
    fn new(role: Option<&str>, tools: Option<&Bound<'_, PyAny>>, strict: bool) -> PyResult<StreamParser> {
        Ok(StreamParser(Mutex::new(Stream::new(settings(role, tools, strict, false)?))))
    }

    #[pyo3(signature = (chunk, /))]
    fn feed<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = chunk.py();
        let id = convert::integer(chunk);
        let mut stream = convert::lock(&self.0, py)?;
        if stream.closed {
            return Err(PyValueError::new_err(
                "this parser was closed: call reset() before feeding it again",
            ));
        }
        match id {
            Ok(Ok(id)) => stream.record(py, |reader, sink| reader.feed_ids(&[id], sink)),
            Ok(Err(written)) => stream.record(py, |reader, sink| reader.feed_invalid_id(written, sink)),
            Err(_) => match convert::raw(chunk, "chunk")? {
                Raw::Text(text) => {
                    let text = text.bind(py).to_str()?;
                    stream.record(py, |reader, sink| reader.feed_text(text, sink))
                }
                Raw::Bytes(bytes) => stream.record(py, |reader, sink| reader.feed_bytes(&bytes, sink)),
                Raw::Ids(runs) => stream.record(py, |reader, sink| {
                    runs.into_iter().try_for_each(|run| match run {
                        IdRun::Ids(ids) => reader.feed_ids(&ids, sink),
                        IdRun::Invalid(written) => reader.feed_invalid_id(written, sink),
                    })
                }),
            },
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
        *stream = Stream::new(Arc::clone(stream.reader.settings()));
        Ok(())
    }

    #[getter]
    fn completion<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = convert::lock(&self.0, py)?;
        convert::completion(py, stream.reader.settings(), &stream.reader.complete(stream.fold.clone()))
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamParser> {
        Ok(StreamParser(Mutex::new(convert::lock(&self.0, py)?.clone())))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<StreamParser> {
        self.__copy__(py)
    }
}
