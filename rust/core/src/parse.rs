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
//! begin the next frame (`parse/stripped.rs`), and any marker leads back to content. Nothing fails here: what does not fit becomes a [`Repair`], and
//! strict parsing is the same code with the first fault raised.

use crate::classify::{self, Counted, Kind, ToolNames};
use crate::error::{Code, ParseError, Repair, State, Tier};
use crate::excerpt::Excerpt;
use crate::frame::{Header, Role, Stop};
use crate::header::{self, Buffer, Parsed, Reading};
use crate::marker::Marker;
use crate::stripped::Stripped;
use std::sync::Arc;

mod recover;
mod stripped;

/// A header, or a candidate for one, is given up beyond this many bytes (markers spelled). The longest header that
/// the grammar allows is about 300 bytes.
pub const HEADER_LIMIT: usize = 1024;

/// A candidate with more markers than this is content up to the next one that may begin a header.
const CANDIDATE_MARKS: usize = 8;

/// What events are written to.
pub trait Sink {
    fn start(&mut self, header: Header, kind: Kind, implied: bool);
    fn delta(&mut self, text: &str);
    fn end(&mut self, stop: Option<Stop>);
    fn repair(&mut self, repair: Repair);
    /// The content so far of the frame that is open.
    fn content(&self) -> &str;
}

/// How an input is to be parsed.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The role whose header the prompt began. `None`: the input begins with its own `<|start|>`.
    pub role: Option<Role>,
    /// A whole prompt or transcript, in which every role speaks; else one completion.
    pub transcript: bool,
    pub strict: bool,
    pub stripped: Stripped,
    pub tools: ToolNames,
}

/// Tokens by what they are part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub analysis: u64,
    pub commentary: u64,
    pub r#final: u64,
    /// Markers, headers, and text between frames.
    pub markup: u64,
    /// The content of other roles.
    pub other: u64,
}

impl Tokens {
    /// Those of contents that are counted as this.
    #[inline]
    pub fn of(&mut self, counted: Counted) -> &mut u64 {
        match counted {
            Counted::Analysis => &mut self.analysis,
            Counted::Commentary => &mut self.commentary,
            Counted::Final => &mut self.r#final,
            Counted::Other => &mut self.other,
        }
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.analysis + self.commentary + self.r#final + self.markup + self.other
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Between,
    /// In a header whose role is known before its first byte, or not.
    Header(Opening),
    Content,
    Candidate,
    /// In content whose markers were taken out, where only words begin the next frame.
    Stripped,
    Closed,
}

/// How a header began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// In the prompt.
    Preset(Role),
    /// With `<|start|>`.
    Start,
    /// Without `<|start|>`; the role is known if the text does not say it.
    Implied(Option<Role>),
}

impl Opening {
    const fn role(self) -> Option<Role> {
        match self {
            Opening::Preset(role) => Some(role),
            Opening::Start => None,
            Opening::Implied(role) => role,
        }
    }
}

/// What ends a header that has no `<|message|>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Stop(Stop),
    /// `<|start|>`, at this position.
    Start(usize),
    Limit,
    End,
}

/// The frame that is open, or was the last.
#[derive(Clone, Debug)]
struct Current {
    kind: Kind,
    role: Role,
    counted: Counted,
    has_recipient: bool,
    wants_json: bool,
    empty: bool,
    /// It has no markers: nothing would tell where it ends.
    unmarked: bool,
    stop: Option<Stop>,
}

/// The machine between pieces and events.
#[derive(Clone, Debug)]
pub struct Parser {
    settings: Arc<Settings>,
    /// Whether positions count bytes (the text lane) or ids.
    per_byte: bool,
    at: At,
    buffer: Buffer,
    /// Where the `<|start|>` of the header stands that is open.
    started_at: usize,
    current: Option<Current>,
    marked: bool,
    /// Whether more text may show that the markers were taken out.
    in_doubt: bool,
    finals: usize,
    tokens: Tokens,
    stop: Option<Stop>,
    error: Option<ParseError>,
}

impl Parser {
    pub fn new(settings: Arc<Settings>, per_byte: bool) -> Parser {
        let at = settings.role.map_or(At::Between, |role| At::Header(Opening::Preset(role)));
        Parser {
            settings,
            per_byte,
            at,
            buffer: Buffer::default(),
            started_at: 0,
            current: None,
            marked: false,
            in_doubt: false,
            finals: 0,
            tokens: Tokens::default(),
            stop: None,
            error: None,
        }
    }

    /// The fault that strict parsing stopped at.
    pub fn error(&self) -> Option<&ParseError> {
        self.error.as_ref()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.settings.strict
    }

    /// The same, for those who know more about it.
    pub(crate) fn error_mut(&mut self) -> Option<&mut ParseError> {
        self.error.as_mut()
    }

    /// The stop token that was read last, if nothing followed it.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Tokens counted so far. In the text lane only markers and headers are counted.
    pub fn tokens(&self) -> Tokens {
        let mut tokens = self.tokens;
        // What is held back is counted where it would go if the input ended here.
        match self.at {
            At::Candidate | At::Stripped => *tokens.of(self.counted()) += self.buffer.tokens,
            _ => tokens.markup += self.buffer.tokens,
        }
        tokens
    }

    /// Reads text that is no marker.
    #[inline]
    pub fn text(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        if self.at == At::Content {
            self.count_content(tokens);
            self.delta(text, sink);
        } else {
            self.held_text(text, at, tokens, sink);
        }
    }

    fn held_text(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        // Cut at the limit, so that where the input was cut makes no difference to what is given up there.
        let (mut text, mut at, mut tokens) = (text, at, tokens);
        while matches!(self.at, At::Header(_) | At::Candidate | At::Stripped)
            && (!text.is_empty() || tokens > 0)
        {
            let limit = if self.in_doubt { stripped::DOUBT_LIMIT } else { HEADER_LIMIT };
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
            At::Content => {
                self.count_content(tokens);
                self.delta(text, sink);
            }
            At::Between if !text.is_empty() || tokens > 0 => {
                self.buffer.push_text(text, at, tokens);
                self.open_stripped(false, false, sink);
                if self.at == At::Between {
                    self.begin_answer(sink);
                }
            }
            _ => {}
        }
    }

    /// Whether text is content that nothing can take back. Lexers may then hand it over in long runs; elsewhere
    /// they go token by token, so that counts and positions do not depend on how the input was cut.
    pub fn in_content(&self) -> bool {
        self.at == At::Content
    }

    fn delta(&mut self, text: &str, sink: &mut impl Sink) {
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
            (At::Closed, _) => {}
            (At::Between, Start) => {
                self.stray_text(sink);
                self.started_at = at;
                self.open(Opening::Start);
            }
            (At::Between, Channel | Constrain) => {
                self.imply_header(marker, at, sink);
                self.buffer.push_mark(marker, at, 1);
            }
            (At::Between, Message) => {
                self.imply_header(marker, at, sink);
                self.begin_content(sink);
            }
            (At::Header(opening), Start) => self.restart_header(opening, at, sink),
            (At::Header(opening), Channel | Constrain) => {
                self.leave_preamble(opening, sink);
                self.buffer.push_mark(marker, at, 1);
                self.keep_limit(sink);
            }
            (At::Header(opening), Message) => {
                self.leave_preamble(opening, sink);
                self.begin_content(sink);
            }
            (At::Content, Start | Channel) => {
                self.at = At::Candidate;
                self.buffer.push_mark(marker, at, 1);
            }
            (At::Content, Constrain | Message) => self.marker_in_content(marker, at, sink),
            (At::Candidate, Start | Channel | Constrain) => {
                self.buffer.push_mark(marker, at, 1);
                self.keep_limit(sink);
            }
            (At::Candidate, Message) => self.decide(at, sink),
            (At::Stripped, _) => {}
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
    fn end_text(&mut self, marker: Marker, sink: &mut impl Sink) {
        if !self.marked && !self.buffer.is_empty() {
            let goes_on = match (self.at, marker) {
                (At::Header(opening), Marker::Channel | Marker::Constrain | Marker::Message) => {
                    self.is_header_text(opening.role())
                }
                (_, marker) => matches!(marker, Marker::Channel | Marker::Constrain | Marker::Message),
            };
            if !goes_on {
                self.open_stripped(true, true, sink);
            }
            self.in_doubt = false;
        } else if self.at == At::Between
            && matches!(marker, Marker::Start | Marker::End | Marker::Return | Marker::Call)
        {
            self.reopen_stripped(sink);
        }
        if self.at == At::Stripped {
            self.leave_stripped(sink);
        }
    }

    fn stop_token(&mut self, stop: Stop, marker: Marker, at: usize, sink: &mut impl Sink) {
        self.tokens.markup += 1;
        match self.at {
            At::Closed => {}
            At::Between => {
                if !self.headerless_text(Some(stop), sink) {
                    self.stray_text(sink);
                    self.repair(Code::RedundantStop, at, marker.spelling().to_owned(), sink);
                }
            }
            At::Header(opening) => {
                let blank = self.buffer.is_empty();
                match opening {
                    Opening::Preset(_) if blank => {
                        self.repair(Code::RedundantStop, at, marker.spelling().to_owned(), sink);
                    }
                    _ => self.give_up_header(opening, Break::Stop(stop), sink),
                }
                if self.error.is_none() {
                    self.at = At::Between;
                }
            }
            At::Candidate => {
                self.flush_candidate(self.buffer.marks.len(), sink);
                self.end_frame(Some(stop), at, sink);
            }
            At::Content | At::Stripped => self.end_frame(Some(stop), at, sink),
        }
        self.stop = Some(stop);
    }

    /// The end of the input. `at` is its length.
    pub fn close(&mut self, at: usize, sink: &mut impl Sink) {
        self.open_stripped(true, false, sink);
        self.reopen_stripped(sink);
        if self.at == At::Stripped {
            self.leave_stripped(sink);
        }
        match self.at {
            At::Closed => return,
            At::Between => {
                if !self.headerless_text(None, sink) {
                    self.stray_text(sink);
                }
            }
            At::Header(opening) => self.give_up_header(opening, Break::End, sink),
            At::Candidate => self.end_candidate(at, sink),
            At::Content | At::Stripped => self.end_frame(None, at, sink),
        }
        let silent = self.current.is_none() && !self.marked && self.tokens == Tokens::default();
        if silent && !self.settings.transcript {
            self.repair(Code::EmptyOutput, 0, String::new(), sink);
        }
        self.at = At::Closed;
    }

    /// Reports what is not text. Lexers call it too.
    pub fn repair(&mut self, code: Code, at: usize, text: String, sink: &mut impl Sink) {
        if self.error.is_some() {
            return;
        }
        let repair = Repair::new(code, at, text);
        if self.settings.strict && code.tier() == Tier::Fault {
            let state = match self.at {
                At::Between => State::Start,
                At::Header(_) => State::Header,
                At::Content | At::Candidate | At::Stripped | At::Closed => State::Content,
            };
            self.error = Some(ParseError { repair, state, excerpt: Excerpt::default() });
            self.at = At::Closed;
            return;
        }
        sink.repair(repair);
    }

    fn open(&mut self, opening: Opening) {
        self.tokens.markup += u64::from(opening == Opening::Start);
        self.buffer.clear();
        self.stop = None;
        if self.at != At::Closed {
            self.at = At::Header(opening);
        }
    }

    // In a header.

    fn reading(&self, role: Option<Role>, complete: bool) -> Reading<'_> {
        Reading { role, complete, in_completion: !self.settings.transcript, tools: &self.settings.tools }
    }

    /// Gives up what became too long to be a header.
    fn keep_limit(&mut self, sink: &mut impl Sink) {
        match self.at {
            At::Stripped => return self.read_stripped(false, sink),
            At::Header(Opening::Preset(_)) => self.open_stripped(false, false, sink),
            _ => {}
        }
        let limit = if self.in_doubt { stripped::DOUBT_LIMIT } else { HEADER_LIMIT };
        if self.buffer.len() <= limit
            && (self.at != At::Candidate || self.buffer.marks.len() <= CANDIDATE_MARKS)
        {
            return;
        }
        match self.at {
            At::Header(opening) => self.give_up_header(opening, Break::Limit, sink),
            At::Candidate => {
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
    fn begin_content(&mut self, sink: &mut impl Sink) {
        let At::Header(opening) = self.at else { return };
        let parsed = header::parse(&self.buffer, self.reading(opening.role(), true));
        self.report(&parsed, sink);
        self.count_header();
        self.tokens.markup += 1;
        let at = self.buffer.start();
        let text = self.buffer.spelled(0, 0);
        self.buffer.clear();
        self.enter(parsed.header, matches!(opening, Opening::Implied(_)), at, &text, sink);
    }

    /// Opens the frame of a header.
    fn enter(&mut self, header: Header, implied: bool, at: usize, text: &str, sink: &mut impl Sink) {
        let kind = self.kind_of(&header);
        if !self.settings.transcript {
            if self.current.as_ref().is_some_and(|last| last.stop == Some(Stop::Return)) {
                self.repair(Code::ReturnMidTurn, at, text.to_owned(), sink);
            }
            match kind {
                Kind::Stray => self.repair(Code::ForeignRole, at, text.to_owned(), sink),
                Kind::ToolResult => self.repair(Code::ForeignToolResult, at, text.to_owned(), sink),
                _ => {}
            }
            if kind == Kind::Text && self.finals > 0 {
                self.repair(Code::MultipleFinals, at, text.to_owned(), sink);
            }
        }
        for code in classify::remarks(&header, kind, &self.settings.tools) {
            self.repair(code, at, text.to_owned(), sink);
        }
        self.start_frame(header, kind, implied, sink);
    }

    fn kind_of(&self, header: &Header) -> Kind {
        let turn_of =
            if self.settings.transcript { None } else { Some(self.settings.role.unwrap_or(Role::Assistant)) };
        classify::kind_of(header, turn_of, &self.settings.tools)
    }

    fn start_frame(&mut self, header: Header, kind: Kind, implied: bool, sink: &mut impl Sink) {
        if self.error.is_some() {
            return;
        }
        self.finals += usize::from(kind == Kind::Text && header.role == Role::Assistant);
        let json_type = header.content_type.as_deref().is_some_and(|name| name.ends_with("json"));
        let function = header.recipient.as_deref().is_some_and(|name| name.starts_with("functions."));
        self.current = Some(Current {
            kind,
            role: header.role,
            counted: classify::counted_as(&header),
            has_recipient: header.recipient.is_some(),
            wants_json: kind == Kind::ToolCall && (json_type || function && header.content_type.is_none()),
            empty: true,
            unmarked: false,
            stop: None,
        });
        self.stop = None;
        self.in_doubt = false;
        self.at = At::Content;
        sink.start(header, kind, implied);
    }

    /// Reports the faults of a header.
    fn report(&mut self, parsed: &Parsed, sink: &mut impl Sink) {
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

    fn mark_position(&self, marker: Marker, offset: usize) -> usize {
        let mark = self.buffer.marks.iter().find(|mark| mark.marker == marker && mark.offset == offset);
        mark.map_or_else(|| self.buffer.start(), |mark| mark.at)
    }

    // In content.

    fn marker_in_content(&mut self, marker: Marker, at: usize, sink: &mut impl Sink) {
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
    fn end_frame(&mut self, stop: Option<Stop>, at: usize, sink: &mut impl Sink) {
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
    fn end_quietly(&mut self, at: usize, sink: &mut impl Sink) {
        if let Some(current) = self.current.clone() {
            self.remark_content(&current, at, sink);
        }
        self.finish_frame(None, sink);
    }

    fn finish_frame(&mut self, stop: Option<Stop>, sink: &mut impl Sink) {
        if let Some(current) = &mut self.current {
            current.stop = stop;
        }
        if self.error.is_none() {
            sink.end(stop);
            self.at = At::Between;
        }
    }

    fn remark_content(&mut self, current: &Current, at: usize, sink: &mut impl Sink) {
        let answer =
            current.kind == Kind::Text && current.role == Role::Assistant && !self.settings.transcript;
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

    /// What content is counted as now.
    fn counted(&self) -> Counted {
        self.current.as_ref().map_or(Counted::Other, |current| current.counted)
    }

    fn count_content(&mut self, tokens: u64) {
        // In the text lane contents are counted when somebody asks: it takes longer than parsing.
        if !self.per_byte {
            *self.tokens.of(self.counted()) += tokens;
        }
    }

    /// Counts the buffer as markup.
    fn count_header(&mut self) {
        self.tokens.markup += self.buffer.tokens;
        if self.per_byte {
            self.tokens.markup += self.buffer.count_text(self.buffer.text.len());
        }
    }
}

const fn spelling(stop: Option<Stop>) -> &'static str {
    match stop {
        Some(Stop::Return) => "<|return|>",
        Some(Stop::Call) => "<|call|>",
        Some(Stop::End) => "<|end|>",
        None => "",
    }
}
