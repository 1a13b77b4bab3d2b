//! Messages and frames to prompts.

use crate::ffi;
use crate::from_python;
use crate::to_python::error::render_error;
use crate::to_python::frame::make_frame;
use motet::frame::Frame;
use motet::message::Message;
use motet::render as core;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// The prompt of a conversation. `motet.render` is the public form and describes the options, which are a dict here:
/// keywords would be copied twice on the way.
#[pyfunction]
pub(crate) fn render(messages: &Bound<'_, PyAny>, options: &Bound<'_, PyDict>) -> PyResult<Prompt> {
    let py = messages.py();
    let (messages, options) =
        (from_python::read_messages(messages)?, from_python::render_options(Some(options))?);
    let prompt = py.detach(|| core::render(messages, options));
    Ok(Prompt { prompt: prompt.map_err(|error| render_error(py, &error))?, ids: PyOnceLock::new() })
}

/// `(ids, weights, spans)` of a training sample. `motet.render_training` is the public form.
#[pyfunction]
#[pyo3(signature = (messages, **settings))]
pub(crate) fn render_training<'py>(
    messages: &Bound<'py, PyAny>,
    settings: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = messages.py();
    let (messages, settings) =
        (from_python::read_messages(messages)?, from_python::render_options(settings)?);
    let training = py.detach(|| core::render_training(messages, settings));
    let training = training.map_err(|error| render_error(py, &error))?;
    let weights: Vec<u8> = training.weights.into_iter().map(u8::from).collect();
    (ffi::list(py, &training.ids)?, PyList::new(py, weights)?, PyTuple::new(py, training.spans)?)
        .into_pyobject(py)
}

/// `(ids, text)` of frames. `motet.render_frames` is the public form.
#[pyfunction]
pub(crate) fn render_frames<'py>(frames: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    let py = frames.py();
    let frames: Vec<Frame> =
        frames.try_iter()?.map(|frame| from_python::read_frame(&frame?)).collect::<PyResult<_>>()?;
    let (mut ids, mut text) = (Vec::new(), String::new());
    let written =
        core::render_frames(&frames, &mut ids).and_then(|()| core::render_frames(&frames, &mut text));
    written.map_err(|error| render_error(py, &error))?;
    (ffi::list(py, &ids)?, text).into_pyobject(py)
}

/// A rendered conversation. `motet.Prompt` is the public form.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Prompt {
    prompt: core::Prompt,
    /// Made at the first read of `ids`.
    ids: PyOnceLock<Py<PyList>>,
}

#[pymethods]
impl Prompt {
    /// The token ids, as a new list.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let make = || PyResult::Ok(ffi::list(py, self.prompt.ids())?.unbind());
        // A copy: the caller may change the list.
        let ids = self.ids.get_or_try_init(py, make)?.bind(py);
        Ok(ids.get_slice(0, ids.len()))
    }

    /// The ids as text, markers spelled.
    #[getter]
    fn text<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, &self.prompt.text())
    }

    /// `(start, end)` in `ids` for each message; empty if none of it was rendered.
    #[getter]
    fn spans<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.prompt.spans())
    }

    /// `(message, part)` indexes of parts that were left out.
    #[getter]
    fn dropped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.prompt.dropped())
    }

    /// `(code, message, message index)` of each note.
    #[getter]
    fn notes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let notes = self.prompt.notes().into_iter();
        let fields = notes.map(|(at, note)| (note.code.as_str(), note.message.as_str(), at));
        PyTuple::new(py, fields.collect::<Vec<_>>())
    }

    /// The frames, those made from the options included.
    #[getter]
    fn frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let frames: Vec<_> =
            self.prompt.frames().map(|frame| make_frame(py, frame)).collect::<PyResult<_>>()?;
        PyTuple::new(py, frames)
    }

    /// The prompt with more messages at its end. Encodes only what is new or changed.
    fn extend(&self, messages: &Bound<'_, PyAny>) -> PyResult<Prompt> {
        let py = messages.py();
        let messages: Vec<Message> = from_python::read_messages(messages)?;
        let longer = py.detach(|| self.prompt.extend(messages));
        Ok(Prompt { prompt: longer.map_err(|error| render_error(py, &error))?, ids: PyOnceLock::new() })
    }

    fn __len__(&self) -> usize {
        self.prompt.ids().len()
    }
}
