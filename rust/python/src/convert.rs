//! The only place where a Python object becomes a Rust value, or back. It knows the fields of the dataclasses in
//! `motet.message` and the exceptions in `motet.errors`, and nothing of what they mean.

use crate::ffi;
use motet::error::{ParseError, RenderError, Repair};
use motet::frame::{Frame, Header, RecipientPosition, Role, Stop};
use motet::message::{Message, Part};
use motet::parser::ChannelTokens;
use motet::parser::classify::ToolNames;
use motet::parser::stripped::Stripped;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyIterator, PyList, PyString, PyTuple, PyType};
use std::sync::{Mutex, MutexGuard};

mod read;

pub(crate) use read::{to_frame, to_messages, to_settings};

/// The classes that are filled here.
pub(crate) struct Types {
    frame: Py<PyType>,
    repair: Py<PyType>,
    message: Py<PyType>,
    pub(crate) completion: Py<PyType>,
    reasoning: Py<PyType>,
    preamble: Py<PyType>,
    text: Py<PyType>,
    tool_call: Py<PyType>,
    tool_result: Py<PyType>,
    system: Py<PyType>,
    developer: Py<PyType>,
}

impl Types {
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Types> {
        static TYPES: PyOnceLock<Types> = PyOnceLock::new();
        TYPES.get_or_try_init(py, || {
            let module = py.import("motet.message")?;
            let class = |name: &str| -> PyResult<Py<PyType>> {
                Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
            };
            Ok(Types {
                frame: class("Frame")?,
                repair: class("Repair")?,
                message: class("Message")?,
                completion: class("Completion")?,
                reasoning: class("Reasoning")?,
                preamble: class("Preamble")?,
                text: class("Text")?,
                tool_call: class("ToolCall")?,
                tool_result: class("ToolResult")?,
                system: class("SystemContent")?,
                developer: class("DeveloperContent")?,
            })
        })
    }
}

/// An input to be parsed.
pub(crate) enum Raw {
    Text(Py<PyString>),
    Bytes(Vec<u8>),
    Ids(Vec<IdRun>),
}

/// Token ids, or something in their place that is an integer but fits no id.
pub(crate) enum IdRun {
    Ids(Vec<u32>),
    Invalid(String),
}

/// Reads what `parse` and `feed` take: text, its bytes, ids, or a buffer of either.
pub(crate) fn raw(input: &Bound<'_, PyAny>, name: &str) -> PyResult<Raw> {
    if let Ok(text) = input.cast::<PyString>() {
        return match text.to_str() {
            Ok(_) => Ok(Raw::Text(text.clone().unbind())),
            // Lone surrogates: they have no UTF-8, so they are read as bytes that are none.
            Err(_) => Ok(Raw::Bytes(surrogates(text)?)),
        };
    }
    if let Ok(bytes) = input.cast::<PyBytes>() {
        return Ok(Raw::Bytes(bytes.as_bytes().to_vec()));
    }
    if let Ok(list) = input.cast::<PyList>() {
        return id_runs(list, name);
    }
    if let Some(buffer) = buffer(input)? {
        return Ok(buffer);
    }
    let items = input.try_iter().map_err(|_| {
        let found = type_name(input);
        PyTypeError::new_err(format!("{name} must be str, bytes or an iterable of token ids, not {found}"))
    })?;
    let items: Vec<Bound<'_, PyAny>> = items.collect::<PyResult<_>>()?;
    id_runs(&PyList::new(input.py(), items)?, name)
}

fn surrogates(text: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    let py = text.py();
    let bytes = text.call_method1(intern!(py, "encode"), ("utf-8", "surrogatepass"))?;
    Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())
}

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

/// The value of a Python integer as an id; `None` if it does not fit.
#[inline]
fn small(item: &Bound<'_, PyAny>) -> Option<u32> {
    item.extract::<i64>().ok().and_then(|value| u32::try_from(value).ok())
}

/// Sorts what stands for ids into ids and what fits none.
struct Runs {
    done: Vec<IdRun>,
    ids: Vec<u32>,
}

impl Runs {
    fn new(length: usize) -> Runs {
        Runs { done: Vec::new(), ids: Vec::with_capacity(length) }
    }

    fn push(&mut self, id: Result<u32, String>) {
        match id {
            Ok(id) => self.ids.push(id),
            Err(written) => {
                if !self.ids.is_empty() {
                    self.done.push(IdRun::Ids(std::mem::take(&mut self.ids)));
                }
                self.done.push(IdRun::Invalid(written));
            }
        }
    }

    fn finish(mut self) -> Raw {
        if !self.ids.is_empty() || self.done.is_empty() {
            self.done.push(IdRun::Ids(self.ids));
        }
        Raw::Ids(self.done)
    }
}

fn id_runs(items: &Bound<'_, PyList>, name: &str) -> PyResult<Raw> {
    let mut runs = Runs::new(items.len());
    ffi::leading_ids(items, &mut runs.ids);
    // Where one is no plain int, its own code may run and change the list: so from there on with care.
    for (index, item) in items.iter().enumerate().skip(runs.ids.len()) {
        runs.push(integer(&item).map_err(|found| {
            PyTypeError::new_err(format!("{name}[{index}] must be a token id (an int), not {found}"))
        })?);
    }
    Ok(runs.finish())
}

/// What a stream is fed: one id, or what `parse` takes.
pub(crate) enum Chunk {
    Id(u32),
    Raw(Raw),
}

/// Reads what `feed` takes. Code of its own may run, so nothing may be locked meanwhile.
pub(crate) fn chunk(input: &Bound<'_, PyAny>) -> PyResult<Chunk> {
    // To ask a list whether it is a number takes longer than to parse it.
    if !input.is_exact_instance_of::<PyList>() && !input.is_instance_of::<PyString>() {
        match integer(input) {
            Ok(Ok(id)) => return Ok(Chunk::Id(id)),
            Ok(Err(written)) => return Ok(Chunk::Raw(Raw::Ids(vec![IdRun::Invalid(written)]))),
            Err(_) => {}
        }
    }
    raw(input, "chunk").map(Chunk::Raw)
}

/// An id; or how an integer that is none is written; or the type's name of what is no integer.
pub(crate) fn integer(item: &Bound<'_, PyAny>) -> Result<Result<u32, String>, String> {
    if item.cast_exact::<PyInt>().is_ok() {
        return Ok(small(item).ok_or_else(|| item.to_string()));
    }
    if item.is_instance_of::<PyBool>() {
        return Err("bool".to_owned());
    }
    match item.call_method0(intern!(item.py(), "__index__")) {
        Ok(value) => Ok(small(&value).ok_or_else(|| value.to_string())),
        Err(_) => Err(type_name(item)),
    }
}

/// Reads a buffer: bytes are text, wider integers are ids.
fn buffer(input: &Bound<'_, PyAny>) -> PyResult<Option<Raw>> {
    let py = input.py();
    if let Ok(bytes) = PyBuffer::<u8>::get(input) {
        return Ok(Some(Raw::Bytes(bytes.to_vec(py)?)));
    }
    if let Ok(ids) = PyBuffer::<u32>::get(input) {
        return Ok(Some(Raw::Ids(vec![IdRun::Ids(ids.to_vec(py)?)])));
    }
    let wide: Option<Vec<i64>> = if let Ok(ids) = PyBuffer::<i64>::get(input) {
        Some(ids.to_vec(py)?)
    } else if let Ok(ids) = PyBuffer::<i32>::get(input) {
        Some(ids.to_vec(py)?.into_iter().map(i64::from).collect())
    } else if let Ok(ids) = PyBuffer::<u16>::get(input) {
        Some(ids.to_vec(py)?.into_iter().map(i64::from).collect())
    } else {
        None
    };
    let Some(wide) = wide else { return Ok(None) };
    let mut runs = Runs::new(wide.len());
    for value in wide {
        runs.push(u32::try_from(value).map_err(|_| value.to_string()));
    }
    Ok(Some(runs.finish()))
}

/// Reads ids where all of them have to be valid: for decoding.
pub(crate) fn ids(input: &Bound<'_, PyAny>, name: &str) -> PyResult<Vec<u32>> {
    if integer(input).is_ok() {
        return Err(PyTypeError::new_err(format!("{name} must be token ids, not one {}", type_name(input))));
    }
    let found = match raw(input, name)? {
        Raw::Ids(runs) => runs,
        Raw::Text(_) | Raw::Bytes(_) => {
            let found = type_name(input);
            return Err(PyTypeError::new_err(format!("{name} must be token ids, not {found}")));
        }
    };
    let mut all = Vec::new();
    for run in found {
        match run {
            IdRun::Ids(ids) if all.is_empty() => all = ids,
            IdRun::Ids(ids) => all.extend(ids),
            IdRun::Invalid(written) => {
                let at = all.len();
                return Err(PyValueError::new_err(format!(
                    "{name}[{at}] is {written}, which is not a token id"
                )));
            }
        }
    }
    Ok(all)
}

pub(crate) fn role(value: Option<&str>, name: &str) -> PyResult<Option<Role>> {
    let Some(value) = value else { return Ok(None) };
    Role::from_name(value).map(Some).ok_or_else(|| {
        let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        PyValueError::new_err(format!("{name} must be one of {}, not {value:?}", known.join(", ")))
    })
}

pub(crate) fn stripped(value: &str) -> PyResult<Stripped> {
    match value {
        "auto" => Ok(Stripped::Auto),
        "always" => Ok(Stripped::Always),
        "never" => Ok(Stripped::Never),
        _ => {
            Err(PyValueError::new_err(format!("stripped must be 'auto', 'always' or 'never', not {value:?}")))
        }
    }
}

/// The items of an argument that must be iterable.
pub(crate) fn iterate<'py>(items: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyIterator>> {
    items
        .try_iter()
        .map_err(|_| PyTypeError::new_err(format!("{name} must be a list, not {}", type_name(items))))
}

/// The names in a list of tools: strings, OpenAI dicts, or objects with a `name`.
pub(crate) fn tool_names(tools: Option<&Bound<'_, PyAny>>) -> PyResult<ToolNames> {
    let Some(tools) = tools else { return Ok(ToolNames::default()) };
    if tools.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("tools must be a list of tools, not str"));
    }
    let mut names = Vec::new();
    for (index, tool) in iterate(tools, "tools")?.enumerate() {
        let tool = tool?;
        let name = tool_name(&tool)?.ok_or_else(|| {
            let found = type_name(&tool);
            PyTypeError::new_err(format!(
                "tools[{index}] must be a name, an OpenAI tool dict or a tool, not {found}"
            ))
        })?;
        names.push(name);
    }
    Ok(ToolNames::new(names))
}

fn tool_name(tool: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if let Ok(name) = tool.cast::<PyString>() {
        return Ok(Some(name.to_str()?.to_owned()));
    }
    if let Ok(dict) = tool.cast::<PyDict>() {
        if let Some(function) = dict.get_item("function")? {
            return tool_name(&function);
        }
        return dict.get_item("name")?.map(|name| name.extract()).transpose();
    }
    match tool.getattr_opt(intern!(tool.py(), "name"))? {
        Some(name) => Ok(name.extract().ok()),
        None => Ok(None),
    }
}

// Rust to Python.

pub(crate) fn stop<'py>(py: Python<'py>, stop: Option<Stop>) -> Option<Bound<'py, PyString>> {
    stop.map(|stop| PyString::intern(py, stop.as_str()))
}

fn place<'py>(py: Python<'py>, place: Option<RecipientPosition>) -> Option<Bound<'py, PyString>> {
    place.map(|place| {
        PyString::intern(
            py,
            match place {
                RecipientPosition::Role => "role",
                RecipientPosition::Channel => "channel",
            },
        )
    })
}

/// A short string of a header: the same few come again and again.
pub(crate) fn word<'py>(py: Python<'py>, word: Option<&str>) -> Option<Bound<'py, PyString>> {
    word.map(|word| PyString::intern(py, word))
}

pub(crate) fn frame<'py>(py: Python<'py>, frame: &Frame) -> PyResult<Bound<'py, PyAny>> {
    let Frame { header, content, stop, implied } = frame;
    frame_with(py, header, &PyString::new(py, content), *stop, *implied)
}

/// The same with content that is a Python string already.
pub(crate) fn frame_with<'py>(
    py: Python<'py>,
    header: &Header,
    content: &Bound<'py, PyString>,
    ended: Option<Stop>,
    implied: bool,
) -> PyResult<Bound<'py, PyAny>> {
    Types::get(py)?.frame.bind(py).call1((
        word(py, Some(header.role.as_str())),
        content,
        word(py, header.channel.as_deref()),
        word(py, header.recipient.as_deref()),
        word(py, header.name.as_deref()),
        word(py, header.content_type.as_deref()),
        stop(py, ended),
        implied,
        place(py, header.recipient_at),
    ))
}

pub(crate) fn repair<'py>(py: Python<'py>, repair: &Repair) -> PyResult<Bound<'py, PyAny>> {
    let Repair { code, at, text, count, .. } = repair;
    Types::get(py)?.repair.bind(py).call1((
        word(py, Some(code.as_str())),
        *at,
        text,
        repair.message(),
        *count,
    ))
}

/// A part of a message. `text` is its text or its arguments, if that is a Python string already.
pub(crate) fn part<'py>(
    py: Python<'py>,
    part: &Part,
    text: Option<&Bound<'py, PyString>>,
) -> PyResult<Bound<'py, PyAny>> {
    let types = Types::get(py)?;
    let said = |own: &str| text.cloned().unwrap_or_else(|| PyString::new(py, own));
    match part {
        Part::Reasoning { text, content_type } => {
            types.reasoning.bind(py).call1((said(text), word(py, content_type.as_deref())))
        }
        Part::Preamble { text, content_type } => {
            types.preamble.bind(py).call1((said(text), word(py, content_type.as_deref())))
        }
        Part::Text { text, channel, content_type } => types.text.bind(py).call1((
            said(text),
            word(py, channel.as_deref()),
            word(py, content_type.as_deref()),
        )),
        Part::ToolCall(call) => types.tool_call.bind(py).call1((
            word(py, Some(&call.name)),
            said(&call.arguments),
            &call.id,
            call.trusted,
            word(py, Some(&call.recipient)),
            place(py, call.recipient_at),
            word(py, call.channel.as_deref()),
            word(py, Some(call.content_type.as_deref().unwrap_or_default())),
            stop(py, call.stop),
        )),
        Part::ToolResult(result) => types.tool_result.bind(py).call1((
            &result.tool_call_id,
            said(&result.content),
            word(py, result.name.as_deref()),
            word(py, result.author.as_deref()),
            word(py, result.recipient.as_deref()),
            word(py, result.channel.as_deref()),
            word(py, result.content_type.as_deref()),
        )),
        Part::System { text } => types.system.bind(py).call1((said(text),)),
        Part::Developer(developer) => {
            let text = developer.text.as_deref().map(said);
            types.developer.bind(py).call1((&developer.instructions, py.None(), text))
        }
    }
}

pub(crate) fn message<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyAny>> {
    let content = message.content.iter().map(|item| part(py, item, None));
    message_with(py, message.role, content.collect::<PyResult<_>>()?, message.name.as_deref())
}

pub(crate) fn message_with<'py>(
    py: Python<'py>,
    role: Role,
    content: Vec<Bound<'py, PyAny>>,
    name: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let content = PyTuple::new(py, content)?;
    Types::get(py)?.message.bind(py).call1((word(py, Some(role.as_str())), content, name))
}

/// ChannelTokens by channel; without those of contents if they were not counted.
pub(crate) fn counts<'py>(
    py: Python<'py>,
    tokens: &ChannelTokens,
    counted: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    if counted {
        counts.set_item("analysis", tokens.analysis)?;
        counts.set_item("commentary", tokens.commentary)?;
        counts.set_item("final", tokens.r#final)?;
    }
    counts.set_item("markup", tokens.markup)?;
    if tokens.other > 0 {
        counts.set_item("other", tokens.other)?;
    }
    Ok(counts)
}

// Errors.

pub(crate) fn error(py: Python<'_>, name: &str, message: String, known: &Bound<'_, PyDict>) -> PyErr {
    let make = || -> PyResult<Bound<'_, PyAny>> {
        py.import("motet.errors")?.getattr(name)?.call((message,), Some(known))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// `index`: which completion of a batch it is.
pub(crate) fn parse_error(py: Python<'_>, found: &ParseError, index: Option<usize>) -> PyErr {
    let known = PyDict::new(py);
    let fill = || -> PyResult<()> {
        known.set_item("code", found.repair.code.as_str())?;
        known.set_item("position", found.repair.at)?;
        known.set_item("state", found.state.as_str())?;
        known.set_item("expected", found.state.expected())?;
        known.set_item("context", found.excerpt.to_string())?;
        known.set_item("index", index)?;
        known.set_item("found", &found.repair.text)
    };
    match fill() {
        Ok(()) => {
            let which = index.map(|index| format!("completions[{index}]: ")).unwrap_or_default();
            error(py, "ParseError", format!("{which}{found}"), &known)
        }
        Err(error) => error,
    }
}

pub(crate) fn render_error(py: Python<'_>, found: &RenderError) -> PyErr {
    let known = PyDict::new(py);
    match known.set_item("message_index", found.at) {
        Ok(()) => error(py, "RenderError", found.to_string(), &known),
        Err(error) => error,
    }
}

/// Waits for the lock without holding the interpreter.
pub(crate) fn lock<'a, T>(mutex: &'a Mutex<T>, py: Python<'_>) -> PyResult<MutexGuard<'a, T>> {
    mutex
        .lock_py_attached(py)
        .map_err(|_| PyValueError::new_err("an earlier call on this object failed half-way"))
}
