//! Ids to the ids lane: nothing fails, events come in order, and every id is counted once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet_fuzz::{Input, assert_same};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let input = Input { as_ids: true, ..input };
    let streamed = input.parse_in_chunks([]);
    assert_same(&streamed, &input.parse(false).expect("tolerant parsing never fails"), "all at once");
    let length = input.ids().len();
    assert_eq!(streamed.tokens.sum(), length as u64, "tokens by channel do not sum to the whole");
    for repair in &streamed.repairs {
        assert!(repair.at <= length, "{repair:?} is beyond the end");
    }
});
