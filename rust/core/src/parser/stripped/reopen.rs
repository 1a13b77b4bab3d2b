//! Text whose markers were taken out, while it arrives: its first header, and the frames between the next ones.
//! Which words are headers is decided in `stripped.rs` of the crate.

use super::Stripped;
use super::detect::{Found, Miss, Next, StrippedHeaderDetector};
use crate::error::Code;
use crate::frame::Role;
use crate::parser::classify::Kind;
use crate::parser::machine::{FrameOpening, Parser, State};
use crate::parser::{DOUBT_LIMIT, Sink};

impl Parser {
    /// Whether what is held is the start of a completion, without any marker so far.
    fn is_start(&self) -> bool {
        let place = match self.at {
            State::Header(FrameOpening::Preset(role)) => role == Role::Assistant,
            State::Between => !self.options.transcript && self.options.role.is_none(),
            _ => false,
        };
        place && self.current.is_none() && !self.marked && self.options.stripped != Stripped::Never
    }

    fn detector(&self, whole: bool, marked: bool) -> StrippedHeaderDetector<'_> {
        let always = self.options.stripped == Stripped::Always;
        StrippedHeaderDetector { tools: &self.options.tools, always, whole, marked }
    }

    /// Looks for a header without markers at the start. `whole`: nothing follows, or a marker does (`marked`).
    pub(in crate::parser) fn open_stripped(&mut self, whole: bool, marked: bool, sink: &mut impl Sink) {
        if !self.is_start() || self.buffer.text.is_empty() {
            return;
        }
        // Where the input was cut must not matter: no more than this is looked at, however much has arrived.
        let text = self.buffer.text.as_str();
        let cut = (0..4).find_map(|back| text.get(..DOUBT_LIMIT - back));
        let looked_at = cut.filter(|_| text.len() > DOUBT_LIMIT).unwrap_or(text);
        let whole = whole && looked_at.len() == text.len();
        match self.detector(whole, marked).opening(looked_at) {
            Ok(found) => self.enter_stripped(found, sink),
            Err(miss) => self.in_doubt = miss == Miss::NeedMoreInput,
        }
    }

    /// The same between frames, for the text before a marker: `<|end|>assistantfinalHello<|return|>`.
    pub(in crate::parser) fn reopen_stripped(&mut self, sink: &mut impl Sink) {
        let own = self.current.as_ref().is_some_and(|last| last.role == Role::Assistant);
        if self.at != State::Between
            || !own
            || self.options.transcript
            || self.options.stripped == Stripped::Never
        {
            return;
        }
        if let Ok(found) = self.detector(true, true).reopening(&self.buffer.text) {
            self.enter_stripped(found, sink);
        }
    }

    /// Opens the frame of a header that is held.
    fn enter_stripped(&mut self, found: Found, sink: &mut impl Sink) {
        if found.start > 0 {
            let mut before = self.buffer.cut(found.start, self.per_byte);
            std::mem::swap(&mut self.buffer, &mut before);
            self.headerless(Code::MissingHeader, Kind::Preamble, None, sink);
            self.buffer = before;
        }
        let head = self.buffer.cut(found.end - found.start, self.per_byte);
        self.tokens.markup += head.tokens;
        if self.per_byte {
            self.tokens.markup += head.count_text(head.text.len());
        }
        self.repair(Code::StrippedMarkers, head.start(), head.text.clone(), sink);
        let last = found.header.channel.as_deref() == Some("final") && found.header.recipient.is_none();
        self.enter(found.header, true, head.start(), &head.text, sink);
        if self.at != State::Content {
            return;
        }
        if let Some(current) = &mut self.current {
            current.unmarked = true;
        }
        if last {
            // The answer ends the turn: what looks like a header in it is spoken of.
            self.emit_held(sink);
        } else {
            self.at = State::Stripped;
            self.read_stripped(false, sink);
        }
    }

    /// Content up to the next header; what may be the beginning of one is held back.
    pub(in crate::parser) fn read_stripped(&mut self, whole: bool, sink: &mut impl Sink) {
        while self.at == State::Stripped && !self.buffer.text.is_empty() {
            // Right behind a header a text is glued to that.
            let before = sink.content().chars().next_back().unwrap_or('s');
            match self.detector(whole, false).next(&self.buffer.text, Some(before)) {
                Next::Header(Found { header, start, end }) => {
                    self.emit(start, sink);
                    let at = self.buffer.start();
                    self.end_frame(None, at, sink);
                    self.enter_stripped(Found { header, start: 0, end: end - start }, sink);
                }
                Next::Hold(from) => {
                    self.emit(from, sink);
                    return;
                }
            }
        }
    }

    /// The input ends, or a marker shows that not all of them are gone.
    pub(in crate::parser) fn leave_stripped(&mut self, sink: &mut impl Sink) {
        self.read_stripped(true, sink);
        if self.at == State::Stripped {
            self.at = State::Content;
            self.emit_held(sink);
        }
    }

    /// What is held is content up to a byte.
    fn emit(&mut self, length: usize, sink: &mut impl Sink) {
        if length > 0 {
            let head = self.buffer.cut(length, self.per_byte);
            self.count_content(head.tokens);
            self.delta(&head.text, sink);
        }
    }

    /// All that is held is content.
    pub(in crate::parser) fn emit_held(&mut self, sink: &mut impl Sink) {
        let held = std::mem::take(&mut self.buffer);
        self.count_content(held.tokens);
        self.delta(&held.text, sink);
    }
}
