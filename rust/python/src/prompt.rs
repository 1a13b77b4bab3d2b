//! Messages and frames to prompts.

use crate::ffi;
use crate::from_python;
use crate::from_python::chat::read_plain;
use crate::threads::{get_or_try_init, import_class};
use crate::to_python::error::render_error;
use crate::to_python::frame::make_frame;
use crate::to_python::message::{make_given_message, make_plain_message};
use motet::continuation;
use motet::frame::Frame;
use motet::message::Message;
use motet::render::{self as core, Dialect, LossTokens};
use motet::tokenizer::vocabulary;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use std::collections::BTreeMap;

/// The prompt of a conversation. `motet.render` is the public form and describes the options, which are a dict here:
/// keywords would be copied twice on the way.
///
/// `messages`: a list or tuple of `Message`s and plain chat dicts. `None` for anything else, which
/// `motet.dialects.chat` reads or refuses.
#[pyfunction]
#[pyo3(signature = (messages, options, sampled=None))]
pub(crate) fn render(
    messages: &Bound<'_, PyAny>,
    options: &Bound<'_, PyDict>,
    sampled: Option<BTreeMap<usize, Bound<'_, PyAny>>>,
) -> PyResult<Option<Prompt>> {
    let py = messages.py();
    let dialect = options.get_item(intern!(py, "dialect"))?;
    let unnamed_results = dialect.is_some_and(|dialect| dialect.eq("chat_template").unwrap_or(false));
    let Some(messages) = from_python::read_message_list(messages, unnamed_results)? else { return Ok(None) };
    let options = from_python::render_options(Some(options))?;
    let prompt = match sampled {
        None => py.detach(|| core::render(messages, options)),
        Some(sampled) => {
            let turns = sampled.into_iter().map(|(index, ids)| {
                Ok((index, from_python::ids(&ids, &format!("sampled[{index}]")).and_then(known_ids)?))
            });
            let turns = turns.collect::<PyResult<Vec<_>>>()?;
            py.detach(|| continuation::render_sampled(messages, turns, options))
        }
    };
    Ok(Some(Prompt::new(prompt.map_err(|error| render_error(py, &error))?)))
}

/// The messages of a list of `Message`s and plain chat dicts; `None` for anything else, which `motet.dialects.chat`
/// reads or refuses.
#[pyfunction]
pub(crate) fn plain_messages<'py>(
    items: &Bound<'py, PyList>,
    unnamed_results: bool,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let py = items.py();
    let mut messages = Vec::with_capacity(items.len());
    for item in items.iter() {
        if from_python::is_message(&item)? {
            messages.push(item);
            continue;
        }
        let Some(plain) = read_plain(&item, unnamed_results)? else { return Ok(None) };
        messages.push(make_plain_message(py, plain)?);
    }
    PyList::new(py, messages).map(Some)
}

/// Ids that all are in the vocabulary.
fn known_ids(ids: Vec<u32>) -> PyResult<Vec<u32>> {
    match ids.iter().position(|id| *id >= vocabulary::VOCAB_SIZE) {
        None => Ok(ids),
        Some(at) => {
            let (id, last) = (ids[at], vocabulary::VOCAB_SIZE - 1);
            Err(PyValueError::new_err(format!("unknown token id {id} at index {at}: ids are 0 to {last}")))
        }
    }
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

/// The choices of `loss_mask`.
const LOSS_TOKENS: [(&str, LossTokens); 4] = [
    ("assistant", LossTokens::Assistant),
    ("final", LossTokens::Final),
    ("without_reasoning", LossTokens::WithoutReasoning),
    ("calls", LossTokens::Calls),
];

/// A rendered conversation. `motet.Prompt` is the public form.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Prompt {
    prompt: core::Prompt,
    /// A list that begins with the ids: that of a longer prompt where this one was extended. Made at the first read of
    /// `ids`.
    ids: PyOnceLock<Py<PyList>>,
    /// The list of the prompt that this one extends, and the number of ids of that prompt.
    shorter: Option<(Py<PyList>, usize)>,
}

impl Prompt {
    fn new(prompt: core::Prompt) -> Prompt {
        Prompt { prompt, ids: PyOnceLock::new(), shorter: None }
    }

    /// A prompt that begins with the ids of this one.
    fn longer(&self, py: Python<'_>, longer: core::Prompt) -> Prompt {
        let shorter = match self.ids.get(py) {
            Some(list) => Some((list.clone_ref(py), self.prompt.ids().len())),
            None => self.shorter.as_ref().map(|(list, count)| (list.clone_ref(py), *count)),
        };
        Prompt { prompt: longer, ids: PyOnceLock::new(), shorter }
    }

    /// A list that begins with the ids. Writes the new ones behind those of the shorter prompt, whose list a read of all
    /// ids made: the work at each turn of a conversation does not grow with its length.
    fn make_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ids = self.prompt.ids();
        let Some((list, count)) = &self.shorter else { return ffi::list(py, ids) };
        let (list, added) = (list.bind(py), ffi::list(py, &ids[*count..])?);
        if list.len() != *count {
            // Another extension of the same prompt has written behind it.
            return ffi::list(py, ids);
        }
        list.set_slice(*count, *count, &added)?;
        Ok(list.clone())
    }

    fn read(&self, messages: &Bound<'_, PyAny>) -> PyResult<Option<Vec<Message>>> {
        from_python::read_message_list(messages, self.prompt.options().dialect == Dialect::ChatTemplate)
    }
}

#[pymethods]
impl Prompt {
    /// The token ids, as a new list.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ids = get_or_try_init(&self.ids, py, || Ok(self.make_list(py)?.unbind()))?;
        // A copy: the caller may change the list.
        Ok(ids.bind(py).get_slice(0, self.prompt.ids().len()))
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

    /// With `continue_final_message`, the header of the open frame, markers spelled.
    #[getter]
    fn opened(&self) -> Option<String> {
        self.prompt.opened()
    }

    /// The messages that the prompt was rendered from, as new objects. Of a prompt that was extended by ids, those
    /// of the last step, without the sampled one.
    fn messages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let messages = self.prompt.given_messages().map(|message| make_given_message(py, message));
        PyTuple::new(py, messages.collect::<PyResult<Vec<_>>>()?)
    }

    /// The prompt with more messages at its end; `None` for messages that `render` does not take. Encodes only what
    /// is new or changed.
    fn extend(&self, messages: &Bound<'_, PyAny>) -> PyResult<Option<Prompt>> {
        let py = messages.py();
        let Some(messages) = self.read(messages)? else { return Ok(None) };
        let longer = py.detach(|| self.prompt.extend(messages));
        let longer = longer.map_err(|error| render_error(py, &error))?;
        // Messages may change ids in front of them.
        let keeps_ids = longer.ids().starts_with(self.prompt.ids());
        Ok(Some(if keeps_ids { self.longer(py, longer) } else { Prompt::new(longer) }))
    }

    /// The prompt with sampled ids behind it, and more messages behind these; `None` for messages that `render` does
    /// not take. Keeps all ids.
    fn extend_ids(
        &self,
        sampled: &Bound<'_, PyAny>,
        messages: &Bound<'_, PyAny>,
        continue_final_message: bool,
    ) -> PyResult<Option<Prompt>> {
        let py = messages.py();
        let Some(messages) = self.read(messages)? else { return Ok(None) };
        let sampled = from_python::ids(sampled, "sampled").and_then(known_ids)?;
        let extend = || continuation::extend_ids(&self.prompt, &sampled, messages, continue_final_message);
        Ok(Some(self.longer(py, py.detach(extend).map_err(|error| render_error(py, &error))?)))
    }

    /// `(messages, parts, kinds, sampled)`: arrays with an item for each id. `motet.Attribution` describes them.
    fn attribution<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let all = py.detach(|| self.prompt.attribution());
        let numbers = |items: &[Option<u32>]| {
            let numbers =
                items.iter().map(|item| item.and_then(|item| i32::try_from(item).ok()).unwrap_or(-1));
            // Collected in whole numbers: byte by byte it takes longer than all else here.
            array(py, "i", numbers.map(i32::to_ne_bytes).collect::<Vec<_>>().as_flattened())
        };
        let kinds: Vec<u8> = all.kinds.iter().map(|kind| *kind as u8).collect();
        let sampled: Vec<u8> = all.sampled.iter().copied().map(u8::from).collect();
        let kinds = array(py, "B", &kinds)?;
        (numbers(&all.messages)?, numbers(&all.parts)?, kinds, array(py, "B", &sampled)?).into_pyobject(py)
    }

    /// 1 for each id that is one of these tokens, else 0, as an `array.array("B")`.
    fn loss_mask<'py>(&self, py: Python<'py>, tokens: &str) -> PyResult<Bound<'py, PyAny>> {
        let choice = LOSS_TOKENS.iter().find(|(name, _)| *name == tokens).ok_or_else(|| {
            let names = LOSS_TOKENS.map(|(name, _)| name).join("', '");
            PyValueError::new_err(format!("tokens must be one of '{names}', not {tokens:?}"))
        })?;
        let mask: Vec<u8> = self.prompt.loss_mask(choice.1).into_iter().map(u8::from).collect();
        array(py, "B", &mask)
    }

    /// The ids of the prompt as a training sample: a final answer at the end is ended by `<|return|>`.
    fn training_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        ffi::list(py, &core::TrainingSample::of(&self.prompt).ids)
    }

    fn __len__(&self) -> usize {
        self.prompt.len()
    }
}

/// An `array.array` of these bytes.
fn array<'py>(py: Python<'py>, code: &str, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    static ARRAY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    import_class(&ARRAY, py, "array", "array")?.call1((code, PyBytes::new(py, bytes)))
}
