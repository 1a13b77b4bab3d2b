//! The recipient of a header: behind `to=`, or a tool's name in another place.

use super::{Ending, Evidence, HeaderParser, Spanned, Token, words};
use crate::error::Code;
use crate::frame::RecipientPosition;
use crate::header_grammar::{is_name, is_name_char};
use crate::parser::classify::{Addressee, addressee, tool_of};
use crate::parser::tool_names::{SEPARATORS, TYPES};
use crate::tool_name::{behind_namespace, function_of, is_built_in};

/// What models put around names.
const QUOTES: [char; 11] = ['"', '\'', '`', '<', '>', '(', ')', '“', '”', '‘', '’'];

/// So many words, and bytes of a word, may stand between a recipient and its JSON without being content.
const MAX_GARBAGE_WORDS: usize = 2;
const MAX_GARBAGE_BYTES: usize = 48;

/// Whether a recipient shows by its form that it is a tool's: `functions.x`, `browser.search`.
pub(super) fn has_namespace(recipient: &str) -> bool {
    let namespaced = behind_namespace(recipient).and_then(|rest| rest.strip_prefix(SEPARATORS));
    let built_in = is_built_in(recipient) && recipient.contains('.');
    namespaced.is_some_and(|name| !name.is_empty()) || built_in && !recipient.ends_with('.')
}

impl<'a> HeaderParser<'a> {
    /// `to=` and what is attached to it, or the word behind it.
    pub(super) fn recipient(&mut self, value: &'a str, at: usize) -> usize {
        let Some(&Spanned { start, end, .. }) = self.tokens.get(at) else { return at + 1 };
        let type_seen = self.type_seen;
        let next = if value.is_empty() {
            let Some(&Spanned { token: Token::Word(word), .. }) = self.tokens.get(at + 1) else {
                self.fault(Code::EmptyRecipient, start, end);
                return at + 1;
            };
            if !is_name(word) && self.odd_name(at + 1, end).is_none() {
                self.fault(Code::EmptyRecipient, start, end);
                return at + 1;
            }
            self.fault(Code::EmptyRecipient, start, end);
            self.marked_recipient(at + 1, word)
        } else {
            self.marked_recipient(at, value)
        };
        match next {
            Some(next) => {
                if type_seen {
                    self.fault(Code::HeaderOrder, start, end);
                }
                next
            }
            None => {
                self.rest = Some(start);
                at + 1
            }
        }
    }

    /// The recipient after `to=`; `None` if the text is content that begins with `to=`.
    fn marked_recipient(&mut self, at: usize, value: &'a str) -> Option<usize> {
        let Some(&Spanned { end, .. }) = self.tokens.get(at) else { return Some(at + 1) };
        let start = end - value.len();
        if let Some(end) = self.odd_name(at, start) {
            let name = self.text.get(start..end).unwrap_or_default();
            self.take_recipient(name, start, end);
            let behind = self.text.get(end..).unwrap_or_default();
            self.rest = (!self.is_complete() && behind.starts_with(['{', '['])).then_some(end);
            return Some(self.behind_odd_name(at, end));
        }
        if !self.is_complete() && !self.is_cut(at) && !self.is_recipient(value, end) {
            return None;
        }
        if self.is_complete() {
            self.evidence = Evidence::Marked;
        }
        self.set_recipient(value, start, end);
        Some(at + 1)
    }

    /// Whether the value of `to=` is a recipient, in a header that may already be content.
    fn is_recipient(&self, value: &str, end: usize) -> bool {
        let inner = value.trim_start_matches(QUOTES);
        let length = inner.find(|c| !is_name_char(c)).unwrap_or(inner.len());
        let name = inner.split_at(length).0;
        let behind = inner.split_at(length).1.trim_start_matches(QUOTES);
        let json = if behind.starts_with(['{', '[']) { end - behind.len() } else { end };
        match addressee(name, self.context.tools) {
            Addressee::Tool(tool, _) => {
                self.context.tools.contains(tool)
                    || has_namespace(name)
                    || self.header.channel.as_deref() == Some("commentary") && behind.is_empty()
                    || self.call_follows(json)
            }
            _ => self.header.channel.is_some() && behind.is_empty(),
        }
    }

    /// The end of a name with blanks or other characters that only an offered tool can have.
    fn odd_name(&self, at: usize, start: usize) -> Option<usize> {
        let is_mark = |token: &&Spanned<'_>| !matches!(token.token, Token::Word(_));
        let border = self.tokens.get(at..).and_then(|rest| rest.iter().find(is_mark));
        let border = border.map_or(self.text.len(), |mark| mark.start);
        let text = self.text.get(start..border).unwrap_or_default();
        let skipped = text.len() - text.trim_start().len();
        self.context.tools.odd_name_length(text.trim_start()).map(|length| start + skipped + length)
    }

    /// The token behind an odd name, which can end within a word: what the word has besides is a fault, unless it is
    /// content.
    fn behind_odd_name(&mut self, at: usize, end: usize) -> usize {
        let next = self.token_at(at + 1, end);
        let word_end = self.tokens.get(next - 1).map_or(end, |word| word.end);
        if self.rest.is_none() && end < word_end {
            self.fault(Code::StrayHeaderText, end, word_end);
        }
        next
    }

    pub(super) fn set_recipient(&mut self, value: &str, start: usize, end: usize) {
        let inner = value.trim_start_matches(QUOTES);
        let length = inner.find(|c| !is_name_char(c)).unwrap_or(inner.len());
        let (name, behind) = inner.split_at(length);
        let behind = behind.trim_start_matches(QUOTES);
        let content = !self.is_complete() && behind.starts_with(['{', '[']);
        if content {
            self.rest = Some(end - behind.len());
        }
        let end = if content { end - behind.len() } else { end };
        if start + name.len() < end {
            self.fault(Code::InvalidRecipient, start, end);
        }
        if !name.is_empty() {
            self.take_recipient(name, start, end);
        }
    }

    fn take_recipient(&mut self, name: &str, start: usize, end: usize) {
        if self.header.recipient.is_some() {
            self.fault(Code::DuplicateRecipient, start, end);
            return;
        }
        self.header.recipient = Some(name.to_owned());
        self.header.recipient_at = Some(self.place);
        self.recipient_at = (start, end);
    }

    /// A tool's full name where only a recipient makes sense, in a complete header.
    pub(super) fn is_unmarked_recipient(&self, word: &str) -> bool {
        is_name(word)
            && (self.context.tools.contains(word)
                || matches!(tool_of(word, self.context.tools), Some((_, None))))
    }

    /// A tool's name in the place of the role, in a complete header: of an offered tool, or on commentary, where calls
    /// belong.
    pub(super) fn tool_as_role(&mut self, word: &'a str, start: usize, end: usize) -> Option<usize> {
        let is_addressed =
            self.tokens.iter().any(|next| matches!(next.token, Token::Word(word) if word.starts_with("to=")));
        if !self.context.in_completion || is_addressed {
            return None;
        }
        if let Some(end) = self.odd_name(0, start) {
            self.fault(Code::RoleIsToolName, start, end);
            self.take_recipient(self.text.get(start..end).unwrap_or_default(), start, end);
            return Some(self.behind_odd_name(0, end));
        }
        let is_offered = self.context.tools.contains(word);
        let on_commentary = self.tokens.windows(2).any(|pair| {
            matches!(pair, [Spanned { token: Token::Channel, .. }, Spanned { token: Token::Word(word), .. }]
                if words::channel_of_word(word).is_some_and(|(channel, _)| channel == "commentary"))
        });
        if !is_name(word) || !is_offered && function_of(word).is_some() {
            return None;
        }
        if is_offered || on_commentary || is_built_in(word) {
            self.fault(Code::RoleIsToolName, start, end);
            self.header.recipient = Some(word.to_owned());
            self.header.recipient_at = Some(RecipientPosition::Role);
        } else {
            self.fault(Code::UnknownRole, start, end);
        }
        Some(1)
    }

    /// A tool's name without `to=` at a byte of a header that may already be content. It counts if a call follows.
    pub(super) fn unmarked_recipient(&mut self, at: usize, start: usize) -> Option<usize> {
        let end = self.tool_end(at, start)?;
        if !self.call_follows(end) {
            return None;
        }
        self.take_recipient(self.text.get(start..end).unwrap_or_default(), start, end);
        if self.text.get(end..).is_some_and(|behind| behind.starts_with(['{', '['])) {
            self.rest = Some(end);
        }
        Some(self.token_at(at + 1, end))
    }

    /// Where the tool's name ends that stands at a byte of the text: an offered one, or one with a namespace.
    fn tool_end(&self, at: usize, start: usize) -> Option<usize> {
        if let Some(end) = self.odd_name(at, start) {
            return Some(end);
        }
        let Some(&Spanned { token: Token::Word(_), end, .. }) = self.tokens.get(at) else { return None };
        let word = self.text.get(start..end)?;
        let length = word.find(|c| !is_name_char(c)).unwrap_or(word.len());
        let name = word.split_at(length).0.trim_end_matches(SEPARATORS);
        let is_tool = |name: &str| self.context.tools.names_tool(name) || has_namespace(name);
        // `functions.read:json`: a type is attached to the name.
        let inner = name.split_once(':').map(|(inner, _)| inner).filter(|inner| is_tool(inner));
        let name = inner.filter(|_| !self.context.tools.names_tool(name)).unwrap_or(name);
        is_tool(name).then_some(start + name.len())
    }

    /// Whether a call goes on at a byte of the text: with a content type, with JSON, or with nothing.
    fn call_follows(&self, offset: usize) -> bool {
        let rest = self.text.get(offset..).unwrap_or_default().trim_start();
        let untyped = TYPES.iter().find_map(|kind| rest.strip_prefix(kind)).unwrap_or(rest).trim_start();
        untyped.is_empty() || untyped.starts_with(['{', '['])
    }

    /// `<|constrain|>` and a tool in the place of the content type: `functions.x`, `func=functions.x`, `x:`.
    pub(super) fn constrained_tool(&mut self, word: &'a str, at: usize) -> Option<usize> {
        let &Spanned { start, end, .. } = self.tokens.get(at)?;
        let is_key = |key: &str| !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphabetic() || c == b'_');
        let value = word.split_once('=').filter(|(key, _)| is_key(key)).map_or(word, |(_, value)| value);
        let from = end - value.len();
        let name_end = self.tool_end(at, from)?;
        // An odd name has several words: what is behind it is in the last one.
        let next = self.token_at(at + 1, name_end);
        let end = self.tokens.get(next - 1).map_or(end, |word| word.end);
        if !self.is_complete() && !self.call_follows(self.skip_separators(name_end)) {
            return None;
        }
        self.fault(Code::UnmarkedRecipient, start, name_end);
        self.take_recipient(self.text.get(from..name_end).unwrap_or_default(), from, name_end);
        let behind_start = self.skip_separators(name_end);
        let behind = self.text.get(behind_start..end).unwrap_or_default();
        let kind = TYPES.into_iter().find(|kind| words::is_type_before_content(behind, kind));
        if let Some(kind) = kind {
            self.set_type(kind.to_owned(), behind_start, behind_start + kind.len());
        }
        let content = behind_start + kind.map_or(0, str::len);
        let left = self.text.get(content..end).unwrap_or_default();
        if !self.is_complete() && left.starts_with(['{', '[']) {
            self.rest = Some(content);
        } else if !left.is_empty() {
            self.fault(Code::InvalidRecipient, from, end);
        }
        Some(next)
    }

    fn skip_separators(&self, offset: usize) -> usize {
        let behind = self.text.get(offset..).unwrap_or_default();
        offset + behind.len() - behind.trim_start_matches(SEPARATORS).len()
    }

    /// Words between a tool and its JSON that belong to neither: the token behind the last of them.
    pub(super) fn garbage_before_json(&self, at: usize) -> Option<usize> {
        let recipient = self.header.recipient.as_deref()?;
        let takes_json = !is_built_in(recipient) || recipient.contains('.');
        if !takes_json
            || self.context.ending == Ending::Message
            || tool_of(recipient, self.context.tools).is_none()
        {
            return None;
        }
        let words = self.tokens.get(at..)?;
        let is_garbage = |token: &&Spanned<'_>| match token.token {
            Token::Word(word) => is_garbage_word(word),
            _ => false,
        };
        let count = words.iter().take_while(is_garbage).count();
        let behind = words.get(count)?;
        let json = matches!(behind.token, Token::Word(word) if word.starts_with(['{', '[']));
        (count > 0 && count <= MAX_GARBAGE_WORDS && json).then_some(at + count)
    }
}

/// Whether a word between a recipient and its JSON is garbage rather than content: it ends in a content type, or has
/// letters outside ASCII.
pub(in crate::parser) fn is_garbage_word(word: &str) -> bool {
    let foreign = word.chars().any(|c| c.is_alphabetic() && !c.is_ascii());
    let typed = TYPES.iter().any(|kind| word.len() > kind.len() && word.ends_with(kind));
    word.len() <= MAX_GARBAGE_BYTES && !word.contains(['{', '[', '"']) && (foreign || typed)
}
