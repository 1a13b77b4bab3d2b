//! The text of a header becomes a [`Header`], and what is odd about it becomes repairs.
//!
//! ```text
//! header  = role [":" name] [recipient] [<|channel|> channel [recipient]] [type] <|message|>
//! recipient = " to=" name        type = " " word | [" "] <|constrain|> [" "] word
//! ```
//! Models write all of this in other orders, twice, glued together, or not at all. Nothing here fails: words that
//! mean nothing are reported, and [`Parsed::rest`] says where the text stops being a header at all.

use crate::error::Code;
use crate::frame::{CHANNELS, Header, RecipientPosition, Role};
use crate::header_grammar::{is_channel, is_name, is_name_char, is_type, is_user_name, reads_as_another};
use crate::marker::Marker;
use crate::parser::classify::{ToolNames, tool_of};
use crate::parser::header_buffer::Buffer;

/// What a header says, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub header: Header,
    /// Each fault, and the bytes of the buffer's text that it is about.
    pub faults: Vec<(Code, std::ops::Range<usize>)>,
    /// Where in the buffer's text the content begins, if the header ran into it.
    pub rest: Option<usize>,
}

impl Parsed {
    /// Whether it is a header beyond doubt: a known channel or a recipient, and no word that means nothing.
    pub fn is_certain(&self) -> bool {
        let known = self.header.channel.as_deref().is_some_and(|channel| CHANNELS.contains(&channel));
        let doubtful = |code: &Code| {
            matches!(
                code,
                Code::StrayHeaderText | Code::UnknownRole | Code::GarbageChannel | Code::InvalidRecipient
            )
        };
        (known || self.header.recipient.is_some()) && !self.faults.iter().any(|(code, _)| doubtful(code))
    }

    /// Whether anything in it was understood.
    pub fn says_something(&self) -> bool {
        let header = &self.header;
        header.channel.is_some() || header.recipient.is_some() || header.content_type.is_some()
    }
}

/// How a header is to be read.
#[derive(Clone, Copy, Debug)]
pub struct HeaderContext<'a> {
    /// The role, if it stands before the buffer (in the prompt) or is implied.
    pub role: Option<Role>,
    /// Whether `<|message|>` ended it. If not, it may run into the content.
    pub complete: bool,
    /// Whether a bare tool name in the place of the role can be a call.
    pub in_completion: bool,
    pub tools: &'a ToolNames,
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

/// Cuts a buffer into words and markers.
fn tokens(buffer: &Buffer) -> Vec<Spanned<'_>> {
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

/// Reads a header.
pub fn parse(buffer: &Buffer, context: HeaderContext<'_>) -> Parsed {
    let mut parser = HeaderParser {
        header: Header::new(context.role.unwrap_or(Role::Assistant)),
        faults: Vec::new(),
        rest: None,
        place: RecipientPosition::Role,
        context,
        text: &buffer.text,
        type_seen: false,
        author_at: (0, 0),
        channel_at: (0, 0),
        recipient_at: (0, 0),
        type_at: (0, 0),
    };
    let tokens = tokens(buffer);
    let mut at = parser.role(&tokens);
    while let Some(next) = tokens.get(at).filter(|_| parser.rest.is_none()) {
        at = match next.token {
            Token::Channel => parser.channel(&tokens, at),
            Token::Constrain => parser.constrain(&tokens, at),
            Token::Word(word) => parser.word(word, &tokens, at),
        };
    }
    parser.values();
    parser.spaces(buffer);
    parser.faults.sort_by_key(|(_, range)| range.start);
    Parsed { header: parser.header, faults: parser.faults, rest: parser.rest }
}

/// Whether a header begins with this word: a role, or a role with a channel glued to it.
pub fn says_role(word: &str) -> bool {
    let behind = Role::ALL.into_iter().filter_map(|role| word.strip_prefix(role.as_str()));
    behind.into_iter().any(|behind| behind.is_empty() || CHANNELS.contains(&behind))
}

struct HeaderParser<'a> {
    header: Header,
    faults: Vec<(Code, std::ops::Range<usize>)>,
    rest: Option<usize>,
    place: RecipientPosition,
    context: HeaderContext<'a>,
    text: &'a str,
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

    /// The role, if it is in the buffer; gives the index of the first token behind it.
    fn role(&mut self, tokens: &[Spanned<'a>]) -> usize {
        if self.context.role.is_some() {
            return 0;
        }
        let Some(&Spanned { token: Token::Word(word), start, end }) = tokens.first() else {
            self.fault(Code::MissingRole, 0, 0);
            return 0;
        };
        if word.starts_with("to=") || CHANNELS.contains(&word) {
            self.fault(Code::MissingRole, start, start);
            return 0;
        }
        self.author_at = (start, end);
        let (base, name) = word.split_once(':').map_or((word, None), |(base, name)| (base, Some(name)));
        if let Some(role) = Role::from_name(base).filter(|role| *role != Role::Tool) {
            self.header.role = role;
            self.header.name = name.filter(|name| !name.is_empty()).map(str::to_owned);
            if name.is_some_and(str::is_empty) {
                self.fault(Code::InvalidValue, start, end);
            }
            return 1;
        }
        self.unusual_role(word, start, end, tokens)
    }

    /// A first word that is no role: a tool's name, or a role with something glued to it.
    fn unusual_role(&mut self, word: &str, start: usize, end: usize, tokens: &[Spanned<'a>]) -> usize {
        let lower = word.to_ascii_lowercase();
        let glued =
            Role::ALL.into_iter().find(|role| *role != Role::Tool && lower.starts_with(role.as_str()));
        if let Some(role) = glued.filter(|_| !self.context.tools.contains(word)) {
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
        let addressed =
            tokens.iter().any(|next| matches!(next.token, Token::Word(word) if word.starts_with("to=")));
        let namespaced = matches!(tool_of(word, self.context.tools), Some((_, None)));
        let known = self.context.tools.contains(word);
        if self.context.in_completion && !addressed && (known || !namespaced) && is_name(word) {
            self.fault(Code::RoleIsToolName, start, end);
            self.header.recipient = Some(word.to_owned());
            self.header.recipient_at = Some(RecipientPosition::Role);
            return 1;
        }
        if !is_name(word) {
            self.fault(Code::UnknownRole, start, end);
        }
        self.header.role = Role::Tool;
        self.header.name = Some(word.to_owned());
        1
    }

    /// `<|channel|>` and the word behind it.
    fn channel(&mut self, tokens: &[Spanned<'a>], at: usize) -> usize {
        let mark = tokens.get(at).map_or(0, |token| token.start);
        self.place = RecipientPosition::Channel;
        let Some(&Spanned { token: Token::Word(word), start, end }) = tokens.get(at + 1) else {
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
        if self.header.recipient.is_none() && self.is_unmarked_recipient(word) {
            self.fault(Code::UnmarkedRecipient, start, end);
            self.set_recipient(word, start, end);
        } else {
            self.set_channel(word, start, end, false);
        }
        at + 2
    }

    fn set_channel(&mut self, word: &str, start: usize, end: usize, unmarked: bool) {
        if self.header.channel.is_some() {
            let (start, end) = self.channel_at;
            self.fault(Code::DuplicateChannel, start, end);
        } else if unmarked {
            self.fault(Code::UnmarkedChannel, start, end);
        }
        self.channel_at = (start, end);
        let lower = word.to_ascii_lowercase();
        let known = CHANNELS.into_iter().find(|channel| lower.starts_with(channel));
        let known = known.map(|channel| (channel, channel.len()));
        let Some((channel, length)) = known.or(lower.starts_with("comment").then_some(("commentary", 7)))
        else {
            self.header.channel = Some(word.to_owned());
            return;
        };
        if word.get(..length).is_some_and(|written| written != channel) {
            self.fault(if length == 7 { Code::GarbageChannel } else { Code::ChannelCase }, start, end);
        }
        self.header.channel = Some(channel.to_owned());
        if length < word.len() {
            self.glued(start + length, end);
        }
    }

    /// What is glued to a channel: a recipient, a content type, the content itself, or garbage.
    fn glued(&mut self, start: usize, end: usize) {
        let glued = self.text.get(start..end).unwrap_or_default();
        if let Some(recipient) = glued.strip_prefix("to=") {
            self.fault(Code::GarbageChannel, start, end);
            self.set_recipient(recipient, end - recipient.len(), end);
        } else if matches!(glued, "json" | "code") {
            self.fault(Code::GarbageChannel, start, end);
            self.set_type(glued.to_owned(), start, end);
        } else if !self.context.complete && has_substance(glued) {
            self.rest = Some(start);
        } else {
            self.fault(Code::GarbageChannel, start, end);
        }
    }

    /// `<|constrain|>` and the word behind it.
    fn constrain(&mut self, tokens: &[Spanned<'a>], at: usize) -> usize {
        let mark = tokens.get(at).map_or(0, |token| token.start);
        match tokens.get(at + 1) {
            Some(&Spanned { token: Token::Word(word), start, end }) if !word.starts_with("to=") => {
                let cut = word.find(['{', '[']).filter(|_| !self.context.complete).unwrap_or(word.len());
                let name = word.get(..cut).unwrap_or_default();
                self.set_type(format!("{}{name}", Marker::Constrain.spelling()), start, end);
                if cut < word.len() {
                    self.rest = Some(start + cut);
                }
                at + 2
            }
            _ => {
                self.fault(Code::EmptyContentType, mark, mark);
                at + 1
            }
        }
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
    fn word(&mut self, word: &'a str, tokens: &[Spanned<'a>], at: usize) -> usize {
        let Some(&Spanned { start, end, .. }) = tokens.get(at) else { return at + 1 };
        if let Some(recipient) = word.strip_prefix("to=") {
            return self.recipient(recipient, start, end, tokens, at);
        }
        let cut = word.find(['{', '[']).filter(|_| !self.context.complete);
        let name = word.get(..cut.unwrap_or(word.len())).unwrap_or_default();
        if matches!(name, "json" | "code") {
            self.set_type(name.to_owned(), start, start + name.len());
            self.rest = cut.map(|cut| start + cut);
        } else if self.context.role.is_some() && self.place == RecipientPosition::Role && name == "assistant"
        {
            self.fault(Code::RepeatedStart, start, end);
        } else if self.header.channel.is_none() && CHANNELS.contains(&word) {
            self.set_channel(word, start, end, true);
            self.place = RecipientPosition::Channel;
        } else if self.header.recipient.is_none() && self.is_unmarked_recipient(word) {
            self.fault(Code::UnmarkedRecipient, start, end);
            self.set_recipient(word, start, end);
        } else if !self.context.complete {
            self.rest = Some(start);
        } else if self.is_plain_type(word) && !tokens.get(at + 1..).unwrap_or_default().iter().any(is_word) {
            self.set_type(word.to_owned(), start, end);
        } else {
            self.fault(Code::StrayHeaderText, start, end);
        }
        at + 1
    }

    /// A tool's full name where only a recipient makes sense.
    fn is_unmarked_recipient(&self, word: &str) -> bool {
        is_name(word)
            && (self.context.tools.contains(word)
                || matches!(tool_of(word, self.context.tools), Some((_, None))))
    }

    /// A last word that can be nothing but a content type: `<|channel|>final text`.
    fn is_plain_type(&self, word: &str) -> bool {
        let place = self.header.channel.is_some() || self.header.recipient.is_some();
        place
            && self.header.content_type.is_none()
            && is_type(word)
            && Role::from_name(word).is_none()
            && !CHANNELS.contains(&word)
    }

    /// `to=` and what is glued to it, or the word behind it.
    fn recipient(
        &mut self,
        value: &'a str,
        start: usize,
        end: usize,
        tokens: &[Spanned<'a>],
        at: usize,
    ) -> usize {
        if self.type_seen {
            self.fault(Code::HeaderOrder, start, end);
        }
        if !value.is_empty() {
            self.set_recipient(value, end - value.len(), end);
            return at + 1;
        }
        self.fault(Code::EmptyRecipient, start, end);
        match tokens.get(at + 1) {
            Some(&Spanned { token: Token::Word(word), start, end }) if is_name(word) => {
                self.set_recipient(word, start, end);
                at + 2
            }
            _ => at + 1,
        }
    }

    fn set_recipient(&mut self, value: &str, start: usize, end: usize) {
        let inner = value.trim_start_matches(QUOTES);
        let length = inner.find(|c| !is_name_char(c)).unwrap_or(inner.len());
        let (name, behind) = inner.split_at(length);
        let behind = behind.trim_start_matches(QUOTES);
        let content = !self.context.complete && behind.starts_with(['{', '[']);
        if content {
            self.rest = Some(end - behind.len());
        }
        let end = if content { end - behind.len() } else { end };
        if start + name.len() < end {
            self.fault(Code::InvalidRecipient, start, end);
        }
        if name.is_empty() {
            return;
        }
        if self.header.recipient.is_some() {
            self.fault(Code::DuplicateRecipient, start, end);
            return;
        }
        self.header.recipient = Some(name.to_owned());
        self.header.recipient_at = Some(self.place);
        self.recipient_at = (start, end);
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
        let found = [
            (wrong(name, &is_author), self.author_at),
            (wrong(recipient, &is_name), self.recipient_at),
            (wrong(channel, &is_channel), self.channel_at),
            (wrong(content_type, &plain), self.type_at),
        ];
        for (_, (start, end)) in found.into_iter().filter(|(wrong, _)| *wrong) {
            self.fault(Code::InvalidValue, start, end);
        }
    }

    /// White space other than blanks, in the part that is header.
    fn spaces(&mut self, buffer: &Buffer) {
        let header = buffer.text.get(..self.rest.unwrap_or(buffer.text.len())).unwrap_or_default();
        if header.bytes().all(|byte| byte > b' ' && byte < 0x80 || byte == b' ') {
            return;
        }
        let odd = |c: char| c.is_whitespace() && c != ' ';
        // In front of the content a line break is the border, and no oddity.
        let trimmed = if self.rest.is_some() { header.trim_end() } else { header };
        for (start, found) in trimmed.match_indices(odd) {
            self.fault(Code::OddSpace, start, start + found.len());
        }
    }
}

/// What models put around names.
const QUOTES: [char; 11] = ['"', '\'', '`', '<', '>', '(', ')', '“', '”', '‘', '’'];

fn is_word(token: &Spanned<'_>) -> bool {
    matches!(token.token, Token::Word(_))
}

/// Whether text glued to a channel can be content: not if nothing is left of it without punctuation and without
/// the names of channels, as in `commentary?commentary?`.
fn has_substance(glued: &str) -> bool {
    let mut left = glued.to_ascii_lowercase();
    for name in CHANNELS {
        left = left.replace(name, "");
    }
    left.contains(char::is_alphanumeric)
}
