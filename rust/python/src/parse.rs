//! Whole inputs, for Python: one, or many at once.

use crate::from_python::{self, IdRun, Raw, parse_options};
use crate::threads;
use crate::to_python::error::parse_error;
use crate::to_python::{completion, frame::make_frame, message::make_message};
use motet::error::ParseError;
use motet::frame::Frame;
use motet::parser::assemble;
use motet::parser::classify;
use motet::parser::collect::FrameCollector;
use motet::parser::stream::{Completion, MixedLanes, StreamParser, parse_text};
use motet::parser::{ChannelTokens, ParseOptions, Sink};
use motet::tokenizer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::sync::Arc;

fn read(py: Python<'_>, input: &Bound<'_, PyAny>, settings: &Arc<ParseOptions>) -> PyResult<Completion> {
    let raw = from_python::raw(input, "raw")?;
    let input = Input::of(py, &raw)?;
    py.detach(|| input.parse(settings)).map_err(|error| parse_error(py, &error, None))
}

/// An input that can be read without the interpreter.
enum Input<'a> {
    Text(&'a [u8]),
    Ids(&'a [IdRun]),
}

impl<'a> Input<'a> {
    fn of(py: Python<'a>, raw: &'a Raw) -> PyResult<Input<'a>> {
        Ok(match raw {
            Raw::Text(text) => Input::Text(text.bind(py).to_str()?.as_bytes()),
            Raw::Bytes(bytes) => Input::Text(bytes),
            Raw::Ids(runs) => Input::Ids(runs),
        })
    }

    fn parse(&self, settings: &Arc<ParseOptions>) -> Result<Completion, ParseError> {
        match self {
            Input::Text(text) => parse_text(text, Arc::clone(settings)),
            Input::Ids(runs) => {
                let (mut reader, mut fold) =
                    (StreamParser::new(Arc::clone(settings)), FrameCollector::default());
                // A new reader takes either lane.
                let _ = feed_runs(runs, &mut reader, &mut fold);
                reader.finish(fold)
            }
        }
    }
}

/// Feeds ids with integers among them that fit none.
pub(crate) fn feed_runs(
    runs: &[IdRun],
    reader: &mut StreamParser,
    sink: &mut impl Sink,
) -> Result<(), MixedLanes> {
    runs.iter().try_for_each(|run| match run {
        IdRun::Ids(ids) => reader.feed_ids(ids, sink),
        IdRun::Invalid(written) => reader.feed_invalid_id(written.clone(), sink),
    })
}

#[pyfunction]
#[pyo3(
    signature = (raw, *, role=Some("assistant"), tools=None, strict=false, stripped="auto"),
    text_signature = "(raw, *, role='assistant', tools=None, strict=False, stripped='auto')"
)]
pub(crate) fn parse<'py>(
    raw: &Bound<'py, PyAny>,
    role: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
    stripped: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let py = raw.py();
    let settings = parse_options(role, tools, strict, stripped, false)?;
    completion::whole(py, &settings, &read(py, raw, &settings)?)
}

#[pyfunction]
#[pyo3(
    signature = (completions, *, role=Some("assistant"), tools=None, strict=false, stripped="auto", threads=None),
    text_signature = "(completions, *, role='assistant', tools=None, strict=False, stripped='auto', threads=None)"
)]
pub(crate) fn parse_batch<'py>(
    completions: &Bound<'py, PyAny>,
    role: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
    stripped: &str,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let py = completions.py();
    let settings = parse_options(role, tools, strict, stripped, false)?;
    let threads = threads::number(threads)?;
    if completions.is_instance_of::<PyString>() || completions.is_instance_of::<PyBytes>() {
        let found = from_python::type_name(completions);
        return Err(PyTypeError::new_err(format!("completions must be a list of them, not {found}")));
    }
    let items = from_python::iterate(completions, "completions")?.enumerate();
    let raws = items.map(|(index, item)| from_python::raw(&item?, &format!("completions[{index}]")));
    let raws: Vec<Raw> = raws.collect::<PyResult<_>>()?;
    let inputs: Vec<Input<'_>> = raws.iter().map(|raw| Input::of(py, raw)).collect::<PyResult<_>>()?;
    let read = py.detach(|| threads::map(&inputs, threads, |input| input.parse(&settings)));
    let made = read.iter().enumerate().map(|(index, read)| match read {
        Ok(read) => completion::whole(py, &settings, read),
        Err(error) => Err(parse_error(py, error, Some(index))),
    });
    PyList::new(py, made.collect::<PyResult<Vec<_>>>()?)
}

#[pyfunction]
#[pyo3(signature = (raw, *, tools=None, strict=false))]
pub(crate) fn parse_conversation<'py>(
    raw: &Bound<'py, PyAny>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
) -> PyResult<Bound<'py, PyList>> {
    let py = raw.py();
    let settings = parse_options(None, tools, strict, "never", true)?;
    let read = read(py, raw, &settings)?;
    let messages = assemble::conversation(&read.frames, &settings.tools, read.is_trusted());
    let messages: Vec<_> = messages.iter().map(|item| make_message(py, item)).collect::<PyResult<_>>()?;
    PyList::new(py, messages)
}

#[pyfunction]
#[pyo3(signature = (raw, *, role=None, tools=None, strict=false, stripped="auto"))]
pub(crate) fn frames<'py>(
    raw: &Bound<'py, PyAny>,
    role: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
    stripped: &str,
) -> PyResult<Bound<'py, PyList>> {
    let py = raw.py();
    let settings = parse_options(role, tools, strict, stripped, true)?;
    let Completion { frames, .. } = read(py, raw, &settings)?;
    let frames: Vec<_> = frames.iter().map(|item| make_frame(py, &item.frame)).collect::<PyResult<_>>()?;
    PyList::new(py, frames)
}

/// Counts the contents of frames that were read from text.
#[pyfunction]
pub(crate) fn tokens_by_channel<'py>(
    py: Python<'py>,
    frames: &Bound<'py, PyAny>,
    markup: u64,
) -> PyResult<Bound<'py, PyDict>> {
    let mut tokens = ChannelTokens { markup, ..ChannelTokens::default() };
    for frame in frames.try_iter()? {
        let Frame { header, content, .. } = from_python::read_frame(&frame?)?;
        *tokens.of(classify::bucket_of(&header)) += tokenizer::count(&content) as u64;
    }
    completion::counts(py, &tokens, true)
}
