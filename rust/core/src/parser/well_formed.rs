//! Reads completions that follow the format without the machine. Their frames are found by their markers, and a header
//! is parsed by the machine only where it occurs first: most completions of a data set have the same few headers.

use super::ParseOptions;
use super::classify::{ChannelBucket, Kind};
use super::collect::{Digest, FrameCollector};
use super::framing::{content_fault, spelling, stop_fault};
use super::lexer::{TextLexer, marker_at};
use super::machine::{CurrentFrame, Parser, State};
use crate::error::{Code, Repair};
use crate::frame::{Role, Stop};
use crate::marker::Marker;
use memchr::memmem::Finder;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// The number of places for headers. A header that finds its place taken replaces the other one.
const HEADER_SLOTS: usize = 128;

/// Longer headers are not kept: 32 kB when all places are taken.
const MAX_HEADER_BYTES: usize = 256;

/// Reads one completion after the other with the same options, and keeps the headers that it has parsed.
#[derive(Debug)]
pub struct WellFormedReader {
    options: Arc<ParseOptions>,
    /// Whether completions with these options are read.
    is_enabled: bool,
    opening: Finder<'static>,
    message: Finder<'static>,
    headers: Vec<Option<KeptHeader>>,
    frames: Vec<WellFormedFrame>,
}

/// The part of a frame up to its `<|message|>`.
#[derive(Debug)]
struct KeptHeader {
    spelling: Box<str>,
    is_first: bool,
    /// `None`: it needs a repair, or more of the input to be understood.
    header: Option<Rc<WellFormedHeader>>,
}

/// What a header says.
#[derive(Debug)]
pub struct WellFormedHeader {
    pub kind: Kind,
    /// The name of the called tool, without `functions.`; empty if the frame is not a call.
    pub tool: String,
    /// Without `to=`; empty if there is none.
    pub recipient: String,
    /// Whether a call cannot result from quoted text.
    pub trusted: bool,
    /// What the tokens of the content are counted as.
    pub bucket: ChannelBucket,
    /// The tokens of the header, its markers included.
    markup: u64,
    frame: CurrentFrame,
}

/// A frame of a completion.
#[derive(Debug)]
pub struct WellFormedFrame {
    pub header: Rc<WellFormedHeader>,
    /// The bytes of the text that are its content.
    pub content: Range<usize>,
    /// Of a call; otherwise empty.
    pub call_id: String,
}

/// A completion, without the texts of its contents.
#[derive(Debug)]
pub struct WellFormed<'a> {
    pub frames: &'a [WellFormedFrame],
    /// `None`: the last frame has no stop token, for which there is the only repair.
    pub stop: Option<Stop>,
    pub repair: Option<Repair>,
    /// The tokens of headers and markers.
    pub markup: u64,
}

impl WellFormedReader {
    pub fn new(options: Arc<ParseOptions>) -> WellFormedReader {
        let is_enabled = options.opened.is_none()
            && !options.transcript
            && !options.strict
            && options.role.is_none_or(|role| role == Role::Assistant);
        WellFormedReader {
            options,
            is_enabled,
            opening: Finder::new("<|"),
            message: Finder::new(Marker::Message.spelling()),
            headers: (0..HEADER_SLOTS).map(|_| None).collect(),
            frames: Vec::new(),
        }
    }

    /// Reads a completion as `parse_str` does. `None` if it may need a repair other than that for a missing stop token
    /// at its end: `parse_str` reads it.
    pub fn read(&mut self, text: &str) -> Option<WellFormed<'_>> {
        self.frames.clear();
        if !self.is_enabled {
            return None;
        }
        let (mut at, mut markup, mut has_answer) = (0, 0, false);
        let mut digest = Digest::new(self.options.turn);
        let stop = loop {
            let rest = text.get(at..)?;
            let length = self.message.find(rest.as_bytes()).filter(|length| *length <= MAX_HEADER_BYTES)?;
            let header = self.header(rest.get(..length)?)?;
            let start = at + length + Marker::Message.spelling().len();
            let (end, stop) = self.content_end(text, start)?;
            let content = text.get(start..end)?;
            let is_second_answer = header.kind == Kind::Text && std::mem::replace(&mut has_answer, true);
            let is_stopped_wrongly = stop.is_some() && stop_fault(&header.frame, stop).is_some();
            if is_second_answer
                || is_stopped_wrongly
                || content_fault(&header.frame, content, false).is_some()
            {
                return None;
            }
            let call_id = if header.kind == Kind::ToolCall {
                let earlier = self.frames.iter().map(|frame| text.get(frame.content.clone()));
                digest.call_id(earlier.map(Option::unwrap_or_default), &header.recipient)
            } else {
                String::new()
            };
            markup += header.markup + u64::from(stop.is_some());
            self.frames.push(WellFormedFrame { header, content: start..end, call_id });
            at = end + spelling(stop).len();
            if at == text.len() {
                break stop;
            }
            if stop == Some(Stop::Return) || !text.get(at..)?.starts_with(Marker::Start.spelling()) {
                return None;
            }
        };
        let repair = stop.is_none().then(|| Repair::new(Code::TruncatedContent, text.len(), String::new()));
        Some(WellFormed { frames: &self.frames, stop, repair, markup })
    }

    /// Where the content ends that begins at this byte, and the stop token there. `None` if it has another marker.
    fn content_end(&self, text: &str, start: usize) -> Option<(usize, Option<Stop>)> {
        let mut at = start;
        while let Some(distance) = self.opening.find(text.as_bytes().get(at..)?) {
            at += distance;
            match marker_at(text.as_bytes().get(at..)?) {
                Some(Marker::End) => return Some((at, Some(Stop::End))),
                Some(Marker::Return) => return Some((at, Some(Stop::Return))),
                Some(Marker::Call) => return Some((at, Some(Stop::Call))),
                Some(_) => return None,
                None => at += 1,
            }
        }
        Some((text.len(), None))
    }

    /// The header with a spelling. `None` if it needs a repair, or more of the input to be understood.
    fn header(&mut self, spelling: &str) -> Option<Rc<WellFormedHeader>> {
        let is_first = self.frames.is_empty();
        let mut digest = Digest::new(u64::from(is_first));
        digest.add(spelling.as_bytes());
        let slot = self.headers.get_mut(digest.number() as usize % HEADER_SLOTS)?;
        let kept = slot.as_ref().filter(|kept| kept.is_first == is_first && *kept.spelling == *spelling);
        if let Some(kept) = kept {
            return kept.header.clone();
        }
        let header = parse_header(spelling, is_first, &self.options).map(Rc::new);
        *slot = Some(KeptHeader { spelling: spelling.into(), is_first, header: header.clone() });
        header
    }
}

/// Has the machine parse a header: the first one of a completion, or one behind another frame. Of the frames before it, the
/// machine looks only at whether one is an answer and whether the last one ended the turn, if none of them needs a repair.
fn parse_header(spelling: &str, is_first: bool, options: &Arc<ParseOptions>) -> Option<WellFormedHeader> {
    let has_usual_markers = memchr::memmem::find_iter(spelling.as_bytes(), "<|").all(|at| {
        match spelling.as_bytes().get(at..).and_then(marker_at) {
            Some(Marker::Start) => at == 0,
            Some(Marker::Channel | Marker::Constrain) | None => true,
            Some(_) => false,
        }
    });
    if !has_usual_markers {
        return None;
    }
    let (mut parser, mut lexer) = (Parser::new(Arc::clone(options), true), TextLexer::default());
    let mut collector = FrameCollector::new(options.turn);
    if !is_first {
        let [start, channel, message, end] =
            [Marker::Start, Marker::Channel, Marker::Message, Marker::End].map(Marker::spelling);
        let opening = if options.role.is_none() { format!("{start}assistant") } else { String::new() };
        let frame = format!("{opening}{channel}analysis{message}.{end}");
        lexer.feed(&frame, &mut parser, &mut collector);
    }
    let (frame_count, markup) = (collector.frames.len(), parser.tokens().markup);
    lexer.feed(&format!("{spelling}{}", Marker::Message.spelling()), &mut parser, &mut collector);
    let is_clear = parser.state == State::Content && collector.repairs.is_empty() && collector.open;
    if !is_clear || collector.frames.len() != frame_count + 1 {
        return None;
    }
    let classified = collector.frames.pop().filter(|classified| classified.frame.content.is_empty())?;
    let (tool, trusted) = classified.call.map_or_else(Default::default, |call| (call.name, call.trusted));
    let frame = parser.current.clone()?;
    Some(WellFormedHeader {
        kind: classified.kind,
        tool,
        recipient: classified.frame.header.recipient.unwrap_or_default(),
        trusted,
        bucket: frame.bucket,
        markup: parser.tokens().markup - markup,
        frame,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser::stream::parse_str;
    use crate::parser::stripped::Stripped;
    use crate::parser::tool_names::ToolNames;

    /// Whether the reader reads a text; if so, it reads what the machine reads.
    fn is_read(reader: &mut WellFormedReader, text: &str) -> bool {
        let expected = parse_str(text, Arc::clone(&reader.options)).expect("tolerant");
        let Some(completion) = reader.read(text) else { return false };
        let frames = completion.frames.iter().map(|frame| {
            let WellFormedHeader { kind, tool, recipient, trusted, bucket, .. } = &*frame.header;
            let call = (tool.as_str(), recipient.as_str(), *trusted, frame.call_id.as_str());
            (*kind, *bucket, &text[frame.content.clone()], call)
        });
        let expected_frames = expected.frames.iter().map(|classified| {
            let recipient = classified.frame.header.recipient.as_deref().unwrap_or_default();
            let call = classified.call.as_ref();
            let call = call
                .map_or(("", recipient, false, ""), |call| (&call.name, recipient, call.trusted, &call.id));
            (classified.kind, classified.bucket(), classified.frame.content.as_str(), call)
        });
        assert_eq!(frames.collect::<Vec<_>>(), expected_frames.collect::<Vec<_>>(), "{text:?}");
        assert_eq!(completion.repair.into_iter().collect::<Vec<_>>(), expected.repairs, "{text:?}");
        assert_eq!((completion.stop, completion.markup), (expected.stop, expected.tokens.markup), "{text:?}");
        true
    }

    fn readers() -> Vec<WellFormedReader> {
        let tools = ToolNames::new(["f", "get_weather"].map(str::to_owned));
        let options = [
            ParseOptions { role: Some(Role::Assistant), ..ParseOptions::default() },
            ParseOptions { role: Some(Role::Assistant), tools, turn: 3, ..ParseOptions::default() },
            ParseOptions::default(),
            ParseOptions {
                role: Some(Role::Assistant),
                stripped: Stripped::Always,
                ..ParseOptions::default()
            },
        ];
        options.into_iter().map(|options| WellFormedReader::new(Arc::new(options))).collect()
    }

    const USUAL: [&str; 5] = [
        "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>A <|x|> <<|return|>",
        "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>",
        "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.f<|channel|>commentary \
         <|constrain|>json<|message|>{}<|call|><|start|>assistant to=python<|channel|>analysis code<|message|>1<|call|>",
        "<|channel|>final<|message|>Well",
        "<|channel|>analysis<|message|>?assistant<|end|>",
    ];

    #[test]
    fn completions_that_follow_the_format_are_read() {
        let readers = &mut readers();
        for text in USUAL {
            for _ in 0..2 {
                assert!(is_read(&mut readers[0], text), "{text}");
                assert!(is_read(&mut readers[1], text), "{text}");
                assert!(is_read(&mut readers[2], &format!("<|start|>assistant{text}")), "{text}");
            }
        }
    }

    #[test]
    fn what_is_read_equals_what_the_machine_reads() {
        let parts = [
            "<|start|>assistant<|channel|>analysis<|message|>",
            "<|channel|>analysis<|message|>",
            "<|start|>assistant<|channel|>final<|message|>",
            "<|channel|>final<|message|>",
            "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>",
            "<|start|>assistant to=f<|channel|>commentary<|message|>",
            "<|start|>user<|message|>",
            "<|start|>functions.f to=assistant<|channel|>commentary<|message|>",
            "<|end|>",
            "<|end|>",
            "<|return|>",
            "<|call|>",
            "<|start|>",
            "<|message|>",
            "<|constrain|>",
            "<|endoftext|>",
            "assistant",
            " to=functions.f",
            "{}",
            "{",
            " ",
            "Hi.",
            "é<",
            "<|",
        ];
        let (readers, mut number, mut read_count) = (&mut readers(), 1_u64, 0);
        let mut next = |limit: usize| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 33) as usize % limit
        };
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..next(10) {
                text.push_str(parts[next(parts.len())]);
                if next(2) == 0 {
                    text.push_str(["{}<|end|>", "{}<|call|>", "{}<|return|>", "x"][next(4)]);
                }
            }
            for reader in readers.iter_mut() {
                read_count += usize::from(is_read(reader, &text));
            }
        }
        assert!(read_count > 500, "{read_count}");
    }
}
