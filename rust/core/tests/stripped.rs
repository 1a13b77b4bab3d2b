//! Text whose markers are removed: which frames are recognised, which texts stay plain answers, and that chunk boundaries
//! change nothing.

use motet::error::Code;
use motet::frame::Role;
use motet::parser::ParseOptions;
use motet::parser::classify::Kind;
use motet::parser::collect::{ClassifiedFrame, FrameCollector};
use motet::parser::stream::{Completion, StreamParser, parse_ids, parse_text};
use motet::parser::stripped::Stripped;
use motet::tokenizer;
use proptest::prelude::*;
use std::sync::Arc;

fn options(stripped: Stripped) -> Arc<ParseOptions> {
    Arc::new(ParseOptions { role: Some(Role::Assistant), stripped, ..ParseOptions::default() })
}

fn shown(completion: &Completion) -> String {
    format!("{:?} {:?} {:?}", completion.frames, completion.repairs, completion.tokens)
}

/// The frames without their places, which count ids in one lane and bytes in the other.
fn unplaced(completion: &Completion) -> Vec<ClassifiedFrame> {
    completion.frames.iter().map(|frame| ClassifiedFrame { at: 0, ..frame.clone() }).collect()
}

/// Parses a text whole and in chunks, as text and as ids; asserts that all agree, and returns the completion.
fn read(text: &str, stripped: Stripped, cut: impl Fn(usize) -> bool) -> Completion {
    let whole = parse_text(text.as_bytes(), options(stripped)).expect("tolerant");
    let (mut parser, mut collector) = (StreamParser::new(options(stripped)), FrameCollector::default());
    let mut from = 0;
    for at in (1..=text.len()).filter(|at| *at == text.len() || text.is_char_boundary(*at) && cut(*at)) {
        parser.feed_text(&text[from..at], &mut collector).expect("text only");
        from = at;
    }
    if !text.is_empty() {
        assert_eq!(shown(&parser.finish(collector).expect("tolerant")), shown(&whole), "{text:?}");
    }
    let ids = tokenizer::encode(text);
    let by_id = parse_ids(&ids, options(stripped)).expect("tolerant");
    assert_eq!(by_id.tokens.sum(), ids.len() as u64, "{text:?}");
    assert_eq!(unplaced(&by_id), unplaced(&whole), "{text:?}");
    let (mut parser, mut collector) = (StreamParser::new(options(stripped)), FrameCollector::default());
    for id in &ids {
        parser.feed_ids(&[*id], &mut collector).expect("ids only");
    }
    if !ids.is_empty() {
        assert_eq!(shown(&parser.finish(collector).expect("tolerant")), shown(&by_id), "{text:?}");
    }
    whole
}

fn has_lost_its_markers(completion: &Completion) -> bool {
    completion.repairs.iter().any(|repair| repair.code == Code::StrippedMarkers)
}

/// Each byte of the text is in a content or in a repair, once and in order.
fn accounts_for(text: &str, completion: &Completion) {
    let kept = |code| matches!(code, Code::StrippedMarkers | Code::TruncatedHeader | Code::StrayText);
    let repairs = completion.repairs.iter().filter(|repair| kept(repair.code));
    // Repairs that are side by side with nothing between them are one repair with a count.
    let repairs: Vec<(usize, &str)> = repairs
        .flat_map(|repair| {
            (0..repair.count).map(|n| (repair.at + n * repair.text.len(), repair.text.as_str()))
        })
        .collect();
    let mut contents = completion.frames.iter().map(|classified| classified.frame.content.as_str());
    let mut joined = String::new();
    loop {
        if let Some((_, repaired)) = repairs.iter().find(|(at, _)| *at == joined.len()) {
            joined.push_str(repaired);
        } else if let Some(content) = contents.next() {
            joined.push_str(content);
        } else {
            break;
        }
    }
    assert_eq!(joined, text);
}

#[test]
fn every_short_row_of_glued_words_is_read() {
    let words = [
        "analysis",
        "assistant",
        "final",
        "commentary",
        " to=",
        "functions.f",
        "python",
        " json",
        "{",
        "We ",
        "the",
        " ",
        "\n",
        ".",
        "ly",
    ];
    for length in 0..=4 {
        for number in 0..words.len().pow(length) {
            let mut rest = number;
            let mut text = String::new();
            for _ in 0..length {
                text.push_str(words[rest % words.len()]);
                rest /= words.len();
            }
            for stripped in [Stripped::Auto, Stripped::Always] {
                let completion = read(&text, stripped, |_| true);
                if !text.trim().is_empty() && (has_lost_its_markers(&completion)) {
                    accounts_for(&text, &completion);
                }
            }
        }
    }
}

fn sentence() -> impl Strategy<Value = String> {
    let first =
        prop::sample::select(vec!["We", "The", "Compute", "Need", "user", "2+2", "Paris", "So", "**It**"]);
    let word = prop::sample::select(vec![
        "need",
        "to",
        "the",
        "assistant",
        "finally",
        "analysis",
        "of",
        "final",
        "answer",
        "is",
        "commentary",
        "é",
        "42",
        "\"quoted\"",
        "(so)",
        "`code`",
        "\n\n",
        "tool,",
        "for",
        "to=x",
    ]);
    (first, prop::collection::vec(word, 0..30), prop::sample::select(vec![".", "", "\n", "!", "\"", "}"]))
        .prop_map(|(first, words, last)| format!("{first} {}{last}", words.join(" ")))
}

/// `PROPTEST_CASES=100000` looks longer.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1000)
}

#[derive(Clone, Debug)]
enum Said {
    Reasoning(String),
    Preamble(String),
    Call { name: &'static str, arguments: String, first: bool, adjacent: bool },
}

fn said() -> impl Strategy<Value = Said> {
    let names =
        prop::sample::select(vec!["get_weather", "math.sum", "run_analysis", "f", "toJson", "search-web"]);
    let arguments = "(\\{\"[a-z ]{0,8}\": [0-9]{1,4}\\})?";
    prop_oneof![
        sentence().prop_map(Said::Reasoning),
        sentence().prop_map(Said::Preamble),
        (names, arguments, any::<bool>(), any::<bool>())
            .prop_map(|(name, arguments, first, adjacent)| Said::Call { name, arguments, first, adjacent }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    /// What a model wrote comes out the same with its markers and without them.
    #[test]
    fn frames_are_found_without_their_markers(
        first in sentence(),
        middle in prop::collection::vec(said(), 0..4),
        answer in prop::option::of(sentence()),
        seed in any::<u64>(),
    ) {
        let mut text = format!("<|channel|>analysis<|message|>{first}");
        for said in &middle {
            let header = match said {
                Said::Reasoning(text) => format!("<|channel|>analysis<|message|>{text}"),
                Said::Preamble(text) => format!("<|channel|>commentary<|message|>{text}"),
                Said::Call { name, arguments, first: true, .. } => {
                    format!(" to=functions.{name}<|channel|>commentary <|constrain|>json<|message|>{arguments}")
                }
                Said::Call { name, arguments, adjacent: true, .. } => {
                    format!("<|channel|>commentary to=functions.{name}<|message|>{arguments}")
                }
                Said::Call { name, arguments, .. } => {
                    format!("<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}")
                }
            };
            text.push_str("<|end|><|start|>assistant");
            text.push_str(&header);
        }
        if let Some(answer) = &answer {
            text.push_str("<|end|><|start|>assistant<|channel|>final<|message|>");
            text.push_str(answer);
        }
        let marked = parse_text(text.as_bytes(), options(Stripped::Auto)).expect("tolerant");
        let mut plain = text.clone();
        for marker in motet::marker::Marker::ALL {
            plain = plain.replace(marker.spelling(), "");
        }
        // A name that ends in a channel equals one that a channel is glued to, except for `_` before it.
        let stripped = read(&plain, Stripped::Always, |at| (seed.rotate_left(at as u32 % 64) & 3) == 0);
        accounts_for(&plain, &stripped);
        let parts = |completion: &Completion| -> Vec<(Kind, Option<String>, String)> {
            let frames = completion.frames.iter();
            frames.map(|it| (it.kind, it.frame.header.recipient.clone(), it.frame.content.clone())).collect()
        };
        prop_assert_eq!(parts(&stripped), parts(&marked), "{}", plain);
        if !middle.is_empty() || answer.is_some() {
            let guessed = read(&plain, Stripped::Auto, |_| false);
            prop_assert_eq!(parts(&guessed), parts(&marked), "{}", plain);
        }
    }

    /// An answer that was never anything else stays one, whatever words of the format it has in it.
    #[test]
    fn plain_answers_stay_plain(
        first in prop::sample::select(vec![
            "analysis of", "analysis:", "analysis is", "analysis-based", "analysis, then", "Analysis", "Analysis We",
            "analysisResult =", "analysisResult is", "analysis_result", "analysis()", "analysis.We", "analyses",
            "final is", "final answer:", "Final", "FinalThe", "Finally,", "finally", "finals", "finalize", "finalist",
            "finality", "finalScore = 3", "finalAnswer is", "final_score", "final.", "finalI = 3;", "finalIn(x)",
            "final-year", "finalist We", "finally We", "commentary is", "commentary on", "Commentary",
            "commentaryTrack", "commentary to the", "commentary to=the", "commentary to=functions.f is",
            "assistant:", "Assistant", "assistant final", "assistantfinal is",
            "`assistantfinal`", "\"assistantanalysis\"", "assistantFinal = 3",
        ]),
        words in prop::collection::vec(prop::sample::select(vec![
            "the", "data", "shows", "that", "analysis", "final", "assistant", "finally", "We", "assistantfinal",
            "`assistantfinal`", "\"assistantanalysis\"", "(assistantcommentary)", "to=functions.f", "json", "{}",
            "analysisWe", "finalHello", "assistantfinal,", "assistantfinally", "is", "42", "\n\n", "- item",
        ]), 0..400),
        seed in any::<u64>(),
    ) {
        let text = format!("{first} {}", words.join(" "));
        let completion = read(&text, Stripped::Auto, |at| (seed.rotate_left(at as u32 % 64) & 3) == 0);
        prop_assert!(!has_lost_its_markers(&completion), "{}", text);
        prop_assert_eq!(completion.frames.len(), 1, "{}", text);
        prop_assert_eq!(completion.frames[0].kind, Kind::Text);
        prop_assert_eq!(&completion.frames[0].frame.content, &text);
    }
}

/// What is held back does not grow with the input.
#[test]
fn little_is_held_back() {
    for start in
        ["analysisWe ", "analysisCompute ", "plain ", "assistantfinal", "commentary to=functions.f json{"]
    {
        for stripped in [Stripped::Auto, Stripped::Always] {
            let (mut parser, mut collector) =
                (StreamParser::new(options(stripped)), FrameCollector::default());
            parser.feed_text(start, &mut collector).expect("text only");
            let mut fed = start.len();
            for round in 0..20_000 {
                let word = ["assistant ", "word ", "assistantfin"][round % 3];
                parser.feed_text(word, &mut collector).expect("text only");
                fed += word.len();
                let said: usize =
                    collector.frames.iter().map(|classified| classified.frame.content.len()).sum();
                assert!(fed - said <= 8 * 1024 + 64, "{start:?}: {fed} bytes in, {said} out");
            }
        }
    }
}

/// Nor of an answer that follows the reasoning without a header.
#[test]
fn an_answer_without_header_is_not_held_back() {
    let (mut parser, mut collector) = (StreamParser::new(options(Stripped::Auto)), FrameCollector::default());
    parser.feed_text("<|channel|>analysis<|message|>x<|end|>", &mut collector).expect("text only");
    let answer = "The answer is long. ".repeat(1000);
    for (fed, at) in (0..answer.len()).enumerate() {
        parser.feed_text(&answer[at..=at], &mut collector).expect("text only");
        let said = collector.frames.get(1).map_or(0, |classified| classified.frame.content.len());
        assert!(fed - said.min(fed) <= 1024, "{fed} bytes in, {said} out");
    }
    parser.feed_text("<|return|>", &mut collector).expect("text only");
    let completion = parser.finish(collector).expect("tolerant");
    assert_eq!((completion.frames[1].kind, &completion.frames[1].frame.content), (Kind::Text, &answer));
    assert_eq!(completion.repairs.len(), 1);
}

/// Calls that were found by words are never trusted, even from ids.
#[test]
fn what_is_guessed_is_not_trusted() {
    let text = "analysisWe call.assistantcommentary to=functions.delete_all json{}";
    let guessed = parse_ids(&tokenizer::encode(text), options(Stripped::Auto)).expect("tolerant");
    assert_eq!(guessed.frames.len(), 2);
    assert!(guessed.frames[1].call.as_ref().is_some_and(|call| !call.trusted));
}
