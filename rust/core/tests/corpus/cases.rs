//! The corpus is read whole, byte by byte and at random splits, as text and as ids, and gives the same frames and repairs
//! each time. `UPDATE=1 cargo test --test corpus expected` writes anew what comes out of each case.

mod reader;

use motet::parser::collect::{ClassifiedFrame, FrameCollector};
use motet::parser::stream::{Completion, StreamParser, parse_ids, parse_text};
use motet::tokenizer::{SpecialPolicy, encode_with};
use motet::tool_name::name_of;
use reader::cases;
use std::fmt::Write as _;
use std::sync::Arc;

fn dump_frames(frames: &[ClassifiedFrame]) -> String {
    let mut out = String::new();
    for ClassifiedFrame { frame, kind, call, .. } in frames {
        let header = &frame.header;
        write!(out, "{} {}", kind.as_str(), header.role.as_str()).expect("a string");
        for (name, value) in [
            ("name", &header.name),
            ("channel", &header.channel),
            ("to", &header.recipient),
            ("type", &header.content_type),
        ] {
            if let Some(value) = value {
                write!(out, " {name}={value}").expect("a string");
            }
        }
        if let Some(call) =
            call.as_ref().filter(|call| header.recipient.as_deref().map(name_of) != Some(call.name.as_str()))
        {
            write!(out, " tool={}", call.name).expect("a string");
        }
        let implied = if frame.implied { " implied" } else { "" };
        writeln!(out, " stop={}{implied}", frame.stop.map_or("none", |stop| stop.as_str()))
            .expect("a string");
        writeln!(out, "  {:?}", frame.content).expect("a string");
    }
    out
}

fn dump(completion: &Completion, positions: bool) -> String {
    let mut out = dump_frames(&completion.frames);
    for repair in &completion.repairs {
        let at = if positions { format!(" @{}", repair.at) } else { String::new() };
        writeln!(out, "! {}{at} {:?}", repair.code.as_str(), repair.text).expect("a string");
    }
    out
}

fn ids(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    encode_with(text, SpecialPolicy::Token, &mut ids).expect("the policy takes all");
    ids
}

#[test]
fn every_case_comes_out_as_expected() {
    let mut wrong = String::new();
    for case in cases() {
        let completion = parse_text(case.input.as_bytes(), Arc::clone(&case.options)).expect("tolerant");
        let dumped = dump(&completion, true);
        if std::env::var_os("UPDATE").is_some() {
            let text = format!("{}===\n{}\n===\n{dumped}", case.head, case.input);
            std::fs::write(&case.path, text).expect("writable");
        } else if dumped != case.expected {
            writeln!(wrong, "{}\n--- expected\n{}--- actual\n{dumped}", case.path.display(), case.expected)
                .expect("a string");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn ids_and_text_give_the_same() {
    for case in cases() {
        let text = parse_text(case.input.as_bytes(), Arc::clone(&case.options)).expect("tolerant");
        let ids = parse_ids(&ids(&case.input), Arc::clone(&case.options)).expect("tolerant");
        assert_eq!(dump(&ids, false), dump(&text, false), "{}", case.path.display());
    }
}

#[test]
fn every_token_is_counted_once() {
    for case in cases() {
        let ids = ids(&case.input);
        let tokens = parse_ids(&ids, Arc::clone(&case.options)).expect("tolerant").tokens;
        let sum = tokens.analysis + tokens.commentary + tokens.r#final + tokens.markup + tokens.other;
        assert_eq!(sum, ids.len() as u64, "{}: {tokens:?}", case.path.display());
    }
}

/// Splits of `0..len` into runs: one by one, halves at every place, and pseudo-random ones.
fn splits(len: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![(1..len).collect()];
    all.extend((1..len).map(|cut| vec![cut]));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20 {
        let mut cuts = Vec::new();
        for cut in 1..len {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            if state >> 61 == 0 {
                cuts.push(cut);
            }
        }
        all.push(cuts);
    }
    all
}

fn chunks<'a, T>(items: &'a [T], cuts: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(items.len()));
    starts.zip(ends).map(|(start, end)| &items[start..end])
}

#[test]
fn however_it_is_cut_it_is_the_same() {
    for case in cases() {
        let whole = parse_text(case.input.as_bytes(), Arc::clone(&case.options)).expect("tolerant");
        let bytes = case.input.as_bytes();
        for cuts in splits(bytes.len()) {
            let (mut parser, mut collector) =
                (StreamParser::new(Arc::clone(&case.options)), FrameCollector::default());
            for chunk in chunks(bytes, &cuts) {
                parser.feed_bytes(chunk, &mut collector).expect("text only");
            }
            let cut = parser.finish(collector).expect("tolerant");
            assert_eq!(dump(&cut, true), dump(&whole, true), "{} cut at {cuts:?}", case.path.display());
            assert_eq!(cut.tokens, whole.tokens, "{} cut at {cuts:?}", case.path.display());
        }
        let ids = ids(&case.input);
        let whole = parse_ids(&ids, Arc::clone(&case.options)).expect("tolerant");
        for cuts in splits(ids.len()) {
            let (mut parser, mut collector) =
                (StreamParser::new(Arc::clone(&case.options)), FrameCollector::default());
            for chunk in chunks(&ids, &cuts) {
                parser.feed_ids(chunk, &mut collector).expect("ids only");
            }
            let cut = parser.finish(collector).expect("tolerant");
            assert_eq!(dump(&cut, true), dump(&whole, true), "{} cut at {cuts:?}", case.path.display());
            assert_eq!(cut.tokens, whole.tokens, "{} cut at {cuts:?}", case.path.display());
        }
    }
}
