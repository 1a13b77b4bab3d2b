//! `StreamParser`: a completion that arrives in chunks.

use crate::events::{Event, Head, Recorder, Told, given_out};
use crate::from_python::{self, Chunk, Raw};
use crate::parse::feed_runs;
use crate::threads::lock;
use crate::to_python::completion::{self, Heard, Progress};
use crate::to_python::error::parse_error;
use motet::parser::ParseOptions;
use motet::parser::stream::{self as core, Lane, MixedLanes};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::{Arc, Mutex};

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
        let heard = Arc::new(Mutex::new(lock(&self.heard, py)?.copied(py)));
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
        let mut heard = lock(heard, py)?;
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
            Some(error) => Err(parse_error(py, error, None)),
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
        Ok(StreamParser(Mutex::new(Stream::new(from_python::parse_options(
            role, tools, strict, stripped, false,
        )?))))
    }

    #[pyo3(signature = (chunk, /))]
    fn feed<'py>(&self, chunk: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = chunk.py();
        let chunk = from_python::chunk(chunk)?;
        let mut stream = lock(&self.0, py)?;
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
        let mut stream = lock(&self.0, py)?;
        stream.closed = true;
        stream.record(py, |reader, sink| {
            reader.close(sink);
            Ok(())
        })
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        let mut stream = lock(&self.0, py)?;
        *stream = Stream::new(Arc::clone(stream.reader.options()));
        Ok(())
    }

    #[getter]
    fn completion<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stream = lock(&self.0, py)?;
        let reader = &stream.reader;
        let (settings, lane) = (Arc::clone(reader.options()), reader.lane());
        let progress = Progress { settings, stop: reader.stop(), tokens: reader.tokens(), lane };
        completion::so_far(py, &stream.heard, progress)
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamParser> {
        Ok(StreamParser(Mutex::new(lock(&self.0, py)?.copied(py)?)))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<StreamParser> {
        self.__copy__(py)
    }
}
