//! Work on several threads without the interpreter, and locks that release it while they wait.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::Builder;

/// The value of a `threads` argument. `None`: one thread for each core.
pub(crate) fn number(threads: Option<usize>) -> PyResult<usize> {
    match threads {
        Some(0) => Err(PyValueError::new_err("threads must be at least 1, not 0")),
        Some(number) => Ok(number),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// Applies `work` to each item, and returns the results in order. The calling thread works too: where the system refuses
/// to start more threads, it does all of the work.
pub(crate) fn map<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut results = Vec::new();
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            results.push((index, work(item)));
        }
        results
    };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let spawn = |_| Builder::new().spawn_scoped(scope, worker).ok();
        let others: Vec<_> = (1..threads.min(items.len())).map_while(spawn).collect();
        let mut results = worker();
        // A thread that panicked would have left items out; `work` is the core, which does not panic.
        results.extend(others.into_iter().filter_map(|other| other.join().ok()).flatten());
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Locks a mutex, with the interpreter released while it waits.
pub(crate) fn lock<'a, T>(mutex: &'a Mutex<T>, py: Python<'_>) -> PyResult<MutexGuard<'a, T>> {
    mutex
        .lock_py_attached(py)
        .map_err(|_| PyValueError::new_err("this object is unusable: an earlier call on it failed half-way"))
}
