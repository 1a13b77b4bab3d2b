//! Markers and text become events. The states, and what each marker does in each of them:
//!
//! | state     | `<\|start\|>`        | `<\|channel\|>` `<\|constrain\|>` | `<\|message\|>`      | stop token            |
//! |-----------|----------------------|-----------------------------------|----------------------|-----------------------|
//! | between   | opens a header       | opens an implied header           | implied, content     | ignored               |
//! | header    | abandons the header  | continues                         | content              | abandons the header   |
//! | content   | may begin a header   | may begin a header                | stays content        | ends the frame        |
//! | candidate | may begin a header   | continues                         | header, or content   | content, ends         |
//!
//! A candidate is a marker in content with what follows it, held back until it is clear whether the model forgot to end
//! its frame or only quotes the format. Three more states lead back to these: `Opened`, before the first input of a
//! frame whose header stands in the prompt; `GluedRole`, a role that may have lost the `<|end|><|start|>` before it
//! (`glued_role.rs`); `Stripped`, content whose markers were removed, in which words begin the next frame
//! (`stripped/`). No input fails: what does not fit becomes a [`Repair`], and strict parsing is the same code with the
//! first fault raised.

use super::classify::{ChannelBucket, Kind};
use super::header::{self, Ending, HeaderContext, ParsedHeader};
use super::header_buffer::HeaderBuffer;
use super::stripped::{Follows, StrippedProgress};
use super::{ChannelTokens, DOUBT_LIMIT, HEADER_LIMIT, ParseOptions, Sink};
use crate::error::excerpt::Excerpt;
use crate::error::{Code, ParseError, ParseStage, Repair, Tier};
use crate::frame::{Header, Role, Stop};
use crate::marker::Marker;
use std::sync::Arc;

/// A candidate with more markers than this is content up to the next one that may begin a header.
const MAX_CANDIDATE_MARKS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Before the first input of a frame whose header stands in the prompt.
    Opened,
    Between,
    Header(FrameOpening),
    Content,
    /// In content, behind a word that is a role whose `<|start|>` may be lost.
    GluedRole,
    Candidate,
    /// In content whose markers were removed, where only words begin the next frame.
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
    /// The end of the input.
    Input,
}

/// The frame that is open, or was the last.
#[derive(Clone, Debug)]
pub(super) struct CurrentFrame {
    pub(super) kind: Kind,
    pub(super) role: Role,
    pub(super) bucket: ChannelBucket,
    pub(super) has_recipient: bool,
    pub(super) wants_json: bool,
    pub(super) empty: bool,
    /// Its end is unknown: it has no markers.
    pub(super) unmarked: bool,
    pub(super) stop: Option<Stop>,
}

/// Text that `<|end|>` ended. It is reasoning if the turn goes on, because `<|end|>` ends a frame and not the turn;
/// otherwise it is the answer. It is held until the next marker or the end of the input.
#[derive(Clone, Debug)]
pub(super) struct Undecided {
    pub(super) header: Header,
    /// Its repairs: those of its header, and the one for a missing header or end.
    pub(super) faults: Vec<(Code, usize, String)>,
    pub(super) at: usize,
    /// Where its frame begins.
    pub(super) frame_at: usize,
    pub(super) text: String,
    /// The number of tokens of the text.
    pub(super) tokens: u64,
    pub(super) implied: bool,
}

/// The machine between markers or text and events.
#[derive(Clone, Debug)]
pub struct Parser {
    pub(super) options: Arc<ParseOptions>,
    /// Whether positions count bytes (the text lane) or ids.
    pub(super) per_byte: bool,
    pub(super) state: State,
    pub(super) buffer: HeaderBuffer,
    /// Where the open header begins, unless the prompt has its beginning.
    pub(super) started_at: usize,
    /// Where the frame begins that is opened next.
    pub(super) frame_at: usize,
    pub(super) current: Option<CurrentFrame>,
    pub(super) undecided: Option<Box<Undecided>>,
    pub(super) marked: bool,
    /// Whether more text may show that the markers were removed.
    pub(super) in_doubt: bool,
    pub(super) stripped: StrippedProgress,
    pub(super) finals: usize,
    pub(super) tokens: ChannelTokens,
    pub(super) stop: Option<Stop>,
    pub(super) error: Option<ParseError>,
}

impl Parser {
    pub fn new(options: Arc<ParseOptions>, per_byte: bool) -> Parser {
        let role = options.role.unwrap_or(Role::Assistant);
        let (state, buffer) = match (&options.opened, options.role) {
            (Some(opened), _) if opened.complete => (State::Opened, HeaderBuffer::default()),
            (Some(opened), _) => {
                let opening = if opened.says_role { FrameOpening::Start } else { FrameOpening::Preset(role) };
                (State::Header(opening), opened.buffer.clone())
            }
            (None, Some(role)) => (State::Header(FrameOpening::Preset(role)), HeaderBuffer::default()),
            (None, None) => (State::Between, HeaderBuffer::default()),
        };
        Parser {
            marked: options.opened.is_some(),
            options,
            per_byte,
            state,
            buffer,
            started_at: 0,
            frame_at: 0,
            current: None,
            undecided: None,
            in_doubt: false,
            stripped: StrippedProgress::default(),
            finals: 0,
            tokens: ChannelTokens::default(),
            stop: None,
            error: None,
        }
    }

    /// The fault at which strict parsing stopped.
    pub fn error(&self) -> Option<&ParseError> {
        self.error.as_ref()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.options.strict
    }

    /// The error, mutable: the stream parser adds the excerpt.
    pub(crate) fn error_mut(&mut self) -> Option<&mut ParseError> {
        self.error.as_mut()
    }

    /// The stop token at the end of the input so far.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// The tokens counted so far. The text lane counts markers and headers only.
    pub fn tokens(&self) -> ChannelTokens {
        let mut tokens = self.tokens;
        // Held-back tokens are counted as if the input ended here.
        if self.holds_content() {
            *tokens.of(self.bucket()) += self.buffer.tokens;
        } else {
            tokens.markup += self.buffer.tokens;
        }
        tokens.r#final += self.undecided.as_ref().map_or(0, |undecided| undecided.tokens);
        tokens
    }

    /// The role of frames without a role.
    pub(super) fn own_role(&self) -> Role {
        self.options.role.unwrap_or(Role::Assistant)
    }

    /// Reads text without markers.
    #[inline]
    pub fn text(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        if self.state != State::Content {
            return self.held_text(text, at, tokens, sink);
        }
        match self.glued_start(text, sink) {
            None => self.content(text, tokens, sink),
            Some(start) => self.hold_role(text, start, at, tokens, sink),
        }
    }

    /// Reads text of a content that does not end as a header begins.
    #[inline]
    pub fn content(&mut self, text: &str, tokens: u64, sink: &mut impl Sink) {
        self.count_content(tokens);
        self.delta(text, sink);
    }

    fn held_text(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        self.begin_opened(sink);
        // Split where it is inspected, so that chunk boundaries do not change the result.
        let (mut text, mut at, mut tokens) = (text, at, tokens);
        while self.holds_text() && (!text.is_empty() || tokens > 0) {
            let room = self.inspected_length().saturating_sub(self.buffer.len()).max(1);
            let mut cut = room.min(text.len());
            while !text.is_char_boundary(cut) {
                cut += 1;
            }
            let (head, tail) = text.split_at(cut);
            if self.state == State::GluedRole {
                self.read_glued_role(head, at, std::mem::take(&mut tokens), sink);
            } else {
                self.buffer.push_text(head, at, std::mem::take(&mut tokens));
                self.inspect_held(sink);
            }
            at += if self.per_byte { cut } else { 0 };
            text = tail;
        }
        if self.state == State::Content && (!text.is_empty() || tokens > 0) {
            self.text(text, at, tokens, sink);
        }
    }

    /// Whether text is held back undecided.
    const fn holds_text(&self) -> bool {
        !matches!(self.state, State::Content | State::Closed)
    }

    /// The length of the buffer from which a decision is possible.
    fn inspected_length(&self) -> usize {
        match self.state {
            State::Header(_) | State::Between if self.is_start() => {
                self.rescan_threshold().min(self.held_limit() + 1)
            }
            State::Header(_) | State::Candidate => HEADER_LIMIT + 1,
            _ => usize::MAX,
        }
    }

    fn held_limit(&self) -> usize {
        match self.state {
            State::Between => DOUBT_LIMIT,
            _ if self.in_doubt => DOUBT_LIMIT,
            _ => HEADER_LIMIT,
        }
    }

    /// Whether text is content for certain. Lexers may then emit it in long runs; elsewhere they go
    /// token by token, so that chunk boundaries do not change counts and positions.
    pub fn in_content(&self) -> bool {
        self.state == State::Content
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
        self.begin_opened(sink);
        self.end_text(marker, sink);
        self.marked = true;
        match (self.state, marker) {
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
                self.leave_preamble(opening, marker, sink);
                self.buffer.push_mark(marker, at, 1);
                self.keep_limit(sink);
            }
            (State::Header(opening), Message) => {
                self.leave_preamble(opening, marker, sink);
                self.begin_content(sink);
            }
            (State::Content, Start | Channel) => {
                self.state = State::Candidate;
                self.buffer.push_mark(marker, at, 1);
            }
            (State::Content, Constrain | Message) => self.marker_in_content(marker, at, sink),
            (State::Candidate, Start | Channel | Constrain) => {
                self.buffer.push_mark(marker, at, 1);
                self.keep_limit(sink);
            }
            (State::Candidate, Message) => self.decide(at, sink),
            (State::Opened | State::Stripped | State::GluedRole, _) => {}
            (_, Return) => self.stop_token(Stop::Return, marker, at, sink),
            (_, Call) => self.stop_token(Stop::Call, marker, at, sink),
            (_, End) => self.stop_token(Stop::End, marker, at, sink),
            (_, EndOfText) => {
                self.repair(Code::EndOfText, at, marker.spelling().to_owned(), sink);
                self.stop_token(Stop::Return, marker, at, sink);
            }
        }
    }

    /// Decides the held text before a marker.
    fn end_text(&mut self, marker: Marker, sink: &mut impl Sink) {
        if self.undecided.is_some() {
            let opens =
                matches!(marker, Marker::Start | Marker::Channel | Marker::Constrain | Marker::Message);
            self.decide_by_what_follows(opens || !self.buffer.text.trim().is_empty(), sink);
        }
        if !self.marked && !self.buffer.is_empty() {
            let goes_on = match (self.state, marker) {
                (State::Header(opening), Marker::Channel | Marker::Constrain | Marker::Message) => {
                    self.is_header_text(opening.role())
                }
                (_, marker) => matches!(marker, Marker::Channel | Marker::Constrain | Marker::Message),
            };
            if !goes_on {
                self.open_stripped(true, true, sink);
            }
            self.in_doubt = false;
        } else if self.state == State::Between
            && matches!(marker, Marker::Start | Marker::End | Marker::Return | Marker::Call)
        {
            self.reopen_stripped(sink);
        }
        match self.state {
            State::Stripped => self.leave_stripped(Follows::Marker, sink),
            State::GluedRole => self.end_glued_role(marker, sink),
            _ => {}
        }
    }

    fn stop_token(&mut self, stop: Stop, marker: Marker, at: usize, sink: &mut impl Sink) {
        self.tokens.markup += 1;
        match self.state {
            State::Closed | State::Opened => {}
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
                    self.state = State::Between;
                }
            }
            State::Candidate => {
                self.flush_candidate(self.buffer.marks.len(), sink);
                self.end_frame(Some(stop), at, sink);
            }
            State::Content | State::Stripped | State::GluedRole => self.end_frame(Some(stop), at, sink),
        }
        self.stop = Some(stop);
    }

    /// The end of the input. `at` is its length.
    pub fn close(&mut self, at: usize, sink: &mut impl Sink) {
        let silent = self.current.is_none()
            && !(self.marked && self.options.opened.is_none())
            && self.buffer.is_empty()
            && self.tokens == ChannelTokens::default();
        self.begin_opened(sink);
        if self.undecided.is_some() {
            self.decide_by_what_follows(!self.buffer.text.trim().is_empty(), sink);
        }
        self.open_stripped(true, false, sink);
        self.reopen_stripped(sink);
        match self.state {
            State::Stripped => self.leave_stripped(Follows::Nothing, sink),
            State::GluedRole => {
                self.state = State::Content;
                self.emit_held(sink);
            }
            _ => {}
        }
        match self.state {
            State::Closed => return,
            State::Between => {
                if !self.headerless_text(None, sink) {
                    self.stray_text(sink);
                }
            }
            State::Header(opening) => self.abandon_header(opening, HeaderEnd::Input, sink),
            State::Candidate => self.end_candidate(at, sink),
            State::Content | State::Stripped | State::GluedRole | State::Opened => {
                self.end_frame(None, at, sink);
            }
        }
        if silent && !self.options.transcript {
            self.repair(Code::EmptyOutput, 0, String::new(), sink);
        }
        self.state = State::Closed;
    }

    /// Emits a repair. The lexers call it, too.
    pub fn repair(&mut self, code: Code, at: usize, text: String, sink: &mut impl Sink) {
        if self.error.is_some() {
            return;
        }
        let repair = Repair::new(code, at, text);
        if self.options.strict && code.tier() == Tier::Fault {
            let stage = match self.state {
                State::Between => ParseStage::Start,
                State::Header(_) => ParseStage::Header,
                _ => ParseStage::Content,
            };
            self.error = Some(ParseError { repair, state: stage, excerpt: Excerpt::default() });
            self.state = State::Closed;
            return;
        }
        sink.repair(repair);
    }

    /// Begins the frame whose header stands in the prompt.
    fn begin_opened(&mut self, sink: &mut impl Sink) {
        if self.state != State::Opened {
            return;
        }
        let options = Arc::clone(&self.options);
        let Some(opened) = &options.opened else { return };
        let parsed = opened.parse(self.own_role(), &options.tools);
        let certain = parsed.is_certain_call(&options.tools, true);
        self.enter(parsed.header, certain, false, 0, "", sink);
        self.read_opened_as_stripped();
    }

    pub(super) fn open(&mut self, opening: FrameOpening) {
        self.tokens.markup += u64::from(opening == FrameOpening::Start);
        self.buffer.clear();
        self.stop = None;
        if self.state != State::Closed {
            self.state = State::Header(opening);
        }
    }

    pub(super) fn header_context(&self, role: Option<Role>, ending: Ending) -> HeaderContext<'_> {
        HeaderContext { role, ending, in_completion: !self.options.transcript, tools: &self.options.tools }
    }

    /// Decides held text that has reached a length limit.
    fn inspect_held(&mut self, sink: &mut impl Sink) {
        match self.state {
            State::Stripped => self.read_stripped(Follows::More, sink),
            State::Between => {
                if self.is_start() {
                    self.rescan(sink);
                }
                if self.state == State::Between {
                    self.begin_answer(sink);
                }
            }
            State::Header(FrameOpening::Preset(_)) => {
                if self.is_start() {
                    self.rescan(sink);
                }
                self.keep_limit(sink);
            }
            _ => self.keep_limit(sink),
        }
    }

    /// Abandons a header over the length limit.
    pub(super) fn keep_limit(&mut self, sink: &mut impl Sink) {
        if self.buffer.len() <= self.held_limit()
            && (self.state != State::Candidate || self.buffer.marks.len() <= MAX_CANDIDATE_MARKS)
        {
            return;
        }
        match self.state {
            State::Header(opening) => self.abandon_header(opening, HeaderEnd::Limit, sink),
            State::Candidate => {
                let begins = |index: &usize| {
                    let mark = self.buffer.marks.get(*index);
                    mark.is_some_and(|mark| matches!(mark.marker, Marker::Start | Marker::Channel))
                };
                let behind_text = self.buffer.marks.first().is_some_and(|mark| mark.offset > 0);
                let next = (usize::from(!behind_text)..self.buffer.marks.len()).find(begins);
                self.flush_candidate(next.unwrap_or(self.buffer.marks.len()), sink);
            }
            _ => {}
        }
    }

    /// `<|message|>`: the header is complete.
    pub(super) fn begin_content(&mut self, sink: &mut impl Sink) {
        let State::Header(opening) = self.state else { return };
        let parsed = header::parse(&self.buffer, self.header_context(opening.role(), Ending::Message));
        for (code, at, text) in self.described(&parsed) {
            self.repair(code, at, text, sink);
        }
        self.count_header();
        self.tokens.markup += 1;
        self.frame_at = self.opened_at(opening);
        let at = self.buffer.start();
        let text = self.buffer.spelled(0, 0);
        self.buffer.clear();
        let certain = parsed.is_certain_call(&self.options.tools, true);
        self.enter(parsed.header, certain, matches!(opening, FrameOpening::Implied(_)), at, &text, sink);
    }

    /// The position at which the frame of the held header begins.
    pub(super) fn opened_at(&self, opening: FrameOpening) -> usize {
        match opening {
            FrameOpening::Preset(_) if self.current.is_none() => 0,
            FrameOpening::Preset(_) => self.buffer.start(),
            FrameOpening::Start | FrameOpening::Implied(_) => self.started_at,
        }
    }

    /// The repairs for a header's faults, each with its position and text.
    pub(super) fn described(&self, parsed: &ParsedHeader) -> Vec<(Code, usize, String)> {
        let faults = parsed.faults.iter().map(|(code, range)| {
            let marker = match code {
                Code::EmptyChannel => Some(Marker::Channel),
                Code::EmptyContentType => Some(Marker::Constrain),
                _ => None,
            };
            match marker {
                Some(marker) => {
                    (*code, self.mark_position(marker, range.start), marker.spelling().to_owned())
                }
                None => {
                    let text = self.buffer.text.get(range.clone()).unwrap_or_default();
                    (*code, self.buffer.position(range.start, self.per_byte), text.to_owned())
                }
            }
        });
        faults.collect()
    }

    fn mark_position(&self, marker: Marker, offset: usize) -> usize {
        let mark = self.buffer.marks.iter().find(|mark| mark.marker == marker && mark.offset == offset);
        mark.map_or_else(|| self.buffer.start(), |mark| mark.at)
    }
}
