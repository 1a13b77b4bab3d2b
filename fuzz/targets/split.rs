//! Chunk boundaries do not change the completion, in either lane.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet_fuzz::{Input, assert_same};

fuzz_target!(|data: &[u8]| {
    let Some((&seed, data)) = data.split_first() else { return };
    let Some(input) = Input::new(data) else { return };
    let whole = input.parse_in_chunks([]);
    assert_same(&input.parse_in_chunks(std::iter::repeat(1)), &whole, "one by one");
    let mut state = u32::from(seed) | 0x100;
    let odd = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (state >> 16) as usize % 7
    });
    assert_same(&input.parse_in_chunks(odd), &whole, "cut by its seed");
});
