//! The tokenizer, for Python.

use crate::ffi;
use crate::from_python;
use crate::from_python::text::{joined_pairs, utf8};
use crate::special::{Special, special_token_error};
use crate::threads::{self, get_or_try_init, import_class};
use motet::marker::Marker;
use motet::tokenizer::{self, InvalidId, Side, vocabulary};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PySlice, PyString, PyType};
use std::borrow::Cow;
use std::cell::Cell;

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

/// Reads an argument that must be `str`.
pub(crate) fn text_argument<'a, 'py>(
    text: &'a Bound<'py, PyAny>,
    name: &str,
) -> PyResult<&'a Bound<'py, PyString>> {
    text.cast::<PyString>().map_err(|_| {
        PyTypeError::new_err(format!("{name} must be str, not {}", from_python::type_name(text)))
    })
}

/// From this length on, encoding releases the GIL.
const MIN_DETACHED_BYTES: usize = 4096;

thread_local! {
    /// A buffer for ids, kept from call to call: fresh memory would be mapped page by page.
    static ID_BUFFER: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// A larger buffer is freed after the call; 4 MB.
const MAX_KEPT_IDS: usize = 1 << 20;

/// Encodes a text, and returns what `convert` makes of the ids.
fn encode_text<'py>(
    text: &Bound<'py, PyAny>,
    special: &Special,
    convert: impl FnOnce(Python<'py>, &[u32]) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = text.py();
    let text = &*utf8(text_argument(text, "text")?)?;
    let policy = special.policy();
    let mut ids = ID_BUFFER.take();
    ids.clear();
    ids.reserve(text.len() / 4 + 8);
    let result = detached(py, text, || tokenizer::encode_with(text, policy, &mut ids));
    let converted =
        result.map_err(|found| special_token_error(py, "text", &found)).and_then(|()| convert(py, &ids));
    if ids.capacity() <= MAX_KEPT_IDS {
        ID_BUFFER.set(ids);
    }
    converted
}

/// Runs `work` on a text, without the GIL if the text is long.
fn detached<T: Send>(py: Python<'_>, text: &str, work: impl FnOnce() -> T + Send) -> T {
    if text.len() < MIN_DETACHED_BYTES { work() } else { py.detach(work) }
}

/// From this many ids on, an array is created and then filled: that costs two calls, but no copy of the ids.
const MIN_FILLED_IDS: usize = 1024;

/// Ids as an `array.array("I")`.
fn array<'py>(py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyAny>> {
    if ids.len() >= MIN_FILLED_IDS {
        static ZERO: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let zero = get_or_try_init(&ZERO, py, || {
            array_type(py)?.call1((intern!(py, "I"), (0,))).map(Bound::unbind)
        })?;
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
    import_class(&ARRAY, py, "array", "array")
}

/// The token ids of a text, equal to tiktoken's `o200k_harmony`.
///
/// `special`: how the spellings of special tokens in the text are encoded. `"text"`: as ordinary text. `"token"`: as
/// special tokens. `"error"`: raises `SpecialTokenError`. A set of spellings: these as special tokens, all others as
/// ordinary text; raises `ValueError` for an unknown one.
///
/// Surrogates are read as tiktoken does: a pair as one character, a lone one as U+FFFD.
///
/// Takes linear time. Threads share 4 caches of 4 MB, or one for each core if there are more: memory does not grow
/// with the number of threads.
#[pyfunction]
#[pyo3(signature = (text, *, special=Special::TEXT), text_signature = "(text, *, special='text')")]
pub(crate) fn encode<'py>(text: &Bound<'py, PyAny>, special: Special) -> PyResult<Bound<'py, PyAny>> {
    encode_text(text, &special, |py, ids| Ok(ffi::list(py, ids)?.into_any()))
}

/// The token ids of a text as an `array.array("I")`: 4 bytes an id, no Python ints are made.
///
/// `numpy.asarray` of it copies nothing. Arguments and exceptions: see `encode`.
#[pyfunction]
#[pyo3(signature = (text, *, special=Special::TEXT), text_signature = "(text, *, special='text')")]
pub(crate) fn encode_array<'py>(text: &Bound<'py, PyAny>, special: Special) -> PyResult<Bound<'py, PyAny>> {
    encode_text(text, &special, array)
}

/// `encode_array` of each text, in order, on several threads and with the GIL released.
///
/// `threads`: 1 or more. `None`: one for each core; fewer where the system refuses to start threads. `special`: see
/// `encode`. Raises `TypeError` that names the first item that is not a `str`.
#[pyfunction]
#[pyo3(
    signature = (texts, *, special=Special::TEXT, threads=None),
    text_signature = "(texts, *, special='text', threads=None)"
)]
pub(crate) fn encode_batch<'py>(
    texts: &Bound<'py, PyAny>,
    special: Special,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let py = texts.py();
    if texts.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("texts must be a list of str, not str"));
    }
    let (threads, policy) = (threads::number(threads)?, special.policy());
    let items: Vec<Bound<'_, PyAny>> = from_python::iterate(texts, "texts")?.collect::<PyResult<_>>()?;
    let utf8_item = |(index, item)| utf8(text_argument(item, &format!("texts[{index}]"))?);
    let texts: Vec<Cow<'_, str>> = items.iter().enumerate().map(utf8_item).collect::<PyResult<_>>()?;
    let encode = |text: &Cow<'_, str>| {
        let mut ids = Vec::with_capacity(text.len() / 4 + 4);
        tokenizer::encode_with(text, policy, &mut ids).map(|()| ids)
    };
    let results = py.detach(|| threads::map(&texts, threads, encode));
    let arrays = results.iter().enumerate().map(|(index, result)| match result {
        Ok(ids) => array(py, ids),
        Err(found) => Err(special_token_error(py, &format!("texts[{index}]"), found)),
    });
    PyList::new(py, arrays.collect::<PyResult<Vec<_>>>()?)
}

/// The number of tokens of a text: `len(encode(text, special=special))`, without making the ids.
#[pyfunction]
#[pyo3(signature = (text, *, special=Special::TEXT), text_signature = "(text, *, special='text')")]
pub(crate) fn count(text: &Bound<'_, PyAny>, special: Special) -> PyResult<usize> {
    let py = text.py();
    let text = &*utf8(text_argument(text, "text")?)?;
    let policy = special.policy();
    detached(py, text, || tokenizer::count_with(text, policy))
        .map_err(|found| special_token_error(py, "text", &found))
}

/// The token ids of a text, and for each of them its start and its end in the text.
///
/// `unit="char"`: `text[start:end]` are the characters that the token has bytes of, so that tokens that share a
/// character overlap. `unit="byte"`: offsets in the text's UTF-8; each token starts where the one before it ends.
/// Other arguments and exceptions: see `encode`.
#[pyfunction]
#[pyo3(
    signature = (text, *, special=Special::TEXT, unit="char"),
    text_signature = "(text, *, special='text', unit='char')"
)]
pub(crate) fn encode_with_offsets<'py>(
    text: &Bound<'py, PyAny>,
    special: Special,
    unit: &str,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
    let (py, text) = (text.py(), text_argument(text, "text")?);
    let (utf8, policy, unit) = (&*utf8(text)?, special.policy(), Unit::read(unit)?);
    let (mut ids, mut ends) = (Vec::new(), Vec::new());
    detached(py, utf8, || tokenizer::encode_with_ends(utf8, policy, &mut ids, &mut ends))
        .map_err(|found| special_token_error(py, "text", &found))?;
    let offsets = offsets(py, utf8.as_bytes(), &ends, unit, &joined_pairs(text)?)?;
    Ok((ffi::list(py, &ids)?, offsets))
}

/// The text of token ids, and for each of them its start and its end in the text: see `encode_with_offsets`.
///
/// Bytes that are not UTF-8 become U+FFFD, which each token that has some of them covers. `unit="byte"`: offsets in
/// `decode_bytes(ids)`. Raises `ValueError` for a number that is not an id (0 to 201087).
#[pyfunction]
#[pyo3(signature = (ids, *, unit="char"))]
pub(crate) fn decode_with_offsets<'py>(
    ids: &Bound<'py, PyAny>,
    unit: &str,
) -> PyResult<(Bound<'py, PyString>, Bound<'py, PyList>)> {
    let (py, unit, ids) = (ids.py(), Unit::read(unit)?, from_python::ids(ids, "ids")?);
    let bytes = decode_ids(&ids)?;
    let length = |id: &u32| vocabulary::token_bytes(*id).map_or(0, <[u8]>::len);
    let ends = ids.iter().map(length).scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    let offsets = offsets(py, &bytes, &ends.collect::<Vec<_>>(), unit, &[])?;
    Ok((PyString::new(py, &String::from_utf8_lossy(&bytes)), offsets))
}

/// What offsets count.
#[derive(Clone, Copy)]
enum Unit {
    Char,
    Byte,
}

impl Unit {
    fn read(unit: &str) -> PyResult<Unit> {
        match unit {
            "char" => Ok(Unit::Char),
            "byte" => Ok(Unit::Byte),
            _ => Err(PyValueError::new_err(format!("unit must be 'char' or 'byte', not {unit:?}"))),
        }
    }
}

/// The start and the end of each token, from the byte offsets at which the tokens end.
fn offsets<'py>(
    py: Python<'py>,
    bytes: &[u8],
    ends: &[usize],
    unit: Unit,
    joined_pairs: &[usize],
) -> PyResult<Bound<'py, PyList>> {
    match unit {
        Unit::Char => {
            let original = |at: usize| at + joined_pairs.partition_point(|pair| *pair < at);
            let ranges = tokenizer::char_ranges(bytes, ends).into_iter();
            let pairs: Vec<_> = ranges.map(|range| (original(range.start), original(range.end))).collect();
            PyList::new(py, pairs)
        }
        Unit::Byte => {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            PyList::new(py, starts.zip(ends.iter().copied()).collect::<Vec<_>>())
        }
    }
}

/// The beginning of a text with at most `max_tokens` of its tokens; with `side="left"`, the end of it.
///
/// `side`: the side that is cut off. The cut is between two tokens of the text and between two characters, and keeps as
/// many tokens as possible such that the result has at most `max_tokens` tokens when it is encoded by itself, too.
/// `special`: see `encode`. Raises `ValueError` for a negative number.
#[pyfunction]
#[pyo3(
    signature = (text, max_tokens, *, side="right", special=Special::TEXT),
    text_signature = "(text, max_tokens, *, side='right', special='text')"
)]
pub(crate) fn truncate<'py>(
    text: &Bound<'py, PyAny>,
    max_tokens: i64,
    side: &str,
    special: Special,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, text) = (text.py(), text_argument(text, "text")?);
    let max_tokens = usize::try_from(max_tokens)
        .map_err(|_| PyValueError::new_err(format!("max_tokens must be at least 0, not {max_tokens}")))?;
    let side = match side {
        "left" => Side::Left,
        "right" => Side::Right,
        _ => return Err(PyValueError::new_err(format!("side must be 'left' or 'right', not {side:?}"))),
    };
    let (utf8, policy) = (&*utf8(text)?, special.policy());
    let part = detached(py, utf8, || tokenizer::truncate(utf8, max_tokens, side, policy))
        .map_err(|found| special_token_error(py, "text", &found))?;
    let joined_pairs = joined_pairs(text)?;
    if joined_pairs.is_empty() && text.to_str().is_ok() {
        return Ok(PyString::new(py, part).into_any());
    }
    // A text with surrogates is cut itself, so that the result is a part of it.
    let original = |at: usize| at + joined_pairs.partition_point(|pair| *pair < at);
    let (kept, all) = (part.chars().count(), utf8.chars().count());
    let range = if side == Side::Right { 0..original(kept) } else { original(all - kept)..original(all) };
    text.get_item(PySlice::new(py, range.start.cast_signed(), range.end.cast_signed(), 1))
}

fn decode_ids(ids: &[u32]) -> PyResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ids.len() * 6 + 4096);
    tokenizer::decode_into(ids, &mut bytes).map_err(invalid_id)?;
    Ok(bytes)
}

pub(crate) fn invalid_id(invalid: InvalidId) -> PyErr {
    PyValueError::new_err(format!(
        "ids[{}] is {}, which is not a token id: they run from 0 to {}",
        invalid.at,
        invalid.id,
        vocabulary::VOCAB_SIZE - 1
    ))
}

/// Reads the argument `errors`.
pub(crate) fn is_strict(errors: &str) -> PyResult<bool> {
    match errors {
        "strict" => Ok(true),
        "replace" => Ok(false),
        _ => Err(PyValueError::new_err(format!("errors must be 'replace' or 'strict', not {errors:?}"))),
    }
}

/// The text of token ids, special tokens as they are spelled.
///
/// `errors`: what becomes of bytes that are not UTF-8, as those of an id that is part of a character. `"replace"`:
/// U+FFFD. `"strict"`: raises `UnicodeDecodeError`. Raises `ValueError` for a number that is not an id (0 to 201087).
#[pyfunction]
#[pyo3(signature = (ids, *, errors="replace"))]
pub(crate) fn decode<'py>(ids: &Bound<'py, PyAny>, errors: &str) -> PyResult<Bound<'py, PyAny>> {
    let (py, is_strict) = (ids.py(), is_strict(errors)?);
    let bytes = decode_ids(&from_python::ids(ids, "ids")?)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(PyString::new(py, text).into_any()),
        // Python's decoder raises its own error, with the bytes and the position.
        Err(_) if is_strict => PyBytes::new(py, &bytes).call_method1("decode", ("utf-8", "strict")),
        Err(_) => Ok(PyString::new(py, &String::from_utf8_lossy(&bytes)).into_any()),
    }
}

/// The bytes of token ids, special tokens as they are spelled.
///
/// Raises `ValueError` for a number that is not an id (0 to 201087).
#[pyfunction]
pub(crate) fn decode_bytes<'py>(ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(ids.py(), &decode_ids(&from_python::ids(ids, "ids")?)?))
}

/// The id of the token with these bytes, special tokens by their spelling; `None` if there is none.
#[pyfunction]
#[pyo3(signature = (bytes, /))]
pub(crate) fn _token_id(bytes: &[u8]) -> Option<u32> {
    tokenizer::token_id(bytes)
}

/// The parts of a text that the split pattern separates.
#[pyfunction]
pub(crate) fn _pretokens<'py>(text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyList>> {
    let utf8 = utf8(text)?;
    let mut pretokens = Vec::new();
    tokenizer::for_each_pretoken(&utf8, |pretoken| pretokens.push(pretoken));
    PyList::new(text.py(), pretokens)
}

/// The vocabulary as a `.tiktoken` file, which other tokenizers read.
#[pyfunction]
pub(crate) fn _vocabulary(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &vocabulary::tiktoken_file())
}
