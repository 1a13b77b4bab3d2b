//! Python's C API without PyO3, for what runs once per token, and Arrow's: the only unsafe code of the binding.

pub(crate) mod arrow;
pub(crate) mod method;

use crate::threads::get_or_try_init;
use motet::tokenizer::vocabulary;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyList;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Appends the ids at the start of a list, up to the first item that is not an exact `int` or does not fit an id. Takes a
/// third of the time of PyO3's loop, which takes and drops a reference to each item.
pub(crate) fn leading_ids(list: &Bound<'_, PyList>, out: &mut Vec<u32>) {
    // In the free-threaded build another thread could change the list; with the GIL this compiles to nothing.
    with_critical_section(list, || leading_ids_locked(list, out));
}

#[allow(unsafe_code)]
fn leading_ids_locked(list: &Bound<'_, PyList>, out: &mut Vec<u32>) {
    let items = list.as_ptr();
    // SAFETY: `list` proves that this thread is attached and that the object is a list. An item is borrowed from the
    // list, which is valid while the list does not change. It does not: no other thread can run, as nothing here
    // detaches, and no Python code runs here. `PyList_GetItem` gets indexes below the list's length, and the value of
    // an exact int is read without calling the object and without setting an error.
    unsafe {
        for index in 0..ffi::PyList_Size(items) {
            let item = ffi::PyList_GetItem(items, index);
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

/// The value of an exact `int` that fits an id. Takes a quarter of the time of asking for each type in turn.
#[allow(unsafe_code)]
pub(crate) fn exact_id(item: &Bound<'_, PyAny>) -> Option<u32> {
    let object = item.as_ptr();
    let mut overflow: c_int = 0;
    // SAFETY: `item` proves that this thread is attached and that the object is alive. The value of an exact int, which
    // is immutable, is read without calling the object and without setting an error.
    let value = unsafe {
        if ffi::PyLong_CheckExact(object) == 0 {
            return None;
        }
        ffi::PyLong_AsLongAndOverflow(object, &raw mut overflow)
    };
    u32::try_from(value).ok().filter(|_| overflow == 0)
}

/// All ids, and the one more that openai-harmony has.
const MAX_CACHED_INTS: usize = vocabulary::VOCAB_SIZE as usize + 1;

/// The int of each id, made at its first use and never freed: the cache owns one reference. Pages that no used id lies
/// in take no memory.
static INTS: [AtomicPtr<ffi::PyObject>; MAX_CACHED_INTS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_CACHED_INTS];

/// A list of ids. Takes a third of the time of making each int anew, and a half of that where lists [have slots](slots).
#[allow(unsafe_code)]
pub(crate) fn list<'py>(py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: `py` proves that this thread is attached. The list is new and has a slot for each id. Each slot is given
    // one reference of its own: that of a new int, or one more to a cached int.
    unsafe {
        let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(ids.len().cast_signed()))?;
        let slots = if has_known_layout(py)? { slots(&list) } else { std::ptr::null_mut() };
        let set = |slot: usize, id: u32| {
            let Some(place) = INTS.get(id as usize) else {
                // Not an id of the vocabulary: the list has the only reference.
                ffi::PyList_SetItem(list.as_ptr(), slot.cast_signed(), id.into_pyobject(py)?.into_ptr());
                return PyResult::Ok(());
            };
            let cached = place.load(Ordering::Acquire);
            let int = if cached.is_null() { new_int(py, id, place)? } else { cached };
            if slots.is_null() {
                ffi::Py_IncRef(int);
                ffi::PyList_SetItem(list.as_ptr(), slot.cast_signed(), int);
            } else {
                add_reference(int);
                *slots.add(slot) = int;
            }
            Ok(())
        };
        // Other work may have displaced the ints and their places from the processor's caches.
        for (slot, ids) in ids.windows(2 * PREFETCHED_IDS + 1).enumerate() {
            prefetch(INTS.as_ptr().wrapping_add(ids[2 * PREFETCHED_IDS] as usize));
            if let Some(place) = INTS.get(ids[PREFETCHED_IDS] as usize) {
                prefetch(place.load(Ordering::Relaxed));
            }
            set(slot, ids[0])?;
        }
        for (slot, &id) in ids.iter().enumerate().skip(ids.len().saturating_sub(2 * PREFETCHED_IDS)) {
            set(slot, id)?;
        }
        Ok(list.cast_into_unchecked())
    }
}

/// An int is prefetched so many ids before it is put into a list, and its place in [`INTS`] as many before that.
const PREFETCHED_IDS: usize = 16;

#[inline(always)]
#[allow(unsafe_code)]
fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    // SAFETY: prefetching neither reads nor writes, at whatever address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    let _ = address;
}

/// Where the known layout has the items of a list: its fourth word points to them. Null for an empty list.
#[allow(unsafe_code)]
unsafe fn slots(list: &Bound<'_, PyAny>) -> *mut *mut ffi::PyObject {
    // SAFETY: the caller says that this is a list, which has more than four words.
    unsafe { *list.as_ptr().cast::<*mut *mut ffi::PyObject>().add(3) }
}

/// Where the known layout has the number of references to an object: in its first word.
fn reference_count(object: *mut ffi::PyObject) -> *mut isize {
    object.cast()
}

/// `Py_IncRef` of an object in the known layout. Of immortal objects, and of those with 2^31 references and more, the number
/// has the sign bit of its lower half: these are left to the interpreter, as versions count them in different ways.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn add_reference(object: *mut ffi::PyObject) {
    // SAFETY: the caller says that the object is alive, that this thread is attached and that the layout is known.
    unsafe {
        let count = reference_count(object);
        if (*count as i32) < 0 { ffi::Py_IncRef(object) } else { *count += 1 }
    }
}

/// Whether objects and lists are laid out as in all versions of CPython with a GIL. The stable ABI says so of objects, and
/// of lists it says nothing: so one list is looked at, once. Without a GIL, objects are larger and counted otherwise.
#[allow(unsafe_code)]
fn has_known_layout(py: Python<'_>) -> PyResult<bool> {
    static IS_KNOWN: PyOnceLock<bool> = PyOnceLock::new();
    let is_known = get_or_try_init(&IS_KNOWN, py, || {
        let (first, second) = (PyList::empty(py), PyList::empty(py));
        let Ok(list) = PyList::new(py, [&first, &second]) else { return Ok(false) };
        // SAFETY: reads the first and the fourth word of lists, and two words at the address in the latter. In other
        // layouts that is the address of the list's type, which is larger.
        Ok(unsafe {
            let before = *reference_count(first.as_ptr());
            let other = first.clone();
            let slots = slots(&list);
            *reference_count(other.as_ptr()) == before + 1
                && *slots == first.as_ptr()
                && *slots.add(1) == second.as_ptr()
        })
    });
    is_known.copied()
}

/// Makes an int and caches it in its place: the returned reference is borrowed from the cache.
#[cold]
#[allow(unsafe_code)]
fn new_int(py: Python<'_>, id: u32, place: &AtomicPtr<ffi::PyObject>) -> PyResult<*mut ffi::PyObject> {
    let int = id.into_pyobject(py)?.into_ptr();
    match place.compare_exchange(std::ptr::null_mut(), int, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Ok(int),
        // Another thread has cached it meanwhile.
        Err(cached) => {
            // SAFETY: this is the reference made above, which was not given out.
            unsafe { ffi::Py_DecRef(int) };
            Ok(cached)
        }
    }
}

/// Whether this is the only reference to a list, so that filling it anew cannot be seen. CPython's `zip` does the same
/// with its tuples.
#[allow(unsafe_code)]
pub(crate) fn is_unshared(list: &Bound<'_, PyList>) -> bool {
    // SAFETY: the object is alive, as `list` refers to it. References that are not counted, as on the interpreter's
    // stack, are borrowed from ones that are.
    unsafe { ffi::Py_REFCNT(list.as_ptr()) == 1 }
}
