//! Detects headers without markers: `analysisWe need ...assistantcommentary to=functions.f json{...}`. Only the words of a
//! header remain, attached to the content after it and to the content before it; this module distinguishes them from
//! equal words of an answer.
//!
//! Everything is decided on the shortest prefix that suffices: where more text can change the result, it is
//! [`Miss::NeedMoreInput`], so that the result does not depend on how the text was cut.

use super::json::JsonTracker;
use super::words::{self, Behind, Miss};
use crate::frame::{CHANNELS, Header, RecipientPosition, Role};
use crate::header_grammar::is_name_char;
use crate::parser::classify::{Addressee, addressee};
use crate::parser::header::{is_garbage_word, is_longer_word, may_become_longer_word};
use crate::parser::tool_names::{TYPES, ToolNames};
use crate::tool_name::{function_of, is_built_in};

/// A header in a text, from byte `start` to the content at byte `end`.
#[derive(Clone, Debug)]
pub(crate) struct StrippedHeader {
    pub(crate) header: Header,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What the text behind the headers so far contains.
#[derive(Debug)]
pub(crate) enum Next {
    Header(StrippedHeader),
    /// From this byte on it may be the beginning of a header.
    Hold(usize),
    /// At this byte the arguments of a call are complete, and something else follows.
    End(usize),
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StrippedHeaderDetector<'a> {
    pub(crate) tools: &'a ToolNames,
    pub(crate) always: bool,
    /// Whether nothing follows the text.
    pub(crate) whole: bool,
    /// Whether a marker follows it, so that the text can be a frame that lost only its header.
    pub(crate) marked: bool,
    /// Whether the text has the length at which it is no longer held back.
    pub(crate) at_limit: bool,
    /// Whether only calls of offered tools count.
    pub(crate) only_offered: bool,
}

const ASSISTANT: &str = Role::Assistant.as_str();

/// The longest name has 128 characters; a channel and a type may be attached to it.
const MAX_NAME: usize = 128 + 16;

/// The longest text between a recipient and its JSON.
const MAX_GARBAGE: usize = 96;

/// Characters before a word that show that it is quoted.
const OPENING_QUOTES: &str = "\"'`([{“‘«";

/// A recipient, and the channel that is attached to it.
#[derive(Clone, Copy)]
struct Named<'t> {
    recipient: &'t str,
    channel: Option<&'static str>,
    /// How many bytes of the text they are.
    length: usize,
}

impl<'a> StrippedHeaderDetector<'a> {
    /// The header at the very start of a completion; or, of an offered tool, behind text.
    pub(crate) fn opening(self, text: &str) -> Result<StrippedHeader, Miss> {
        let behind = text.trim_start();
        if behind.is_empty() {
            return Err(Miss::No);
        }
        let start = text.len() - behind.len();
        let header = match self.glued(behind, None) {
            Err(Miss::No) => self.first(behind),
            header => header,
        };
        match header {
            // White space before it belongs to the header.
            Ok(header) => Ok(StrippedHeader { end: header.end + start, ..header }),
            Err(Miss::No) if self.always || !self.tools.is_empty() => self.behind_text(text),
            Err(miss) => Err(miss),
        }
    }

    fn behind_text(self, text: &str) -> Result<StrippedHeader, Miss> {
        let detector = StrippedHeaderDetector { only_offered: !self.always, ..self };
        match detector.next(text, None, None) {
            Next::Header(header) => {
                let before = text.split_at(header.start).0;
                let is_call = header.header.recipient.is_some();
                let start = if is_call { before.trim_end().len() } else { header.start };
                Ok(StrippedHeader { start, ..header })
            }
            _ if self.always && !self.whole => Err(Miss::NeedMoreInput),
            _ => Err(Miss::No),
        }
    }

    /// The same behind a frame that had its markers, where the role has to be written.
    pub(crate) fn reopening(self, text: &str) -> Result<StrippedHeader, Miss> {
        let behind = text.trim_start();
        let header = self.glued(behind, None)?;
        Ok(StrippedHeader { end: header.end + text.len() - behind.len(), ..header })
    }

    /// The first header behind the opening; `before` is the character before the text. `json` is read as far as the
    /// text is decided.
    pub(crate) fn next(self, text: &str, before: Option<char>, json: Option<&mut JsonTracker>) -> Next {
        let mut unused = JsonTracker::default();
        let tracked = json.is_some();
        let json = json.unwrap_or(&mut unused);
        let mut done = 0;
        let mut read = |to: usize| {
            let part = text.get(done..to).unwrap_or_default();
            let behind = if tracked { json.read(part).map(|at| done + at) } else { None };
            done = to;
            (behind, tracked && json.is_in_string())
        };
        for start in memchr::memmem::find_iter(text.as_bytes(), ASSISTANT) {
            match read(start) {
                (Some(at), _) => return Next::End(at),
                (None, true) => continue,
                (None, false) => {}
            }
            let (head, tail) = text.split_at(start);
            match self.glued(tail, head.chars().next_back().or(before)) {
                Ok(header) if self.only_offered && !self.calls_offered(&header.header) => {}
                Ok(header) => {
                    return Next::Header(StrippedHeader { start, end: start + header.end, ..header });
                }
                Err(Miss::NeedMoreInput) => return Next::Hold(start),
                Err(Miss::No) => {}
            }
        }
        let held = (1..ASSISTANT.len()).rev().find(|length| text.ends_with(ASSISTANT.split_at(*length).0));
        let end = text.len() - if self.whole { 0 } else { held.unwrap_or(0) };
        match read(end) {
            (Some(at), _) => Next::End(at),
            (None, true) => {
                read(text.len());
                Next::Hold(text.len())
            }
            (None, false) => Next::Hold(end),
        }
    }

    /// Whether the end of a text, from where it is held, is the beginning of a header that the input cut.
    pub(crate) fn is_cut_header(self, text: &str, before: Option<char>) -> bool {
        let apart = before.is_none_or(is_apart);
        let detector = StrippedHeaderDetector { whole: false, ..self };
        !apart
            && text.len() >= ASSISTANT.len()
            && detector.glued(text, before).is_err_and(|miss| miss == Miss::NeedMoreInput)
    }

    fn calls_offered(self, header: &Header) -> bool {
        let recipient = header.recipient.as_deref();
        recipient.is_some_and(
            |to| matches!(addressee(to, self.tools), Addressee::Tool(name, _) if self.tools.contains(name)),
        )
    }

    /// `assistant`, and the channel or the recipient behind it.
    fn glued(self, text: &str, before: Option<char>) -> Result<StrippedHeader, Miss> {
        let rest = self.word(text, ASSISTANT)?;
        let (header, rest) = match self.any_of(rest, CHANNELS) {
            Ok((channel, rest)) => self.behind_channel(channel, rest)?,
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            // Within a text, words with blanks between them are prose.
            Err(Miss::No) => match self.recipient_first(rest, !before.is_some_and(is_apart)) {
                Err(Miss::No) if !before.is_some_and(is_apart) => self.channel_apart(rest)?,
                header => header?,
            },
        };
        if !self.always {
            self.is_not_quoted(&header, before, rest)?;
        }
        Ok(StrippedHeader { header, start: 0, end: text.len() - rest.len() })
    }

    /// A header at the start whose `assistant` stood in the prompt.
    fn first(self, text: &str) -> Result<StrippedHeader, Miss> {
        let (channel, rest) = match self.any_of(text, CHANNELS) {
            Ok(channel) => channel,
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => {
                let (header, rest) = self.recipient_first(text, true)?;
                return Ok(StrippedHeader { header, start: 0, end: text.len() - rest.len() });
            }
        };
        let (header, rest) = self.behind_channel(channel, rest)?;
        let detected = StrippedHeader { start: 0, end: text.len() - rest.len(), header };
        if detected.header.recipient.is_some() || detected.header.content_type.is_some() {
            return Ok(detected);
        }
        if channel == "final" {
            self.is_whole_word(rest)?;
        }
        if self.always {
            return Ok(detected);
        }
        match words::behind_channel(rest, self.whole)? {
            Behind::Content => Ok(detected),
            Behind::Name | Behind::MaybeContent if channel != "final" => {
                self.has_another(rest)?;
                Ok(detected)
            }
            _ => Err(Miss::No),
        }
    }

    /// ` commentary to=functions.f`: the channel stands apart from the role, and a recipient shows what it is.
    fn channel_apart(self, text: &str) -> Result<(Header, &str), Miss> {
        let inner = without_blanks(text);
        if inner.len() == text.len() {
            return Err(Miss::No);
        }
        let (channel, rest) = self.any_of(inner, CHANNELS)?;
        let (header, rest) = self.behind_channel(channel, rest)?;
        if header.recipient.is_some() { Ok((header, rest)) } else { Err(Miss::No) }
    }

    /// The recipient and the type behind a channel, where they are.
    fn behind_channel<'t>(self, channel: &str, rest: &'t str) -> Result<(Header, &'t str), Miss> {
        let mut header = Header::new(Role::Assistant);
        header.channel = Some(channel.to_owned());
        let rest = match self.recipient(rest) {
            Ok((named, rest)) => {
                header.recipient = Some(named.recipient.to_owned());
                header.recipient_at = Some(RecipientPosition::Channel);
                self.without_channel(&mut header, rest)?
            }
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => rest,
        };
        self.content_type(header, rest)
    }

    /// ` to=functions.fcommentary json`: the recipient stood behind the role.
    /// `apart`: whether the channel may stand apart from the name, or be missing, where a call follows.
    fn recipient_first(self, text: &str, apart: bool) -> Result<(Header, &str), Miss> {
        let (named, rest) = self.recipient(text)?;
        let mut header = Header::new(Role::Assistant);
        header.recipient = Some(named.recipient.to_owned());
        header.recipient_at = Some(RecipientPosition::Role);
        header.channel = named.channel.map(str::to_owned);
        let attached = named.channel.is_some();
        let rest = self.without_channel(&mut header, rest)?;
        // Some models name the recipient in both places.
        let rest = match self.recipient(rest) {
            Ok((_, rest)) => rest,
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => rest,
        };
        let (header, rest) = self.content_type(header, rest)?;
        let full = |to: &str| to.contains('.') || self.tools.names_tool(to);
        let called = header.recipient.as_deref().is_some_and(full) && rest.starts_with(['{', '[']);
        if attached || apart && called { Ok((header, rest)) } else { Err(Miss::No) }
    }

    /// Takes off a channel that stands apart behind a recipient.
    fn without_channel<'t>(self, header: &mut Header, text: &'t str) -> Result<&'t str, Miss> {
        let inner = without_blanks(text);
        if inner.len() == text.len() {
            return Ok(text);
        }
        match self.any_of(inner, CHANNELS) {
            Ok((channel, rest)) => {
                header.channel.get_or_insert_with(|| channel.to_owned());
                Ok(rest)
            }
            Err(Miss::NeedMoreInput) => Err(Miss::NeedMoreInput),
            Err(Miss::No) => Ok(text),
        }
    }

    /// `to=` and a name, with what is attached to the name.
    fn recipient<'t>(self, text: &'t str) -> Result<(Named<'t>, &'t str), Miss> {
        let text = self.word(without_blanks(text), "to=")?;
        if let Some(length) = self.tools.odd_name_length(text) {
            let (recipient, rest) = text.split_at(length);
            return Ok((Named { recipient, channel: None, length }, rest));
        }
        if !self.whole && self.tools.may_become_odd_name(text) {
            return Err(Miss::NeedMoreInput);
        }
        let length = match text.find(|c| !is_name_char(c)) {
            Some(length) => length,
            None if self.whole => text.len(),
            None if text.len() <= MAX_NAME => return Err(Miss::NeedMoreInput),
            None => return Err(Miss::No),
        };
        let (name, behind) = text.split_at(length);
        let named = self.named(self.without_next(name, behind)?);
        let unfinished = named.recipient.ends_with('.') && function_of(named.recipient) != Some("");
        if length > MAX_NAME || unfinished || !self.is_recipient(named.recipient) {
            return Err(Miss::No);
        }
        Ok((named, text.split_at(named.length).1))
    }

    /// A tool, or a channel in its place.
    fn is_recipient(self, name: &str) -> bool {
        matches!(addressee(name, self.tools), Addressee::Tool(..) | Addressee::Channel(_))
    }

    /// A call without arguments ends where its name does; the next header is attached to it.
    fn without_next<'t>(self, name: &'t str, behind: &str) -> Result<&'t str, Miss> {
        for (at, _) in name.match_indices(ASSISTANT) {
            let (name, next) = name.split_at(at);
            let channel = next.split_at(ASSISTANT.len()).1;
            let header = if channel.is_empty() {
                match self.word(without_blanks(behind), "to=") {
                    Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
                    word => word.is_ok(),
                }
            } else {
                CHANNELS.iter().any(|known| channel.starts_with(known))
            };
            if header {
                return Ok(name);
            }
        }
        Ok(name)
    }

    /// Takes off a name what was another word before the markers were removed.
    fn named<'t>(self, name: &'t str) -> Named<'t> {
        let all = Named { recipient: name, channel: None, length: name.len() };
        if self.tools.names_tool(name) {
            return all;
        }
        for channel in CHANNELS {
            let typed = TYPES.into_iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name);
            for (cut, length) in [(name, name.len()), (typed, typed.len())] {
                let Some(recipient) = cut.strip_suffix(channel) else { continue };
                // A name that goes on with the word, as `run_analysis` does, is one.
                if self.tools.names_tool(recipient)
                    || recipient.ends_with(|c: char| c.is_ascii_alphanumeric())
                {
                    return Named { recipient, channel: Some(channel), length };
                }
            }
        }
        let typed = TYPES.into_iter().find_map(|kind| name.strip_suffix(kind));
        if let Some(recipient) = typed.filter(|name| self.tools.names_tool(name)) {
            return Named { recipient, channel: None, length: recipient.len() };
        }
        match name.strip_prefix("python") {
            // `to=pythonimport math`: it takes code, which begins with a letter.
            Some(code) if code.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                Named { recipient: "python", channel: None, length: "python".len() }
            }
            _ => all,
        }
    }

    /// ` json` or ` code`, where a type can stand. A header with a recipient has to go on as a call does.
    fn content_type(self, mut header: Header, rest: &str) -> Result<(Header, &str), Miss> {
        let inner = without_blanks(rest);
        let recipient = header.recipient.as_deref();
        let to_channel =
            recipient.is_some_and(|to| matches!(addressee(to, self.tools), Addressee::Channel(_)));
        // Any word can be the name of a tool; one that shows what it is needs less behind it.
        let named = recipient
            .is_some_and(|to| to.contains('.') || is_built_in(to) || self.tools.contains(to))
            && header.channel.as_deref() != Some("final");
        match self.any_of(inner, TYPES) {
            Ok((kind, behind)) => {
                let content = if named { without_space(behind) } else { behind };
                let json = kind == "json";
                let typed = to_channel || if json { self.opens_call(content, named, named)? } else { named };
                if typed || recipient.is_some() && self.always {
                    header.content_type = Some(kind.to_owned());
                    let content = if json && typed && named { content } else { behind };
                    return Ok((header, content));
                }
            }
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => {}
        }
        if recipient.is_none() {
            return Ok((header, rest));
        }
        let apart = inner.len() < rest.len();
        let content = if named { without_space(inner) } else { inner };
        if (named || !apart) && self.opens_call(content, named, false)? {
            return Ok((header, content));
        }
        if named && let Some(json) = self.behind_garbage(inner)? {
            return Ok((header, json));
        }
        let code = recipient == Some("python") && !apart;
        if code || self.always && !to_channel { Ok((header, rest)) } else { Err(Miss::No) }
    }

    /// The JSON behind words that belong neither to the header nor to the call.
    fn behind_garbage(self, text: &str) -> Result<Option<&str>, Miss> {
        let end = text.find(['{', '[', '\n']).unwrap_or(text.len()).min(MAX_GARBAGE);
        let words = text.get(..end).unwrap_or_default();
        let mut count = 0;
        let garbage = words.split_whitespace().inspect(|_| count += 1).all(is_garbage_word);
        let complete = text.get(end..).is_some_and(|rest| rest.starts_with(['{', '[']));
        let first = words.split(' ').next().unwrap_or_default();
        let first_is_plain = first.len() < words.len() && !is_garbage_word(first);
        if !complete && end == text.len() && !self.whole && !first_is_plain {
            return Err(Miss::NeedMoreInput);
        }
        Ok(text.get(end..).filter(|_| complete && garbage && (1..=2).contains(&count)))
    }

    /// Whether a call can go on like this: with JSON, or with the next header if it has no arguments.
    fn opens_call(self, text: &str, named: bool, quoted: bool) -> Result<bool, Miss> {
        Ok(match self.first_of(text)? {
            Some('a') if named => match self.word(text, ASSISTANT) {
                Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
                word => word.is_ok(),
            },
            Some('"') => quoted,
            Some(c) => matches!(c, '{' | '['),
            None => named,
        })
    }

    /// The words of a header are attached to other text on at least one side. Words that stand apart are prose: `the text
    /// has assistantfinal in it`.
    fn is_not_quoted(self, header: &Header, before: Option<char>, rest: &str) -> Result<(), Miss> {
        if header.recipient.is_some() {
            let apart = before.is_some_and(is_apart);
            let called = !apart || self.opens_call(rest, true, true)?;
            return if called { Ok(()) } else { Err(Miss::No) };
        }
        let apart_before = before.is_none_or(|c| c.is_whitespace() || OPENING_QUOTES.contains(c));
        let apart_behind = self
            .first_of(rest)?
            .is_none_or(|c| c.is_whitespace() && c != '\n' || "\"'`)]}”’»,.;:?!".contains(c));
        if apart_before && apart_behind {
            return Err(Miss::No);
        }
        if header.channel.as_deref() == Some("final") { self.is_whole_word(rest) } else { Ok(()) }
    }

    /// Whether `final` is the whole word: it is not in `finally`.
    fn is_whole_word(self, rest: &str) -> Result<(), Miss> {
        let letters = rest.find(|c: char| !c.is_ascii_lowercase()).is_none();
        if letters && !self.whole && may_become_longer_word(rest) {
            return Err(Miss::NeedMoreInput);
        }
        if is_longer_word(rest) { Err(Miss::No) } else { Ok(()) }
    }

    /// What is attached to the channel may be content, and then another header has to follow.
    fn has_another(self, text: &str) -> Result<(), Miss> {
        let sure_at_limit = !text.starts_with(' ')
            && words::behind_channel(text, self.whole).is_ok_and(|behind| behind == Behind::MaybeContent);
        match self.next(text, Some('s'), None) {
            Next::Header(_) => Ok(()),
            _ if self.marked || self.at_limit && sure_at_limit => Ok(()),
            _ if self.whole || self.at_limit => Err(Miss::No),
            _ => Err(Miss::NeedMoreInput),
        }
    }

    /// The text behind a word that it begins with.
    fn word<'t>(self, text: &'t str, word: &str) -> Result<&'t str, Miss> {
        match text.strip_prefix(word) {
            Some(rest) => Ok(rest),
            None if !self.whole && word.starts_with(text) => Err(Miss::NeedMoreInput),
            None => Err(Miss::No),
        }
    }

    fn any_of<'t, const N: usize>(
        self,
        text: &'t str,
        words: [&'static str; N],
    ) -> Result<(&'static str, &'t str), Miss> {
        let mut miss = Miss::No;
        for word in words {
            match self.word(text, word) {
                Ok(rest) => return Ok((word, rest)),
                Err(Miss::NeedMoreInput) => miss = Miss::NeedMoreInput,
                Err(Miss::No) => {}
            }
        }
        Err(miss)
    }

    /// The next character; `None` at the end of the whole text.
    fn first_of(self, text: &str) -> Result<Option<char>, Miss> {
        match text.chars().next() {
            None if !self.whole => Err(Miss::NeedMoreInput),
            first => Ok(first),
        }
    }
}

/// Whether a word behind this character stands apart from the text before it, or is quoted.
fn is_apart(c: char) -> bool {
    c.is_whitespace() && c != '\n' || OPENING_QUOTES.contains(c)
}

/// So many blanks may stand between the words of a header.
const MAX_BLANKS: usize = 4;

/// A text without the blanks before it; a line break ends a header.
fn without_blanks(text: &str) -> &str {
    without(text, |c| c.is_whitespace() && c != '\n')
}

/// The same with line breaks, where JSON follows.
fn without_space(text: &str) -> &str {
    without(text, char::is_whitespace)
}

fn without(text: &str, blank: impl Fn(char) -> bool) -> &str {
    let count = text.chars().take(MAX_BLANKS).take_while(|c| blank(*c)).map(char::len_utf8).sum();
    text.split_at(count).1
}
