//! Bytes to the text lane: nothing fails, events come in order, what is invalid is replaced as Rust replaces it, and text
//! that follows the format is read without the machine as with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet::parser::collect::ClassifiedFrame;
use motet::parser::stream::Completion;
use motet_fuzz::{Input, assert_same, assert_well_formed};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let input = Input { as_ids: false, ..input };
    let streamed = input.parse_in_chunks([]);
    let whole = input.parse(false).expect("tolerant parsing never fails");
    assert_same(&streamed, &whole, "all at once");
    if let Ok(text) = std::str::from_utf8(input.data) {
        assert_well_formed(text, &input.options, &whole);
    }
    for repair in &streamed.repairs {
        assert!(repair.at <= input.data.len(), "{repair:?} is beyond the end");
    }
    // Text that is replaced before parsing has equal frames. Their places differ: a replacement has three bytes.
    let replaced = String::from_utf8_lossy(input.data).into_owned();
    let clean = Input { data: replaced.as_bytes(), ..input.clone() };
    let without_places = |completion: Completion| {
        let frames = completion.frames.into_iter();
        frames.map(|frame| ClassifiedFrame { at: 0, ..frame }).collect::<Vec<_>>()
    };
    assert_eq!(without_places(clean.parse_in_chunks([])), without_places(streamed));
});
