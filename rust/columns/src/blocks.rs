//! Rows divided into blocks, and work on blocks in threads.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

/// The number of threads that work.
pub type Threads = NonZeroUsize;

/// Bytes of input that a block has at most, unless one row has more: the memory that a thread needs beside its results,
/// and a bound that keeps the 32-bit offsets of lists from overflowing.
const MAX_BLOCK_BYTES: usize = 8 << 20;

/// Bytes that are worth a block of their own: starting threads for less costs more than it gains.
const MIN_BLOCK_BYTES: usize = 32 << 10;

/// Blocks for each thread, so that all threads end at about the same time.
const BLOCKS_PER_THREAD: usize = 4;

/// The cost of a row beside that of its bytes, in bytes: short rows are divided by their number.
const ROW_BYTES: usize = 64;

/// Divides rows, whose size is given in bytes, into blocks of about the same size.
pub(crate) fn divide(rows: usize, size_of: impl Fn(usize) -> usize, threads: Threads) -> Vec<Range<usize>> {
    let total: usize = (0..rows).map(|row| size_of(row) + ROW_BYTES).sum();
    let target = (total / (threads.get() * BLOCKS_PER_THREAD)).clamp(MIN_BLOCK_BYTES, MAX_BLOCK_BYTES);
    let (mut blocks, mut start, mut size) = (Vec::new(), 0, 0);
    for row in 0..rows {
        size += size_of(row) + ROW_BYTES;
        if size >= target {
            blocks.push(start..row + 1);
            (start, size) = (row + 1, 0);
        }
    }
    if start < rows {
        blocks.push(start..rows);
    }
    blocks
}

/// Applies `work` to each item, and returns the results in order. The calling thread works too: where the system refuses
/// to start more threads, it does all of the work.
pub fn map<T: Sync, R: Send>(items: &[T], threads: Threads, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
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
        let others: Vec<_> = (1..threads.get().min(items.len())).map_while(spawn).collect();
        let mut results = worker();
        for other in others {
            match other.join() {
                Ok(items) => results.extend(items),
                // Without its items, rows would be missing.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
