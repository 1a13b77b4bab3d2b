//! Frames, repairs and the words of a header.

use super::interned;
use crate::classes::Classes;
use motet::error::Repair;
use motet::frame::{Frame, Header, RecipientPosition, Stop};
use pyo3::prelude::*;
use pyo3::types::PyString;

pub(crate) fn stop_name<'py>(py: Python<'py>, stop: Option<Stop>) -> Option<Bound<'py, PyString>> {
    stop.map(|stop| PyString::intern(py, stop.as_str()))
}

pub(crate) fn position_name<'py>(
    py: Python<'py>,
    place: Option<RecipientPosition>,
) -> Option<Bound<'py, PyString>> {
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

pub(crate) fn make_frame<'py>(py: Python<'py>, frame: &Frame) -> PyResult<Bound<'py, PyAny>> {
    let Frame { header, content, stop, implied } = frame;
    make_frame_with(py, header, &PyString::new(py, content), *stop, *implied)
}

/// Makes a frame whose content is a Python string already.
pub(crate) fn make_frame_with<'py>(
    py: Python<'py>,
    header: &Header,
    content: &Bound<'py, PyString>,
    ended: Option<Stop>,
    implied: bool,
) -> PyResult<Bound<'py, PyAny>> {
    Classes::get(py)?.frame.bind(py).call1((
        interned(py, Some(header.role.as_str())),
        content,
        interned(py, header.channel.as_deref()),
        interned(py, header.recipient.as_deref()),
        interned(py, header.name.as_deref()),
        interned(py, header.content_type.as_deref()),
        stop_name(py, ended),
        implied,
        position_name(py, header.recipient_at),
    ))
}

pub(crate) fn make_repair<'py>(py: Python<'py>, repair: &Repair) -> PyResult<Bound<'py, PyAny>> {
    make_repair_with(py, repair, &repair.text, repair.count)
}

/// The repair as it was while it stood for `count` of them.
pub(crate) fn make_repair_with<'py>(
    py: Python<'py>,
    repair: &Repair,
    text: &str,
    count: usize,
) -> PyResult<Bound<'py, PyAny>> {
    Classes::get(py)?.repair.bind(py).call1((
        interned(py, Some(repair.code.as_str())),
        repair.at,
        text,
        repair.message(),
        count,
    ))
}
