//! Rendered frames parse to the same frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet::frame::{Frame, Stop};
use motet::parser::ParseOptions;
use motet::parser::stream::{Completion, parse_ids};
use motet::render::render_frames;
use motet_fuzz::{Input, first_fault};
use std::sync::Arc;

fn frames(completion: &Completion) -> Vec<Frame> {
    completion.frames.iter().map(|classified| classified.frame.clone()).collect()
}

fn contents(frames: &[Frame]) -> Vec<(&str, Option<Stop>)> {
    frames.iter().map(|frame| (frame.content.as_str(), frame.stop)).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let tolerant = input.parse(false).expect("tolerant parsing never fails");
    let parsed = frames(&tolerant);
    let mut ids = Vec::new();
    let rendered = render_frames(&parsed, &mut ids);
    // Values outside the grammar do not render, and frames without a header or a stop token read differently in another
    // context. What is rendered begins with a header, whatever the prompt had opened.
    let whole = parsed.iter().all(|frame| frame.stop.is_some() && !frame.implied);
    if rendered.is_err() || !whole {
        return;
    }
    let options = Arc::new(ParseOptions { role: None, opened: None, ..ParseOptions::clone(&input.options) });
    let again = frames(&parse_ids(&ids, Arc::clone(&options)).expect("tolerant parsing never fails"));
    assert_eq!(contents(&again), contents(&parsed), "{ids:?}");
    if first_fault(&tolerant).is_none() {
        let strict = Arc::new(ParseOptions { strict: true, ..ParseOptions::clone(&options) });
        assert_eq!(frames(&parse_ids(&ids, strict).expect("it had no fault")), parsed);
    }
});
