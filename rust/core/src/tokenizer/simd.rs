//! Vector instructions: the classes of 64 bytes at once, as a bit mask for each class; the merges of up to 16 tokens; and
//! prefetching.
//!
//! The only file of the crate with unsafe code; every address in it comes from a reference. x86-64 uses AVX-512 or AVX2
//! where the processor has it (detected at run time) and SSE2 otherwise; other architectures use a loop over the bytes.
//! Tests compare the versions.

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
use std::sync::OnceLock;

pub(super) const BLOCK_BYTES: usize = 64;

/// The size of the processor's cache lines. An entry of a table that crosses two of them takes twice the time.
pub(super) const CACHE_LINE_BYTES: usize = 64;

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

/// A function of the masks of a block. It is compiled for each version of them, and so may use the instructions that the
/// version requires. A trait, because closures cannot be `#[inline(always)]`.
pub(super) trait BlockFunction {
    type Output;

    fn call(self, block: &Block, masks: ClassMasks) -> Self::Output;
}

/// Calls a function with the masks of a block.
#[inline(always)]
pub(super) fn with_class_masks<F: BlockFunction>(block: &Block, function: F) -> F::Output {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    match instruction_set() {
        // SAFETY: its instructions have been detected.
        InstructionSet::Avx512 => unsafe { avx512::with_class_masks(block, function) },
        // SAFETY: its instructions have been detected.
        InstructionSet::Avx2 => unsafe { avx2::with_class_masks(block, function) },
        // SAFETY: this is compiled only for targets with SSE2.
        InstructionSet::Sse2 => unsafe { sse2::with_class_masks(block, function) },
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    function.call(block, scalar::class_masks(block))
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstructionSet {
    /// With all of AVX2's.
    Avx512,
    Avx2,
    Sse2,
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn instruction_set() -> InstructionSet {
    use std::arch::is_x86_feature_detected as detected;
    static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
    *DETECTED.get_or_init(|| {
        let has_avx2 = detected!("avx2") && detected!("bmi1") && detected!("bmi2") && detected!("lzcnt");
        match has_avx2 {
            true if detected!("avx512bw") => InstructionSet::Avx512,
            true => InstructionSet::Avx2,
            false => InstructionSet::Sse2,
        }
    })
}

/// Hides from the compiler where a mask comes from. Otherwise it does some of the arithmetic on the mask in vector registers,
/// where sums and shifts of 64 bits take far longer.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(always)]
fn opaque(mut mask: u64) -> u64 {
    // SAFETY: it contains no instruction.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) mask, options(pure, nomem, nostack, preserves_flags));
    }
    mask
}

impl ClassMasks {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    #[inline(always)]
    fn opaque(self) -> ClassMasks {
        ClassMasks {
            lower: opaque(self.lower),
            upper: opaque(self.upper),
            digit: opaque(self.digit),
            white_space: opaque(self.white_space),
            line_break: opaque(self.line_break),
            space: opaque(self.space),
            apostrophe: opaque(self.apostrophe),
            slash: opaque(self.slash),
            non_ascii: opaque(self.non_ascii),
        }
    }
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
mod avx512 {
    use super::{Block, BlockFunction, ClassMasks};
    use std::arch::x86_64::{
        __m512i, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_movepi8_mask,
        _mm512_set1_epi8, _mm512_sub_epi8,
    };

    #[target_feature(enable = "avx512bw,bmi1,bmi2,lzcnt")]
    pub(super) fn with_class_masks<F: BlockFunction>(block: &Block, function: F) -> F::Output {
        function.call(block, class_masks(block).opaque())
    }

    #[target_feature(enable = "avx512bw")]
    #[inline]
    fn class_masks(block: &Block) -> ClassMasks {
        // SAFETY: reads the 64 bytes of the block.
        let vector = unsafe { _mm512_loadu_si512(block.as_ptr().cast::<__m512i>()) };
        let equals = |byte: u8| _mm512_cmpeq_epi8_mask(vector, _mm512_set1_epi8(byte.cast_signed()));
        let between = |first: u8, last: u8| {
            let distance = _mm512_sub_epi8(vector, _mm512_set1_epi8(first.cast_signed()));
            _mm512_cmple_epu8_mask(distance, _mm512_set1_epi8((last - first).cast_signed()))
        };
        ClassMasks {
            lower: between(b'a', b'z'),
            upper: between(b'A', b'Z'),
            digit: between(b'0', b'9'),
            white_space: between(b'\t', b'\r') | equals(b' '),
            line_break: equals(b'\n') | equals(b'\r'),
            space: equals(b' '),
            apostrophe: equals(b'\''),
            slash: equals(b'/'),
            non_ascii: _mm512_movepi8_mask(vector),
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod avx2 {
    use super::{BLOCK_BYTES, Block, BlockFunction, ClassMasks, Codes};
    use std::arch::x86_64::{
        __m256i, _mm_cvtsi128_si32, _mm_minpos_epu16, _mm256_add_epi8, _mm256_alignr_epi8,
        _mm256_blendv_epi8, _mm256_castsi256_si128, _mm256_cmpeq_epi8, _mm256_cmpeq_epi16, _mm256_cmpgt_epi8,
        _mm256_cmpgt_epi16, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_movemask_epi8,
        _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setr_epi16,
        _mm256_storeu_si256,
    };

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    pub(super) fn with_class_masks<F: BlockFunction>(block: &Block, function: F) -> F::Output {
        function.call(block, class_masks(block).opaque())
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn merge_lowest<const NONE: u16>(
        out: &mut Codes,
        merges: &Codes,
        mut count: usize,
        merge: impl Fn(u16, u16) -> u16,
    ) -> usize {
        let load = |numbers: &Codes| {
            // SAFETY: reads the 32 bytes of the array.
            unsafe { _mm256_loadu_si256(numbers.as_ptr().cast::<__m256i>()) }
        };
        let store = |numbers: __m256i, target: &mut Codes| {
            // SAFETY: writes the 32 bytes of the array.
            unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast::<__m256i>(), numbers) }
        };
        let all = |number: u16| _mm256_set1_epi16(number.cast_signed());
        // Each number becomes the next one, and the last one `NONE`.
        let next = |numbers: __m256i| {
            let high_half = _mm256_permute2x128_si256::<0x21>(numbers, all(NONE));
            _mm256_alignr_epi8::<2>(high_half, numbers)
        };
        let places = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        let (mut codes, mut merges) = (load(out), load(merges));
        // The codes with one `NONE` before and some behind, to read the neighbours of any of them.
        let mut bordered = [NONE; 32];
        loop {
            // The lowest number of each half, and its place in the half from bit 16 on: the first one of several.
            let low = _mm_cvtsi128_si32(_mm_minpos_epu16(_mm256_castsi256_si128(merges))).cast_unsigned();
            let high = _mm256_extracti128_si256::<1>(merges);
            let high = _mm_cvtsi128_si32(_mm_minpos_epu16(high)).cast_unsigned();
            let lowest = if low as u16 <= high as u16 { low } else { high + (8 << 16) };
            let (code, place) = (lowest as u16, (lowest >> 16) as usize % 16);
            if code >= NONE {
                store(codes, out);
                return count;
            }
            if let Some(target) = bordered[1..].first_chunk_mut() {
                store(codes, target);
            }
            let (left, right) = (bordered[place], bordered[place + 3]);
            let is_place = _mm256_cmpeq_epi16(places, all(place as u16));
            let is_before = _mm256_cmpeq_epi16(places, all((place as u16).wrapping_sub(1)));
            let is_behind = _mm256_cmpgt_epi16(places, all(place as u16));
            codes = _mm256_blendv_epi8(codes, next(codes), is_behind);
            codes = _mm256_blendv_epi8(codes, all(code), is_place);
            merges = _mm256_blendv_epi8(merges, next(merges), is_behind);
            merges = _mm256_blendv_epi8(merges, all(merge(code, right)), is_place);
            merges = _mm256_blendv_epi8(merges, all(merge(left, code)), is_before);
            count -= 1;
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn class_masks(block: &Block) -> ClassMasks {
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
    use super::{BLOCK_BYTES, Block, BlockFunction, ClassMasks};
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8,
        _mm_set1_epi8,
    };

    #[target_feature(enable = "sse2")]
    pub(super) fn with_class_masks<F: BlockFunction>(block: &Block, function: F) -> F::Output {
        function.call(block, class_masks(block).opaque())
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn class_masks(block: &Block) -> ClassMasks {
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

pub(super) mod scalar {
    #[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
    use super::{BLOCK_BYTES, Block, ClassMasks};

    #[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
    pub(in crate::tokenizer) fn class_masks(block: &Block) -> ClassMasks {
        let load = |index: usize| block[index];
        let equals = |byte: u8, other: u8| u32::from(byte == other);
        let between = |byte: u8, first: u8, last: u8| u32::from((first..=last).contains(&byte));
        let non_ascii = |byte: u8| u32::from(byte >= 0x80);
        class_masks_by!(1, load, equals, between, non_ascii)
    }

    /// What [`merge_lowest`](super::merge_lowest) does, with numbers of any kind. Behind the codes that remain stands anything.
    #[inline(always)]
    pub(in crate::tokenizer) fn merge_lowest<T: Copy + Ord>(
        codes: &mut [T; 16],
        merges: &mut [T; 16],
        mut count: usize,
        none: T,
        merge: impl Fn(T, T) -> T,
    ) -> usize {
        loop {
            let pairs = merges.get(..count.saturating_sub(1)).unwrap_or_default();
            let lowest = pairs.iter().fold(none, |lowest, &code| lowest.min(code));
            if lowest >= none {
                return count;
            }
            let place = pairs.iter().position(|&code| code == lowest).unwrap_or_default() % 16;
            count -= 1;
            for at in place + 1..count {
                codes[at % 16] = codes[(at + 1) % 16];
                merges[(at - 1) % 16] = merges[at % 16];
            }
            codes[place] = lowest;
            if place + 1 < count {
                merges[place] = merge(lowest, codes[(place + 1) % 16]);
            }
            if place > 0 {
                merges[place - 1] = merge(codes[place - 1], lowest);
            }
        }
    }
}

/// As many tokens as [`merge_lowest`] takes.
pub(super) type Codes = [u16; 16];

/// Merges neighbours until none merge: of all pairs the one that makes the lowest code, the leftmost of several. Returns how
/// many of the `count` codes remain. They stand at the start of `codes`; behind them stands `NONE`, before and afterwards.
///
/// `merges` has for each code what it and the next one merge into, or at least `NONE`. `merge` gives the same for any two.
#[inline(always)]
pub(super) fn merge_lowest<const NONE: u16>(
    codes: &mut Codes,
    merges: &Codes,
    count: usize,
    merge: impl Fn(u16, u16) -> u16,
) -> usize {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if instruction_set() != InstructionSet::Sse2 {
        // SAFETY: AVX2 has been detected, which both others have.
        return unsafe { avx2::merge_lowest::<NONE>(codes, merges, count, merge) };
    }
    let count = scalar::merge_lowest(codes, &mut { *merges }, count, NONE, merge);
    codes[count..].fill(NONE);
    count
}

#[cfg(test)]
pub(super) use scalar::class_masks;

/// What [`with_class_masks`] returns with each version for which the processor has the instructions.
#[cfg(test)]
pub(super) fn with_class_masks_of_each_version<F: BlockFunction + Copy>(
    block: &Block,
    function: F,
) -> Vec<F::Output> {
    let mut outputs = vec![with_class_masks(block, function), function.call(block, class_masks(block))];
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        if instruction_set() == InstructionSet::Avx512 {
            // SAFETY: its instructions have been detected with those of AVX-512.
            outputs.push(unsafe { avx2::with_class_masks(block, function) });
        }
        // SAFETY: this is compiled only for targets with SSE2.
        outputs.push(unsafe { sse2::with_class_masks(block, function) });
    }
    outputs
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

    /// The class masks themselves.
    #[derive(Clone, Copy)]
    struct Identity;

    impl BlockFunction for Identity {
        type Output = ClassMasks;

        fn call(self, _: &Block, masks: ClassMasks) -> ClassMasks {
            masks
        }
    }

    #[test]
    fn all_versions_agree_on_every_byte_and_position() {
        for byte in 0..=u8::MAX {
            for position in 0..BLOCK_BYTES {
                let mut block = [b'~'; BLOCK_BYTES];
                block[position] = byte;
                let masks = with_class_masks_of_each_version(&block, Identity);
                assert!(masks.iter().all(|masks| *masks == class_masks(&block)), "{byte}");
            }
        }
    }

    #[test]
    fn all_versions_merge_alike() {
        const NONE: u16 = 500;
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below) as u16
        };
        // Merges as in a vocabulary: into higher codes, and of few pairs.
        let tables: Vec<Vec<u16>> = (1..20)
            .map(|density| {
                let merged = |left: u16, right: u16, chance: u16, step: u16| match left.max(right) + 1 + step
                {
                    code @ ..NONE if chance < density => code,
                    code => NONE + code % 7,
                };
                (0..NONE)
                    .flat_map(|left| (0..NONE).map(move |right| (left, right)))
                    .map(|(left, right)| merged(left, right, random(20), random(40)))
                    .collect()
            })
            .collect();
        for table in &tables {
            let merge = |left: u16, right: u16| {
                if left.max(right) >= NONE {
                    NONE
                } else {
                    table[usize::from(left) * usize::from(NONE) + usize::from(right)]
                }
            };
            for round in 0..2000 {
                let count = usize::from(round % 16 + 1_u16);
                let mut codes = [NONE; 16];
                codes[..count].fill_with(|| random(if round % 3 == 0 { 3 } else { 250 }));
                let merges: Codes = std::array::from_fn(|at| {
                    codes.get(at + 1).map_or(NONE, |&right| merge(codes[at], right))
                });
                let (mut expected, mut found) = (codes, codes);
                let expected_count = scalar::merge_lowest(&mut expected, &mut { merges }, count, NONE, merge);
                expected[expected_count..].fill(NONE);
                assert_eq!(merge_lowest::<NONE>(&mut found, &merges, count, merge), expected_count);
                assert_eq!(found, expected);
                assert!(expected[..expected_count].iter().all(|code| *code < NONE));
                assert!(expected[expected_count..].iter().all(|code| *code == NONE));
            }
        }
    }
}
