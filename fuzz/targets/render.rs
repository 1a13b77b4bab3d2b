//! What was read is written, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet::frame::{Frame, Stop};
use motet::parser::ParseOptions;
use motet::parser::stream::{Completion, parse_ids};
use motet::render::render_frames;
use motet_fuzz::{Input, first_fault};
use std::sync::Arc;

fn frames(completion: &Completion) -> Vec<Frame> {
    completion.frames.iter().map(|folded| folded.frame.clone()).collect()
}

fn contents(frames: &[Frame]) -> Vec<(&str, Option<Stop>)> {
    frames.iter().map(|frame| (frame.content.as_str(), frame.stop)).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let tolerant = input.parse(false).expect("tolerant parsing never fails");
    let found = frames(&tolerant);
    let mut ids = Vec::new();
    let written = render_frames(&found, &mut ids);
    // Values that only the tolerant parser lets through, and frames without a header or a stop, are for another
    // context to understand.
    let whole = found.iter().all(|frame| frame.stop.is_some() && !frame.implied);
    if written.is_err() || !whole {
        return;
    }
    let options = Arc::new(ParseOptions { role: None, ..ParseOptions::clone(&input.options) });
    let again = frames(&parse_ids(&ids, Arc::clone(&options)).expect("tolerant parsing never fails"));
    assert_eq!(contents(&again), contents(&found), "{ids:?}");
    if first_fault(&tolerant).is_none() {
        let strict = Arc::new(ParseOptions { strict: true, ..ParseOptions::clone(&options) });
        assert_eq!(frames(&parse_ids(&ids, strict).expect("it had no fault")), found);
    }
});
