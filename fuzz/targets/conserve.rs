//! Tolerant parsing accounts for everything: each word is in a frame or in a repair, and in frames only once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet::error::Code;
use motet::parser::stream::{parse_ids, parse_text};
use motet::tokenizer::{SpecialPolicy, encode_with};
use motet_fuzz::{Input, kept, story};
use std::sync::Arc;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let (text, unique) = story(input.data);
    let completion = if input.as_ids {
        let mut ids = Vec::new();
        encode_with(&text, SpecialPolicy::Token, &mut ids).expect("the policy takes all");
        parse_ids(&ids, Arc::clone(&input.options))
    } else {
        parse_text(text.as_bytes(), Arc::clone(&input.options))
    };
    let completion = completion.expect("tolerant parsing never fails");
    let (framed, repaired_texts) = kept(&completion);
    for word in &unique {
        let times = framed.iter().map(|text| text.matches(word.as_str()).count()).sum::<usize>();
        assert!(times <= 1, "{word} came out {times} times of {text:?}: {completion:#?}");
        let repaired = repaired_texts.iter().any(|text| text.contains(word.as_str()));
        // A header that becomes too long is cut where it does, be it within a word.
        let all = framed.iter().chain(&repaired_texts);
        let cut = || {
            (1..word.len()).any(|at| {
                all.clone().any(|text| text.ends_with(&word[..at]))
                    && all.clone().any(|text| text.starts_with(&word[at..]))
            })
        };
        let too_long = completion.repairs.iter().any(|repair| repair.code == Code::HeaderTooLong);
        assert!(times == 1 || repaired || too_long && cut(), "{word} is lost of {text:?}: {completion:#?}");
    }
});
