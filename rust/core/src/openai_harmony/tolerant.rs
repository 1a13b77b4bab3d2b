//! motet's reading of a completion, shown as openai-harmony's parser shows its own: nothing raises, and what does not
//! follow the format is repaired.

use super::content::Author;
use super::header::ParsedHeader;
use super::parser::{ParsedMessage, StreamState};
use crate::error::Repair;
use crate::frame::{Header, Role, Stop};
use crate::marker::Marker;
use crate::parser::collect::FrameCollector;
use crate::parser::stream::StreamParser;
use crate::parser::stripped::Stripped;
use crate::parser::{FrameStart, ParseOptions, Sink};
use crate::tokenizer::encode_into;
use std::sync::Arc;

/// Reads a completion one token at a time with motet's parser.
///
/// Text may be held until it is certain that it is content. It is then part of the delta of the token that decides, also if
/// that token ends the message: the `current_...` methods then still show that message.
#[derive(Clone, Debug)]
pub struct TolerantParser {
    parser: StreamParser,
    messages: Messages,
    next_role: Option<Role>,
    tokens: Vec<u32>,
    /// Where in `tokens` the header begins that is being read, if one is.
    header_start: Option<usize>,
    is_closed: bool,
    encoded: Vec<u32>,
}

/// The messages of a parser; the last one may be open.
#[derive(Clone, Debug, Default)]
struct Messages {
    all: Vec<ParsedMessage>,
    is_open: bool,
    /// The message that the last token added text to, and where that text begins.
    delta: Option<(usize, usize)>,
    repairs: FrameCollector,
}

impl TolerantParser {
    /// A parser at the header of a message of `role`; without one, before a `<|start|>`.
    pub fn new(role: Option<Role>) -> TolerantParser {
        TolerantParser {
            parser: stream_parser(role),
            messages: Messages::default(),
            next_role: role,
            tokens: Vec::new(),
            header_start: role.map(|_| 0),
            is_closed: false,
            encoded: Vec::new(),
        }
    }

    /// Reads one token. After the end of the input a new completion begins.
    pub fn process(&mut self, token: u32) {
        if std::mem::take(&mut self.is_closed) {
            self.parser = stream_parser(None);
        }
        self.messages.delta = None;
        self.tokens.push(token);
        // The parser has read nothing but ids, so that it takes them.
        let _ = self.parser.feed_ids(&[token], &mut self.messages);
        self.follow(Some(token));
    }

    /// Reads the end of the input: ends the open message.
    pub fn process_eos(&mut self) {
        self.messages.delta = None;
        if !std::mem::replace(&mut self.is_closed, true) {
            self.parser.close(&mut self.messages);
            self.follow(None);
        }
    }

    /// Follows the parser from header to content to the place between two messages.
    fn follow(&mut self, last: Option<u32>) {
        let marker = last.and_then(Marker::from_id);
        if !self.messages.all.is_empty() {
            self.next_role = None;
        }
        self.header_start = match marker {
            _ if self.messages.is_open || self.messages.delta.is_some() || last.is_none() => None,
            Some(Marker::Start) => Some(self.tokens.len()),
            Some(Marker::End | Marker::Return | Marker::Call) => None,
            _ => self.header_start.or(self.tokens.len().checked_sub(1)),
        };
    }

    /// The tokens that were fed.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The messages that have ended.
    pub fn messages(&self) -> &[ParsedMessage] {
        let ended = self.messages.all.len() - usize::from(self.messages.is_open);
        self.messages.all.get(..ended).unwrap_or_default()
    }

    /// What was repaired.
    pub fn repairs(&self) -> &[Repair] {
        &self.messages.repairs.repairs
    }

    /// The number of the message that is shown: the one with new text, or the open one.
    pub fn current_index(&self) -> Option<usize> {
        let Messages { all, is_open, delta, .. } = &self.messages;
        delta.map(|(index, _)| index).or(all.len().checked_sub(1).filter(|_| *is_open))
    }

    fn current(&self) -> Option<&ParsedMessage> {
        self.messages.all.get(self.current_index()?)
    }

    /// The header of the message that is shown.
    pub fn current_header(&self) -> Option<&ParsedHeader> {
        self.current().map(|message| &message.header)
    }

    /// The role of the message that is shown, or of the message to come.
    pub fn current_role(&self) -> Option<Role> {
        self.current_header().map_or(self.next_role, |header| Some(header.author.role))
    }

    /// The content so far of the message that is shown.
    pub fn current_content(&self) -> &str {
        self.current().map_or("", |message| &message.text)
    }

    /// The text that the last token added.
    pub fn last_content_delta(&self) -> Option<&str> {
        let (index, start) = self.messages.delta?;
        self.messages.all.get(index)?.text.get(start..)
    }

    /// The name of the state.
    pub fn state_name(&self) -> &'static str {
        if self.messages.is_open {
            "Content"
        } else if self.header_start.is_some() {
            "Header"
        } else {
            "ExpectStart"
        }
    }

    /// The state with its tokens: those of the header so far, or the open content encoded.
    pub fn state(&mut self) -> StreamState<'_> {
        match (self.state_name(), self.messages.all.last()) {
            ("Content", Some(open)) => {
                self.encoded.clear();
                encode_into(&open.text, &mut self.encoded);
                StreamState::Content { header: &open.header, tokens: &self.encoded }
            }
            _ => self.header_start.map_or(StreamState::ExpectStart, |start| StreamState::Header {
                tokens: self.tokens.get(start..).unwrap_or_default(),
            }),
        }
    }
}

/// Markers are not looked for in their absence: servers that have ids have them, and text would be held for long.
fn stream_parser(role: Option<Role>) -> StreamParser {
    StreamParser::new(Arc::new(ParseOptions { role, stripped: Stripped::Never, ..ParseOptions::default() }))
}

impl Sink for Messages {
    fn start(&mut self, start: FrameStart) {
        let Header { role, name, recipient, channel, content_type, .. } = start.header;
        let author = Author { role, name };
        let header = ParsedHeader { author, recipient, channel, content_type };
        self.all.push(ParsedMessage { header, text: String::new() });
        self.is_open = true;
    }

    fn delta(&mut self, text: &str) {
        let index = self.all.len().saturating_sub(1);
        if let Some(message) = self.all.last_mut() {
            if self.delta.is_none_or(|(other, _)| other != index) {
                self.delta = Some((index, message.text.len()));
            }
            message.text.push_str(text);
        }
    }

    fn end(&mut self, _stop: Option<Stop>) {
        self.is_open = false;
    }

    fn repair(&mut self, repair: Repair) {
        self.repairs.repair(repair);
    }

    fn content(&self) -> &str {
        self.all.last().map_or("", |message| &message.text)
    }
}
