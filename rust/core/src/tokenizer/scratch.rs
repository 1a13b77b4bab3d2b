//! The buffers that encoding works in, with the cache that earlier texts have filled. Threads share a fixed number of
//! them, so that memory has a bound however many threads there are and however they come and go.

use super::misses::Misses;
use super::pretoken::{MAX_BATCH_PRETOKENS, PreToken};
use super::pretoken_cache::{CacheMemory, MAX_CACHED_IDS};
use std::cell::Cell;
use std::ops::DerefMut;
use std::sync::{Mutex, MutexGuard, OnceLock};

pub(super) struct Scratch {
    pub(super) cache_memory: CacheMemory,
    pub(super) batch: [PreToken; MAX_BATCH_PRETOKENS],
    pub(super) ids: [u32; MAX_BATCH_PRETOKENS * MAX_CACHED_IDS],
    pub(super) misses: Misses,
}

impl Scratch {
    fn new(cache_memory: CacheMemory) -> Box<Scratch> {
        Box::new(Scratch {
            cache_memory,
            batch: [PreToken::default(); MAX_BATCH_PRETOKENS],
            ids: [0; MAX_BATCH_PRETOKENS * MAX_CACHED_IDS],
            misses: Misses::new(),
        })
    }
}

/// The place of a scratch, which is made at its first use and never freed. Aligned, so that two threads that lock two
/// of them do not write to the same cache line.
#[repr(align(128))]
struct Slot(Mutex<Option<Box<Scratch>>>);

/// On a machine of few cores there are so many slots: 16 MB when all were used.
const MIN_SLOTS: usize = 4;

/// On a machine of many cores there is one slot for each, up to this number: 512 MB when all were used.
const MAX_SLOTS: usize = 128;

static SLOTS: [Slot; MAX_SLOTS] = [const { Slot(Mutex::new(None)) }; MAX_SLOTS];

thread_local! {
    /// The slot that this thread used last, whose cache its texts have filled. All threads begin with the first one:
    /// those that follow each other share it.
    static LAST_SLOT: Cell<usize> = const { Cell::new(0) };
}

/// The scratch of a slot, locked; or one that is freed after use.
pub(super) enum ScratchGuard {
    Shared(MutexGuard<'static, Option<Box<Scratch>>>),
    Temporary(Box<Scratch>),
}

impl ScratchGuard {
    pub(super) fn get(&mut self) -> &mut Scratch {
        match self {
            ScratchGuard::Shared(guard) => {
                guard.deref_mut().get_or_insert_with(|| Scratch::new(CacheMemory::new()))
            }
            ScratchGuard::Temporary(scratch) => scratch,
        }
    }
}

/// A scratch that no other thread uses until the guard is dropped. Never waits: a thread may hold a slot while the system
/// runs others.
pub(super) fn lock_scratch() -> ScratchGuard {
    match SLOTS.get(LAST_SLOT.get()).and_then(|slot| slot.0.try_lock().ok()) {
        Some(guard) => ScratchGuard::Shared(guard),
        None => lock_another(),
    }
}

/// The scratch of the first free slot. If all are in use, one without a cache: more threads than cores are at work.
#[cold]
#[inline(never)]
fn lock_another() -> ScratchGuard {
    static COUNT: OnceLock<usize> = OnceLock::new();
    let count = *COUNT.get_or_init(|| {
        std::thread::available_parallelism()
            .map_or(MIN_SLOTS, |cores| cores.get().clamp(MIN_SLOTS, MAX_SLOTS))
    });
    for (index, slot) in SLOTS.iter().enumerate().take(count) {
        if let Ok(guard) = slot.0.try_lock() {
            LAST_SLOT.set(index);
            return ScratchGuard::Shared(guard);
        }
    }
    ScratchGuard::Temporary(Scratch::new(CacheMemory::without_lines()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{count, encode};
    use std::sync::Barrier;

    #[test]
    fn threads_at_once_have_at_most_one_scratch_each_slot() {
        let threads = 3 * MAX_SLOTS;
        let (all_hold, text) =
            (Barrier::new(threads), "some words, naïve 中文 and pseudopseudohypoparathyroidism\n");
        let expected = encode(text);
        let hold = || {
            let mut guard = lock_scratch();
            let has_cache = guard.get().cache_memory.cache().has_lines();
            all_hold.wait();
            // Each thread still holds its own: this encodes without a cache.
            assert_eq!((encode(text), count(text)), (expected.clone(), expected.len()));
            all_hold.wait();
            has_cache
        };
        let caches = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(hold)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|has| *has).count()
        });
        assert!((1..=MAX_SLOTS).contains(&caches), "{caches}");
        assert_eq!(encode(text), expected);
    }
}
