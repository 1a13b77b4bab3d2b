//! Tuples and strings that are read again and again while they grow at their end: what has not changed is not made anew.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// Items of a tuple, and the tuple of all of them that was made last.
#[derive(Default)]
pub(crate) struct GrowingTuple {
    items: Vec<Py<PyAny>>,
    tuple: Option<Py<PyTuple>>,
}

impl GrowingTuple {
    pub(crate) fn copied(&self, py: Python<'_>) -> GrowingTuple {
        GrowingTuple { items: self.items.iter().map(|item| item.clone_ref(py)).collect(), tuple: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn push(&mut self, item: Bound<'_, PyAny>) {
        self.items.push(item.unbind());
    }

    /// A tuple of the first items and some others.
    pub(crate) fn first<'py>(
        &mut self,
        py: Python<'py>,
        length: usize,
        others: impl IntoIterator<Item = Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let cached = self.tuple.as_ref().map(|tuple| tuple.bind(py)).filter(|tuple| tuple.len() == length);
        let first = match cached {
            Some(tuple) => tuple.clone(),
            None => {
                let items = self.items.get(..length).unwrap_or(&self.items);
                let tuple = PyTuple::new(py, items.iter().map(|item| item.bind(py)))?;
                self.tuple = Some(tuple.clone().unbind());
                tuple
            }
        };
        let others: Vec<_> = others.into_iter().collect();
        if others.is_empty() {
            return Ok(first);
        }
        Ok(first.add(PyTuple::new(py, others)?)?.cast_into()?)
    }
}

/// The joined contents of the first so many frames.
#[derive(Default)]
pub(crate) struct GrowingText {
    frames: usize,
    text: Option<Py<PyString>>,
}

impl GrowingText {
    /// The joined contents of the first `frames` frames; `contents` gives those behind the first so many.
    pub(crate) fn extend<'py, 'a, I: Iterator<Item = &'a str>>(
        &mut self,
        py: Python<'py>,
        frames: usize,
        contents: impl Fn(usize) -> I,
    ) -> PyResult<Bound<'py, PyString>> {
        let text = match self.text.as_ref().filter(|_| self.frames <= frames) {
            Some(text) => {
                let more: String = contents(self.frames).collect();
                let text = text.bind(py);
                if more.is_empty() { text.clone() } else { text.add(more)?.cast_into()? }
            }
            None if frames == 0 => intern!(py, "").clone(),
            None => PyString::new(py, &contents(0).collect::<String>()),
        };
        (self.frames, self.text) = (frames, Some(text.clone().unbind()));
        Ok(text)
    }
}
