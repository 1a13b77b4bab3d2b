//! The one place of the binding that goes past PyO3, for what happens at each token.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyList;
use std::ffi::c_int;

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

/// Whether nobody else has this list: then it can be filled anew, and nobody notices. (`zip` does so with its tuples.)
/// To make one and throw it away takes a sixth of the time of feeding a token.
#[allow(unsafe_code)]
pub(crate) fn is_unshared(list: &Bound<'_, PyList>) -> bool {
    // SAFETY: the object lives, as `list` refers to it. Who has borrowed it without counting, as interpreters do on
    // their stack, has done so from somebody who counts.
    unsafe { ffi::Py_REFCNT(list.as_ptr()) == 1 }
}
