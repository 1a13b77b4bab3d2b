//! Vector instructions: the classes of 64 bytes at once, as a bit mask for each class, and prefetching.
//!
//! The only file of the crate with unsafe code; every address in it comes from a reference. x86-64 uses AVX2 where the
//! processor has it (detected at run time, and cached by the standard library) and SSE2 otherwise; other architectures
//! use a loop over the bytes. A test compares the versions on every byte at every position.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

pub(super) const BLOCK_BYTES: usize = 64;

pub(super) type Block = [u8; BLOCK_BYTES];

/// For each class of bytes a mask over a block. Bit `i` stands for byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassMasks {
    /// `a` to `z`.
    pub(super) lower: u64,
    /// `A` to `Z`.
    pub(super) upper: u64,
    /// `0` to `9`.
    pub(super) digit: u64,
    /// Tab to carriage return, and the space.
    pub(super) white_space: u64,
    /// Line feed and carriage return.
    pub(super) line_break: u64,
    pub(super) space: u64,
    pub(super) apostrophe: u64,
    pub(super) slash: u64,
    pub(super) non_ascii: u64,
}

#[inline(always)]
pub(super) fn class_masks(block: &Block) -> ClassMasks {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 has just been detected.
            unsafe { avx2::class_masks(block) }
        } else {
            // SAFETY: this is compiled only for targets with SSE2.
            unsafe { sse2::class_masks(block) }
        }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    scalar::class_masks(block)
}

/// The masks of a block, in terms of one kind of vector: its width in bytes, `load` for the vector at an index, and three
/// tests that give a bit for each byte of a vector.
macro_rules! class_masks_by {
    ($width:literal, $load:expr, $equals:expr, $between:expr, $non_ascii:expr) => {{
        let mut masks = ClassMasks::default();
        for index in (0..BLOCK_BYTES / $width).rev() {
            let vector = $load(index);
            let append = |mask: &mut u64, bits: u32| *mask = *mask << ($width % 64) | u64::from(bits);
            append(&mut masks.lower, $between(vector, b'a', b'z'));
            append(&mut masks.upper, $between(vector, b'A', b'Z'));
            append(&mut masks.digit, $between(vector, b'0', b'9'));
            append(&mut masks.white_space, $between(vector, b'\t', b'\r') | $equals(vector, b' '));
            append(&mut masks.line_break, $equals(vector, b'\n') | $equals(vector, b'\r'));
            append(&mut masks.space, $equals(vector, b' '));
            append(&mut masks.apostrophe, $equals(vector, b'\''));
            append(&mut masks.slash, $equals(vector, b'/'));
            append(&mut masks.non_ascii, $non_ascii(vector));
        }
        masks
    }};
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx2 {
    use super::{BLOCK_BYTES, Block, ClassMasks};
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256,
        _mm256_movemask_epi8, _mm256_set1_epi8,
    };

    #[target_feature(enable = "avx2")]
    pub(super) fn class_masks(block: &Block) -> ClassMasks {
        let load = |index: usize| {
            let half = &block[index * 32..index * 32 + 32];
            // SAFETY: reads the 32 bytes of the slice.
            unsafe { _mm256_loadu_si256(half.as_ptr().cast::<__m256i>()) }
        };
        let equals = |vector, byte: u8| {
            _mm256_movemask_epi8(_mm256_cmpeq_epi8(vector, _mm256_set1_epi8(byte.cast_signed())))
                .cast_unsigned()
        };
        let between = |vector, first: u8, last: u8| {
            // Shifted so that the range ends at the largest signed byte, one comparison is enough.
            let shifted = _mm256_add_epi8(vector, _mm256_set1_epi8((127 - last).cast_signed()));
            let before_first = _mm256_set1_epi8(126_u8.wrapping_sub(last - first).cast_signed());
            _mm256_movemask_epi8(_mm256_cmpgt_epi8(shifted, before_first)).cast_unsigned()
        };
        let non_ascii = |vector| _mm256_movemask_epi8(vector).cast_unsigned();
        class_masks_by!(32, load, equals, between, non_ascii)
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2 {
    use super::{BLOCK_BYTES, Block, ClassMasks};
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8,
        _mm_set1_epi8,
    };

    #[target_feature(enable = "sse2")]
    pub(super) fn class_masks(block: &Block) -> ClassMasks {
        let load = |index: usize| {
            let quarter = &block[index * 16..index * 16 + 16];
            // SAFETY: reads the 16 bytes of the slice.
            unsafe { _mm_loadu_si128(quarter.as_ptr().cast::<__m128i>()) }
        };
        let equals = |vector, byte: u8| {
            _mm_movemask_epi8(_mm_cmpeq_epi8(vector, _mm_set1_epi8(byte.cast_signed()))).cast_unsigned()
        };
        let between = |vector, first: u8, last: u8| {
            // As in `avx2`.
            let shifted = _mm_add_epi8(vector, _mm_set1_epi8((127 - last).cast_signed()));
            let before_first = _mm_set1_epi8(126_u8.wrapping_sub(last - first).cast_signed());
            _mm_movemask_epi8(_mm_cmpgt_epi8(shifted, before_first)).cast_unsigned()
        };
        let non_ascii = |vector| _mm_movemask_epi8(vector).cast_unsigned();
        class_masks_by!(16, load, equals, between, non_ascii)
    }
}

#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod scalar {
    use super::{BLOCK_BYTES, Block, ClassMasks};

    pub(super) fn class_masks(block: &Block) -> ClassMasks {
        let load = |index: usize| block[index];
        let equals = |byte: u8, other: u8| u32::from(byte == other);
        let between = |byte: u8, first: u8, last: u8| u32::from((first..=last).contains(&byte));
        let non_ascii = |byte: u8| u32::from(byte >= 0x80);
        class_masks_by!(1, load, equals, between, non_ascii)
    }
}

/// Prefetches the cache line that holds `table[index]`. Without effect if the index is out of bounds.
#[inline(always)]
pub(super) fn prefetch<T>(table: &[T], index: usize) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if let Some(entry) = table.get(index) {
        // SAFETY: the address comes from a reference, and prefetching neither reads nor writes.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(entry).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    let _ = (table, index);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_agree_on_every_byte_and_position() {
        for byte in 0..=u8::MAX {
            for position in 0..BLOCK_BYTES {
                let mut block = [b'~'; BLOCK_BYTES];
                block[position] = byte;
                let expected = scalar::class_masks(&block);
                assert_eq!(class_masks(&block), expected, "{byte}");
                #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
                // SAFETY: this is compiled only for targets with SSE2.
                assert_eq!(unsafe { sse2::class_masks(&block) }, expected, "{byte}");
            }
        }
    }
}
