//! Arrow arrays from and to Python objects, through the PyCapsules of Arrow's C interface.

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{Array, ArrayRef, make_array};
use arrow_schema::{ArrowError, DataType};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";
const STREAM: &CStr = c"arrow_array_stream";

/// The chunks of an object with `__arrow_c_stream__` or `__arrow_c_array__`. `None` for any other object.
pub(crate) fn import(object: &Bound<'_, PyAny>) -> PyResult<Option<(DataType, Vec<ArrayRef>)>> {
    let py = object.py();
    // A stream first: arrays with several chunks have both methods, and would copy them for the other one.
    if let Some(method) = object.getattr_opt(intern!(py, "__arrow_c_stream__"))? {
        return import_stream(&method.call0()?.cast_into::<PyCapsule>()?).map(Some);
    }
    let Some(method) = object.getattr_opt(intern!(py, "__arrow_c_array__"))? else { return Ok(None) };
    let pair = method.call0()?.cast_into::<PyTuple>()?;
    let array = import_array(pair.get_item(0)?.cast::<PyCapsule>()?, pair.get_item(1)?.cast::<PyCapsule>()?)?;
    Ok(Some((array.data_type().clone(), vec![array])))
}

#[allow(unsafe_code)]
fn import_array(schema: &Bound<'_, PyCapsule>, array: &Bound<'_, PyCapsule>) -> PyResult<ArrayRef> {
    let schema = schema.pointer_checked(Some(SCHEMA))?.cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: the names of the capsules promise these types; the GIL is held, so no other thread takes the array out of
    // its capsule meanwhile. `from_raw` marks the array in the capsule as released, so that it is not freed twice. That
    // its buffers agree with the schema is the producer's promise.
    let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref()) };
    Ok(make_array(data.map_err(arrow_error)?))
}

#[allow(unsafe_code)]
fn import_stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<(DataType, Vec<ArrayRef>)> {
    let pointer = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: as above, of a stream.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.as_ptr()) };
    let reader = ArrayStreamReader::try_new(stream).map_err(arrow_error)?;
    let data_type = arrow_array::ArrayReader::field(&reader).data_type().clone();
    // The errors of the producer, which are not about the type of its object.
    let chunks = capsule.py().detach(|| reader.collect::<Result<_, _>>());
    Ok((data_type, chunks.map_err(|error: ArrowError| PyValueError::new_err(error.to_string()))?))
}

fn arrow_error(error: ArrowError) -> PyErr {
    match error {
        ArrowError::CDataInterface(message) => PyTypeError::new_err(message),
        error => PyValueError::new_err(error.to_string()),
    }
}

/// A capsule with a type.
pub(crate) fn export_schema<'py>(py: Python<'py>, data_type: &DataType) -> PyResult<Bound<'py, PyCapsule>> {
    PyCapsule::new_with_value(py, FFI_ArrowSchema::try_from(data_type).map_err(arrow_error)?, SCHEMA)
}

/// Capsules with the type and the data of an array.
pub(crate) fn export_array<'py>(py: Python<'py>, array: &dyn Array) -> PyResult<Bound<'py, PyTuple>> {
    let schema = export_schema(py, array.data_type())?;
    let array = PyCapsule::new_with_value(py, FFI_ArrowArray::new(&array.to_data()), ARRAY)?;
    PyTuple::new(py, [schema, array])
}

/// A capsule with a stream of arrays.
#[allow(unsafe_code)]
pub(crate) fn export_stream<'py>(
    py: Python<'py>,
    data_type: DataType,
    chunks: Vec<ArrayRef>,
) -> PyResult<Bound<'py, PyCapsule>> {
    // The conversion that `stream_schema` repeats fails here, where there is a caller to tell.
    FFI_ArrowSchema::try_from(&data_type).map_err(arrow_error)?;
    let chunks = Box::new(Chunks { data_type, rest: chunks.into_iter() });
    // SAFETY: the callbacks below take `private_data` as what it is here, and `stream_release` frees it once.
    let stream = unsafe {
        FFI_ArrowArrayStream::new_unchecked(
            Some(stream_schema),
            Some(stream_next),
            Some(stream_error),
            Some(stream_release),
            Box::into_raw(chunks).cast(),
        )
    };
    PyCapsule::new_with_value(py, stream, STREAM)
}

/// What a stream still has to give.
struct Chunks {
    data_type: DataType,
    rest: std::vec::IntoIter<ArrayRef>,
}

/// "Invalid argument" of C's errno.
const EINVAL: c_int = 22;

#[allow(unsafe_code)]
unsafe extern "C" fn stream_schema(stream: *mut FFI_ArrowArrayStream, out: *mut FFI_ArrowSchema) -> c_int {
    // SAFETY: the consumer passes the stream that it got, which is not released, and memory for a schema.
    unsafe {
        let chunks = (*stream).private_data().cast::<Chunks>();
        match FFI_ArrowSchema::try_from(&(*chunks).data_type) {
            Ok(schema) => {
                ptr::write(out, schema);
                0
            }
            Err(_) => EINVAL,
        }
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn stream_next(stream: *mut FFI_ArrowArrayStream, out: *mut FFI_ArrowArray) -> c_int {
    // SAFETY: as above, with memory for an array. A released array ends the stream.
    unsafe {
        let chunks = (*stream).private_data().cast::<Chunks>();
        let next = (*chunks).rest.next();
        let array = next.map_or_else(FFI_ArrowArray::empty, |chunk| FFI_ArrowArray::new(&chunk.to_data()));
        ptr::write(out, array);
    }
    0
}

/// There is no description of errors.
#[allow(unsafe_code)]
unsafe extern "C" fn stream_error(_stream: *mut FFI_ArrowArrayStream) -> *const c_char {
    ptr::null()
}

#[allow(unsafe_code)]
unsafe extern "C" fn stream_release(stream: *mut FFI_ArrowArrayStream) {
    // SAFETY: a stream is released once, which `set_release` notes; `private_data` is the box of `export_stream`.
    unsafe {
        let chunks = (*stream).set_private_data(ptr::null_mut::<c_void>());
        (*stream).set_release(None);
        drop(Box::from_raw(chunks.cast::<Chunks>()));
    }
}
