//! Strict parsing accepts what has no fault, with the same result, and else raises the first fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use motet_fuzz::{Input, assert_same, first_fault};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let tolerant = input.parse(false).expect("tolerant parsing never fails");
    match (input.parse(true), first_fault(&tolerant)) {
        (Ok(strict), None) => assert_same(&strict, &tolerant, "strict"),
        (Err(error), Some(fault)) => {
            // Tolerant parsing takes together what stands side by side; strict parsing stops at the first.
            let (strict, tolerant) = (&error.repair, fault);
            assert_eq!((strict.code, strict.at), (tolerant.code, tolerant.at));
            assert!(tolerant.text.starts_with(&strict.text), "{strict:?} is not where {tolerant:?} begins");
        }
        (strict, fault) => panic!("{strict:?} but {fault:?}"),
    }
});
