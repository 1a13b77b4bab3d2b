//! Whole inputs: one, or many on several threads.

use crate::from_python::text::{parser_bytes, utf8};
use crate::from_python::{self, IdRun, IdRuns, ParseArguments, Raw, parse_options, read_header};
use crate::threads;
use crate::to_python::completion::{make_completion, make_counts};
use crate::to_python::error::parse_error;
use crate::to_python::frame::make_frame;
use crate::to_python::message::make_message;
use motet::error::ParseError;
use motet::parser::assemble;
use motet::parser::classify::{bucket_of, classify};
use motet::parser::collect::FrameCollector;
use motet::parser::stream::{Completion, MixedLanes, StreamParser, parse_str, parse_text};
use motet::parser::tool_names::ToolNames;
use motet::parser::{ChannelTokens, ParseOptions, Sink};
use motet::tokenizer;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::borrow::Cow;
use std::sync::Arc;

/// An input as the core reads it, without the interpreter.
enum Input<'a> {
    Text(&'a str),
    /// Text that may not be UTF-8.
    Bytes(Cow<'a, [u8]>),
    Ids(&'a IdRuns),
}

impl<'a> Input<'a> {
    fn of(py: Python<'a>, raw: &'a Raw) -> PyResult<Input<'a>> {
        Ok(match raw {
            Raw::Text(text) => match text.bind(py).to_str() {
                Ok(text) => Input::Text(text),
                Err(_) => Input::Bytes(parser_bytes(text.bind(py))?),
            },
            Raw::Bytes(bytes) => Input::Bytes(Cow::Borrowed(bytes)),
            Raw::Ids(runs) => Input::Ids(runs),
        })
    }

    fn parse(&self, options: &Arc<ParseOptions>) -> Result<Completion, ParseError> {
        match self {
            Input::Text(text) => parse_str(text, Arc::clone(options)),
            Input::Bytes(bytes) => parse_text(bytes, Arc::clone(options)),
            Input::Ids(runs) => {
                let mut parser = StreamParser::new(Arc::clone(options));
                let mut collector = FrameCollector::new(options.turn);
                // A new parser takes either lane.
                let _ = feed_runs(runs, &mut parser, &mut collector);
                parser.finish(collector)
            }
        }
    }
}

/// Feeds ids, with the integers among them that are not ids.
pub(crate) fn feed_runs(
    runs: &IdRuns,
    parser: &mut StreamParser,
    sink: &mut impl Sink,
) -> Result<(), MixedLanes> {
    parser.feed_ids(&runs.first, sink)?;
    runs.rest.iter().try_for_each(|run| match run {
        IdRun::Ids(ids) => parser.feed_ids(ids, sink),
        IdRun::Invalid(written) => parser.feed_invalid_id(written.clone(), sink),
    })
}

/// Parses a whole input with the interpreter released.
fn parse_detached(
    py: Python<'_>,
    raw: &Bound<'_, PyAny>,
    options: &Arc<ParseOptions>,
) -> PyResult<Completion> {
    let raw = from_python::raw(raw, "raw")?;
    let input = Input::of(py, &raw)?;
    py.detach(|| input.parse(options)).map_err(|error| parse_error(py, &error, None))
}

/// Parses what a model generated for one turn.
///
/// - `raw`: token ids (a list, an array, a buffer of integers) or text with markers (`str`, or its UTF-8 as bytes). It
///   begins behind the `<|start|>` and the role with which the prompt ends.
/// - `role`: the role that the prompt ends with. `None`: `raw` begins with its own `<|start|>`.
/// - `opened`: what else of the first frame the prompt contains: a channel (`"analysis"`), or the header as written
///   (`"<|channel|>commentary to=functions.f <|constrain|>json<|message|>"`, or the beginning of one). The first frame
///   has that header. Raises `ValueError` for anything else.
/// - `tools`: names or tool dicts of the tools that the model was given. They decide which tool is meant by a name
///   without `functions.` and by a damaged name. A tool dict, and a name with `functions.`, is a function, also
///   under the name of a built-in one (`container.exec`).
/// - `strict`: raise `ParseError` at the first deviation from the format.
/// - `stripped`: whether frames are looked for in text whose markers a server has left out
///   (`analysisWe need ...assistantfinalHello`). `"auto"`: only in text that begins with such a header, and not as
///   plain answers begin. `"always"`, `"never"`. Tool calls found this way are not `trusted`.
/// - `turn`: how many turns of the conversation came before, 0 or more. It is part of the ids of tool calls, which are
///   otherwise the same for the same completion.
///
/// Accepts any input unless `strict`: deviations are repaired, and listed in `completion.repairs`. Takes linear time.
#[pyfunction]
#[pyo3(
    signature = (raw, *, role=Some("assistant"), opened=None, tools=None, strict=false, stripped="auto", turn=0),
    text_signature = "(raw, *, role='assistant', opened=None, tools=None, strict=False, stripped='auto', turn=0)"
)]
pub(crate) fn parse<'py>(
    raw: &Bound<'py, PyAny>,
    role: Option<&str>,
    opened: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
    stripped: &str,
    turn: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let py = raw.py();
    let options = parse_options(&ParseArguments { role, opened, tools, strict, stripped, turn }, false)?;
    make_completion(py, &options, &parse_detached(py, raw, &options)?)
}

/// `parse` of each completion, in order, on several threads and with the GIL released.
///
/// `threads`: 1 or more. `None`: one for each core. With `strict` raises `ParseError` for the first completion that
/// deviates from the format, with its `index`.
#[pyfunction]
#[pyo3(
    signature = (completions, *, role=Some("assistant"), opened=None, tools=None, strict=false, stripped="auto",
                 turn=0, threads=None),
    text_signature = "(completions, *, role='assistant', opened=None, tools=None, strict=False, stripped='auto', \
                      turn=0, threads=None)"
)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn parse_batch<'py>(
    completions: &Bound<'py, PyAny>,
    role: Option<&str>,
    opened: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
    stripped: &str,
    turn: u64,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let py = completions.py();
    let options = parse_options(&ParseArguments { role, opened, tools, strict, stripped, turn }, false)?;
    let threads = threads::number(threads)?;
    if completions.is_instance_of::<PyString>() || completions.is_instance_of::<PyBytes>() {
        let class = from_python::type_name(completions);
        return Err(PyTypeError::new_err(format!("completions must be a list of them, not {class}")));
    }
    let items = from_python::iterate(completions, "completions")?.enumerate();
    let raws = items.map(|(index, item)| from_python::raw(&item?, &format!("completions[{index}]")));
    let raws: Vec<Raw> = raws.collect::<PyResult<_>>()?;
    let inputs: Vec<Input<'_>> = raws.iter().map(|raw| Input::of(py, raw)).collect::<PyResult<_>>()?;
    let results = py.detach(|| threads::map(&inputs, threads, |input| input.parse(&options)));
    let objects = results.iter().enumerate().map(|(index, result)| match result {
        Ok(completion) => make_completion(py, &options, completion),
        Err(error) => Err(parse_error(py, error, Some(index))),
    });
    PyList::new(py, objects.collect::<PyResult<Vec<_>>>()?)
}

/// The messages of a prompt or transcript: one for each turn of the assistant, one for each frame of other roles.
///
/// Arguments: see `parse`. The header that a prompt ends with gives no message. Text without markers is not divided
/// into frames: nothing in it tells where a turn ends.
#[pyfunction]
#[pyo3(signature = (raw, *, tools=None, strict=false))]
pub(crate) fn parse_conversation<'py>(
    raw: &Bound<'py, PyAny>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
) -> PyResult<Bound<'py, PyList>> {
    let py = raw.py();
    let arguments = ParseArguments { role: None, opened: None, tools, strict, stripped: "never", turn: 0 };
    let options = parse_options(&arguments, true)?;
    let messages = assemble::conversation(&parse_detached(py, raw, &options)?.frames);
    let messages = messages.iter().map(|message| make_message(py, message));
    PyList::new(py, messages.collect::<PyResult<Vec<_>>>()?)
}

/// The frames of a prompt or a transcript, as written; with `role="assistant"` those of a completion.
///
/// Arguments: see `parse`. `render_frames` is the inverse for input that follows the format.
#[pyfunction]
#[pyo3(signature = (raw, *, role=None, opened=None, tools=None, strict=false, stripped="auto"))]
pub(crate) fn frames<'py>(
    raw: &Bound<'py, PyAny>,
    role: Option<&str>,
    opened: Option<&str>,
    tools: Option<&Bound<'py, PyAny>>,
    strict: bool,
    stripped: &str,
) -> PyResult<Bound<'py, PyList>> {
    let py = raw.py();
    let options = parse_options(&ParseArguments { role, opened, tools, strict, stripped, turn: 0 }, true)?;
    let frames = parse_detached(py, raw, &options)?.frames;
    let frames = frames.iter().map(|frame| make_frame(py, &frame.frame));
    PyList::new(py, frames.collect::<PyResult<Vec<_>>>()?)
}

/// Tokens by channel of the contents of frames that were made in Python. Markers and headers are not counted.
#[pyfunction]
pub(crate) fn tokens_by_channel<'py>(frames: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = frames.py();
    let mut tokens = ChannelTokens::default();
    for frame in frames.try_iter()? {
        let frame = frame?;
        let content = frame.getattr(intern!(py, "content"))?;
        let count = tokenizer::count(&utf8(content.cast::<PyString>()?)?);
        let header = read_header(&frame)?;
        let kind = classify(&header, None, &ToolNames::default()).kind;
        *tokens.of(bucket_of(kind, &header)) += count as u64;
    }
    make_counts(py, &tokens)
}
