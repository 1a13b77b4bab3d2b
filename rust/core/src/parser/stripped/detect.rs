//! Headers whose markers were taken out, as a server does that leaves out special tokens when it decodes:
//! `analysisWe need ...assistantcommentary to=functions.f json{...}`. What is left of a header are its words, glued
//! to the content behind it and to the one before it; here they are told from words that an answer happens to have.
//!
//! Everything is decided on the shortest prefix that suffices: what more text could change is [`Miss::NeedMoreInput`], so that
//! it makes no difference how the text was cut.

use crate::frame::{CHANNELS, Header, RecipientPosition, Role};
use crate::header_grammar::is_name_char;
use crate::parser::classify::{ToolNames, tool_of};
use crate::tool_name::{function_of, is_built_in};

/// A header in a text, from byte `start` to the content at byte `end`.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// More text may make it one.
    NeedMoreInput,
    No,
}

/// What the text behind the headers so far holds.
#[derive(Debug)]
pub(crate) enum Next {
    Header(Found),
    /// From this byte on it may be the beginning of a header.
    Hold(usize),
}

/// How a text is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StrippedHeaderDetector<'a> {
    pub(crate) tools: &'a ToolNames,
    pub(crate) always: bool,
    /// Whether nothing follows the text.
    pub(crate) whole: bool,
    /// Whether a marker follows it, so that the text can be a frame that lost its header only.
    pub(crate) marked: bool,
}

/// The longest name is 128 characters; a channel and a type may be glued to it.
const LONGEST_NAME: usize = 128 + 16;

/// Words with which models begin to think or to answer, and which nobody puts behind `analysis` or `final` in a name:
/// `analysisResult` may be an answer about a variable, `analysisWe` may not.
const SENTENCE_STARTERS: &str = "Absolutely Actually Alright As Based Below Certainly Could Do For Given Great He Hello Here Hey Hi Hmm \
    How I If In Is It Just Let Looking Maybe My Need No Now Of Oh Ok Okay Our Probably She Should So Sorry \
    Sure Thank Thanks That The Their There These They This Unfortunately User We What Why Yes You Your";

/// What makes another word of `final`.
const FINAL_SUFFIXES: &str = "e es ise ised ises ising ist ists ity ize ized izes izing ly s";

impl<'a> StrippedHeaderDetector<'a> {
    /// The header at the very start of a completion.
    pub(crate) fn opening(self, text: &str) -> Result<Found, Miss> {
        let behind = text.trim_start();
        if behind.is_empty() {
            return Err(Miss::No);
        }
        let start = text.len() - behind.len();
        let found = match self.glued(behind, None) {
            Err(Miss::No) => self.first(behind),
            found => found,
        };
        match found {
            // White space before it goes with the header.
            Ok(found) => Ok(Found { end: found.end + start, ..found }),
            Err(Miss::No) if self.always => match self.next(text, None) {
                Next::Header(found) => Ok(found),
                Next::Hold(_) if self.whole => Err(Miss::No),
                Next::Hold(_) => Err(Miss::NeedMoreInput),
            },
            Err(miss) => Err(miss),
        }
    }

    /// The same behind a frame that had its markers, where the role has to stand.
    pub(crate) fn reopening(self, text: &str) -> Result<Found, Miss> {
        let behind = text.trim_start();
        let found = self.glued(behind, None)?;
        Ok(Found { end: found.end + text.len() - behind.len(), ..found })
    }

    /// The first header behind the opening; `before` is the character before the text.
    pub(crate) fn next(self, text: &str, before: Option<char>) -> Next {
        for start in memchr::memmem::find_iter(text.as_bytes(), ASSISTANT) {
            let (head, tail) = text.split_at(start);
            match self.glued(tail, head.chars().next_back().or(before)) {
                Ok(found) => return Next::Header(Found { start, end: start + found.end, ..found }),
                Err(Miss::NeedMoreInput) => return Next::Hold(start),
                Err(Miss::No) => {}
            }
        }
        let held = (1..ASSISTANT.len()).rev().find(|length| text.ends_with(ASSISTANT.split_at(*length).0));
        Next::Hold(text.len() - if self.whole { 0 } else { held.unwrap_or(0) })
    }

    /// `assistant`, and the channel or the recipient that is glued to it.
    fn glued(self, text: &str, before: Option<char>) -> Result<Found, Miss> {
        let rest = self.word(text, ASSISTANT)?;
        let (header, rest) = match self.any_of(rest, CHANNELS) {
            Ok((channel, rest)) => self.behind_channel(channel, rest)?,
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => self.recipient_first(rest)?,
        };
        self.is_no_quote(&header, before, rest)?;
        Ok(Found { header, start: 0, end: text.len() - rest.len() })
    }

    /// A header at the start whose `assistant` stood in the prompt.
    fn first(self, text: &str) -> Result<Found, Miss> {
        let (channel, rest) = match self.any_of(text, CHANNELS) {
            Ok(found) => found,
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => {
                let (header, rest) = self.recipient_first(text)?;
                return Ok(Found { header, start: 0, end: text.len() - rest.len() });
            }
        };
        let (header, rest) = self.behind_channel(channel, rest)?;
        let found = Found { start: 0, end: text.len() - rest.len(), header };
        if found.header.recipient.is_some() || found.header.content_type.is_some() {
            return Ok(found);
        }
        if channel == "final" {
            self.is_no_longer_word(rest)?;
        }
        if self.always {
            return Ok(found);
        }
        match self.begins_sentence(rest) {
            Err(Miss::No) if channel == "final" => self.begins_json(rest)?,
            Err(Miss::No) => self.has_another(rest)?,
            Ok(()) => {}
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
        }
        Ok(found)
    }

    /// The recipient and the type behind a channel, where they are.
    fn behind_channel<'t>(self, channel: &str, rest: &'t str) -> Result<(Header, &'t str), Miss> {
        let mut header = Header::new(Role::Assistant);
        header.channel = Some(channel.to_owned());
        let rest = match self.recipient(rest) {
            Ok((named, rest)) => {
                header.recipient = Some(named.recipient.to_owned());
                header.recipient_at = Some(RecipientPosition::Channel);
                rest
            }
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => rest,
        };
        self.content_type(header, rest)
    }

    /// ` to=functions.fcommentary json`: the recipient stood in the place of the role.
    fn recipient_first(self, text: &str) -> Result<(Header, &str), Miss> {
        let (named, rest) = self.recipient(text)?;
        let Some(channel) = named.channel else { return Err(Miss::No) };
        let mut header = Header::new(Role::Assistant);
        header.recipient = Some(named.recipient.to_owned());
        header.recipient_at = Some(RecipientPosition::Role);
        header.channel = Some(channel.to_owned());
        // Some models name the recipient in both places.
        let rest = match self.recipient(rest) {
            Ok((_, rest)) => rest,
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => rest,
        };
        self.content_type(header, rest)
    }

    /// `to=` and a name, with what is glued to the name.
    fn recipient<'t>(self, text: &'t str) -> Result<(Named<'t>, &'t str), Miss> {
        let text = self.word(without_blank(text), "to=")?;
        let length = match text.find(|c| !is_name_char(c)) {
            Some(length) => length,
            None if self.whole => text.len(),
            None if text.len() <= LONGEST_NAME => return Err(Miss::NeedMoreInput),
            None => return Err(Miss::No),
        };
        let (name, behind) = text.split_at(length);
        let named = self.named(self.without_next(name, behind)?);
        let unfinished = named.recipient.ends_with('.') && function_of(named.recipient) != Some("");
        if length > LONGEST_NAME || unfinished || tool_of(named.recipient, self.tools).is_none() {
            return Err(Miss::No);
        }
        Ok((named, text.split_at(named.length).1))
    }

    /// A call without arguments ends where its name does; the next header is glued to it.
    fn without_next<'t>(self, name: &'t str, behind: &str) -> Result<&'t str, Miss> {
        for (at, _) in name.match_indices(ASSISTANT) {
            let (name, next) = name.split_at(at);
            let channel = next.split_at(ASSISTANT.len()).1;
            let header = if channel.is_empty() {
                match self.word(without_blank(behind), "to=") {
                    Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
                    found => found.is_ok(),
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

    /// Takes off a name what was another word before the markers were gone.
    fn named<'t>(self, name: &'t str) -> Named<'t> {
        let all = Named { recipient: name, channel: None, length: name.len() };
        let known = |name: &str| {
            self.tools.contains(name) || function_of(name).is_some_and(|name| self.tools.contains(name))
        };
        if known(name) {
            return all;
        }
        for channel in CHANNELS {
            let typed = TYPES.into_iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name);
            for (cut, length) in [(name, name.len()), (typed, typed.len())] {
                let Some(recipient) = cut.strip_suffix(channel) else { continue };
                // A name that goes on with the word, as `run_analysis` does, is one.
                if known(recipient) || recipient.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                    return Named { recipient, channel: Some(channel), length };
                }
            }
        }
        let typed = TYPES.into_iter().find_map(|kind| name.strip_suffix(kind));
        if let Some(recipient) = typed.filter(|name| known(name)) {
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
        let inner = without_blank(rest);
        let addressed = header.recipient.as_deref();
        // Any word can be the name of a tool; one that shows what it is needs less behind it.
        let named = addressed
            .is_some_and(|to| to.contains('.') || is_built_in(to) || self.tools.contains(to))
            && header.channel.as_deref() != Some("final");
        match self.any_of(inner, TYPES) {
            Ok((kind, behind)) => {
                let content = behind.strip_prefix([' ', '\n']).filter(|_| named).unwrap_or(behind);
                let typed = if kind == "json" { self.opens_call(content, named)? } else { named };
                if typed || addressed.is_some() && self.always {
                    header.content_type = Some(kind.to_owned());
                    return Ok((header, behind));
                }
            }
            Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
            Err(Miss::No) => {}
        }
        if addressed.is_none() {
            return Ok((header, rest));
        }
        let apart = inner.len() < rest.len();
        if (named || !apart) && self.opens_call(inner, named)? {
            return Ok((header, inner));
        }
        let code = addressed == Some("python") && !apart;
        if code || self.always { Ok((header, rest)) } else { Err(Miss::No) }
    }

    /// Whether a call can go on like this: with JSON, or with the next header if it has no arguments.
    fn opens_call(self, text: &str, named: bool) -> Result<bool, Miss> {
        Ok(match self.first_of(text)? {
            Some('a') if named => match self.word(text, ASSISTANT) {
                Err(Miss::NeedMoreInput) => return Err(Miss::NeedMoreInput),
                found => found.is_ok(),
            },
            Some(c) => matches!(c, '{' | '['),
            None => named,
        })
    }

    /// The words of a header are glued to something, on one side at least. What stands apart is spoken of:
    /// `the text has assistantfinal in it`.
    fn is_no_quote(self, header: &Header, before: Option<char>, rest: &str) -> Result<(), Miss> {
        if header.recipient.is_some() {
            let apart = before.is_some_and(|c| c.is_whitespace() && c != '\n' || "\"'`([{“‘«".contains(c));
            let called = !apart || self.opens_call(rest, true)?;
            return if called { Ok(()) } else { Err(Miss::No) };
        }
        let apart_before = before.is_none_or(|c| c.is_whitespace() || "\"'`([{“‘«".contains(c));
        let apart_behind = self
            .first_of(rest)?
            .is_none_or(|c| c.is_whitespace() && c != '\n' || "\"'`)]}”’»,.;:?!".contains(c));
        if apart_before && apart_behind {
            return Err(Miss::No);
        }
        if header.channel.as_deref() == Some("final") { self.is_no_longer_word(rest) } else { Ok(()) }
    }

    /// Whether `final` is the whole word: it is not in `finally`.
    fn is_no_longer_word(self, rest: &str) -> Result<(), Miss> {
        let length = rest.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(rest.len());
        let ending = rest.split_at(length).0;
        if length == rest.len() && !self.whole && any_word(FINAL_SUFFIXES, |known| known.starts_with(ending))
        {
            return Err(Miss::NeedMoreInput);
        }
        if any_word(FINAL_SUFFIXES, |known| known == ending) { Err(Miss::No) } else { Ok(()) }
    }

    /// Whether a sentence begins here with a word that no name goes on with.
    fn begins_sentence(self, text: &str) -> Result<(), Miss> {
        let length = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (word, rest) = text.split_at(length);
        if rest.is_empty() && !self.whole && any_word(SENTENCE_STARTERS, |known| known.starts_with(word)) {
            return Err(Miss::NeedMoreInput);
        }
        if !any_word(SENTENCE_STARTERS, |known| known == word) {
            return Err(Miss::No);
        }
        let mut behind = rest.chars();
        let goes_on = match (behind.next(), behind.next()) {
            (None, _) | (Some('\'' | '’' | '\n'), _) => true,
            (Some(_), None) if !self.whole => return Err(Miss::NeedMoreInput),
            (Some(' '), Some(c)) => c.is_alphanumeric() || matches!(c, '"' | '\'' | '`' | '“'),
            (Some(',' | '.' | '!' | '?' | ':'), c) => c.is_none_or(char::is_whitespace),
            _ => false,
        };
        if goes_on { Ok(()) } else { Err(Miss::No) }
    }

    /// A structured answer.
    fn begins_json(self, text: &str) -> Result<(), Miss> {
        let rest = self.word(text, "{")?;
        match self.first_of(rest)? {
            Some('"') => Ok(()),
            _ => Err(Miss::No),
        }
    }

    /// What is glued to the channel may be content, and then another header has to follow.
    fn has_another(self, text: &str) -> Result<(), Miss> {
        let first = match self.first_of(text)? {
            // `analysis of the data`, but not `analysis We need`.
            Some(' ') => match self.first_of(text.split_at(1).1)? {
                Some(c) if c.is_uppercase() || c.is_numeric() => c,
                _ => return Err(Miss::No),
            },
            Some(c) => c,
            None => return Err(Miss::No),
        };
        if first.is_ascii_punctuation() && !"*#{[\"`".contains(first) {
            return Err(Miss::No);
        }
        match self.next(text, Some('s')) {
            Next::Header(_) => Ok(()),
            Next::Hold(_) if self.marked => Ok(()),
            Next::Hold(_) if self.whole => Err(Miss::No),
            Next::Hold(_) => Err(Miss::NeedMoreInput),
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

const ASSISTANT: &str = "assistant";

const TYPES: [&str; 2] = ["json", "code"];

/// A recipient, and the channel that was glued to it.
#[derive(Clone, Copy)]
struct Named<'t> {
    recipient: &'t str,
    channel: Option<&'static str>,
    /// How many bytes of the name they are.
    length: usize,
}

fn any_word(words: &str, test: impl Fn(&str) -> bool) -> bool {
    words.split(' ').any(test)
}

fn without_blank(text: &str) -> &str {
    text.strip_prefix(|c: char| c.is_whitespace() && c != '\n').unwrap_or(text)
}
