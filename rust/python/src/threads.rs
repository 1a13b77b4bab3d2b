//! Many inputs on several threads, while the interpreter does something else.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// How many threads a caller wants: one for each core, if there is no wish.
pub(crate) fn number(wish: Option<usize>) -> PyResult<usize> {
    match wish {
        Some(0) => Err(PyValueError::new_err("threads must be at least 1, not 0")),
        Some(number) => Ok(number),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// Does the same to each item; each thread takes the next one that nobody has begun.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let some = || {
        let mut done = Vec::new();
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            done.push((index, work(item)));
        }
        done
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(some)).collect();
        let mut all = some();
        // A thread that panicked would have left items out; what is done here cannot panic.
        all.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        all
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, result)| result).collect()
}
/// Waits for the lock without holding the interpreter.
pub(crate) fn lock<'a, T>(mutex: &'a Mutex<T>, py: Python<'_>) -> PyResult<MutexGuard<'a, T>> {
    mutex
        .lock_py_attached(py)
        .map_err(|_| PyValueError::new_err("an earlier call on this object failed half-way"))
}
