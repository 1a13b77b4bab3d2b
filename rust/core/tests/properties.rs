//! Properties of the parser, on every short input and on every small damage to the corpus.

#[path = "corpus/reader.rs"]
#[allow(dead_code)]
mod reader;

use motet::frame::Role;
use motet::marker::Marker;
use motet::parser::ParseOptions;
use motet::parser::collect::FrameCollector;
use motet::parser::stream::{Completion, Lane, StreamParser, is_plain, parse_ids, parse_str};
use motet::tokenizer::{self, vocabulary};
use std::sync::Arc;

fn options(role: Option<Role>) -> Arc<ParseOptions> {
    Arc::new(ParseOptions { role, ..ParseOptions::default() })
}

/// What the comparisons look at.
fn shown(completion: &Completion) -> String {
    format!("{:?} {:?} {:?} {:?}", completion.frames, completion.repairs, completion.stop, completion.tokens)
}

/// Asserts that tolerant parsing counts every token, that strict parsing agrees with it, and that parsing id by id gives
/// the same.
fn check(ids: &[u32], options: &Arc<ParseOptions>) {
    let whole = parse_ids(ids, Arc::clone(options)).expect("tolerant parsing never fails");
    assert_eq!(whole.tokens.sum(), ids.len() as u64, "{ids:?}");
    let (mut parser, mut collector) = (StreamParser::new(Arc::clone(options)), FrameCollector::default());
    for id in ids {
        parser.feed_ids(&[*id], &mut collector).expect("ids only");
    }
    if ids.is_empty() {
        return;
    }
    let streamed = parser.finish(collector).expect("tolerant parsing never fails");
    assert_eq!(shown(&streamed), shown(&whole), "{ids:?}");
    assert_eq!(shown(&fed_plain(ids, options)), shown(&whole), "{ids:?}");
    let strict = Arc::new(ParseOptions { strict: true, ..ParseOptions::clone(options) });
    let fault = whole.repairs.iter().find(|repair| repair.code.tier() == motet::error::Tier::Fault);
    match (parse_ids(ids, strict), fault) {
        (Ok(strict), None) => assert_eq!(shown(&strict), shown(&whole), "{ids:?}"),
        (Err(error), Some(fault)) => {
            assert_eq!((error.repair.code, error.repair.at), (fault.code, fault.at), "{ids:?}");
        }
        (strict, fault) => panic!("{ids:?}: {strict:?} but {fault:?}"),
    }
}

/// The completion of ids of which each that is plain is read as such.
fn fed_plain(ids: &[u32], options: &Arc<ParseOptions>) -> Completion {
    let (mut parser, mut collector) = (StreamParser::new(Arc::clone(options)), FrameCollector::default());
    for id in ids {
        match vocabulary::ordinary_text(*id).filter(|text| is_plain(text)) {
            Some(text) if parser.takes_plain(Lane::Ids) => parser.feed_plain(text, &mut collector),
            _ => parser.feed_ids(&[*id], &mut collector).expect("ids only"),
        }
    }
    parser.finish(collector).expect("tolerant parsing never fails")
}

fn word(text: &str) -> u32 {
    match tokenizer::encode(text).as_slice() {
        [id] => *id,
        ids => panic!("{text:?} is {} tokens", ids.len()),
    }
}

/// The tokens that matter, each class by one of it.
fn alphabet() -> Vec<u32> {
    let markers = Marker::ALL.iter().map(|marker| marker.id());
    markers.chain(["assistant", "final", " to", "="].map(word)).collect()
}

#[test]
fn every_short_stream_is_read() {
    let alphabet = alphabet();
    for role in [Some(Role::Assistant), None] {
        let options = options(role);
        for length in 0..=5 {
            let mut stream = vec![0; length];
            for number in 0..alphabet.len().pow(length as u32) {
                let mut rest = number;
                for place in &mut stream {
                    *place = alphabet[rest % alphabet.len()];
                    rest /= alphabet.len();
                }
                check(&stream, &options);
            }
        }
    }
}

fn corpus() -> Vec<Vec<u32>> {
    let ids = |case: reader::Case| {
        let mut ids = Vec::new();
        tokenizer::encode_with(&case.input, tokenizer::SpecialPolicy::Token, &mut ids).expect("taken");
        ids
    };
    reader::cases().into_iter().map(ids).collect()
}

#[test]
fn every_prefix_and_every_small_damage_is_read() {
    let options = options(Some(Role::Assistant));
    let markers = Marker::ALL.map(Marker::id);
    for ids in corpus() {
        for at in 0..ids.len() {
            check(&ids[..at], &options);
            let edit = |change: &dyn Fn(&mut Vec<u32>)| {
                let mut edited = ids.clone();
                change(&mut edited);
                check(&edited, &options);
            };
            edit(&|ids| {
                ids.remove(at);
            });
            edit(&|ids| ids.insert(at, ids[at]));
            edit(&|ids| ids.swap(at, at.saturating_sub(1)));
            for marker in markers {
                edit(&|ids| ids[at] = marker);
                edit(&|ids| ids.insert(at, marker));
            }
        }
    }
}

/// Bytes at the borders of what UTF-8 allows: every sequence of four, cut everywhere, reads as the standard library
/// reads it.
#[test]
fn bytes_are_read_as_utf8_however_they_are_cut() {
    let bytes = [
        0x00, 0x3c, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
        0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
    ];
    let options = options(Some(Role::Assistant));
    let opened = {
        let (mut parser, mut collector) = (StreamParser::new(options), FrameCollector::default());
        parser.feed_text("<|channel|>final<|message|>", &mut collector).expect("text only");
        (parser, collector)
    };
    for number in 0..bytes.len().pow(4) {
        let text: Vec<u8> =
            (0..4).map(|place| bytes[number / bytes.len().pow(place) % bytes.len()]).collect();
        let expected = String::from_utf8_lossy(&text);
        for cuts in 0..8_u32 {
            let (mut parser, mut collector) = opened.clone();
            let mut done = 0;
            for at in 1..=4 {
                if at == 4 || cuts >> (at - 1) & 1 == 1 {
                    parser.feed_bytes(&text[done..at], &mut collector).expect("text only");
                    done = at;
                }
            }
            let completion = parser.finish(collector).expect("tolerant");
            assert_eq!(completion.frames[0].frame.content, expected, "{text:x?} {cuts:b}");
        }
    }
}

/// Deltas of a prefix are a prefix of the deltas of the whole: what was said is never taken back.
#[test]
fn nothing_that_was_said_is_taken_back() {
    for ids in corpus() {
        let options = options(Some(Role::Assistant));
        let whole = parse_ids(&ids, Arc::clone(&options)).expect("tolerant");
        let (mut parser, mut collector) = (StreamParser::new(options), FrameCollector::default());
        for id in &ids {
            parser.feed_ids(&[*id], &mut collector).expect("ids only");
            for (early, late) in collector.frames.iter().zip(&whole.frames) {
                assert_eq!(early.kind, late.kind);
                assert_eq!(early.frame.header, late.frame.header);
                assert!(late.frame.content.starts_with(&early.frame.content));
            }
        }
    }
}

/// Text in chunks of every size, of which each that is plain is read as such.
#[test]
fn plain_chunks_of_text_are_read_as_others() {
    let texts = [
        "<|channel|>final<|message|>Is it 1 <2 or a <|mark|>? {}assistant<|channel|>final<|message|>Übersicht.assistan<|end|>",
        "<|channel|>commentary to=functions.f<|message|>{\"a\": 1}assistant<|channel|>final<|message|>so<|return|>",
        "analysisWe need this.assistantfinalHello there",
    ];
    let options = options(Some(Role::Assistant));
    for text in texts {
        let whole = parse_str(text, Arc::clone(&options)).expect("tolerant");
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for size in 1..16 {
            let (mut parser, mut collector) =
                (StreamParser::new(Arc::clone(&options)), FrameCollector::default());
            for cut in places.iter().step_by(size).chain([&text.len()]).collect::<Vec<_>>().windows(2) {
                let chunk = &text[*cut[0]..*cut[1]];
                if is_plain(chunk) && parser.takes_plain(Lane::Text) {
                    parser.feed_plain(chunk, &mut collector);
                } else {
                    parser.feed_text(chunk, &mut collector).expect("text only");
                }
            }
            let streamed = parser.finish(collector).expect("tolerant");
            assert_eq!(shown(&streamed), shown(&whole), "{text} in chunks of {size}");
        }
    }
}
