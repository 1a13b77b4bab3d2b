//! What a thread works with, kept from call to call and from thread to thread.

use super::pipeline::{Found, MOST};
use super::pretoken_cache::{self, Memory};
use std::cell::Cell;
use std::sync::Mutex;

/// What a thread works with, kept from call to call.
pub(super) struct Scratch {
    pub(super) memory: Memory,
    pub(super) group: [Found; MOST],
    pub(super) ids: [u32; MOST * pretoken_cache::MOST],
}

impl Scratch {
    fn new() -> Box<Scratch> {
        Box::new(Scratch {
            memory: Memory::new(),
            group: [Found::default(); MOST],
            ids: [0; MOST * pretoken_cache::MOST],
        })
    }
}

/// What this thread works with, when nobody does. A thread that ends leaves it to those that come.
struct Mine(Cell<Option<Box<Scratch>>>);

thread_local! {
    static MINE: Mine = const { Mine(Cell::new(None)) };
}

/// What ended threads have left: those of a batch find again what the batch before them learnt.
static LEFT: Mutex<Vec<Box<Scratch>>> = Mutex::new(Vec::new());

/// No more of it is kept: 64 MB, if all was used.
const MOST_LEFT: usize = 16;

impl Drop for Mine {
    fn drop(&mut self) {
        // Nobody waits for anybody here: where another thread is at it, it is let go.
        if let (Some(mine), Ok(mut left)) = (self.0.take(), LEFT.try_lock())
            && left.len() < MOST_LEFT
        {
            left.push(mine);
        }
    }
}

pub(super) fn lend() -> Box<Scratch> {
    let mine = MINE.try_with(|mine| mine.0.take()).ok().flatten();
    mine.or_else(|| LEFT.try_lock().ok()?.pop()).unwrap_or_else(Scratch::new)
}

pub(super) fn put_back(scratch: Box<Scratch>) {
    // Where the thread is ending there is nothing to keep it in.
    let _ = MINE.try_with(|mine| mine.0.set(Some(scratch)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_leave_what_they_work_with() {
        for _ in 0..3 * MOST_LEFT {
            std::thread::spawn(|| crate::tokenizer::count("some words")).join().expect("no panic");
        }
        let left = LEFT.lock().expect("no panic").len();
        assert!((1..=MOST_LEFT).contains(&left), "{left}");
    }
}
