//! Pieces become events. The states and what each marker does in each of them live here, and only here:
//!
//! | state     | `<\|start\|>`        | `<\|channel\|>` `<\|constrain\|>` | `<\|message\|>`     | stop token            |
//! |-----------|----------------------|-----------------------------------|---------------------|-----------------------|
//! | between   | opens a header       | opens an implied header           | implied, content    | ignored               |
//! | header    | gives up the header  | goes on                           | content             | gives up the header   |
//! | content   | may begin a header   | may begin a header                | stays content       | ends the frame        |
//! | candidate | may begin a header   | goes on                           | header, or content  | content, ends         |
//!
//! A candidate is a marker in content with what follows it, held back until it is clear whether the model forgot
//! to end its frame or only quotes the format. A fifth state reads content whose markers were taken out: there words
//! begin the next frame (`stripped/`), and any marker leads back to content. Nothing fails here: what does not fit becomes a [`Repair`], and
//! strict parsing is the same code with the first fault raised.

use super::classify::{self, ChannelBucket, Kind};
use super::header::{self, HeaderContext, Parsed};
use super::header_buffer::Buffer;
use super::{ChannelTokens, DOUBT_LIMIT, HEADER_LIMIT, ParseOptions, Sink};
use crate::error::excerpt::Excerpt;
use crate::error::{Code, ParseError, ParseStage, Repair, Tier};
use crate::frame::{Header, Role, Stop};
use crate::marker::Marker;
use crate::tool_name::function_of;
use std::sync::Arc;

/// A candidate with more markers than this is content up to the next one that may begin a header.
const CANDIDATE_MARKS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Between,
    /// In a header whose role is known before its first byte, or not.
    Header(FrameOpening),
    Content,
    Candidate,
    /// In content whose markers were taken out, where only words begin the next frame.
    Stripped,
    Closed,
}

/// How a header began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameOpening {
    /// In the prompt.
    Preset(Role),
    /// With `<|start|>`.
    Start,
    /// Without `<|start|>`; the role is known if the text does not say it.
    Implied(Option<Role>),
}

impl FrameOpening {
    pub(super) const fn role(self) -> Option<Role> {
        match self {
            FrameOpening::Preset(role) => Some(role),
            FrameOpening::Start => None,
            FrameOpening::Implied(role) => role,
        }
    }
}

/// What ends a header that has no `<|message|>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderEnd {
    Stop(Stop),
    /// `<|start|>`, at this position.
    Start(usize),
    Limit,
    End,
}

/// The frame that is open, or was the last.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) bucket: ChannelBucket,
    pub(super) has_recipient: bool,
    pub(super) wants_json: bool,
    pub(super) empty: bool,
    /// It has no markers: nothing would tell where it ends.
    pub(super) unmarked: bool,
    pub(super) stop: Option<Stop>,
}

/// The machine between pieces and events.
#[derive(Clone, Debug)]
pub struct Parser {
    pub(super) options: Arc<ParseOptions>,
    /// Whether positions count bytes (the text lane) or ids.
    pub(super) per_byte: bool,
    pub(super) at: State,
    pub(super) buffer: Buffer,
    /// Where the `<|start|>` of the header stands that is open.
    pub(super) started_at: usize,
    pub(super) current: Option<Current>,
    pub(super) marked: bool,
    /// Whether more text may show that the markers were taken out.
    pub(super) in_doubt: bool,
    pub(super) finals: usize,
    pub(super) tokens: ChannelTokens,
    pub(super) stop: Option<Stop>,
    pub(super) error: Option<ParseError>,
}

impl Parser {
    pub fn new(options: Arc<ParseOptions>, per_byte: bool) -> Parser {
        let at = options.role.map_or(State::Between, |role| State::Header(FrameOpening::Preset(role)));
        Parser {
            options,
            per_byte,
            at,
            buffer: Buffer::default(),
            started_at: 0,
            current: None,
            marked: false,
            in_doubt: false,
            finals: 0,
            tokens: ChannelTokens::default(),
            stop: None,
            error: None,
        }
    }

    /// The fault that strict parsing stopped at.
    pub fn error(&self) -> Option<&ParseError> {
        self.error.as_ref()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.options.strict
    }

    /// The same, for those who know more about it.
    pub(crate) fn error_mut(&mut self) -> Option<&mut ParseError> {
        self.error.as_mut()
    }

    /// The stop token that was read last, if nothing followed it.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// ChannelTokens bucket so far. In the text lane only markers and headers are bucket.
    pub fn tokens(&self) -> ChannelTokens {
        let mut tokens = self.tokens;
        // What is held back is bucket where it would go if the input ended here.
        match self.at {
            State::Candidate | State::Stripped => *tokens.of(self.bucket()) += self.buffer.tokens,
            _ => tokens.markup += self.buffer.tokens,
        }
        tokens
    }

    /// Reads text that is no marker.
    #[inline]
    pub fn text(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        if self.at == State::Content {
            self.count_content(tokens);
            self.delta(text, sink);
        } else {
            self.held_text(text, at, tokens, sink);
        }
    }

    pub(super) fn held_text(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        // Cut at the limit, so that where the input was cut makes no difference to what is given up there.
        let (mut text, mut at, mut tokens) = (text, at, tokens);
        while matches!(self.at, State::Header(_) | State::Candidate | State::Stripped)
            && (!text.is_empty() || tokens > 0)
        {
            let limit = if self.in_doubt { DOUBT_LIMIT } else { HEADER_LIMIT };
            let room = (limit + 1).saturating_sub(self.buffer.len());
            let mut cut = room.min(text.len());
            while !text.is_char_boundary(cut) {
                cut += 1;
            }
            let (head, tail) = text.split_at(cut);
            self.buffer.push_text(head, at, std::mem::take(&mut tokens));
            at += if self.per_byte { cut } else { 0 };
            text = tail;
            self.keep_limit(sink);
        }
        match self.at {
            State::Content => {
                self.count_content(tokens);
                self.delta(text, sink);
            }
            State::Between if !text.is_empty() || tokens > 0 => {
                self.buffer.push_text(text, at, tokens);
                self.open_stripped(false, false, sink);
                if self.at == State::Between {
                    self.begin_answer(sink);
                }
            }
            _ => {}
        }
    }

    /// Whether text is content that nothing can take back. Lexers may then hand it over in long runs; elsewhere
    /// they go token by token, so that counts and positions do not depend on how the input was cut.
    pub fn in_content(&self) -> bool {
        self.at == State::Content
    }

    pub(super) fn delta(&mut self, text: &str, sink: &mut impl Sink) {
        if text.is_empty() || self.error.is_some() {
            return;
        }
        if let Some(current) = &mut self.current {
            current.empty = false;
        }
        sink.delta(text);
    }

    /// Reads a marker.
    pub fn mark(&mut self, marker: Marker, at: usize, sink: &mut impl Sink) {
        use Marker::{Call, Channel, Constrain, End, EndOfText, Message, Return, Start};
        self.end_text(marker, sink);
        self.marked = true;
        match (self.at, marker) {
            (State::Closed, _) => {}
            (State::Between, Start) => {
                self.stray_text(sink);
                self.started_at = at;
                self.open(FrameOpening::Start);
            }
            (State::Between, Channel | Constrain) => {
                self.imply_header(marker, at, sink);
                self.buffer.push_mark(marker, at, 1);
            }
            (State::Between, Message) => {
                self.imply_header(marker, at, sink);
                self.begin_content(sink);
            }
            (State::Header(opening), Start) => self.restart_header(opening, at, sink),
            (State::Header(opening), Channel | Constrain) => {
                self.leave_preamble(opening, sink);
                self.buffer.push_mark(marker, at, 1);
                self.keep_limit(sink);
            }
            (State::Header(opening), Message) => {
                self.leave_preamble(opening, sink);
                self.begin_content(sink);
            }
            (State::Content, Start | Channel) => {
                self.at = State::Candidate;
                self.buffer.push_mark(marker, at, 1);
            }
            (State::Content, Constrain | Message) => self.marker_in_content(marker, at, sink),
            (State::Candidate, Start | Channel | Constrain) => {
                self.buffer.push_mark(marker, at, 1);
                self.keep_limit(sink);
            }
            (State::Candidate, Message) => self.decide(at, sink),
            (State::Stripped, _) => {}
            (_, Return) => self.stop_token(Stop::Return, marker, at, sink),
            (_, Call) => self.stop_token(Stop::Call, marker, at, sink),
            (_, End) => self.stop_token(Stop::End, marker, at, sink),
            (_, EndOfText) => {
                self.repair(Code::EndOfText, at, marker.spelling().to_owned(), sink);
                self.stop_token(Stop::Return, marker, at, sink);
            }
        }
    }

    /// A marker shows what the text before it is, if its markers were taken out.
    pub(super) fn end_text(&mut self, marker: Marker, sink: &mut impl Sink) {
        if !self.marked && !self.buffer.is_empty() {
            let goes_on = match (self.at, marker) {
                (State::Header(opening), Marker::Channel | Marker::Constrain | Marker::Message) => {
                    self.is_header_text(opening.role())
                }
                (_, marker) => matches!(marker, Marker::Channel | Marker::Constrain | Marker::Message),
            };
            if !goes_on {
                self.open_stripped(true, true, sink);
            }
            self.in_doubt = false;
        } else if self.at == State::Between
            && matches!(marker, Marker::Start | Marker::End | Marker::Return | Marker::Call)
        {
            self.reopen_stripped(sink);
        }
        if self.at == State::Stripped {
            self.leave_stripped(sink);
        }
    }

    pub(super) fn stop_token(&mut self, stop: Stop, marker: Marker, at: usize, sink: &mut impl Sink) {
        self.tokens.markup += 1;
        match self.at {
            State::Closed => {}
            State::Between => {
                if !self.headerless_text(Some(stop), sink) {
                    self.stray_text(sink);
                    self.repair(Code::RedundantStop, at, marker.spelling().to_owned(), sink);
                }
            }
            State::Header(opening) => {
                let blank = self.buffer.is_empty();
                match opening {
                    FrameOpening::Preset(_) if blank => {
                        self.repair(Code::RedundantStop, at, marker.spelling().to_owned(), sink);
                    }
                    _ => self.abandon_header(opening, HeaderEnd::Stop(stop), sink),
                }
                if self.error.is_none() {
                    self.at = State::Between;
                }
            }
            State::Candidate => {
                self.flush_candidate(self.buffer.marks.len(), sink);
                self.end_frame(Some(stop), at, sink);
            }
            State::Content | State::Stripped => self.end_frame(Some(stop), at, sink),
        }
        self.stop = Some(stop);
    }

    /// The end of the input. `at` is its length.
    pub fn close(&mut self, at: usize, sink: &mut impl Sink) {
        self.open_stripped(true, false, sink);
        self.reopen_stripped(sink);
        if self.at == State::Stripped {
            self.leave_stripped(sink);
        }
        match self.at {
            State::Closed => return,
            State::Between => {
                if !self.headerless_text(None, sink) {
                    self.stray_text(sink);
                }
            }
            State::Header(opening) => self.abandon_header(opening, HeaderEnd::End, sink),
            State::Candidate => self.end_candidate(at, sink),
            State::Content | State::Stripped => self.end_frame(None, at, sink),
        }
        let silent = self.current.is_none() && !self.marked && self.tokens == ChannelTokens::default();
        if silent && !self.options.transcript {
            self.repair(Code::EmptyOutput, 0, String::new(), sink);
        }
        self.at = State::Closed;
    }

    /// Reports what is not text. Lexers call it too.
    pub fn repair(&mut self, code: Code, at: usize, text: String, sink: &mut impl Sink) {
        if self.error.is_some() {
            return;
        }
        let repair = Repair::new(code, at, text);
        if self.options.strict && code.tier() == Tier::Fault {
            let state = match self.at {
                State::Between => ParseStage::Start,
                State::Header(_) => ParseStage::Header,
                State::Content | State::Candidate | State::Stripped | State::Closed => ParseStage::Content,
            };
            self.error = Some(ParseError { repair, state, excerpt: Excerpt::default() });
            self.at = State::Closed;
            return;
        }
        sink.repair(repair);
    }

    pub(super) fn open(&mut self, opening: FrameOpening) {
        self.tokens.markup += u64::from(opening == FrameOpening::Start);
        self.buffer.clear();
        self.stop = None;
        if self.at != State::Closed {
            self.at = State::Header(opening);
        }
    }

    // In a header.

    pub(super) fn header_context(&self, role: Option<Role>, complete: bool) -> HeaderContext<'_> {
        HeaderContext { role, complete, in_completion: !self.options.transcript, tools: &self.options.tools }
    }

    /// Gives up what became too long to be a header.
    pub(super) fn keep_limit(&mut self, sink: &mut impl Sink) {
        match self.at {
            State::Stripped => return self.read_stripped(false, sink),
            State::Header(FrameOpening::Preset(_)) => self.open_stripped(false, false, sink),
            _ => {}
        }
        let limit = if self.in_doubt { DOUBT_LIMIT } else { HEADER_LIMIT };
        if self.buffer.len() <= limit
            && (self.at != State::Candidate || self.buffer.marks.len() <= CANDIDATE_MARKS)
        {
            return;
        }
        match self.at {
            State::Header(opening) => self.abandon_header(opening, HeaderEnd::Limit, sink),
            State::Candidate => {
                let begins = |index: &usize| {
                    let mark = self.buffer.marks.get(*index);
                    mark.is_some_and(|mark| matches!(mark.marker, Marker::Start | Marker::Channel))
                };
                let next = (1..self.buffer.marks.len()).find(begins);
                self.flush_candidate(next.unwrap_or(self.buffer.marks.len()), sink);
            }
            _ => {}
        }
    }

    /// `<|message|>`: the header is whole.
    pub(super) fn begin_content(&mut self, sink: &mut impl Sink) {
        let State::Header(opening) = self.at else { return };
        let parsed = header::parse(&self.buffer, self.header_context(opening.role(), true));
        self.report(&parsed, sink);
        self.count_header();
        self.tokens.markup += 1;
        let at = self.buffer.start();
        let text = self.buffer.spelled(0, 0);
        self.buffer.clear();
        self.enter(parsed.header, matches!(opening, FrameOpening::Implied(_)), at, &text, sink);
    }

    /// Opens the frame of a header.
    pub(super) fn enter(
        &mut self,
        header: Header,
        implied: bool,
        at: usize,
        text: &str,
        sink: &mut impl Sink,
    ) {
        let kind = self.kind_of(&header);
        if !self.options.transcript {
            if self.current.as_ref().is_some_and(|last| last.stop == Some(Stop::Return)) {
                self.repair(Code::ReturnMidTurn, at, text.to_owned(), sink);
            }
            match kind {
                Kind::ForeignTurn => self.repair(Code::ForeignRole, at, text.to_owned(), sink),
                Kind::ToolResult => self.repair(Code::ForeignToolResult, at, text.to_owned(), sink),
                _ => {}
            }
            if kind == Kind::Text && self.finals > 0 {
                self.repair(Code::MultipleFinals, at, text.to_owned(), sink);
            }
        }
        for code in classify::remarks(&header, kind, &self.options.tools) {
            self.repair(code, at, text.to_owned(), sink);
        }
        self.start_frame(header, kind, implied, sink);
    }

    pub(super) fn kind_of(&self, header: &Header) -> Kind {
        let turn_of =
            if self.options.transcript { None } else { Some(self.options.role.unwrap_or(Role::Assistant)) };
        classify::kind_of(header, turn_of, &self.options.tools)
    }

    pub(super) fn start_frame(&mut self, header: Header, kind: Kind, implied: bool, sink: &mut impl Sink) {
        if self.error.is_some() {
            return;
        }
        self.finals += usize::from(kind == Kind::Text && header.role == Role::Assistant);
        let json_type = header.content_type.as_deref().is_some_and(|name| name.ends_with("json"));
        let function = header.recipient.as_deref().is_some_and(|name| function_of(name).is_some());
        self.current = Some(Current {
            kind,
            role: header.role,
            bucket: classify::bucket_of(&header),
            has_recipient: header.recipient.is_some(),
            wants_json: kind == Kind::ToolCall && (json_type || function && header.content_type.is_none()),
            empty: true,
            unmarked: false,
            stop: None,
        });
        self.stop = None;
        self.in_doubt = false;
        self.at = State::Content;
        sink.start(header, kind, implied);
    }

    /// Reports the faults of a header.
    pub(super) fn report(&mut self, parsed: &Parsed, sink: &mut impl Sink) {
        for (code, range) in &parsed.faults {
            let at = match code {
                Code::EmptyChannel => self.mark_position(Marker::Channel, range.start),
                Code::EmptyContentType => self.mark_position(Marker::Constrain, range.start),
                _ => self.buffer.position(range.start, self.per_byte),
            };
            let text = match code {
                Code::EmptyChannel => Marker::Channel.spelling(),
                Code::EmptyContentType => Marker::Constrain.spelling(),
                _ => self.buffer.text.get(range.clone()).unwrap_or_default(),
            };
            self.repair(*code, at, text.to_owned(), sink);
        }
    }

    pub(super) fn mark_position(&self, marker: Marker, offset: usize) -> usize {
        let mark = self.buffer.marks.iter().find(|mark| mark.marker == marker && mark.offset == offset);
        mark.map_or_else(|| self.buffer.start(), |mark| mark.at)
    }

    // In content.

    pub(super) fn marker_in_content(&mut self, marker: Marker, at: usize, sink: &mut impl Sink) {
        if marker == Marker::Message && self.current.as_ref().is_some_and(|current| current.empty) {
            self.tokens.markup += 1;
            self.repair(Code::DuplicateMessage, at, marker.spelling().to_owned(), sink);
            return;
        }
        self.repair(Code::MarkerInContent, at, marker.spelling().to_owned(), sink);
        self.count_content(1);
        self.delta(marker.spelling(), sink);
    }

    /// Ends the frame that is open, and says what is odd about how it ended.
    pub(super) fn end_frame(&mut self, stop: Option<Stop>, at: usize, sink: &mut impl Sink) {
        if let Some(current) = self.current.clone() {
            self.remark_content(&current, at, sink);
            match (stop, current.kind) {
                (None, _) if current.unmarked => {}
                (None, _) => self.repair(Code::TruncatedContent, at, String::new(), sink),
                (Some(Stop::End | Stop::Return), Kind::ToolCall) => {
                    self.repair(Code::CallEndedByStop, at, spelling(stop).to_owned(), sink);
                }
                (Some(Stop::Call), kind) if kind != Kind::ToolCall && !current.has_recipient => {
                    self.repair(Code::CallWithoutRecipient, at, spelling(stop).to_owned(), sink);
                }
                _ => {}
            }
        }
        self.finish_frame(stop, sink);
    }

    /// Ends the frame that is open because another one begins at this place.
    pub(super) fn interrupt_frame(&mut self, at: usize, sink: &mut impl Sink) {
        if let Some(current) = self.current.clone() {
            self.remark_content(&current, at, sink);
        }
        self.finish_frame(None, sink);
    }

    pub(super) fn finish_frame(&mut self, stop: Option<Stop>, sink: &mut impl Sink) {
        if let Some(current) = &mut self.current {
            current.stop = stop;
        }
        if self.error.is_none() {
            sink.end(stop);
            self.at = State::Between;
        }
    }

    pub(super) fn remark_content(&mut self, current: &Current, at: usize, sink: &mut impl Sink) {
        let answer =
            current.kind == Kind::Text && current.role == Role::Assistant && !self.options.transcript;
        if current.empty && answer {
            self.repair(Code::EmptyAnswer, at, String::new(), sink);
        } else if current.wants_json && sink.content().trim().is_empty() {
            self.repair(Code::EmptyArguments, at, String::new(), sink);
        } else if current.wants_json && serde_json::from_str::<serde::de::IgnoredAny>(sink.content()).is_err()
        {
            let shown = sink.content().chars().take(80).collect();
            self.repair(Code::InvalidJson, at, shown, sink);
        }
    }

    // Counting.

    /// What content is bucket as now.
    pub(super) fn bucket(&self) -> ChannelBucket {
        self.current.as_ref().map_or(ChannelBucket::Other, |current| current.bucket)
    }

    pub(super) fn count_content(&mut self, tokens: u64) {
        // In the text lane contents are bucket when somebody asks: it takes longer than parsing.
        if !self.per_byte {
            *self.tokens.of(self.bucket()) += tokens;
        }
    }

    /// Counts the buffer as markup.
    pub(super) fn count_header(&mut self) {
        self.tokens.markup += self.buffer.tokens;
        if self.per_byte {
            self.tokens.markup += self.buffer.count_text(self.buffer.text.len());
        }
    }
}

const fn spelling(stop: Option<Stop>) -> &'static str {
    match stop {
        Some(Stop::Return) => Marker::Return.spelling(),
        Some(Stop::Call) => Marker::Call.spelling(),
        Some(Stop::End) => Marker::End.spelling(),
        None => "",
    }
}
