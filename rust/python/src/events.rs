//! Events of the stream parser, and the fields that those of one frame share.

use crate::to_python::frame::{make_repair, stop_name};
use crate::to_python::interned;
use motet::error::Repair;
use motet::frame::{Frame, Stop};
use motet::parser::collect::ClassifiedFrame;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

/// An event of a stream parser: a frame starts, grows or ends, or a deviation from the format is repaired.
///
/// Immutable, comparable and hashable. `match` takes `type`, `kind`, `index` and `delta` by position.
#[pyclass(frozen, module = "motet._core")]
pub(crate) struct Event {
    // The fields are Python objects already, so that reading one takes one reference: streams read them at each token.
    /// `"start"`, `"delta"`, `"end"` or `"repair"`.
    #[pyo3(get, name = "type")]
    name_of_type: Py<PyAny>,
    /// What the frame becomes in a message, as `"reasoning"` or `"tool_call"`. `None` for a repair.
    #[pyo3(get)]
    kind: Py<PyAny>,
    /// The number of the frame, from 0. Of a repair: the number of frames that started before it.
    #[pyo3(get)]
    index: Py<PyAny>,
    /// The text that is new since the event before. Empty unless `type` is `"delta"`.
    #[pyo3(get)]
    delta: Py<PyAny>,
    /// The role in the frame's header. `None` for a repair.
    #[pyo3(get)]
    role: Py<PyAny>,
    /// Of a tool call, the name of the tool without `functions.`: of `tools=`, if a damaged name means one of them.
    /// Otherwise the author in the frame's header, as `functions.get_weather` of a tool's result.
    #[pyo3(get)]
    name: Py<PyAny>,
    /// The channel in the frame's header. `None` if it has none.
    #[pyo3(get)]
    channel: Py<PyAny>,
    /// The recipient in the frame's header as written, without `to=`. `None` if it has none.
    #[pyo3(get)]
    recipient: Py<PyAny>,
    /// The content type in the frame's header, with its marker if it has one. `None` if it has none.
    #[pyo3(get)]
    content_type: Py<PyAny>,
    /// The token that ended the frame. `None` if `type` is not `"end"` or the input ended first.
    #[pyo3(get)]
    stop: Py<PyAny>,
    /// The repair. `None` unless `type` is `"repair"`.
    #[pyo3(get)]
    repair: Py<PyAny>,
    /// The id of a tool call, known from its start on. `None` for other frames.
    #[pyo3(get)]
    call_id: Py<PyAny>,
}

impl Event {
    /// The event of a repair behind so many frames.
    pub(crate) fn of_repair(py: Python<'_>, repair: &Repair, frames: usize) -> PyResult<Event> {
        Ok(Event {
            name_of_type: intern!(py, "repair").clone().into_any().unbind(),
            delta: intern!(py, "").clone().into_any().unbind(),
            index: frames.into_pyobject(py)?.into_any().unbind(),
            repair: make_repair(py, repair)?.unbind(),
            kind: py.None(),
            role: py.None(),
            name: py.None(),
            channel: py.None(),
            recipient: py.None(),
            content_type: py.None(),
            stop: py.None(),
            call_id: py.None(),
        })
    }

    /// The text that is new.
    pub(crate) fn text<'a>(&'a self, py: Python<'a>) -> PyResult<&'a str> {
        self.delta.bind(py).cast_exact::<PyString>()?.to_str()
    }

    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let Event {
            name_of_type,
            kind,
            index,
            delta,
            role,
            name,
            channel,
            recipient,
            content_type,
            stop,
            repair,
            call_id,
        } = self;
        let fields = [
            name_of_type,
            kind,
            index,
            delta,
            role,
            name,
            channel,
            recipient,
            content_type,
            stop,
            repair,
            call_id,
        ];
        PyTuple::new(py, fields.map(|field| field.bind(py)))
    }
}

#[pymethods]
impl Event {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["type", "kind", "index", "delta"])
    }

    #[new]
    #[pyo3(signature = (r#type, kind=None, index=0, delta="", *fields))]
    fn new<'py>(
        r#type: Bound<'py, PyString>,
        kind: Option<Bound<'py, PyAny>>,
        index: usize,
        delta: &str,
        fields: &Bound<'py, PyTuple>,
    ) -> PyResult<Event> {
        let py = r#type.py();
        let field = |at: usize| fields.get_item(at).map_or_else(|_| py.None(), Bound::unbind);
        Ok(Event {
            name_of_type: r#type.into_any().unbind(),
            kind: kind.map_or_else(|| py.None(), Bound::unbind),
            index: index.into_pyobject(py)?.into_any().unbind(),
            delta: PyString::new(py, delta).into_any().unbind(),
            role: field(0),
            name: field(1),
            channel: field(2),
            recipient: field(3),
            content_type: field(4),
            stop: field(5),
            repair: field(6),
            call_id: field(7),
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Event>(), self.fields(py)?))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = other.py();
        match other.cast::<Event>() {
            Ok(other) => self.fields(py)?.eq(other.get().fields(py)?),
            Err(_) => Ok(false),
        }
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.fields(py)?.hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Event { name_of_type, kind, index, delta, stop, repair, .. } = self;
        Ok(match name_of_type.extract::<&str>(py)? {
            "delta" => format!("Event('delta', {kind}, {})", delta.bind(py).repr()?),
            "end" => format!("Event('end', {kind}, stop={stop})"),
            "repair" => format!("Event('repair', {})", repair.bind(py).repr()?),
            name => format!("Event('{name}', {kind}, index={index})"),
        })
    }
}

/// The fields that all events of one frame share.
pub(crate) struct FrameFields {
    index: Py<PyAny>,
    kind: Py<PyAny>,
    role: Py<PyAny>,
    name: Py<PyAny>,
    channel: Py<PyAny>,
    recipient: Py<PyAny>,
    content_type: Py<PyAny>,
    call_id: Py<PyAny>,
    pub(crate) is_call: bool,
}

impl FrameFields {
    pub(crate) fn new(py: Python<'_>, frame: &ClassifiedFrame, index: usize) -> PyResult<FrameFields> {
        let ClassifiedFrame { frame: Frame { header, .. }, kind, call, .. } = frame;
        let tool = call.as_ref().map(|call| call.name.as_str());
        let object = |word: Option<&str>| match interned(py, word) {
            Some(word) => word.into_any().unbind(),
            None => py.None(),
        };
        Ok(FrameFields {
            index: index.into_pyobject(py)?.into_any().unbind(),
            kind: object(Some(kind.as_str())),
            role: object(Some(header.role.as_str())),
            name: object(tool.or(header.name.as_deref())),
            channel: object(header.channel.as_deref()),
            recipient: object(header.recipient.as_deref()),
            content_type: object(header.content_type.as_deref()),
            call_id: match call {
                Some(call) => PyString::new(py, &call.id).into_any().unbind(),
                None => py.None(),
            },
            is_call: call.is_some(),
        })
    }

    /// Whether events of both frames have the same fields. Words are interned and small numbers made once, so that equal
    /// ones are the same object.
    pub(crate) fn is_same(&self, other: &FrameFields) -> bool {
        let FrameFields { index, kind, role, name, channel, recipient, content_type, call_id, is_call: _ } =
            self;
        index.is(&other.index)
            && kind.is(&other.kind)
            && role.is(&other.role)
            && name.is(&other.name)
            && channel.is(&other.channel)
            && recipient.is(&other.recipient)
            && content_type.is(&other.content_type)
            && call_id.is(&other.call_id)
    }

    /// An event of this frame.
    pub(crate) fn event(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyString>,
        delta: Bound<'_, PyString>,
        stop: Option<Stop>,
    ) -> Event {
        Event {
            name_of_type: name.clone().into_any().unbind(),
            delta: delta.into_any().unbind(),
            stop: stop_name(py, stop).map_or_else(|| py.None(), |stop| stop.into_any().unbind()),
            repair: py.None(),
            index: self.index.clone_ref(py),
            kind: self.kind.clone_ref(py),
            role: self.role.clone_ref(py),
            name: self.name.clone_ref(py),
            channel: self.channel.clone_ref(py),
            recipient: self.recipient.clone_ref(py),
            content_type: self.content_type.clone_ref(py),
            call_id: self.call_id.clone_ref(py),
        }
    }
}
