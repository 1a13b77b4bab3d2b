//! Begins and ends frames: their events, the repairs for header values and contents, and the counts of tokens.

use super::classify::{self, ChannelBucket, Classification, Kind};
use super::machine::{CurrentFrame, Parser, State};
use super::{FrameStart, Sink};
use crate::error::Code;
use crate::frame::{Header, Role, Stop};
use crate::marker::Marker;
use crate::tool_name::function_of;

impl Parser {
    /// Opens the frame of a header. `certain`: its call cannot result from a misread word.
    pub(super) fn enter(
        &mut self,
        header: Header,
        certain: bool,
        implied: bool,
        at: usize,
        text: &str,
        sink: &mut impl Sink,
    ) {
        let mut classification = self.classified(&header);
        let kind = classification.kind;
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
        for code in std::mem::take(&mut classification.codes) {
            self.repair(code, at, text.to_owned(), sink);
        }
        self.start_frame(header, classification, implied, certain, sink);
    }

    pub(super) fn classified(&self, header: &Header) -> Classification {
        let turn_of = if self.options.transcript { None } else { Some(self.own_role()) };
        classify::classify(header, turn_of, &self.options.tools)
    }

    pub(super) fn start_frame(
        &mut self,
        header: Header,
        classification: Classification,
        implied: bool,
        certain: bool,
        sink: &mut impl Sink,
    ) {
        if self.error.is_some() {
            return;
        }
        let Classification { kind, tool, .. } = classification;
        self.finals += usize::from(kind == Kind::Text && header.role == Role::Assistant);
        let json_type = header.content_type.as_deref().is_some_and(|name| name.ends_with("json"));
        let function = header.recipient.as_deref().is_some_and(|name| function_of(name).is_some());
        self.current = Some(CurrentFrame {
            kind,
            role: header.role,
            bucket: classify::bucket_of(kind, &header),
            has_recipient: header.recipient.is_some(),
            wants_json: kind == Kind::ToolCall && (json_type || function && header.content_type.is_none()),
            empty: true,
            unmarked: false,
            stop: None,
        });
        self.stop = None;
        self.in_doubt = false;
        self.state = State::Content;
        let trusted = certain && !self.per_byte && !self.was_guessed();
        sink.start(FrameStart { header, kind, implied, tool, trusted, at: self.frame_at });
    }

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

    /// Ends the open frame, and emits the repairs for its end.
    pub(super) fn end_frame(&mut self, stop: Option<Stop>, at: usize, sink: &mut impl Sink) {
        if let Some(current) = self.current.clone() {
            self.remark_content(&current, at, sink);
            if let Some(code) = stop_fault(&current, stop) {
                self.repair(code, at, spelling(stop).to_owned(), sink);
            }
        }
        self.finish_frame(stop, sink);
    }

    /// Ends the open frame because another one begins at this place.
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
            self.state = State::Between;
        }
    }

    fn remark_content(&mut self, current: &CurrentFrame, at: usize, sink: &mut impl Sink) {
        let fault = content_fault(current, sink.content(), self.options.transcript);
        if let Some(code) = fault {
            let is_shown = code == Code::InvalidJson;
            let shown = if is_shown { sink.content().chars().take(80).collect() } else { String::new() };
            self.repair(code, at, shown, sink);
        }
    }

    /// The bucket of the open frame's content.
    pub(super) fn bucket(&self) -> ChannelBucket {
        self.current.as_ref().map_or(ChannelBucket::Other, |current| current.bucket)
    }

    pub(super) fn count_content(&mut self, tokens: u64) {
        // In the text lane content tokens are counted on demand: tokenising costs more than parsing.
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

/// What is wrong with the whole content of a frame.
pub(super) fn content_fault(frame: &CurrentFrame, content: &str, in_transcript: bool) -> Option<Code> {
    let is_answer = frame.kind == Kind::Text && frame.role == Role::Assistant && !in_transcript;
    if content.is_empty() && is_answer {
        Some(Code::EmptyAnswer)
    } else if frame.wants_json && content.trim().is_empty() {
        Some(Code::EmptyArguments)
    } else if frame.wants_json && serde_json::from_str::<serde::de::IgnoredAny>(content).is_err() {
        Some(Code::InvalidJson)
    } else {
        None
    }
}

/// What is wrong with the stop token of a frame; `None` is the end of the input.
pub(super) const fn stop_fault(frame: &CurrentFrame, stop: Option<Stop>) -> Option<Code> {
    match (stop, frame.kind) {
        (None, _) if frame.unmarked => None,
        (None, _) => Some(Code::TruncatedContent),
        (Some(Stop::End | Stop::Return), Kind::ToolCall) => Some(Code::CallEndedByStop),
        (Some(Stop::Call), Kind::ToolCall) => None,
        (Some(Stop::Call), _) if !frame.has_recipient => Some(Code::CallWithoutRecipient),
        _ => None,
    }
}

/// The spelling of a stop token; empty without one.
pub(super) const fn spelling(stop: Option<Stop>) -> &'static str {
    match stop {
        Some(Stop::Return) => Marker::Return.spelling(),
        Some(Stop::Call) => Marker::Call.spelling(),
        Some(Stop::End) => Marker::End.spelling(),
        None => "",
    }
}
