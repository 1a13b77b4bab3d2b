//! Sixty-four bytes at once: which of them are letters, digits, white space, as a bit for each byte; and memory fetched
//! before it is read. What the bits mean for pieces is decided in `blocks.rs`.
//!
//! The only file of the core with unsafe code. On x86-64 it is AVX2 where the machine has it, which is asked once, and
//! SSE2 elsewhere, which every such machine has; on other machines a loop over the bytes does the same. A test compares
//! them on every byte at every place. No address is made here but from a reference.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// As many bytes as are looked at together.
pub(crate) const WIDTH: usize = 64;

pub(crate) type Block = [u8; WIDTH];

/// A bit for each byte of a block that is of a class, the first byte's the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Classes {
    /// `a` to `z`.
    pub(crate) lower: u64,
    /// `A` to `Z`.
    pub(crate) upper: u64,
    /// `0` to `9`.
    pub(crate) digit: u64,
    /// Tab to carriage return, and the space.
    pub(crate) white: u64,
    /// Line feed and carriage return.
    pub(crate) line: u64,
    pub(crate) space: u64,
    pub(crate) apostrophe: u64,
    pub(crate) slash: u64,
    /// All that is not ASCII.
    pub(crate) wide: u64,
}

/// The classes of sixty-four bytes.
#[inline(always)]
pub(crate) fn classes(block: &Block) -> Classes {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            unsafe { avx2::classes(block) }
        } else {
            // SAFETY: the machine has SSE2, or this would not be compiled.
            unsafe { sse2::classes(block) }
        }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    plain::classes(block)
}

/// What is asked of a byte, in the terms of a kind of vector: how wide it is, how a byte gets to all places, how two
/// vectors are compared, and how the answer becomes bits.
macro_rules! classes_with {
    ($width:literal, $load:expr, $is:expr, $between:expr, $wide:expr) => {{
        let mut all = Classes::default();
        for number in (0..WIDTH / $width).rev() {
            let part = $load(number);
            let add = |bits: &mut u64, more: u32| *bits = *bits << ($width % 64) | u64::from(more);
            add(&mut all.lower, $between(part, b'a', b'z'));
            add(&mut all.upper, $between(part, b'A', b'Z'));
            add(&mut all.digit, $between(part, b'0', b'9'));
            add(&mut all.white, $between(part, b'\t', b'\r') | $is(part, b' '));
            add(&mut all.line, $is(part, b'\n') | $is(part, b'\r'));
            add(&mut all.space, $is(part, b' '));
            add(&mut all.apostrophe, $is(part, b'\''));
            add(&mut all.slash, $is(part, b'/'));
            add(&mut all.wide, $wide(part));
        }
        all
    }};
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx2 {
    use super::{Block, Classes, WIDTH};
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256,
        _mm256_movemask_epi8, _mm256_set1_epi8,
    };

    #[target_feature(enable = "avx2")]
    pub(super) fn classes(block: &Block) -> Classes {
        let load = |number: usize| {
            let half = &block[number * 32..number * 32 + 32];
            // SAFETY: reads the 32 bytes of the slice.
            unsafe { _mm256_loadu_si256(half.as_ptr().cast::<__m256i>()) }
        };
        let is = |part, byte: u8| {
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(part, _mm256_set1_epi8(byte.cast_signed())))
                .cast_unsigned()
        };
        let between = |part, first: u8, last: u8| {
            let moved = _mm256_add_epi8(part, _mm256_set1_epi8((127 - last).cast_signed()));
            let least = _mm256_set1_epi8(126_u8.wrapping_sub(last - first).cast_signed());
            _mm256_movemask_epi8(_mm256_cmpgt_epi8(moved, least)).cast_unsigned()
        };
        let wide = |part| _mm256_movemask_epi8(part).cast_unsigned();
        classes_with!(32, load, is, between, wide)
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2 {
    use super::{Block, Classes, WIDTH};
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8,
        _mm_set1_epi8,
    };

    #[target_feature(enable = "sse2")]
    pub(super) fn classes(block: &Block) -> Classes {
        let load = |number: usize| {
            let quarter = &block[number * 16..number * 16 + 16];
            // SAFETY: reads the 16 bytes of the slice.
            unsafe { _mm_loadu_si128(quarter.as_ptr().cast::<__m128i>()) }
        };
        let is = |part, byte: u8| {
            _mm_movemask_epi8(_mm_cmpeq_epi8(part, _mm_set1_epi8(byte.cast_signed()))).cast_unsigned()
        };
        let between = |part, first: u8, last: u8| {
            // Moved so that the range ends at the largest signed byte, one comparison is enough.
            let moved = _mm_add_epi8(part, _mm_set1_epi8((127 - last).cast_signed()));
            let least = _mm_set1_epi8(126_u8.wrapping_sub(last - first).cast_signed());
            _mm_movemask_epi8(_mm_cmpgt_epi8(moved, least)).cast_unsigned()
        };
        let wide = |part| _mm_movemask_epi8(part).cast_unsigned();
        classes_with!(16, load, is, between, wide)
    }
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod plain {
    use super::{Block, Classes, WIDTH};

    pub(super) fn classes(block: &Block) -> Classes {
        let load = |number: usize| block[number];
        let is = |part: u8, byte: u8| u32::from(part == byte);
        let between = |part: u8, first: u8, last: u8| u32::from((first..=last).contains(&part));
        let wide = |part: u8| u32::from(part >= 0x80);
        classes_with!(1, load, is, between, wide)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_agree_on_every_byte_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..WIDTH {
                let mut block = [b'~'; WIDTH];
                block[place] = byte;
                let expected = plain::classes(&block);
                assert_eq!(classes(&block), expected, "{byte}");
                #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
                // SAFETY: as above.
                assert_eq!(unsafe { sse2::classes(&block) }, expected, "{byte}");
            }
        }
    }
}
