//! Input outside of the transitions: headers without content, and markers in content. All text is kept, in a
//! frame or in a repair.

use super::Sink;
use super::classify::{Classification, Kind};
use super::header::{self, Ending, ParsedHeader};
use super::header_buffer::HeaderBuffer;
use super::headerless::shown;
use super::machine::{FrameOpening, HeaderEnd, Parser, State, Undecided};
use super::tool_names::TYPES;
use crate::error::Code;
use crate::frame::{CHANNELS, Role, Stop};
use crate::marker::Marker;

/// A last word of at least this many characters is text, in scripts that do not separate words.
const MIN_UNSEPARATED_CHARS: usize = 8;

impl Parser {
    /// A header begins without `<|start|>`: with a marker, and perhaps with text before it.
    pub(super) fn imply_header(&mut self, marker: Marker, at: usize, sink: &mut impl Sink) {
        let first_word = self.buffer.text.split_whitespace().next().unwrap_or_default();
        let says_role = header::says_role(first_word);
        let role = if says_role { None } else { Some(self.own_role()) };
        if !self.buffer.is_empty() && !self.is_header_text(role) && !self.headerless_text(None, sink) {
            self.stray_text(sink);
        }
        let (at, written) = match self.buffer.is_empty() {
            true => (at, marker.spelling().to_owned()),
            false => (self.buffer.start(), self.buffer.spelled(0, 0)),
        };
        self.repair(Code::MissingStart, at, written, sink);
        self.started_at = at;
        let buffer = std::mem::take(&mut self.buffer);
        self.open(FrameOpening::Implied(if buffer.text.trim().is_empty() {
            Some(role.unwrap_or(Role::Assistant))
        } else {
            role
        }));
        self.buffer = buffer;
    }

    /// Whether the text that is held, which has no markers, can be part of a header.
    pub(super) fn is_header_text(&self, role: Option<Role>) -> bool {
        let parsed = header::parse(&self.buffer, self.header_context(role, Ending::Message));
        !parsed.faults.iter().any(|(code, _)| {
            matches!(
                code,
                Code::StrayHeaderText | Code::UnknownRole | Code::RoleIsToolName | Code::InvalidRecipient
            )
        }) && parsed.header.role != Role::Tool
    }

    /// Text at the very start that cannot be header is a preamble; before `<|message|>`, where no header follows, it is
    /// the answer.
    pub(super) fn leave_preamble(&mut self, opening: FrameOpening, marker: Marker, sink: &mut impl Sink) {
        let FrameOpening::Preset(role) = opening else { return };
        let bare = self.buffer.marks.is_empty() && !self.buffer.text.trim().is_empty();
        if bare && !self.is_header_text(Some(role)) {
            let kind = if marker == Marker::Message { Kind::Text } else { Kind::Preamble };
            self.headerless(Code::MissingHeader, kind, None, sink);
            if self.state == State::Between {
                self.state = State::Header(opening);
            }
        }
    }

    /// `<|start|>` in a header.
    pub(super) fn restart_header(&mut self, opening: FrameOpening, at: usize, sink: &mut impl Sink) {
        if self.buffer.is_empty() {
            let code = if matches!(opening, FrameOpening::Preset(_)) {
                Code::RepeatedStart
            } else {
                Code::DuplicateStart
            };
            self.repair(code, at, Marker::Start.spelling().to_owned(), sink);
        } else {
            self.leave_preamble(opening, Marker::Start, sink);
            if !self.buffer.is_empty() {
                self.abandon_header(opening, HeaderEnd::Start(at), sink);
            }
        }
        self.started_at = at;
        self.open(FrameOpening::Start);
    }

    /// A header that ends without `<|message|>`: what cannot be header is content; without content it is left out.
    pub(super) fn abandon_header(&mut self, opening: FrameOpening, why: HeaderEnd, sink: &mut impl Sink) {
        let ending = if why == HeaderEnd::Input { Ending::Input } else { Ending::Other };
        let mut parsed = self.parse_open_header(opening.role(), ending);
        let is_call = self.classified(&parsed.header).kind == Kind::ToolCall;
        let text = &self.buffer.text;
        let json = |rest: usize| text.get(rest..).is_some_and(|text| text.starts_with(['{', '[', '"']));
        let stop = if let HeaderEnd::Stop(stop) = why { Some(stop) } else { None };
        if parsed.rest.is_none() && (why == HeaderEnd::Limit || stop == Some(Stop::Call) && is_call) {
            parsed.rest = Some(text.len());
        }
        let bare = matches!(opening, FrameOpening::Preset(_)) && self.buffer.marks.is_empty();
        let called = is_call
            && parsed.names_a_tool(&self.options.tools)
            && parsed.rest.is_none_or(|rest| json(rest) || rest == text.len());
        if bare && !called {
            return self.abandon_preset(why, sink);
        }
        if why == HeaderEnd::Input
            && !parsed.says_something()
            && !parsed.rest.is_some_and(|rest| is_text(text.get(rest..).unwrap_or_default()))
        {
            parsed.rest = None;
        }
        // A header that was cut within a word, and closed for the next message, reads as it does at the end of the input.
        if matches!(why, HeaderEnd::Stop(Stop::End) | HeaderEnd::Start(_))
            && (opening == FrameOpening::Start || !self.buffer.marks.is_empty())
            && parsed.rest.is_some_and(|rest| begins_header_word(text.get(rest..).unwrap_or_default()))
        {
            parsed.rest = None;
        }
        match parsed.rest {
            Some(rest) => self.content_without_message(parsed, rest, opening, why, sink),
            None => self.drop_header(opening, why, sink),
        }
    }

    /// Parses the header that is held, without the beginning of a marker at the end of the input.
    fn parse_open_header(&self, role: Option<Role>, ending: Ending) -> ParsedHeader {
        let partial = self.partial_marker_length(ending);
        if partial == 0 {
            return header::parse(&self.buffer, self.header_context(role, ending));
        }
        let cut = self.buffer.without_tail(partial);
        let parsed = header::parse(&cut, self.header_context(role, Ending::Input));
        if parsed.rest.is_some() {
            return header::parse(&self.buffer, self.header_context(role, ending));
        }
        parsed
    }

    fn partial_marker_length(&self, ending: Ending) -> usize {
        let cut = self.per_byte && ending == Ending::Input;
        if cut { self.buffer.partial_marker_length() } else { 0 }
    }

    /// The header ran into its content at byte `rest`.
    fn content_without_message(
        &mut self,
        parsed: ParsedHeader,
        rest: usize,
        opening: FrameOpening,
        why: HeaderEnd,
        sink: &mut impl Sink,
    ) {
        let (at, all) = (self.buffer.position(rest, self.per_byte), self.buffer.tokens);
        let code = if why == HeaderEnd::Limit { Code::HeaderTooLong } else { Code::MissingMessage };
        let marks_before = self.buffer.marks.iter().take_while(|mark| mark.offset <= rest).count();
        let text = self.buffer.spelled(rest, marks_before);
        let in_header = self.buffer.tokens_before(rest).min(all);
        let mut faults = self.described(&parsed);
        faults.push((code, at, shown(&text)));
        self.tokens.markup += in_header;
        if self.per_byte {
            self.tokens.markup += self.buffer.count_text(rest);
        }
        let frame_at = self.opened_at(opening);
        self.frame_at = frame_at;
        self.buffer.clear();
        let implied = matches!(opening, FrameOpening::Implied(_));
        let unnamed = parsed.header.channel.is_none()
            && parsed.header.recipient.is_none()
            && parsed.header.role == self.own_role()
            && !self.options.transcript;
        if unnamed && why == HeaderEnd::Stop(Stop::End) {
            let header = parsed.header;
            let tokens = all - in_header;
            self.undecided =
                Some(Box::new(Undecided { header, faults, at, frame_at, text, tokens, implied }));
            return;
        }
        for (code, at, text) in faults {
            self.repair(code, at, text, sink);
        }
        let certain = self.marked && parsed.is_certain_call(&self.options.tools, false);
        self.enter(parsed.header, certain, implied, at, &text, sink);
        self.count_content(all - in_header);
        self.delta(&text, sink);
        match why {
            HeaderEnd::Limit => {}
            HeaderEnd::Stop(stop) => self.end_frame(Some(stop), at, sink),
            HeaderEnd::Start(at) => {
                self.repair(Code::MissingEnd, at, Marker::Start.spelling().to_owned(), sink);
                self.interrupt_frame(at, sink);
            }
            HeaderEnd::Input => self.end_frame(None, at, sink),
        }
    }

    /// A header without any content.
    fn drop_header(&mut self, opening: FrameOpening, why: HeaderEnd, sink: &mut impl Sink) {
        let parsed = header::parse(&self.buffer, self.header_context(opening.role(), Ending::Message));
        let mut at = self.buffer.start();
        let mut text = self.buffer.spelled(0, 0);
        self.count_header();
        self.buffer.clear();
        let prompt = self.options.transcript && !parsed.says_something() && parsed.faults.is_empty();
        if why == HeaderEnd::Input && prompt {
            // The tail of a prompt: `<|start|>assistant`, for the model to go on.
            let classification = self.classified(&parsed.header);
            self.frame_at = self.started_at;
            self.start_frame(
                parsed.header,
                Classification { kind: Kind::Text, ..classification },
                false,
                false,
                sink,
            );
            sink.end(None);
            return;
        }
        if opening == FrameOpening::Start && !text.starts_with(Marker::Start.spelling()) {
            at = self.started_at;
            text.insert_str(0, Marker::Start.spelling());
        }
        let code = match why {
            HeaderEnd::Input => Code::TruncatedHeader,
            _ => Code::GarbageHeader,
        };
        self.repair(code, at, text, sink);
    }

    /// `<|message|>` behind a candidate: decides whether a header precedes it.
    pub(super) fn decide(&mut self, at: usize, sink: &mut impl Sink) {
        for anchor in self.anchors() {
            let candidate = self.candidate(anchor);
            let role = self.role_of(anchor);
            let parsed = header::parse(&candidate, self.header_context(role, Ending::Message));
            if parsed.is_certain(&self.options.tools) {
                self.begin_candidate(anchor, sink);
                return self.begin_content(sink);
            }
        }
        self.flush_candidate(self.buffer.marks.len(), sink);
        self.marker_in_content(Marker::Message, at, sink);
    }

    /// The places of a candidate where a header can begin: a role in front of its markers, and its markers.
    fn anchors(&self) -> Vec<Option<usize>> {
        let begins_with_text = self.buffer.marks.first().is_none_or(|mark| mark.offset > 0);
        let marks = self.buffer.marks.iter().enumerate();
        let marks = marks.filter(|(_, mark)| mark.marker != Marker::Constrain).map(|(index, _)| Some(index));
        begins_with_text.then_some(None).into_iter().chain(marks).collect()
    }

    fn candidate(&self, anchor: Option<usize>) -> HeaderBuffer {
        anchor.map_or_else(|| self.buffer.clone(), |index| self.buffer.from_mark(index))
    }

    /// The role of a header that begins there; `None` if its text says it.
    fn role_of(&self, anchor: Option<usize>) -> Option<Role> {
        let mark = self.buffer.marks.get(anchor?)?;
        if mark.marker == Marker::Start { None } else { Some(self.own_role()) }
    }

    /// Ends the open frame where a header begins that lacks what should stand before it.
    fn begin_candidate(&mut self, anchor: Option<usize>, sink: &mut impl Sink) {
        let role = self.role_of(anchor);
        let mark = anchor.and_then(|index| self.buffer.marks.get(index)).copied();
        let started = mark.is_some_and(|mark| mark.marker == Marker::Start);
        let (at, written) = match mark {
            Some(mark) => (mark.at, mark.marker.spelling().to_owned()),
            None => (self.buffer.start(), Role::Assistant.as_str().to_owned()),
        };
        if let Some(index) = anchor {
            self.flush_candidate(index, sink);
        }
        self.repair(Code::MissingEnd, at, written.clone(), sink);
        if !started {
            self.repair(Code::MissingStart, at, written, sink);
        }
        self.interrupt_frame(at, sink);
        if self.state != State::Closed {
            self.state =
                State::Header(if started { FrameOpening::Start } else { FrameOpening::Implied(role) });
            self.started_at = at;
        }
    }

    /// The input ends behind a candidate. A quotation would go on, so that words of a header alone are a header.
    pub(super) fn end_candidate(&mut self, at: usize, sink: &mut impl Sink) {
        let partial = self.partial_marker_length(Ending::Input);
        for anchor in self.anchors() {
            if anchor.is_none() && self.buffer.marks.is_empty() {
                continue;
            }
            let candidate = self.candidate(anchor).without_tail(partial);
            let parsed = header::parse(&candidate, self.header_context(self.role_of(anchor), Ending::Input));
            let doubtful = |(code, _): &(Code, _)| {
                !matches!(
                    code,
                    Code::MissingRole
                        | Code::OddSpace
                        | Code::EmptyChannel
                        | Code::EmptyContentType
                        | Code::EmptyRecipient
                )
            };
            if parsed.rest.is_none() && !parsed.faults.iter().any(doubtful) {
                self.begin_candidate(anchor, sink);
                if let State::Header(opening) = self.state {
                    self.drop_header(opening, HeaderEnd::Input, sink);
                }
                return;
            }
        }
        self.flush_candidate(self.buffer.marks.len(), sink);
        self.end_frame(None, at, sink);
    }

    /// The candidate is content up to its marker `index`.
    pub(super) fn flush_candidate(&mut self, index: usize, sink: &mut impl Sink) {
        let rest = self.buffer.from_mark(index);
        let offset = self.buffer.marks.get(index).map_or(self.buffer.text.len(), |mark| mark.offset);
        let flushed: Vec<_> = self.buffer.marks.drain(..index).collect();
        let mut done = 0;
        let text = std::mem::take(&mut self.buffer.text);
        for mark in flushed {
            self.delta(text.get(done..mark.offset).unwrap_or_default(), sink);
            self.repair(Code::MarkerInContent, mark.at, mark.marker.spelling().to_owned(), sink);
            self.delta(mark.marker.spelling(), sink);
            done = mark.offset;
        }
        self.delta(text.get(done..offset).unwrap_or_default(), sink);
        self.count_content(self.buffer.tokens - rest.tokens);
        self.buffer = rest;
        if self.buffer.is_empty() && self.state == State::Candidate {
            self.state = State::Content;
        }
    }
}

/// Whether a text is the beginning of a word of a header, and not all of it.
fn begins_header_word(text: &str) -> bool {
    let words = CHANNELS.iter().chain(&TYPES).copied().chain([Role::Assistant.as_str(), "to="]);
    !text.is_empty() && words.into_iter().any(|word| word.len() > text.len() && word.starts_with(text))
}

/// Whether the end of a cut completion is text: JSON, several words, or one that ends a sentence. A single word may be
/// the beginning of a channel or a role.
fn is_text(text: &str) -> bool {
    let is_word = |word: &&str| word.contains(char::is_alphanumeric);
    let mut words = text.split_whitespace().filter(is_word);
    let first = words.next().unwrap_or_default();
    let ends_sentence = first.ends_with(['.', '!', '?', '。', '！', '？']);
    let unseparated = first.chars().filter(|c| !c.is_ascii() && c.is_alphanumeric()).count();
    text.starts_with(['{', '[', '"'])
        || words.next().is_some()
        || ends_sentence
        || unseparated >= MIN_UNSEPARATED_CHARS
}
