//! What the targets share: how bytes become inputs, and how what was heard is checked.

use motet::error::{ParseError, Repair, Tier};
use motet::frame::{Role, Stop};
use motet::marker::Marker;
use motet::parser::collect::FrameCollector;
use motet::parser::opened::Opened;
use motet::parser::stream::{Completion, StreamParser, parse_ids, parse_text};
use motet::parser::stripped::Stripped;
use motet::parser::tool_names::ToolNames;
use motet::parser::well_formed::{WellFormedHeader, WellFormedReader};
use motet::parser::{FrameStart, ParseOptions, Sink};
use motet::tokenizer;
use std::sync::{Arc, OnceLock};

/// Words of headers and what often stands beside them. A blank, because it belongs to the word, stands in front.
const WORDS: [&str; 32] = [
    "assistant",
    "user",
    "system",
    "developer",
    "tool",
    "analysis",
    "commentary",
    "final",
    " to",
    "=",
    "to",
    "functions",
    ".get",
    "_weather",
    " functions",
    "python",
    "browser",
    ".search",
    " json",
    "json",
    " code",
    " ",
    "\n",
    "{",
    "}",
    "{}",
    "\"",
    "?",
    ":",
    "Hi",
    " Hi",
    "<|",
];

/// Behind the markers and the words a byte begins an id that the next ones say.
const FIRST_FREE: usize = Marker::ALL.len() + WORDS.len();

/// The input of a target: a byte of options, and the rest.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    pub options: Arc<ParseOptions>,
    /// The lane, for targets that try both.
    pub as_ids: bool,
    pub data: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Option<Input<'a>> {
        let (&flags, data) = data.split_first()?;
        let tools = ["get_weather", "get_weather.json", "bash", "get user"].map(str::to_owned);
        let tools = if flags & 4 == 0 { ToolNames::default() } else { ToolNames::new(tools) };
        let opened = [None, None, Some("analysis"), Some("<|channel|>")][usize::from(flags >> 6)];
        let options = ParseOptions {
            role: if flags & 3 == 1 || flags & 3 == 2 { None } else { Some(Role::Assistant) },
            transcript: flags & 3 == 2,
            opened: opened.map(|text| Opened::new(text, &tools).expect("the end of a prompt")),
            tools,
            stripped: [Stripped::Auto, Stripped::Auto, Stripped::Always, Stripped::Never]
                [usize::from(flags >> 4 & 3)],
            ..ParseOptions::default()
        };
        Some(Input { options: Arc::new(options), as_ids: flags & 8 != 0, data })
    }

    /// The data as ids: a byte is a marker, a word, or the first of three that are an id, be it a valid one or not.
    pub fn ids(&self) -> Vec<u32> {
        static WORD_IDS: OnceLock<Vec<Vec<u32>>> = OnceLock::new();
        let words = WORD_IDS.get_or_init(|| WORDS.map(tokenizer::encode).into());
        let mut ids = Vec::with_capacity(self.data.len());
        let mut rest = self.data.iter();
        while let Some(&byte) = rest.next() {
            let class = usize::from(byte);
            if let Some(marker) = Marker::ALL.get(class) {
                ids.push(marker.id());
            } else if let Some(word) = words.get(class - Marker::ALL.len()) {
                ids.extend_from_slice(word);
            } else {
                let mut next = || u32::from(rest.next().copied().unwrap_or_default());
                let first = (class - FIRST_FREE) as u32;
                ids.push((first | next() << 8 | next() << 16) % 201_200);
            }
        }
        ids
    }

    pub fn parse(&self, strict: bool) -> Result<Completion, ParseError> {
        let options = Arc::new(ParseOptions { strict, ..ParseOptions::clone(&self.options) });
        if self.as_ids { parse_ids(&self.ids(), options) } else { parse_text(self.data, options) }
    }

    /// Parses in chunks, and checks the order of the events.
    pub fn parse_in_chunks(&self, chunks: impl IntoIterator<Item = usize>) -> Completion {
        let (mut parser, mut sink) =
            (StreamParser::new(Arc::clone(&self.options)), CheckedCollector::default());
        if self.as_ids {
            let ids = self.ids();
            for (start, end) in cuts(ids.len(), chunks) {
                parser.feed_ids(&ids[start..end], &mut sink).expect("one lane");
            }
        } else {
            for (start, end) in cuts(self.data.len(), chunks) {
                parser.feed_bytes(&self.data[start..end], &mut sink).expect("one lane");
            }
        }
        parser.close(&mut sink);
        assert!(!sink.open, "a frame is left open");
        assert!(parser.error().is_none(), "tolerant parsing failed: {:?}", parser.error());
        parser.complete(sink.collector)
    }
}

/// The ranges between cuts at these distances; what is left is the last one.
fn cuts(length: usize, chunks: impl IntoIterator<Item = usize>) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut done = 0;
    for chunk in chunks {
        if done >= length {
            break;
        }
        let end = (done + chunk).min(length);
        ranges.push((done, end));
        done = end;
    }
    ranges.push((done, length));
    ranges
}

/// Collects events, and asserts their order: start, deltas, end.
#[derive(Debug, Default)]
struct CheckedCollector {
    collector: FrameCollector,
    open: bool,
}

impl Sink for CheckedCollector {
    fn start(&mut self, start: FrameStart) {
        assert!(!std::mem::replace(&mut self.open, true), "a frame starts in another");
        self.collector.start(start);
    }

    fn delta(&mut self, text: &str) {
        assert!(self.open && !text.is_empty(), "a delta without a frame, or without text");
        self.collector.delta(text);
    }

    fn end(&mut self, stop: Option<Stop>) {
        assert!(std::mem::replace(&mut self.open, false), "a frame ends without a start");
        self.collector.end(stop);
    }

    fn repair(&mut self, repair: Repair) {
        self.collector.repair(repair);
    }

    fn content(&self) -> &str {
        self.collector.content()
    }
}

/// Asserts that two completions of one input are equal.
pub fn assert_same(left: &Completion, right: &Completion, what: &str) {
    let rest = |completion: &Completion| (completion.stop, completion.tokens);
    let same = left.frames == right.frames && left.repairs == right.repairs && rest(left) == rest(right);
    assert!(same, "{what}: {left:#?} is not {right:#?}");
}

/// Asserts that a text is read without the machine as with it, if it follows the format: first with headers that the machine
/// parses, then with those that the reader keeps.
pub fn assert_well_formed(text: &str, options: &Arc<ParseOptions>, expected: &Completion) {
    let expected_frames = expected.frames.iter().map(|classified| {
        let recipient = classified.frame.header.recipient.as_deref().unwrap_or_default();
        let call = classified.call.as_ref();
        let call = call.map_or(("", false, ""), |call| (&call.name, call.trusted, &call.id));
        (classified.kind, classified.bucket(), classified.frame.content.as_str(), recipient, call)
    });
    let expected_frames: Vec<_> = expected_frames.collect();
    let (mut reader, mut is_read) = (WellFormedReader::new(Arc::clone(options)), false);
    for headers in ["parsed", "kept"] {
        let Some(completion) = reader.read(text) else {
            assert!(!is_read, "text is not read again with {headers} headers");
            return;
        };
        is_read = true;
        let frames = completion.frames.iter().map(|frame| {
            let WellFormedHeader { kind, tool, recipient, trusted, bucket, .. } = &*frame.header;
            let call = (tool.as_str(), *trusted, frame.call_id.as_str());
            (*kind, *bucket, &text[frame.content.clone()], recipient.as_str(), call)
        });
        assert_eq!(frames.collect::<Vec<_>>(), expected_frames, "frames with {headers} headers");
        let ends = (completion.stop, completion.repair.as_slice(), completion.markup);
        let expected_ends = (expected.stop, expected.repairs.as_slice(), expected.tokens.markup);
        assert_eq!(ends, expected_ends, "stop, repairs and markup with {headers} headers");
    }
}

/// The first fault: what strict parsing raises.
pub fn first_fault(completion: &Completion) -> Option<&Repair> {
    completion.repairs.iter().find(|repair| repair.code.tier() == Tier::Fault)
}

/// All texts that came out: contents, values of headers, what repairs keep.
pub fn kept(completion: &Completion) -> (Vec<&str>, Vec<&str>) {
    let mut framed = Vec::new();
    for classified in &completion.frames {
        let header = &classified.frame.header;
        let values = [&header.name, &header.recipient, &header.channel, &header.content_type];
        framed.push(classified.frame.content.as_str());
        framed.extend(values.into_iter().flatten().map(String::as_str));
    }
    (framed, completion.repairs.iter().map(|repair| repair.text.as_str()).collect())
}

/// A word for each byte of the data, so that each that is neither marker nor word of a header is there once.
pub fn story(data: &[u8]) -> (String, Vec<String>) {
    let (mut text, mut unique) = (String::new(), Vec::new());
    for (index, &byte) in data.iter().enumerate() {
        let class = usize::from(byte) % (FIRST_FREE + 16);
        if let Some(marker) = Marker::ALL.get(class) {
            text.push_str(marker.spelling());
        } else if let Some(word) = WORDS.get(class - Marker::ALL.len()) {
            text.push_str(word);
        } else {
            // With a border, so that none is the beginning of another.
            let word = format!("kept{index}x");
            if class % 2 == 0 {
                text.push(' ');
            }
            text.push_str(&word);
            unique.push(word);
        }
    }
    (text, unique)
}
