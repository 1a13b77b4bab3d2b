//! Text without a header, or with a header that does not name a channel: its place says what it is.

use super::Sink;
use super::classify::{Classification, Kind};
use super::header_buffer::HeaderBuffer;
use super::machine::{HeaderEnd, Parser, Undecided};
use crate::error::Code;
use crate::frame::{Header, Role, Stop};
use crate::parser::HEADER_LIMIT;

impl Parser {
    /// Text between frames is left out of the message. At the very start it is a preamble.
    pub(super) fn stray_text(&mut self, sink: &mut impl Sink) {
        if self.buffer.is_empty() {
            return;
        }
        let first = self.current.is_none() && self.tokens.markup == 0;
        if first && !self.buffer.text.trim().is_empty() {
            return self.headerless(Code::MissingHeader, Kind::Preamble, None, sink);
        }
        let (at, text) = (self.buffer.start(), self.buffer.spelled(0, 0));
        self.count_header();
        self.buffer.clear();
        self.repair(Code::StrayText, at, text, sink);
    }

    /// Reads text without a header as the answer if it is one: all of a completion, or the text behind the reasoning. Returns
    /// whether it is.
    pub(super) fn headerless_text(&mut self, stop: Option<Stop>, sink: &mut impl Sink) -> bool {
        let blank = self.buffer.text.trim().is_empty();
        let only = self.current.is_none() && !self.marked && stop.is_none() && !self.options.transcript;
        // White space alone is an answer only as the whole completion.
        if blank && (!only || self.buffer.text.is_empty()) {
            return false;
        }
        let expected =
            if self.current.is_none() { !self.marked || stop.is_some() } else { self.expects_answer() };
        if !expected {
            return false;
        }
        if stop == Some(Stop::End) && !self.options.transcript {
            self.leave_undecided();
            return true;
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

    /// Such an answer is not held back until it ends: beyond the limit it cannot be a header.
    pub(super) fn begin_answer(&mut self, sink: &mut impl Sink) {
        let long = self.buffer.text.len() > HEADER_LIMIT;
        if !long || self.buffer.text.trim().is_empty() {
            return;
        }
        self.decide_by_what_follows(true, sink);
        if self.expects_answer() {
            self.open_headerless(Code::MissingHeader, Kind::Text, sink);
            self.begin_held_content(sink);
        }
    }

    /// A frame of text that has no header.
    pub(super) fn headerless(&mut self, code: Code, kind: Kind, stop: Option<Stop>, sink: &mut impl Sink) {
        self.open_headerless(code, kind, sink);
        self.emit_held(sink);
        self.finish_frame(stop, sink);
    }

    /// Opens a frame for the text that is held.
    pub(super) fn open_headerless(&mut self, code: Code, kind: Kind, sink: &mut impl Sink) {
        self.repair(code, self.buffer.start(), shown(&self.buffer.text), sink);
        let header = Header::new(self.options.role.unwrap_or(Role::Assistant));
        self.frame_at = self.buffer.start();
        self.start_frame(header, Classification::of_kind(kind), true, false, sink);
        if let Some(current) = &mut self.current {
            current.unmarked = true;
        }
    }

    /// Text at the start of a completion, before any marker.
    pub(super) fn abandon_preset(&mut self, why: HeaderEnd, sink: &mut impl Sink) {
        let blank = self.buffer.text.trim().is_empty();
        match why {
            HeaderEnd::Input if !self.buffer.text.is_empty() => {
                self.headerless(Code::NoMarkup, Kind::Text, None, sink);
            }
            _ if blank => self.stray_text(sink),
            HeaderEnd::Stop(Stop::End) => self.leave_undecided(),
            HeaderEnd::Stop(stop) => self.headerless(Code::MissingHeader, Kind::Text, Some(stop), sink),
            HeaderEnd::Start(_) => self.headerless(Code::MissingHeader, Kind::Preamble, None, sink),
            HeaderEnd::Limit => {
                self.open_headerless(Code::NoMarkup, Kind::Text, sink);
                self.watch_for_headers(sink);
            }
            HeaderEnd::Input => {}
        }
    }

    /// Holds the text that `<|end|>` ended until the next marker or the end of the input decides what it is.
    fn leave_undecided(&mut self) {
        let buffer: HeaderBuffer = std::mem::take(&mut self.buffer);
        let at = buffer.start();
        self.undecided = Some(Box::new(Undecided {
            header: Header::new(self.options.role.unwrap_or(Role::Assistant)),
            faults: vec![(Code::MissingHeader, at, shown(&buffer.text))],
            at,
            frame_at: at,
            tokens: buffer.tokens,
            text: buffer.text,
            implied: true,
        }));
    }

    /// Opens and ends the frame of a text that `<|end|>` ended. `goes_on`: more of the turn follows.
    pub(super) fn decide_by_what_follows(&mut self, goes_on: bool, sink: &mut impl Sink) {
        let Some(undecided) = self.undecided.take() else { return };
        let Undecided { header, faults, at, frame_at, text, tokens, implied } = *undecided;
        self.frame_at = frame_at;
        let stop = self.stop;
        for (code, at, text) in faults {
            self.repair(code, at, text, sink);
        }
        let held = std::mem::take(&mut self.buffer);
        if goes_on {
            self.start_frame(header, Classification::of_kind(Kind::Reasoning), implied, false, sink);
        } else if implied {
            self.start_frame(header, Classification::of_kind(Kind::Text), implied, false, sink);
        } else {
            self.enter(header, false, implied, at, &text, sink);
        }
        self.count_content(tokens);
        self.delta(&text, sink);
        self.finish_frame(Some(Stop::End), sink);
        self.buffer = held;
        self.stop = stop;
    }
}

/// A prefix that suffices to classify a text; the buffer holds all of it.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
