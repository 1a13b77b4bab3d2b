//! What becomes of input that does not follow the transitions: text between frames, headers that lead nowhere, and
//! markers in content. Nothing is lost here: it ends up in a frame, or in a repair.

use super::classify::Kind;
use super::header::{self, Parsed};
use super::machine::{FrameOpening, HeaderEnd, Parser, State};
use super::stripped::Stripped;
use super::{HEADER_LIMIT, Sink};
use crate::error::Code;
use crate::frame::{Header, Role, Stop};
use crate::marker::Marker;

impl Parser {
    /// Text between frames is left out of the message. State the very start it is what the model says first.
    pub(super) fn stray_text(&mut self, sink: &mut impl Sink) {
        if self.buffer.is_empty() {
            return;
        }
        let first = self.current.is_none() && self.tokens.markup == 0;
        if first && self.buffer.text.contains(char::is_alphanumeric) {
            return self.headerless(Code::MissingHeader, Kind::Preamble, None, sink);
        }
        let (at, text) = (self.buffer.start(), self.buffer.spelled(0, 0));
        self.count_header();
        self.buffer.clear();
        self.repair(Code::StrayText, at, text, sink);
    }

    /// Text without header that is nevertheless an answer: after the reasoning, where the answer is expected.
    pub(super) fn headerless_text(&mut self, stop: Option<Stop>, sink: &mut impl Sink) -> bool {
        let expected =
            if self.current.is_none() { !self.marked || stop.is_some() } else { self.expects_answer() };
        if !expected || !self.buffer.text.contains(char::is_alphanumeric) {
            return false;
        }
        let code =
            if self.current.is_none() && stop.is_none() { Code::NoMarkup } else { Code::MissingHeader };
        self.headerless(code, Kind::Text, stop, sink);
        true
    }

    fn expects_answer(&self) -> bool {
        self.current.as_ref().is_some_and(|last| {
            last.role == Role::Assistant
                && matches!(last.kind, Kind::Reasoning | Kind::Preamble)
                && last.stop == Some(Stop::End)
        })
    }

    /// Such an answer is not held back until it ends: what is longer than a header is none.
    pub(super) fn begin_answer(&mut self, sink: &mut impl Sink) {
        let long = self.buffer.text.len() > HEADER_LIMIT;
        if long && self.expects_answer() && self.buffer.text.contains(char::is_alphanumeric) {
            self.open_headerless(Code::MissingHeader, Kind::Text, sink);
            self.emit_held(sink);
        }
    }

    /// A frame made of text that has no header.
    pub(super) fn headerless(&mut self, code: Code, kind: Kind, stop: Option<Stop>, sink: &mut impl Sink) {
        self.open_headerless(code, kind, sink);
        self.emit_held(sink);
        self.finish_frame(stop, sink);
    }

    /// Opens a frame for the text that is held.
    fn open_headerless(&mut self, code: Code, kind: Kind, sink: &mut impl Sink) {
        self.repair(code, self.buffer.start(), shown(&self.buffer.text), sink);
        let header = Header::new(self.options.role.unwrap_or(Role::Assistant));
        self.start_frame(header, kind, true, sink);
        if let Some(current) = &mut self.current {
            current.unmarked = true;
        }
    }

    /// A header begins without `<|start|>`: with a marker, and perhaps with text before it.
    pub(super) fn imply_header(&mut self, marker: Marker, at: usize, sink: &mut impl Sink) {
        let first_word = self.buffer.text.split_whitespace().next().unwrap_or_default();
        let says_role = header::says_role(first_word);
        let role = if says_role { None } else { Some(self.options.role.unwrap_or(Role::Assistant)) };
        if !self.buffer.is_empty() && !self.is_header_text(role) && !self.headerless_text(None, sink) {
            self.stray_text(sink);
        }
        let (at, found) = match self.buffer.is_empty() {
            true => (at, marker.spelling().to_owned()),
            false => (self.buffer.start(), self.buffer.spelled(0, 0)),
        };
        self.repair(Code::MissingStart, at, found, sink);
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
        let parsed = header::parse(&self.buffer, self.header_context(role, true));
        !parsed.faults.iter().any(|(code, _)| {
            matches!(
                code,
                Code::StrayHeaderText | Code::UnknownRole | Code::RoleIsToolName | Code::InvalidRecipient
            )
        }) && parsed.header.role != Role::Tool
    }

    /// Text at the very start that is no header is what the model says first.
    pub(super) fn leave_preamble(&mut self, opening: FrameOpening, sink: &mut impl Sink) {
        let FrameOpening::Preset(role) = opening else { return };
        let bare = self.buffer.marks.is_empty() && !self.buffer.text.trim().is_empty();
        if bare && !self.is_header_text(Some(role)) {
            self.headerless(Code::MissingHeader, Kind::Preamble, None, sink);
            if self.at == State::Between {
                self.at = State::Header(opening);
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
            self.leave_preamble(opening, sink);
            if !self.buffer.is_empty() {
                self.abandon_header(opening, HeaderEnd::Start(at), sink);
            }
        }
        self.started_at = at;
        self.open(FrameOpening::Start);
    }

    /// A header that ends without `<|message|>`: what cannot be header is content; if there is none, it is left out.
    pub(super) fn abandon_header(&mut self, opening: FrameOpening, why: HeaderEnd, sink: &mut impl Sink) {
        let preset = matches!(opening, FrameOpening::Preset(_));
        let mut parsed = header::parse(&self.buffer, self.header_context(opening.role(), false));
        let addressed = parsed.header.recipient.is_some()
            && !parsed.faults.iter().any(|(code, _)| *code == Code::UnmarkedRecipient);
        if preset && self.buffer.marks.is_empty() && !(addressed && parsed.header.channel.is_none()) {
            return self.abandon_preset(why, sink);
        }
        let kind = self.kind_of(&parsed.header);
        let stop = if let HeaderEnd::Stop(stop) = why { Some(stop) } else { None };
        if let Some(rest) = parsed.rest {
            let json = self.buffer.text.get(rest..).is_some_and(|text| text.starts_with(['{', '[', '"']));
            if why == HeaderEnd::End && kind == Kind::ToolCall && !json {
                parsed.rest = None;
            }
        } else if why == HeaderEnd::Limit || (stop == Some(Stop::Call) && kind == Kind::ToolCall) {
            parsed.rest = Some(self.buffer.text.len());
        }
        match parsed.rest {
            Some(rest) => self.content_without_message(parsed, rest, opening, why, sink),
            None => self.drop_header(opening, why, sink),
        }
    }

    /// Text at the start of a completion, before any marker.
    pub(super) fn abandon_preset(&mut self, why: HeaderEnd, sink: &mut impl Sink) {
        match why {
            _ if self.buffer.text.trim().is_empty() => self.stray_text(sink),
            HeaderEnd::Stop(stop) => self.headerless(Code::MissingHeader, Kind::Text, Some(stop), sink),
            HeaderEnd::Start(_) => self.headerless(Code::MissingHeader, Kind::Preamble, None, sink),
            HeaderEnd::End => self.headerless(Code::NoMarkup, Kind::Text, None, sink),
            HeaderEnd::Limit => {
                self.open_headerless(Code::NoMarkup, Kind::Text, sink);
                if self.options.stripped == Stripped::Always && self.at == State::Content {
                    self.at = State::Stripped;
                    self.read_stripped(false, sink);
                } else {
                    self.emit_held(sink);
                }
            }
        }
    }

    /// The header ran into its content at byte `rest`.
    pub(super) fn content_without_message(
        &mut self,
        parsed: Parsed,
        rest: usize,
        opening: FrameOpening,
        why: HeaderEnd,
        sink: &mut impl Sink,
    ) {
        self.report(&parsed, sink);
        let (at, all) = (self.buffer.position(rest, self.per_byte), self.buffer.tokens);
        let code = if why == HeaderEnd::Limit { Code::HeaderTooLong } else { Code::MissingMessage };
        let marks_before = self.buffer.marks.iter().take_while(|mark| mark.offset <= rest).count();
        let text = self.buffer.spelled(rest, marks_before);
        let in_header = self.buffer.tokens_before(rest).min(all);
        self.tokens.markup += in_header;
        if self.per_byte {
            self.tokens.markup += self.buffer.count_text(rest);
        }
        self.buffer.clear();
        self.repair(code, at, shown(&text), sink);
        self.enter(parsed.header, matches!(opening, FrameOpening::Implied(_)), at, &text, sink);
        self.count_content(all - in_header);
        self.delta(&text, sink);
        match why {
            HeaderEnd::Limit => {}
            HeaderEnd::Stop(stop) => self.end_frame(Some(stop), at, sink),
            HeaderEnd::Start(at) => {
                self.repair(Code::MissingEnd, at, Marker::Start.spelling().to_owned(), sink);
                self.interrupt_frame(at, sink);
            }
            HeaderEnd::End => self.end_frame(None, at, sink),
        }
    }

    /// A header without any content.
    pub(super) fn drop_header(&mut self, opening: FrameOpening, why: HeaderEnd, sink: &mut impl Sink) {
        let parsed = header::parse(&self.buffer, self.header_context(opening.role(), true));
        let mut at = self.buffer.start();
        let mut text = self.buffer.spelled(0, 0);
        self.count_header();
        self.buffer.clear();
        let prompt = self.options.transcript && !parsed.says_something() && parsed.faults.is_empty();
        if why == HeaderEnd::End && prompt {
            // The tail of a prompt: `<|start|>assistant`, for the model to go on.
            self.start_frame(parsed.header, Kind::Text, false, sink);
            sink.end(None);
            return;
        }
        if opening == FrameOpening::Start && !text.starts_with(Marker::Start.spelling()) {
            at = self.started_at;
            text.insert_str(0, Marker::Start.spelling());
        }
        let code = match why {
            HeaderEnd::End => Code::TruncatedHeader,
            _ => Code::GarbageHeader,
        };
        self.repair(code, at, text, sink);
    }

    /// `<|message|>` behind a candidate: does a header stand before it?
    pub(super) fn decide(&mut self, at: usize, sink: &mut impl Sink) {
        for index in 0..self.buffer.marks.len() {
            let Some(mark) = self.buffer.marks.get(index).copied() else { break };
            if mark.marker == Marker::Constrain {
                continue;
            }
            let started = mark.marker == Marker::Start;
            let role = if started { None } else { Some(self.options.role.unwrap_or(Role::Assistant)) };
            let candidate = self.buffer.from_mark(index);
            if !header::parse(&candidate, self.header_context(role, true)).is_certain() {
                continue;
            }
            self.flush_candidate(index, sink);
            self.repair(Code::MissingEnd, mark.at, mark.marker.spelling().to_owned(), sink);
            if !started {
                self.repair(Code::MissingStart, mark.at, mark.marker.spelling().to_owned(), sink);
            }
            self.interrupt_frame(mark.at, sink);
            let buffer = std::mem::take(&mut self.buffer);
            if self.at != State::Closed {
                self.at =
                    State::Header(if started { FrameOpening::Start } else { FrameOpening::Implied(role) });
            }
            self.buffer = buffer;
            return self.begin_content(sink);
        }
        self.flush_candidate(self.buffer.marks.len(), sink);
        self.marker_in_content(Marker::Message, at, sink);
    }

    /// The input ends behind a candidate. Nobody quotes `<|start|>` and stops there: a header was to follow.
    pub(super) fn end_candidate(&mut self, at: usize, sink: &mut impl Sink) {
        let begun = self.buffer.marks.first().copied().filter(|mark| mark.marker == Marker::Start);
        let parsed = header::parse(&self.buffer, self.header_context(None, false));
        let doubtful = |(code, _): &(Code, _)| !matches!(code, Code::MissingRole | Code::OddSpace);
        match begun {
            Some(mark) if parsed.rest.is_none() && !parsed.faults.iter().any(doubtful) => {
                self.repair(Code::MissingEnd, mark.at, mark.marker.spelling().to_owned(), sink);
                self.interrupt_frame(mark.at, sink);
                self.drop_header(FrameOpening::Start, HeaderEnd::End, sink);
            }
            _ => {
                self.flush_candidate(self.buffer.marks.len(), sink);
                self.end_frame(None, at, sink);
            }
        }
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
        if self.buffer.is_empty() && self.at == State::Candidate {
            self.at = State::Content;
        }
    }
}

/// Enough of a text to tell what it is; all of it is kept elsewhere.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
