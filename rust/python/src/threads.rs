//! Work on several threads without the interpreter, locks that release it while they wait, and values made once.

use motet_columns::Threads;
pub(crate) use motet_columns::blocks::map;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::PyType;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// The value of a `threads` argument. `None`: one thread for each core.
pub(crate) fn number(threads: Option<usize>) -> PyResult<Threads> {
    match threads {
        Some(number) => {
            Threads::new(number).ok_or_else(|| PyValueError::new_err("threads must be at least 1, not 0"))
        }
        None => Ok(std::thread::available_parallelism().unwrap_or(Threads::MIN)),
    }
}

/// A value that one call at a time uses.
///
/// A call that makes or frees Python objects may be interrupted by Python's code: of a finalizer, where garbage is
/// collected, or of a signal handler. If that code uses the same value, it would wait for the call that it interrupts,
/// for ever: it gets a `RuntimeError` instead. So it does for a value that another thread uses, which may wait for this one.
pub(crate) struct Lock<T> {
    value: Mutex<T>,
    /// The thread of the call that uses the value; 0 between calls, and in those of `try_now`.
    thread: AtomicUsize,
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Lock<T> {
        Lock { value: Mutex::new(value), thread: AtomicUsize::new(0) }
    }

    /// Waits for calls of other threads, with the interpreter released.
    pub(crate) fn lock(&self, py: Python<'_>) -> PyResult<Locked<'_, T>> {
        self.lock_beside(py, 0)
    }

    /// For a call that uses another value already, and locks the two in this order always.
    pub(crate) fn lock_second(&self, py: Python<'_>) -> PyResult<Locked<'_, T>> {
        self.lock_beside(py, 1)
    }

    /// `count`: how many values this call uses already. A thread that uses more of them is in a call of a finalizer or a
    /// signal handler, which does not wait.
    fn lock_beside(&self, py: Python<'_>, count: usize) -> PyResult<Locked<'_, T>> {
        let this_thread = thread_number();
        // Relaxed: only this thread stores its number, so that a number of another one need not be recent.
        if self.thread.load(Ordering::Relaxed) == this_thread {
            return Err(PyRuntimeError::new_err(
                "this object is in use by a call that is interrupted: finalizers and signal handlers cannot use it",
            ));
        }
        let value = match self.value.try_lock() {
            Err(TryLockError::WouldBlock) if VALUES_IN_USE.get() > count => {
                return Err(PyRuntimeError::new_err(
                    "this object is in use by another thread: finalizers and signal handlers cannot wait for it",
                ));
            }
            Err(TryLockError::WouldBlock) => self.value.lock_py_attached(py).ok(),
            result => result.ok(),
        };
        let Some(value) = value else {
            return Err(PyValueError::new_err(
                "this object is unusable: an earlier call on it failed half-way",
            ));
        };
        VALUES_IN_USE.set(VALUES_IN_USE.get() + 1);
        self.thread.store(this_thread, Ordering::Relaxed);
        Ok(Locked { value, thread: &self.thread })
    }

    /// For work that no Python code can interrupt. `None` while a call uses the value.
    #[inline]
    pub(crate) fn try_now(&self) -> Option<MutexGuard<'_, T>> {
        self.value.try_lock().ok()
    }
}

/// A value in use by a call.
pub(crate) struct Locked<'a, T> {
    value: MutexGuard<'a, T>,
    thread: &'a AtomicUsize,
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        VALUES_IN_USE.set(VALUES_IN_USE.get() - 1);
        self.thread.store(0, Ordering::Relaxed);
    }
}

thread_local! {
    /// The number of values that calls of this thread use.
    static VALUES_IN_USE: Cell<usize> = const { Cell::new(0) };
}

/// A number that no other running thread has: the address of a variable of this thread.
fn thread_number() -> usize {
    VALUES_IN_USE.with(|variable| std::ptr::from_ref(variable).addr())
}

/// The value of a cell, made at the first call. No lock is held meanwhile, as making it may run Python code that needs the
/// same value; if it does, or another thread does, the first value stays.
#[inline]
pub(crate) fn get_or_try_init<'a, T>(
    cell: &'a PyOnceLock<T>,
    py: Python<'_>,
    make: impl FnOnce() -> PyResult<T>,
) -> PyResult<&'a T> {
    match cell.get(py) {
        Some(value) => Ok(value),
        None => {
            let value = make()?;
            // The value that was first is used below, and the other one is dropped.
            let _ = cell.set(py, value);
            cell.get(py).ok_or_else(|| PyRuntimeError::new_err("a cell that was set is empty"))
        }
    }
}

/// A class of a Python module, imported at the first call.
pub(crate) fn import_class<'a, 'py>(
    cell: &'a PyOnceLock<Py<PyType>>,
    py: Python<'py>,
    module: &str,
    name: &str,
) -> PyResult<&'a Bound<'py, PyType>> {
    let import = || Ok(py.import(module)?.getattr(name)?.cast_into()?.unbind());
    get_or_try_init(cell, py, import).map(|class| class.bind(py))
}
