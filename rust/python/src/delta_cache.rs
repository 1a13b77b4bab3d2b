//! Delta events of a frame by what they were made of. Events are immutable and words repeat, and an event takes as long to
//! make as a token to feed.

use crate::events::Event;
use pyo3::prelude::*;

/// What a delta event is made of: a short text or a token id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// Of plain texts, which the parser may read without looking at them again. Above the number of bytes.
    const PLAIN: u64 = 1 << 63;

    /// The key of a text of at most 15 bytes: its first and its last bytes, with their number above them. Two overlapping
    /// reads of a fixed length each take half the time of a copy of a length that differs.
    #[inline]
    pub(crate) fn of_text(text: &str) -> Option<Key> {
        let bytes = text.as_bytes();
        let length = (bytes.len() as u64) << 56;
        let number = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            // Of at most 15 bytes the last 7 and the first 8 are all.
            return (bytes.len() < 16).then_some(Key([first, last >> 8 | length]));
        }
        if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
            return Some(Key([number(*first) | number(*last) << 32, length]));
        }
        let byte = |at: usize| bytes.get(at).map_or(0, |byte| u64::from(*byte) << (8 * at));
        Some(Key([byte(0) | byte(1) | byte(2), length]))
    }

    /// The key of a plain text of at most 15 bytes.
    #[inline]
    pub(crate) fn of_plain_text(text: &str) -> Option<Key> {
        Key::of_text(text).map(|Key([first, last])| Key([first, last | Key::PLAIN]))
    }

    /// The key of an ordinary token whose text is plain. No text has so many bytes.
    #[inline]
    pub(crate) fn of_plain_id(id: u32) -> Key {
        Key([u64::from(id), u64::MAX])
    }

    #[inline]
    fn hash(self) -> u64 {
        let Key([first, last]) = self;
        (first ^ last.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// Delta events of one frame by key. Each has two slots that it may lie in, next to each other.
#[derive(Default)]
pub(crate) struct DeltaCache {
    /// A power of 2, or none. Few at first: most frames are short, and empty slots cost time, too.
    slots: Vec<Option<(Key, Py<Event>)>>,
    /// How many events were added to so many slots.
    added: usize,
}

impl DeltaCache {
    const MIN_SLOTS: usize = 32;
    const MAX_SLOTS: usize = 8192;

    pub(crate) fn is_empty(&self) -> bool {
        self.added == 0
    }

    /// The index of the first slot of a key. There are slots.
    #[inline]
    fn index(&self, key: Key) -> usize {
        (key.hash() >> (u64::BITS - self.slots.len().ilog2())) as usize
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Py<Event>> {
        if self.slots.is_empty() {
            return None;
        }
        let index = self.index(key);
        let of_key = |index: usize| match self.slots.get(index) {
            Some(Some((cached, event))) if *cached == key => Some(event),
            _ => None,
        };
        of_key(index).or_else(|| of_key(index ^ 1))
    }

    /// Adds the event of a key. The last of those with the same slots gives way.
    pub(crate) fn add(&mut self, key: Key, event: Py<Event>) {
        if self.added * 2 >= self.slots.len() && self.slots.len() < Self::MAX_SLOTS {
            let slots = (self.slots.len() * 8).clamp(Self::MIN_SLOTS, Self::MAX_SLOTS);
            let old = std::mem::take(self).slots;
            self.slots.resize_with(slots, || None);
            old.into_iter().flatten().for_each(|(key, event)| self.put(key, event));
        }
        self.added += 1;
        self.put(key, event);
    }

    fn put(&mut self, key: Key, event: Py<Event>) {
        let index = self.index(key);
        if let before @ Some(_) = self.slots[index].replace((key, event)) {
            self.slots[index ^ 1] = before;
        }
    }
}
