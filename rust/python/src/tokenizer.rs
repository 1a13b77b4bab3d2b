//! Text to token ids and back.

use crate::ffi;
use crate::from_python;
use crate::threads::{self, lock};
use crate::to_python::error::error;
use motet::marker::Marker;
use motet::tokenizer::vocabulary;
use motet::tokenizer::{self, SpecialPolicy, SpecialTokenFound, StreamEncoder as Encoder};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyType};
use std::cell::Cell;
use std::sync::Mutex;

pub(crate) fn constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("VOCAB_SIZE", vocabulary::VOCAB_SIZE)?;
    module.add("STOP_TOKENS", (Marker::Return.id(), Marker::End.id(), Marker::Call.id()))?;
    let special = PyDict::new(py);
    for (spelling, id) in vocabulary::special_tokens() {
        special.set_item(spelling, id)?;
    }
    let read_only = py.import("types")?.getattr("MappingProxyType")?.call1((special,))?;
    module.add("SPECIAL_TOKENS", read_only)
}

/// The UTF-8 of an argument that must be `str`.
fn utf8<'a>(text: &'a Bound<'_, PyAny>, name: &str) -> PyResult<&'a str> {
    let text = text.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!("{name} must be str, not {}", from_python::type_name(text)))
    })?;
    text.to_str()
}

fn policy(special: &str) -> PyResult<SpecialPolicy> {
    match special {
        "text" => Ok(SpecialPolicy::Text),
        "token" => Ok(SpecialPolicy::Token),
        "error" => Ok(SpecialPolicy::Error),
        _ => {
            Err(PyValueError::new_err(format!("special must be 'text', 'token' or 'error', not {special:?}")))
        }
    }
}

/// From this many bytes on the interpreter is released: below, releasing it costs more than it gives.
const MIN_DETACHED_BYTES: usize = 4096;

thread_local! {
    /// Ids before Python gets them. Reused, because fresh memory costs a page fault per page.
    static SCRATCH: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// The capacity of `SCRATCH` that is kept: 4 MB.
const MAX_SCRATCH_IDS: usize = 1 << 20;

/// Encodes a text, and makes a Python object of the ids.
fn encode_to<'py>(
    text: &Bound<'py, PyAny>,
    special: &str,
    make_object: impl FnOnce(Python<'py>, &[u32]) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, policy) = (text.py(), policy(special)?);
    let text = utf8(text, "text")?;
    let mut ids = SCRATCH.take();
    ids.clear();
    ids.reserve(text.len() / 4 + 8);
    let mut run = || tokenizer::encode_with(text, policy, &mut ids);
    let result = if text.len() < MIN_DETACHED_BYTES { run() } else { py.detach(run) };
    let object = result.map_err(|found| special_token_error(py, &found)).and_then(|()| make_object(py, &ids));
    if ids.capacity() <= MAX_SCRATCH_IDS {
        SCRATCH.set(ids);
    }
    object
}

fn special_token_error(py: Python<'_>, found: &SpecialTokenFound) -> PyErr {
    let attributes = PyDict::new(py);
    let message = format!(
        "text holds the special token {:?} at byte {}: pass special=\"text\" to encode it as text, \
         or special=\"token\" as the control token",
        found.spelling, found.at
    );
    match attributes
        .set_item("token", &found.spelling)
        .and_then(|()| attributes.set_item("position", found.at))
    {
        Ok(()) => error(py, "SpecialTokenError", message, &attributes),
        Err(error) => error,
    }
}

/// From this many ids on an array is made first and then filled: below, one copy is faster than two calls.
const MIN_FILLED_IDS: usize = 1024;

/// Ids as an `array.array("I")`.
fn array<'py>(py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyAny>> {
    if ids.len() >= MIN_FILLED_IDS {
        static ZERO: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let zero =
            ZERO.get_or_try_init(py, || array_type(py)?.call1((intern!(py, "I"), (0,))).map(Bound::unbind))?;
        let array = zero.bind(py).mul(ids.len())?;
        PyBuffer::<u32>::get(&array)?.copy_from_slice(py, ids)?;
        return Ok(array);
    }
    let bytes = PyBytes::new_with(py, size_of_val(ids), |bytes| {
        for (chunk, id) in bytes.as_chunks_mut().0.iter_mut().zip(ids) {
            *chunk = id.to_ne_bytes();
        }
        Ok(())
    })?;
    array_type(py)?.call1((intern!(py, "I"), bytes))
}

fn array_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static ARRAY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    ARRAY.import(py, "array", "array")
}

/// The token ids of a text, equal to tiktoken's `o200k_harmony`.
///
/// `special`: how the spellings of special tokens in the text are encoded. `"text"`: as ordinary text. `"token"`: as
/// special tokens. `"error"`: raises `SpecialTokenError`. Raises `UnicodeEncodeError` for lone surrogates, which have
/// no UTF-8.
///
/// Takes linear time. A thread that encodes keeps a cache of up to 4 MB, which the next thread takes over when it ends.
#[pyfunction]
#[pyo3(signature = (text, *, special="text"))]
pub(crate) fn encode<'py>(text: &Bound<'py, PyAny>, special: &str) -> PyResult<Bound<'py, PyAny>> {
    encode_to(text, special, |py, ids| Ok(ffi::list(py, ids)?.into_any()))
}

/// The token ids of a text as an `array.array("I")`: 4 bytes an id, no Python ints are made.
///
/// `numpy.asarray` of it copies nothing. Arguments and exceptions: see `encode`.
#[pyfunction]
#[pyo3(signature = (text, *, special="text"))]
pub(crate) fn encode_array<'py>(text: &Bound<'py, PyAny>, special: &str) -> PyResult<Bound<'py, PyAny>> {
    encode_to(text, special, array)
}

/// `encode_array` of each text, in order, on several threads and with the GIL released.
///
/// `threads`: 1 or more. `None`: one for each core. Special tokens in the texts are encoded as ordinary text. Raises
/// `TypeError` that names the first item that is not a `str`.
#[pyfunction]
#[pyo3(signature = (texts, *, threads=None))]
pub(crate) fn encode_batch<'py>(
    texts: &Bound<'py, PyAny>,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let py = texts.py();
    if texts.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("texts must be a list of str, not str"));
    }
    let threads = threads::number(threads)?;
    let items: Vec<Bound<'_, PyAny>> = from_python::iterate(texts, "texts")?.collect::<PyResult<_>>()?;
    let named = items.iter().enumerate().map(|(index, item)| utf8(item, &format!("texts[{index}]")));
    let texts: Vec<&str> = named.collect::<PyResult<_>>()?;
    let encoded = py.detach(|| threads::map(&texts, threads, |text| tokenizer::encode(text)));
    let arrays: Vec<_> = encoded.iter().map(|ids| array(py, ids)).collect::<PyResult<_>>()?;
    PyList::new(py, arrays)
}

/// The number of tokens of a text: `len(encode(text))`, without making the ids.
#[pyfunction]
pub(crate) fn count(text: &Bound<'_, PyAny>) -> PyResult<usize> {
    let py = text.py();
    let text = utf8(text, "text")?;
    Ok(if text.len() < MIN_DETACHED_BYTES {
        tokenizer::count(text)
    } else {
        py.detach(|| tokenizer::count(text))
    })
}

fn decode_ids(ids: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let ids = from_python::ids(ids, "ids")?;
    let mut bytes = Vec::with_capacity(ids.len() * 6 + 4096);
    tokenizer::decode_into(&ids, &mut bytes).map_err(|invalid| {
        PyValueError::new_err(format!(
            "ids[{}] is {}, which is not a token id: they run from 0 to {}",
            invalid.at,
            invalid.id,
            vocabulary::VOCAB_SIZE - 1
        ))
    })?;
    Ok(bytes)
}

/// The text of token ids, special tokens as they are spelled.
///
/// `errors`: what becomes of bytes that are not UTF-8, as those of an id that is part of a character. `"replace"`:
/// U+FFFD. `"strict"`: raises `UnicodeDecodeError`. Raises `ValueError` for a number that is not an id (0 to 201087).
#[pyfunction]
#[pyo3(signature = (ids, *, errors="replace"))]
pub(crate) fn decode<'py>(ids: &Bound<'py, PyAny>, errors: &str) -> PyResult<Bound<'py, PyAny>> {
    let py = ids.py();
    let bytes = decode_ids(ids)?;
    match (std::str::from_utf8(&bytes), errors) {
        (Ok(text), "replace" | "strict") => Ok(PyString::new(py, text).into_any()),
        (Err(_), "replace") => Ok(PyString::new(py, &String::from_utf8_lossy(&bytes)).into_any()),
        (Err(_), "strict") => PyBytes::new(py, &bytes).call_method1("decode", ("utf-8", "strict")),
        _ => Err(PyValueError::new_err(format!("errors must be 'replace' or 'strict', not {errors:?}"))),
    }
}

/// The bytes of token ids, special tokens as they are spelled.
///
/// Raises `ValueError` for a number that is not an id (0 to 201087).
#[pyfunction]
pub(crate) fn decode_bytes<'py>(ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(ids.py(), &decode_ids(ids)?))
}

/// The vocabulary as a `.tiktoken` file, which other tokenizers read.
#[pyfunction]
pub(crate) fn _vocabulary(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &vocabulary::tiktoken_file())
}

/// Encodes text that arrives in chunks.
///
/// `feed` returns the ids that no later text can change, `close` the rest: together `encode` of the whole text.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct StreamEncoder(Mutex<Stream>);

#[derive(Clone)]
struct Stream {
    encoder: Encoder,
    count: usize,
}

#[pymethods]
impl StreamEncoder {
    #[new]
    fn new() -> StreamEncoder {
        StreamEncoder(Mutex::new(Stream { encoder: Encoder::new(), count: 0 }))
    }

    /// The ids that no later text can change. Special tokens in the text are encoded as ordinary text.
    fn feed<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = text.py();
        let text = utf8(text, "text")?;
        self.step(py, |encoder, ids| encoder.feed(text, ids))
    }

    /// The ids of the rest of the text. After it the encoder is ready for another text.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.step(py, |encoder, ids| encoder.close(ids))
    }

    /// The number of ids returned so far.
    #[getter]
    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(lock(&self.0, py)?.count)
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamEncoder> {
        Ok(StreamEncoder(Mutex::new(lock(&self.0, py)?.clone())))
    }
}

impl StreamEncoder {
    fn step<'py>(
        &self,
        py: Python<'py>,
        run: impl FnOnce(&mut Encoder, &mut Vec<u32>),
    ) -> PyResult<Bound<'py, PyList>> {
        let mut stream = lock(&self.0, py)?;
        let mut ids = Vec::new();
        run(&mut stream.encoder, &mut ids);
        stream.count += ids.len();
        ffi::list(py, &ids)
    }
}
