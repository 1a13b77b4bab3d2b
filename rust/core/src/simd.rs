//! Sixteen bytes at once: which of them are letters, digits, white space, as a bit for each byte; and memory fetched
//! before it is read. What the bits mean for a piece is decided in `split.rs`.
//!
//! The only file of the core with unsafe code. On x86-64 it is SSE2, which every such machine has, so nothing has to be
//! detected; elsewhere a loop over the bytes does the same, and a test compares the two on every byte at every place.
//! No address is made here but from a reference. The masks made encoding a quarter faster on English when they came (92
//! to 116 MB/s), against a branch for each byte.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use std::arch::x86_64::{
    __m128i, _MM_HINT_T0, _mm_add_epi8, _mm_cmpgt_epi8, _mm_movemask_epi8, _mm_prefetch, _mm_set_epi64x,
    _mm_set1_epi8,
};

/// As many bytes as are looked at together.
pub(crate) const WIDTH: usize = 16;

pub(crate) type Chunk = [u8; WIDTH];

/// A bit for each byte from `first` to `last`, which must be ASCII.
#[inline(always)]
pub(crate) fn between(chunk: &Chunk, first: u8, last: u8) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    // SAFETY: the machine has SSE2, or this would not be compiled; values go in and out, no addresses.
    unsafe {
        // Moved so that the range ends at the largest signed byte, one comparison is enough.
        let moved = _mm_add_epi8(vector(chunk), _mm_set1_epi8((127 - last).cast_signed()));
        let least = _mm_set1_epi8(126_u8.wrapping_sub(last - first).cast_signed());
        _mm_movemask_epi8(_mm_cmpgt_epi8(moved, least)).cast_unsigned()
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    bits(chunk, |byte| (first..=last).contains(&byte))
}

/// A bit for each byte above ASCII.
#[inline(always)]
pub(crate) fn wide(chunk: &Chunk) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    // SAFETY: as above.
    unsafe {
        _mm_movemask_epi8(vector(chunk)).cast_unsigned()
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    bits(chunk, |byte| byte >= 0x80)
}

/// Begins to fetch the line of memory that holds `table[at]`, so that it is near when it is read.
#[inline(always)]
pub(crate) fn prefetch<T>(table: &[T], at: usize) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if let Some(there) = table.get(at) {
        // SAFETY: the address is that of something that is there; nothing is read or changed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(there).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    let _ = (table, at);
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn vector(chunk: &Chunk) -> __m128i {
    let both = u128::from_le_bytes(*chunk);
    // SAFETY: as above.
    unsafe { _mm_set_epi64x(((both >> 64) as u64).cast_signed(), (both as u64).cast_signed()) }
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
#[inline(always)]
fn bits(chunk: &Chunk, is: impl Fn(u8) -> bool) -> u32 {
    chunk.iter().rev().fold(0, |bits, &byte| bits << 1 | u32::from(is(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_on_every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..WIDTH {
                let mut chunk = [b'~'; WIDTH];
                chunk[place] = byte;
                for (first, last) in
                    [(b'a', b'z'), (b'A', b'Z'), (b'0', b'9'), (b'\t', b'\r'), (b' ', b' '), (0, 127)]
                {
                    let expected = bits(&chunk, |byte| (first..=last).contains(&byte));
                    assert_eq!(between(&chunk, first, last), expected, "{byte} {first} {last}");
                }
                assert_eq!(wide(&chunk), bits(&chunk, |byte| byte >= 0x80));
            }
        }
    }
}
