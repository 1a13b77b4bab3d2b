//! Work on several threads without the interpreter, and locks that release it while they wait.

use motet_columns::Threads;
pub(crate) use motet_columns::blocks::map;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::sync::{Mutex, MutexGuard};

/// The value of a `threads` argument. `None`: one thread for each core.
pub(crate) fn number(threads: Option<usize>) -> PyResult<Threads> {
    match threads {
        Some(number) => {
            Threads::new(number).ok_or_else(|| PyValueError::new_err("threads must be at least 1, not 0"))
        }
        None => Ok(std::thread::available_parallelism().unwrap_or(Threads::MIN)),
    }
}

/// Locks a mutex, with the interpreter released while it waits.
pub(crate) fn lock<'a, T>(mutex: &'a Mutex<T>, py: Python<'_>) -> PyResult<MutexGuard<'a, T>> {
    mutex
        .lock_py_attached(py)
        .map_err(|_| PyValueError::new_err("this object is unusable: an earlier call on it failed half-way"))
}
