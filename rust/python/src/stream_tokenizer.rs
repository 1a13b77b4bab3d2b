//! `StreamEncoder` and `StreamDecoder`: text and ids that arrive in chunks.

use crate::ffi;
use crate::from_python;
use crate::from_python::text::SurrogateJoiner;
use crate::threads::Lock;
use crate::tokenizer::{invalid_id, is_strict, text_argument};
use motet::tokenizer::{self, DecodeError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyType};

/// Encodes text that arrives in chunks.
///
/// `feed` returns the ids that no later text can change, `close` the rest: together `encode` of the whole text. Can be
/// copied and pickled.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct StreamEncoder(Lock<Encoder>);

#[derive(Clone)]
struct Encoder {
    encoder: tokenizer::StreamEncoder,
    joiner: SurrogateJoiner,
    count: usize,
}

impl Encoder {
    fn feed(&mut self, text: &Bound<'_, PyString>, ids: &mut Vec<u32>) -> PyResult<()> {
        self.encoder.feed(&self.joiner.feed(text)?.utf8(), ids);
        self.count += ids.len();
        Ok(())
    }

    fn close(&mut self, ids: &mut Vec<u32>) {
        if let Some(held) = self.joiner.close() {
            self.encoder.feed(&held.utf8(), ids);
        }
        self.encoder.close(ids);
        self.count += ids.len();
    }
}

/// The text that is not encoded yet, a high surrogate that is held, and the number of ids.
type EncoderState = (String, Option<u32>, usize);

#[pymethods]
impl StreamEncoder {
    #[new]
    fn new() -> StreamEncoder {
        let (encoder, joiner) = (tokenizer::StreamEncoder::new(), SurrogateJoiner::default());
        StreamEncoder(Lock::new(Encoder { encoder, joiner, count: 0 }))
    }

    /// The ids that no later text can change. Special tokens in the text are encoded as ordinary text.
    fn feed<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let (py, mut ids) = (text.py(), Vec::new());
        self.0.lock(py)?.feed(text_argument(text, "text")?, &mut ids)?;
        ffi::list(py, &ids)
    }

    /// The ids of the rest of the text. After it the encoder is ready for another text.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut ids = Vec::new();
        self.0.lock(py)?.close(&mut ids);
        ffi::list(py, &ids)
    }

    /// The number of ids returned so far.
    #[getter]
    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.0.lock(py)?.count)
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamEncoder> {
        Ok(StreamEncoder(Lock::new(self.0.lock(py)?.clone())))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<StreamEncoder> {
        self.__copy__(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, (), EncoderState)> {
        let inner = slf.get().0.lock(slf.py())?;
        let state = (inner.encoder.pending().to_owned(), inner.joiner.high(), inner.count);
        Ok((slf.get_type(), (), state))
    }

    fn __setstate__(&self, py: Python<'_>, state: EncoderState) -> PyResult<()> {
        let (pending, high, count) = state;
        *self.0.lock(py)? = Encoder {
            encoder: tokenizer::StreamEncoder::with_pending(pending),
            joiner: SurrogateJoiner::with_high(high),
            count,
        };
        Ok(())
    }
}

/// Decodes token ids that arrive in chunks.
///
/// A token may end within a character. `feed` returns the text whose characters are complete, and holds the bytes of
/// the last one until the rest of it arrives; `close` returns what is left. Together they are `decode` of all ids. Can
/// be copied and pickled.
///
/// `errors="strict"` raises `UnicodeDecodeError` for bytes that are not UTF-8: from `feed`, or from `close` if the
/// last character is not complete. After an error nothing has changed.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct StreamDecoder(Lock<tokenizer::StreamDecoder>);

/// A decoder for the argument `errors`.
fn decoder(is_strict: bool) -> tokenizer::StreamDecoder {
    if is_strict { tokenizer::StreamDecoder::strict() } else { tokenizer::StreamDecoder::new() }
}

/// Whether the decoder is strict, and the bytes that it holds.
type DecoderState<'py> = (bool, Bound<'py, PyBytes>);

#[pymethods]
impl StreamDecoder {
    #[new]
    #[pyo3(signature = (*, errors="replace"))]
    fn new(errors: &str) -> PyResult<StreamDecoder> {
        Ok(StreamDecoder(Lock::new(decoder(is_strict(errors)?))))
    }

    /// The text that is complete after one more id, or several.
    ///
    /// Raises `ValueError` for a number that is not an id (0 to 201087).
    fn feed<'py>(&self, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let py = ids.py();
        let ids = match from_python::integer(ids) {
            Ok(Ok(id)) => vec![id],
            Ok(Err(number)) => {
                return Err(PyValueError::new_err(format!("ids is {number}, which is not a token id")));
            }
            Err(_) => from_python::ids(ids, "ids")?,
        };
        let mut text = String::new();
        let result = self.0.lock(py)?.feed(&ids, &mut text);
        decoded(py, result, &text)
    }

    /// U+FFFD if the last character is not complete, else nothing. After it the decoder is ready for other ids.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let mut text = String::new();
        let result = self.0.lock(py)?.close(&mut text);
        decoded(py, result, &text)
    }

    /// The bytes of a character that is not complete yet: at most 3.
    #[getter]
    fn pending<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.0.lock(py)?.pending()))
    }

    fn __copy__(&self, py: Python<'_>) -> PyResult<StreamDecoder> {
        Ok(StreamDecoder(Lock::new(self.0.lock(py)?.clone())))
    }

    fn __deepcopy__(&self, py: Python<'_>, _memo: &Bound<'_, PyAny>) -> PyResult<StreamDecoder> {
        self.__copy__(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, (), DecoderState<'py>)> {
        let inner = slf.get().0.lock(slf.py())?;
        Ok((slf.get_type(), (), (inner.is_strict(), PyBytes::new(slf.py(), inner.pending()))))
    }

    fn __setstate__(&self, state: DecoderState<'_>) -> PyResult<()> {
        let (is_strict, pending) = state;
        *self.0.lock(pending.py())? = decoder(is_strict).with_pending(pending.as_bytes().to_vec());
        Ok(())
    }
}

fn decoded<'py>(
    py: Python<'py>,
    result: Result<(), DecodeError>,
    text: &str,
) -> PyResult<Bound<'py, PyString>> {
    match result {
        Ok(()) => Ok(PyString::new(py, text)),
        Err(DecodeError::InvalidId(invalid)) => Err(invalid_id(invalid)),
        // Python's decoder raises its own error, with the bytes and the position.
        Err(DecodeError::InvalidUtf8(bytes)) => {
            Ok(PyBytes::new(py, &bytes).call_method1("decode", ("utf-8", "strict"))?.cast_into()?)
        }
    }
}
