//! A method that CPython calls without PyO3's way to one, which takes as long as reading a token.

use pyo3::PyClass;
use pyo3::ffi;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

/// A method with one argument by position.
pub(crate) trait UnaryMethod: PyClass<Frozen = True> + Sync {
    const METHOD: &'static CStr;
    /// The signature and the description.
    const METHOD_DOC: &'static CStr;

    /// The result of a call that is done at once. `None`: nothing was done. It drops no [`Py`]: PyO3 frees those later, as it
    /// does not count the thread as attached.
    fn call_at_once<'py>(&self, argument: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>>;

    /// The result of any call.
    fn call<'py>(&self, argument: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>;
}

/// Adds the method to its class.
#[allow(unsafe_code)]
pub(crate) fn add<T: UnaryMethod>(py: Python<'_>) -> PyResult<()> {
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: T::METHOD.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: call::<T> },
        ml_flags: ffi::METH_O,
        ml_doc: T::METHOD_DOC.as_ptr(),
    }));
    let class = py.get_type::<T>();
    // SAFETY: the class is that of `call`'s object, and the definition, whose flags are those of `call`'s type, lives on.
    let method =
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))? };
    class.setattr(T::METHOD, method)
}

/// What CPython calls: with this thread attached, with an object of the class of the method, which its descriptor checks,
/// and with an argument; both are borrowed for the call. No panic leaves it.
#[allow(unsafe_code)]
unsafe extern "C" fn call<T: UnaryMethod>(
    object: *mut ffi::PyObject,
    argument: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: see above. The references do not outlive this call.
    let (object, argument) = unsafe {
        let py = Python::assume_attached();
        (Bound::ref_from_ptr(py, &object).cast_unchecked::<T>().get(), Bound::ref_from_ptr(py, &argument))
    };
    match catch_unwind(AssertUnwindSafe(|| object.call_at_once(argument))) {
        Ok(Some(result)) => result.into_ptr(),
        // Behind a panic the object's lock is poisoned, which is what this call then tells.
        Ok(None) | Err(_) => call_counted(object, argument),
    }
}

/// Calls with the thread counted as attached, except while the interpreter ends, where PyO3 attaches no thread.
#[inline(never)]
fn call_counted<T: UnaryMethod>(object: &T, argument: &Bound<'_, PyAny>) -> *mut ffi::PyObject {
    let py = argument.py();
    let call = || {
        catch_unwind(AssertUnwindSafe(|| object.call(argument)))
            .unwrap_or_else(|_| Err(PanicException::new_err("panic in a method of motet")))
            .map_or_else(
                |error| {
                    error.restore(py);
                    null_mut()
                },
                Bound::into_ptr,
            )
    };
    Python::try_attach(|_| call()).unwrap_or_else(call)
}
