//! The one place of the binding that goes past PyO3, for what happens at each token.

use motet::tokenizer::vocabulary;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyList;
use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Appends the ids at the start of a list, up to the first item that is no plain `int`, or fits no id. It takes a third
/// of the time of PyO3's own loop, which counts each item's references up and down.
pub(crate) fn leading_ids(list: &Bound<'_, PyList>, out: &mut Vec<u32>) {
    // Nothing without a GIL, where another thread could change the list; with one, nothing at all.
    with_critical_section(list, || unlocked(list, out));
}

#[allow(unsafe_code)]
fn unlocked(list: &Bound<'_, PyList>, out: &mut Vec<u32>) {
    let items = list.as_ptr();
    // SAFETY: `list` proves that this thread is attached and that the object is a list. An item is borrowed from it,
    // which holds as long as nobody changes the list. Nobody can: no other thread, as nothing here detaches, and no
    // Python code runs here. `PyList_GetItem` is given places that exist, and the value of an exact int is read
    // without asking the object, and without setting an error.
    unsafe {
        for place in 0..ffi::PyList_Size(items) {
            let item = ffi::PyList_GetItem(items, place);
            if ffi::PyLong_CheckExact(item) == 0 {
                return;
            }
            let mut overflow: c_int = 0;
            let value = ffi::PyLong_AsLongAndOverflow(item, &raw mut overflow);
            match u32::try_from(value) {
                Ok(id) if overflow == 0 => out.push(id),
                _ => return,
            }
        }
    }
}

/// The ints of ids, made when they are first wanted and kept for good, by one reference of their own. A page of this
/// that no id lies in takes no memory.
static INTS: [AtomicPtr<ffi::PyObject>; vocabulary::VOCAB_SIZE as usize] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; vocabulary::VOCAB_SIZE as usize];

/// A list of ids. It takes a third of the time of making each int anew.
#[allow(unsafe_code)]
pub(crate) fn list<'py>(py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: `py` proves that this thread is attached. The list is new and has a place for each id, each of which is
    // given one reference of its own: that of a new int, or one more to an int that is kept.
    unsafe {
        let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(ids.len().cast_signed()))?;
        for (place, &id) in (0..).zip(ids) {
            let kept =
                INTS.get(id as usize).map_or(std::ptr::null_mut(), |kept| kept.load(Ordering::Acquire));
            let int = if kept.is_null() { new_int(py, id)? } else { kept };
            ffi::Py_IncRef(int);
            ffi::PyList_SetItem(list.as_ptr(), place, int);
        }
        Ok(list.cast_into_unchecked())
    }
}

/// Makes the int of an id, and keeps it: what is given is borrowed from who keeps it.
#[cold]
#[allow(unsafe_code)]
fn new_int(py: Python<'_>, id: u32) -> PyResult<*mut ffi::PyObject> {
    let int = id.into_pyobject(py)?.into_ptr();
    // There is no such id; its int would be kept by nobody, and live on.
    let Some(place) = INTS.get(id as usize) else { return Ok(int) };
    match place.compare_exchange(std::ptr::null_mut(), int, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(int),
        // Another thread was faster.
        Err(kept) => {
            // SAFETY: this is the reference that was made above, and nobody else knows it.
            unsafe { ffi::Py_DecRef(int) };
            Ok(kept)
        }
    }
}

/// Whether nobody else has this list: then it can be filled anew, and nobody notices. (`zip` does so with its tuples.)
/// To make one and throw it away takes a sixth of the time of feeding a token.
#[allow(unsafe_code)]
pub(crate) fn is_unshared(list: &Bound<'_, PyList>) -> bool {
    // SAFETY: the object lives, as `list` refers to it. Who has borrowed it without counting, as interpreters do on
    // their stack, has done so from somebody who counts.
    unsafe { ffi::Py_REFCNT(list.as_ptr()) == 1 }
}
