//! Parses a [`HeaderBuffer`] into a [`Header`], and its deviations into repairs.
//!
//! ```text
//! header  = role [":" name] [recipient] [<|channel|> channel [recipient]] [type] <|message|>
//! recipient = " to=" name        type = " " word | [" "] <|constrain|> [" "] word
//! ```
//! Models write all of this in other orders, twice, without blanks, or not at all. No header fails: words without a
//! meaning are reported. In a header that `<|message|>` ended, every word is part of the header. In one that something
//! else ended, a word is a channel, a recipient or a type only if it is a known one; [`ParsedHeader::rest`] says where
//! the content begins.

use crate::error::Code;
use crate::frame::{CHANNELS, Header, RecipientPosition, Role};
use crate::header_grammar::{is_channel, is_name, is_type, is_user_name, reads_as_another};
use crate::marker::Marker;
use crate::parser::classify::{Addressee, addressee};
use crate::parser::header_buffer::HeaderBuffer;
use crate::parser::tool_names::{TYPES, ToolNames};
use std::ops::Range;

mod recipient;
mod words;

pub(super) use recipient::is_garbage_word;
pub(super) use words::{is_longer_word, may_become_longer_word};

/// A parsed header and its deviations.
#[derive(Clone, Debug)]
pub struct ParsedHeader {
    pub header: Header,
    pub evidence: Evidence,
    /// Each deviation, and its bytes in the buffer's text.
    pub faults: Vec<(Code, Range<usize>)>,
    /// Where in the buffer's text the content begins, if the header ran into it.
    pub rest: Option<usize>,
}

/// What makes a word the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// `to=` stands before it, in a header that `<|message|>` ended.
    Marked,
    /// It has the form of a recipient, or the name of an offered tool.
    Word,
}

impl ParsedHeader {
    /// Whether it is a header beyond doubt: a known channel or a marked recipient, and every word has a meaning.
    pub fn is_certain(&self, tools: &ToolNames) -> bool {
        let is_known = self.header.channel.as_deref().is_some_and(|channel| CHANNELS.contains(&channel));
        let recipient = self.header.recipient.as_deref();
        let is_addressed =
            recipient.is_some_and(|to| self.evidence == Evidence::Marked || tools.names_tool(to));
        let is_doubtful = |code: &Code| {
            matches!(
                code,
                Code::StrayHeaderText | Code::UnknownRole | Code::GarbageChannel | Code::InvalidRecipient
            )
        };
        (is_known || is_addressed) && !self.faults.iter().any(|(code, _)| is_doubtful(code))
    }

    /// Whether the words of the header are beyond doubt a call's, so that no other text can have made it: the tool is
    /// an offered one, the format's own recipient names it, or it has a recipient's form on commentary.
    pub fn is_certain_call(&self, tools: &ToolNames, complete: bool) -> bool {
        let Some(recipient) = self.header.recipient.as_deref() else { return false };
        let on_commentary = self.header.channel.as_deref() == Some("commentary");
        let has_form = recipient::has_namespace(recipient) || self.evidence == Evidence::Marked;
        let is_offered =
            matches!(addressee(recipient, tools), Addressee::Tool(name, _) if tools.contains(name));
        is_offered || complete && self.evidence == Evidence::Marked || on_commentary && has_form
    }

    /// Whether the recipient is an offered tool, or has the form of one.
    pub fn names_a_tool(&self, tools: &ToolNames) -> bool {
        let is_offered =
            |to: &str| matches!(addressee(to, tools), Addressee::Tool(name, _) if tools.contains(name));
        self.header.recipient.as_deref().is_some_and(|to| recipient::has_namespace(to) || is_offered(to))
    }

    /// Whether at least one word has a meaning.
    pub fn says_something(&self) -> bool {
        let header = &self.header;
        header.channel.is_some() || header.recipient.is_some() || header.content_type.is_some()
    }
}

/// The context in which a header is parsed.
#[derive(Clone, Copy, Debug)]
pub struct HeaderContext<'a> {
    /// The role, if it stands before the buffer (in the prompt) or is implied.
    pub role: Option<Role>,
    pub ending: Ending,
    /// Whether a bare tool name in the place of the role can be a call.
    pub in_completion: bool,
    pub tools: &'a ToolNames,
}

/// What follows the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `<|message|>`: all of it is header.
    Message,
    /// Something else: it may run into the content.
    Other,
    /// Nothing: its last word may be the beginning of one.
    Input,
}

/// One word of a header: text without white space, or a marker.
#[derive(Clone, Copy, Debug)]
enum Token<'a> {
    Word(&'a str),
    Channel,
    Constrain,
}

#[derive(Clone, Copy, Debug)]
struct Spanned<'a> {
    token: Token<'a>,
    start: usize,
    end: usize,
}

/// Divides a buffer into words and markers.
fn tokens(buffer: &HeaderBuffer) -> Vec<Spanned<'_>> {
    let mut out = Vec::with_capacity(8);
    let mut done = 0;
    for mark in &buffer.marks {
        words(&buffer.text, done, mark.offset, &mut out);
        done = mark.offset;
        let token = match mark.marker {
            Marker::Channel => Token::Channel,
            Marker::Constrain => Token::Constrain,
            // `<|start|>` opens a buffer or an anchor within it and says nothing more.
            _ => continue,
        };
        out.push(Spanned { token, start: done, end: done });
    }
    words(&buffer.text, done, buffer.text.len(), &mut out);
    out
}

fn words<'a>(text: &'a str, from: usize, to: usize, out: &mut Vec<Spanned<'a>>) {
    let mut start = from;
    let section = text.get(from..to).unwrap_or_default();
    for word in section.split(char::is_whitespace) {
        let end = start + word.len();
        if !word.is_empty() {
            out.push(Spanned { token: Token::Word(word), start, end });
        }
        start = end + text.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
}

/// Parses a header.
pub fn parse(buffer: &HeaderBuffer, context: HeaderContext<'_>) -> ParsedHeader {
    let tokens = tokens(buffer);
    let mut parser = HeaderParser {
        header: Header::new(context.role.unwrap_or(Role::Assistant)),
        evidence: Evidence::Word,
        faults: Vec::new(),
        rest: None,
        place: RecipientPosition::Role,
        context,
        text: &buffer.text,
        tokens: &tokens,
        type_seen: false,
        author_at: (0, 0),
        channel_at: (0, 0),
        recipient_at: (0, 0),
        type_at: (0, 0),
    };
    let mut at = parser.role();
    while let Some(next) = tokens.get(at).filter(|_| parser.rest.is_none()) {
        at = match next.token {
            Token::Channel => parser.channel(at),
            Token::Constrain => parser.constrain(at),
            Token::Word(word) => parser.word(word, at),
        };
    }
    parser.values();
    parser.spaces();
    parser.faults.sort_by_key(|(_, range)| range.start);
    ParsedHeader {
        header: parser.header,
        evidence: parser.evidence,
        faults: parser.faults,
        rest: parser.rest,
    }
}

/// Whether a header begins with this word: a role, or a role with a channel attached to it.
pub fn says_role(word: &str) -> bool {
    let behind = Role::ALL.into_iter().filter_map(|role| word.strip_prefix(role.as_str()));
    behind.into_iter().any(|behind| behind.is_empty() || CHANNELS.contains(&behind))
}

struct HeaderParser<'a> {
    header: Header,
    evidence: Evidence,
    faults: Vec<(Code, Range<usize>)>,
    rest: Option<usize>,
    place: RecipientPosition,
    context: HeaderContext<'a>,
    text: &'a str,
    tokens: &'a [Spanned<'a>],
    type_seen: bool,
    author_at: (usize, usize),
    /// Where the channel stands that counts so far.
    channel_at: (usize, usize),
    recipient_at: (usize, usize),
    type_at: (usize, usize),
}

impl<'a> HeaderParser<'a> {
    fn fault(&mut self, code: Code, start: usize, end: usize) {
        self.faults.push((code, start..end));
    }

    fn is_complete(&self) -> bool {
        self.context.ending == Ending::Message
    }

    /// Whether the input ends with this token, so that the word may be the beginning of another.
    fn is_cut(&self, at: usize) -> bool {
        self.context.ending == Ending::Input
            && at + 1 == self.tokens.len()
            && self.tokens.last().is_some_and(|last| last.end == self.text.len())
    }

    /// The index of the first token that begins at or behind a byte of the text.
    fn token_at(&self, from: usize, offset: usize) -> usize {
        let rest = self.tokens.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|token| token.start < offset).count()
    }

    /// The role, if it is in the buffer; gives the index of the first token behind it.
    fn role(&mut self) -> usize {
        if self.context.role.is_some() {
            return 0;
        }
        let Some(&Spanned { token: Token::Word(word), start, end }) = self.tokens.first() else {
            self.fault(Code::MissingRole, 0, 0);
            return 0;
        };
        if word.starts_with("to=") || CHANNELS.contains(&word) {
            self.fault(Code::MissingRole, start, start);
            return 0;
        }
        self.author_at = (start, end);
        let (base, name) = word.split_once(':').map_or((word, None), |(base, name)| (base, Some(name)));
        let is_name = |name: Option<&str>| name.is_none_or(|name| name.is_empty() || is_user_name(name));
        let role = Role::from_name(base).filter(|role| *role != Role::Tool);
        if let Some(role) = role.filter(|_| self.is_complete() || is_name(name)) {
            self.header.role = role;
            self.header.name = name.filter(|name| !name.is_empty()).map(str::to_owned);
            if name.is_some_and(str::is_empty) {
                self.fault(Code::InvalidValue, start, end);
            }
            return 1;
        }
        if self.is_complete() {
            self.unusual_role(word, start, end)
        } else {
            self.open_role(word, start, end)
        }
    }

    /// A first word other than a role: a tool's name, or a role with something attached to it.
    fn unusual_role(&mut self, word: &'a str, start: usize, end: usize) -> usize {
        let lower = word.to_ascii_lowercase();
        let attached =
            Role::ALL.into_iter().find(|role| *role != Role::Tool && lower.starts_with(role.as_str()));
        if let Some(role) = attached.filter(|_| !self.context.tools.contains(word)) {
            self.header.role = role;
            let behind = start + role.as_str().len();
            match self.text.get(behind..end) {
                Some(channel) if CHANNELS.iter().any(|known| channel.starts_with(known)) => {
                    self.set_channel(channel, behind, end, true);
                }
                _ => self.fault(Code::UnknownRole, start, end),
            }
            return 1;
        }
        if let Some(next) = self.tool_as_role(word, start, end) {
            return next;
        }
        if !is_name(word) {
            self.fault(Code::UnknownRole, start, end);
        }
        self.header.role = Role::Tool;
        self.header.name = Some(word.to_owned());
        1
    }

    /// The first word of a header that `<|message|>` did not end.
    fn open_role(&mut self, word: &str, start: usize, end: usize) -> usize {
        if let Some(next) = self.unmarked_recipient(0, start) {
            self.fault(Code::RoleIsToolName, start, self.recipient_at.1);
            return next;
        }
        let behind = word.strip_prefix(Role::Assistant.as_str()).or_else(|| word.strip_prefix("Assistant"));
        match behind {
            Some(channel) if CHANNELS.iter().any(|known| channel.starts_with(known)) => {
                self.set_channel(channel, end - channel.len(), end, true);
                return 1;
            }
            // `assistant{"a":1}`, but not `assistants`.
            Some(behind) if !behind.starts_with(|c: char| c.is_lowercase()) => {
                self.rest = Some(end - behind.len());
                return 1;
            }
            _ => {}
        }
        let is_beginning = Role::ALL.iter().any(|role| role.as_str().starts_with(word));
        if !(self.is_cut(0) && is_beginning) {
            self.rest = Some(start);
        }
        1
    }

    /// `<|channel|>` and the word behind it.
    fn channel(&mut self, at: usize) -> usize {
        let mark = self.tokens.get(at).map_or(0, |token| token.start);
        self.place = RecipientPosition::Channel;
        let Some(&Spanned { token: Token::Word(word), start, end }) = self.tokens.get(at + 1) else {
            self.fault(Code::EmptyChannel, mark, mark);
            return at + 1;
        };
        if word.starts_with("to=") {
            self.fault(Code::EmptyChannel, mark, mark);
            return at + 1;
        }
        if self.type_seen {
            self.fault(Code::HeaderOrder, start, end);
        }
        if !self.is_complete() {
            return self.open_channel(word, at, mark);
        }
        if self.header.recipient.is_none() && self.is_unmarked_recipient(word) {
            self.fault(Code::UnmarkedRecipient, start, end);
            self.set_recipient(word, start, end);
        } else {
            self.set_channel(word, start, end, false);
        }
        at + 2
    }

    /// The same in a header that `<|message|>` did not end.
    fn open_channel(&mut self, word: &'a str, at: usize, mark: usize) -> usize {
        let Some(&Spanned { start, end, .. }) = self.tokens.get(at + 1) else { return at + 1 };
        let is_beginning = |channel: &&str| channel.len() > word.len() && channel.starts_with(word);
        if self.is_cut(at + 1) && CHANNELS.iter().any(is_beginning) {
            return at + 2;
        }
        if words::is_channel_word(word) {
            self.set_channel(word, start, end, false);
            return at + 2;
        }
        if self.header.recipient.is_none()
            && let Some(next) = self.unmarked_recipient(at + 1, start)
        {
            let (start, end) = self.recipient_at;
            self.fault(Code::UnmarkedRecipient, start, end);
            return next;
        }
        self.fault(Code::EmptyChannel, mark, mark);
        at + 1
    }

    fn set_channel(&mut self, word: &str, start: usize, end: usize, unmarked: bool) {
        if self.header.channel.is_some() {
            let (start, end) = self.channel_at;
            self.fault(Code::DuplicateChannel, start, end);
        } else if unmarked {
            self.fault(Code::UnmarkedChannel, start, end);
        }
        self.channel_at = (start, end);
        let Some((channel, length)) = words::channel_of_word(word) else {
            self.header.channel = Some(word.to_owned());
            return;
        };
        if word.get(..length).is_some_and(|written| written != channel) {
            let code = if length < channel.len() { Code::GarbageChannel } else { Code::ChannelCase };
            self.fault(code, start, end);
        }
        self.header.channel = Some(channel.to_owned());
        if length < word.len() {
            self.attached(start + length, end);
        }
    }

    /// What is attached to a channel: a recipient, a content type, the content itself, or garbage.
    fn attached(&mut self, start: usize, end: usize) {
        let attached = self.text.get(start..end).unwrap_or_default();
        let garbage = if self.is_complete() { 0 } else { words::garbage_length(attached) };
        let inner = attached.get(garbage..).unwrap_or_default();
        let from = start + garbage;
        if let Some(recipient) = inner.strip_prefix("to=") {
            self.fault(Code::GarbageChannel, start, end);
            self.set_recipient(recipient, end - recipient.len(), end);
        } else if let Some(kind) = self.attached_type(inner) {
            self.fault(Code::GarbageChannel, start, from + kind.len());
            self.set_type(kind.to_owned(), from, from + kind.len());
            self.rest = (from + kind.len() < end).then_some(from + kind.len());
        } else if !self.is_complete() && !inner.is_empty() {
            if garbage > 0 {
                self.fault(Code::GarbageChannel, start, from);
            }
            self.rest = Some(from);
        } else {
            self.fault(Code::GarbageChannel, start, end);
        }
    }

    fn attached_type(&self, text: &str) -> Option<&'static str> {
        let fits = |kind: &&str| {
            if self.is_complete() { text == *kind } else { words::is_type_before_content(text, kind) }
        };
        TYPES.into_iter().find(fits)
    }

    /// `<|constrain|>` and the word behind it.
    fn constrain(&mut self, at: usize) -> usize {
        let mark = self.tokens.get(at).map_or(0, |token| token.start);
        let Some(&Spanned { token: Token::Word(word), start, end }) = self.tokens.get(at + 1) else {
            self.fault(Code::EmptyContentType, mark, mark);
            return at + 1;
        };
        if word.starts_with("to=") {
            self.fault(Code::EmptyContentType, mark, mark);
            return at + 1;
        }
        if self.header.recipient.is_none()
            && let Some(next) = self.constrained_tool(word, at + 1)
        {
            return next;
        }
        let cut = word.find(['{', '[']).filter(|_| !self.is_complete()).unwrap_or(word.len());
        let name = word.get(..cut).unwrap_or_default();
        if self.is_complete() || TYPES.contains(&name) {
            self.set_type(format!("{}{name}", Marker::Constrain.spelling()), start, end);
            self.rest = (cut < word.len()).then_some(start + cut);
            return at + 2;
        }
        if self.is_cut(at + 1) && words::begins_header_word(word) {
            return at + 2;
        }
        self.fault(Code::EmptyContentType, mark, mark);
        self.rest = Some(start);
        at + 2
    }

    fn set_type(&mut self, content_type: String, start: usize, end: usize) {
        if self.header.content_type.is_some() {
            self.fault(Code::DuplicateContentType, start, end);
        } else {
            self.header.content_type = Some(content_type);
            self.type_at = (start, end);
        }
        self.type_seen = true;
    }

    /// A word behind the role or the channel.
    fn word(&mut self, word: &'a str, at: usize) -> usize {
        let Some(&Spanned { start, end, .. }) = self.tokens.get(at) else { return at + 1 };
        if let Some(recipient) = word.strip_prefix("to=") {
            return self.recipient(recipient, at);
        }
        let cut = word.find(['{', '[']).filter(|_| !self.is_complete());
        let name = word.get(..cut.unwrap_or(word.len())).unwrap_or_default();
        if TYPES.contains(&name) {
            self.set_type(name.to_owned(), start, start + name.len());
            self.rest = cut.map(|cut| start + cut);
        } else if self.context.role.is_some() && self.place == RecipientPosition::Role && name == "assistant"
        {
            self.fault(Code::RepeatedStart, start, end);
        } else if self.header.channel.is_none() && CHANNELS.contains(&word) {
            self.set_channel(word, start, end, true);
            self.place = RecipientPosition::Channel;
        } else if !self.is_complete() {
            return self.open_word(word, at);
        } else if self.header.recipient.is_none() && self.is_unmarked_recipient(word) {
            self.fault(Code::UnmarkedRecipient, start, end);
            self.set_recipient(word, start, end);
        } else if self.is_plain_type(word)
            && !self.tokens.get(at + 1..).unwrap_or_default().iter().any(is_word)
        {
            self.set_type(word.to_owned(), start, end);
        } else {
            self.fault(Code::StrayHeaderText, start, end);
        }
        at + 1
    }

    /// The same in a header that `<|message|>` did not end: a recipient, the beginning of a word, or content.
    fn open_word(&mut self, word: &'a str, at: usize) -> usize {
        let Some(&Spanned { start, end, .. }) = self.tokens.get(at) else { return at + 1 };
        if self.header.recipient.is_none()
            && let Some(next) = self.unmarked_recipient(at, start)
        {
            let (start, end) = self.recipient_at;
            self.fault(Code::UnmarkedRecipient, start, end);
            return next;
        }
        if self.is_cut(at) && words::begins_header_word(word) {
            return at + 1;
        }
        if let Some(next) = self.garbage_before_json(at) {
            let end = self.tokens.get(next - 1).map_or(end, |last| last.end);
            self.fault(Code::StrayHeaderText, start, end);
            return next;
        }
        self.rest = Some(start);
        at + 1
    }

    /// A last word that can only be a content type: `<|channel|>final text`.
    fn is_plain_type(&self, word: &str) -> bool {
        let place = self.header.channel.is_some() || self.header.recipient.is_some();
        place
            && self.header.content_type.is_none()
            && is_type(word)
            && Role::from_name(word).is_none()
            && !CHANNELS.contains(&word)
    }

    /// Values that the renderer would refuse.
    fn values(&mut self) {
        let Header { role, name, recipient, channel, content_type, .. } = &self.header;
        let plain = |value: &str| is_type(value.trim_start_matches(Marker::Constrain.spelling()));
        let wrong = |value: &Option<String>, fits: &dyn Fn(&str) -> bool| {
            value.as_deref().is_some_and(|value| !fits(value))
        };
        let is_author = |value: &str| match role {
            Role::Tool => !reads_as_another(value) || self.context.tools.contains(value),
            _ => is_user_name(value),
        };
        let values = [
            (wrong(name, &is_author), self.author_at),
            (wrong(recipient, &is_name), self.recipient_at),
            (wrong(channel, &is_channel), self.channel_at),
            (wrong(content_type, &plain), self.type_at),
        ];
        for (_, (start, end)) in values.into_iter().filter(|(wrong, _)| *wrong) {
            self.fault(Code::InvalidValue, start, end);
        }
    }

    /// White space other than blanks, in the part that is header.
    fn spaces(&mut self) {
        let header = self.text.get(..self.rest.unwrap_or(self.text.len())).unwrap_or_default();
        if header.bytes().all(|byte| byte > b' ' && byte < 0x80 || byte == b' ') {
            return;
        }
        let odd = |c: char| c.is_whitespace() && c != ' ';
        // In front of the content a line break is the border, and not odd.
        let trimmed = if self.rest.is_some() { header.trim_end() } else { header };
        for (start, space) in trimmed.match_indices(odd) {
            self.fault(Code::OddSpace, start, start + space.len());
        }
    }
}

fn is_word(token: &Spanned<'_>) -> bool {
    matches!(token.token, Token::Word(_))
}
