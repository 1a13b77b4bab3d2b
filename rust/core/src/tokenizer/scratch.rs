//! The buffers that encoding works in. A thread keeps them from call to call, with the cache that its texts have filled.

use super::pretoken::{MAX_BATCH_PRETOKENS, PreToken};
use super::pretoken_cache::{CacheMemory, MAX_CACHED_IDS};
use std::cell::Cell;
use std::sync::Mutex;

pub(super) struct Scratch {
    pub(super) cache_memory: CacheMemory,
    pub(super) batch: [PreToken; MAX_BATCH_PRETOKENS],
    pub(super) ids: [u32; MAX_BATCH_PRETOKENS * MAX_CACHED_IDS],
}

impl Scratch {
    fn new() -> Box<Scratch> {
        Box::new(Scratch {
            cache_memory: CacheMemory::new(),
            batch: [PreToken::default(); MAX_BATCH_PRETOKENS],
            ids: [0; MAX_BATCH_PRETOKENS * MAX_CACHED_IDS],
        })
    }
}

/// This thread's idle scratch. On thread exit it returns to the pool.
struct ThreadScratch(Cell<Option<Box<Scratch>>>);

thread_local! {
    static SCRATCH: ThreadScratch = const { ThreadScratch(Cell::new(None)) };
}

/// Scratch of finished threads. The next batch's threads reuse it, with its warm cache.
static SCRATCH_POOL: Mutex<Vec<Box<Scratch>>> = Mutex::new(Vec::new());

/// Pool size limit; 64 MB when full.
const MAX_POOLED: usize = 16;

impl Drop for ThreadScratch {
    fn drop(&mut self) {
        // Never block in a destructor: if another thread holds the pool's lock, drop the scratch.
        if let (Some(scratch), Ok(mut pool)) = (self.0.take(), SCRATCH_POOL.try_lock())
            && pool.len() < MAX_POOLED
        {
            pool.push(scratch);
        }
    }
}

/// This thread's scratch, or one of the pool, or a new one.
pub(super) fn take_scratch() -> Box<Scratch> {
    let own = SCRATCH.try_with(|scratch| scratch.0.take()).ok().flatten();
    own.or_else(|| SCRATCH_POOL.try_lock().ok()?.pop()).unwrap_or_else(Scratch::new)
}

/// Keeps the scratch for this thread's next call.
pub(super) fn put_back(scratch: Box<Scratch>) {
    // In a thread that is being torn down there is no thread-local storage left: the scratch is dropped.
    let _ = SCRATCH.try_with(|slot| slot.0.set(Some(scratch)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_threads_leave_their_scratch_to_the_pool() {
        for _ in 0..3 * MAX_POOLED {
            std::thread::spawn(|| crate::tokenizer::count("some words")).join().expect("no panic");
        }
        let pooled = SCRATCH_POOL.lock().expect("no panic").len();
        assert!((1..=MAX_POOLED).contains(&pooled), "{pooled}");
    }
}
