//! Transitions of the machine for text whose markers were removed: its first header, and the frames between later ones.
//! Which words are headers is decided in `detect.rs`.

use super::detect::{Next, StrippedHeader, StrippedHeaderDetector};
use super::json::JsonTracker;
use super::words::Miss;
use super::{Follows, Stripped};
use crate::error::Code;
use crate::frame::Role;
use crate::parser::classify::{Kind, channel_of};
use crate::parser::machine::{FrameOpening, Parser, State};
use crate::parser::{DOUBT_LIMIT, Sink};
use crate::tool_name::is_built_in;

/// The length of a text at which it is inspected first.
const MIN_SCAN: usize = 8;

/// The next length at which a text is inspected that has this one: in all, the inspections cost a multiple of its
/// length, and a text is held back for at most a quarter longer than necessary.
const fn next_threshold(length: usize) -> usize {
    let step = if length / 4 > 4 { length / 4 } else { 4 };
    match length {
        0..MIN_SCAN => MIN_SCAN,
        _ if length > DOUBT_LIMIT => usize::MAX,
        _ if length + step > DOUBT_LIMIT => DOUBT_LIMIT + 1,
        _ => length + step,
    }
}

impl Parser {
    /// Whether what is held is the start of a completion, without any marker so far.
    pub(in crate::parser) fn is_start(&self) -> bool {
        let place = match self.state {
            State::Header(FrameOpening::Preset(role)) => role == Role::Assistant,
            State::Between => !self.options.transcript && self.options.role.is_none(),
            _ => false,
        };
        place && self.current.is_none() && !self.marked && self.options.stripped != Stripped::Never
    }

    fn detector(&self, whole: bool, marked: bool) -> StrippedHeaderDetector<'_> {
        StrippedHeaderDetector {
            tools: &self.options.tools,
            always: self.options.stripped == Stripped::Always,
            whole,
            marked,
            at_limit: false,
            only_offered: false,
        }
    }

    /// Inspects the held text again if it has become long enough.
    pub(in crate::parser) fn rescan(&mut self, sink: &mut impl Sink) {
        let length = self.buffer.text.len();
        if length < self.stripped.rescan_threshold {
            return;
        }
        self.stripped.rescan_threshold = next_threshold(length);
        self.open_stripped(false, false, sink);
    }

    /// Looks for a header without markers at the start. `whole`: nothing follows, or a marker does (`marked`).
    pub(in crate::parser) fn open_stripped(&mut self, whole: bool, marked: bool, sink: &mut impl Sink) {
        if !self.is_start() || self.buffer.text.is_empty() {
            return;
        }
        // A fixed length is inspected, so that chunk boundaries do not change the result.
        let text = self.buffer.text.as_str();
        let cut = (0..4).find_map(|back| text.get(..DOUBT_LIMIT - back));
        let inspected = cut.filter(|_| text.len() > DOUBT_LIMIT).unwrap_or(text);
        let at_limit = inspected.len() < text.len();
        let detector = StrippedHeaderDetector { at_limit, ..self.detector(whole && !at_limit, marked) };
        match detector.opening(inspected) {
            Ok(header) => self.enter_stripped(header, sink),
            Err(miss) => self.in_doubt = miss == Miss::NeedMoreInput,
        }
    }

    /// The same between frames, for the text before a marker: `<|end|>assistantfinalHello<|return|>`.
    pub(in crate::parser) fn reopen_stripped(&mut self, sink: &mut impl Sink) {
        let own = self.current.as_ref().is_some_and(|last| last.role == Role::Assistant);
        if self.state != State::Between
            || !own
            || self.options.transcript
            || self.options.stripped == Stripped::Never
        {
            return;
        }
        if let Ok(header) = self.detector(true, true).reopening(&self.buffer.text) {
            self.enter_stripped(header, sink);
        }
    }

    /// Reads the frame whose header stands in the prompt as one without markers, if they are known to be removed, or
    /// if only text can say so.
    pub(in crate::parser) fn read_opened_as_stripped(&mut self) {
        let stripped = match self.options.stripped {
            Stripped::Always => true,
            Stripped::Auto => self.per_byte,
            Stripped::Never => false,
        };
        let Some(current) = self.current.as_mut().filter(|current| current.role == Role::Assistant) else {
            return;
        };
        if stripped && self.state == State::Content {
            current.unmarked = self.options.stripped == Stripped::Always;
            self.state = State::Stripped;
        }
    }

    /// Reads an answer without markers for headers, as far as they can be expected.
    pub(in crate::parser) fn watch_for_headers(&mut self, sink: &mut impl Sink) {
        let watched = match self.options.stripped {
            Stripped::Always => true,
            Stripped::Auto => !self.options.tools.is_empty(),
            Stripped::Never => false,
        };
        if watched && self.state == State::Content {
            self.stripped.only_offered = self.options.stripped == Stripped::Auto;
            self.state = State::Stripped;
            self.read_stripped(Follows::More, sink);
        } else {
            self.begin_held_content(sink);
        }
    }

    pub(in crate::parser) const fn was_guessed(&self) -> bool {
        self.stripped.guessed
    }

    /// The length of the held start of a completion at which it is inspected again.
    pub(in crate::parser) const fn rescan_threshold(&self) -> usize {
        self.stripped.rescan_threshold
    }

    /// Whether the held text is content of the open frame.
    pub(in crate::parser) const fn holds_content(&self) -> bool {
        match self.state {
            State::Stripped => self.stripped.behind_json.is_none(),
            State::Candidate | State::GluedRole => true,
            _ => false,
        }
    }

    /// Opens the frame of a header in the held text.
    fn enter_stripped(&mut self, detected: StrippedHeader, sink: &mut impl Sink) {
        let StrippedHeader { header, start, end } = detected;
        if start > 0 {
            // In front of a call a model reasons.
            let kind = if header.recipient.is_some() { Kind::Reasoning } else { Kind::Preamble };
            let mut before = self.buffer.cut(start, self.per_byte);
            std::mem::swap(&mut self.buffer, &mut before);
            self.headerless(Code::MissingHeader, kind, None, sink);
            self.buffer = before;
        }
        let head = self.buffer.cut(end - start, self.per_byte);
        self.tokens.markup += head.tokens;
        if self.per_byte {
            self.tokens.markup += head.count_text(head.text.len());
        }
        self.stripped.guessed = true;
        self.stripped.only_offered = false;
        self.repair(Code::StrippedMarkers, head.start(), head.text.clone(), sink);
        let is_answer = channel_of(&header) == Some("final");
        let takes_json = header.recipient.as_deref().is_some_and(|to| !is_built_in(to) || to.contains('.'));
        self.frame_at = head.start();
        self.enter(header, false, true, head.start(), &head.text, sink);
        if self.state != State::Content {
            return;
        }
        let mut is_call = false;
        if let Some(current) = &mut self.current {
            current.unmarked = true;
            is_call = current.kind == Kind::ToolCall;
        }
        if is_answer && !is_call {
            // The answer ends the turn: header words in it are prose, unless markers show that they are not.
            self.begin_held_content(sink);
        } else {
            self.stripped.json = (is_call && takes_json).then(JsonTracker::default);
            self.state = State::Stripped;
            self.read_stripped(Follows::More, sink);
        }
    }

    /// Content up to the next header; what may be the beginning of one is held back.
    pub(in crate::parser) fn read_stripped(&mut self, follows: Follows, sink: &mut impl Sink) {
        while self.state == State::Stripped && !self.buffer.text.is_empty() {
            if self.stripped.behind_json.is_some() {
                if !self.read_behind_json(follows, sink) {
                    return;
                }
                continue;
            }
            // Directly behind a header a text is attached to that.
            let before = sink.content().chars().next_back().unwrap_or('s');
            let mut json = self.stripped.json;
            let next = self.watcher(follows).next(&self.buffer.text, Some(before), json.as_mut());
            let cut = self.cut_header(follows, before, &next);
            self.stripped.json = json;
            match next {
                Next::Header(StrippedHeader { header, start, end }) => {
                    self.emit(start, sink);
                    let at = self.buffer.start();
                    self.interrupt_frame(at, sink);
                    self.enter_stripped(StrippedHeader { header, start: 0, end: end - start }, sink);
                }
                Next::End(end) => {
                    self.emit(end, sink);
                    self.interrupt_frame(self.buffer.start(), sink);
                    self.stripped.behind_json = Some(0);
                    if self.state == State::Between {
                        self.state = State::Stripped;
                    }
                }
                Next::Hold(from) => {
                    self.emit(cut.unwrap_or(from), sink);
                    if cut.is_some() {
                        self.drop_cut_header(sink);
                    }
                    return;
                }
            }
        }
    }

    fn watcher(&self, follows: Follows) -> StrippedHeaderDetector<'_> {
        let detector = self.detector(follows != Follows::More, false);
        StrippedHeaderDetector { only_offered: self.stripped.only_offered, ..detector }
    }

    /// Where a header begins that the end of the input cut.
    fn cut_header(&self, follows: Follows, before: char, next: &Next) -> Option<usize> {
        let (Follows::Nothing, Next::Hold(_)) = (follows, next) else { return None };
        let mut json = self.stripped.json;
        let text = &self.buffer.text;
        let watcher = self.watcher(Follows::More);
        let Next::Hold(from) = watcher.next(text, Some(before), json.as_mut()) else { return None };
        let (head, tail) = text.split_at(from);
        watcher.is_cut_header(tail, head.chars().next_back().or(Some(before))).then_some(from)
    }

    fn drop_cut_header(&mut self, sink: &mut impl Sink) {
        let (at, text) = (self.buffer.start(), self.buffer.spelled(0, 0));
        self.interrupt_frame(at, sink);
        self.count_header();
        self.buffer.clear();
        self.repair(Code::TruncatedHeader, at, text, sink);
    }

    /// Text behind the arguments of a call, up to the next header: the call has ended there, and no frame has begun.
    /// Returns whether there was a header.
    fn read_behind_json(&mut self, follows: Follows, sink: &mut impl Sink) -> bool {
        let scanned = self.stripped.behind_json.unwrap_or(0);
        let (head, tail) = self.buffer.text.split_at(scanned);
        let before = head.chars().next_back().or(Some('}'));
        match self.watcher(follows).next(tail, before, None) {
            Next::Header(StrippedHeader { header, start, end }) => {
                let stray = self.buffer.cut(scanned + start, self.per_byte);
                self.stripped.behind_json = None;
                let rest = std::mem::replace(&mut self.buffer, stray);
                self.stray_text(sink);
                self.buffer = rest;
                self.enter_stripped(StrippedHeader { header, start: 0, end: end - start }, sink);
                true
            }
            Next::Hold(from) | Next::End(from) => {
                self.stripped.behind_json = Some(scanned + from);
                false
            }
        }
    }

    /// The input ends, or a marker shows that not all of them are removed.
    pub(in crate::parser) fn leave_stripped(&mut self, follows: Follows, sink: &mut impl Sink) {
        self.read_stripped(follows, sink);
        if self.state == State::Stripped && self.stripped.behind_json.take().is_some() {
            self.state = State::Between;
        } else if self.state == State::Stripped {
            self.state = State::Content;
            self.emit_held(sink);
        }
    }

    /// What is held is content up to a byte.
    pub(in crate::parser) fn emit(&mut self, length: usize, sink: &mut impl Sink) {
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
