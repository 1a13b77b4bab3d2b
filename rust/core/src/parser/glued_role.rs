//! A role in content that may belong to the next header: `{"a":1}assistant<|channel|>final<|message|>`, where
//! `<|end|><|start|>` are lost. The word is held back until a marker shows that a header goes on behind it.

use super::Sink;
use super::header_buffer::HeaderBuffer;
use super::machine::{Parser, State};
use crate::frame::{CHANNELS, Role};
use crate::header_grammar::is_name_char;
use crate::marker::Marker;
use crate::parser::lexer::OPENING;
use crate::parser::tool_names::TYPES;

const ASSISTANT: &str = Role::Assistant.as_str();

/// No more than this is held back: a role, a channel, and a recipient of 128 characters.
const MAX_HELD: usize = 176;

/// The length of `assistant` with one whole channel behind it, and the beginning of another one.
const MAX_ROLE_AND_CHANNELS: usize = ASSISTANT.len() + 2 * "commentary".len();

/// Where the end of a text begins that may be the beginning of a header without `<|start|>`; `before` gives the
/// character before the text.
///
/// The first position counts from which the text is such a beginning up to its end, so that the result does not depend on
/// chunk boundaries.
#[inline]
fn glued_start(text: &str, before: impl Fn() -> Option<char>) -> Option<usize> {
    if may_end_in_header(text.as_bytes())
        && let Some(start) = whole_role_start(text, &before)
    {
        return Some(start);
    }
    partial_role_start(text, &before)
}

/// The first `assistant` from which the text is the beginning of a header up to its end.
#[cold]
fn whole_role_start(text: &str, before: &impl Fn() -> Option<char>) -> Option<usize> {
    let window = (text.len().saturating_sub(MAX_HELD)..).find(|at| text.is_char_boundary(*at))?;
    let tail = text.get(window..).unwrap_or_default();
    let starts = memchr::memmem::find_iter(tail.as_bytes(), ASSISTANT).map(|at| window + at);
    let begins = |at: &usize| text.get(*at..).is_some_and(may_be_header);
    starts.filter(begins).find(|at| follows_border(text, *at, before))
}

/// Where a beginning of `assistant` begins that the text ends with.
#[inline]
fn partial_role_start(text: &str, before: &impl Fn() -> Option<char>) -> Option<usize> {
    if ends_as_role(text.as_bytes()) { role_start(text, before) } else { None }
}

/// Whether the last two letters of a text are those that a beginning of `assistant` may end with.
#[inline]
fn ends_as_role(text: &[u8]) -> bool {
    let pair = match *text {
        [.., first, last] => [first, last],
        [only] => [0, only],
        [] => return false,
    };
    // One test of the last two letters: a branch for each could not be predicted.
    pair[1] == b'a'
        || PAIRS
            .iter()
            .fold(false, |is_pair, bytes| is_pair | (u16::from_le_bytes(*bytes) == u16::from_le_bytes(pair)))
}

/// Whether a text only adds to a content, whatever stands before it there: it has no beginning of a marker, and its end
/// cannot be the beginning of a header.
pub fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty() && !bytes.contains(&OPENING[0]) && !may_end_in_header(bytes) && !ends_as_role(bytes)
}

/// The pairs of letters that beginnings of `assistant` end with.
const PAIRS: [[u8; 2]; 6] = [*b"as", *b"ss", *b"si", *b"is", *b"st", *b"an"];

/// All letters of `assistant` at the end of the text belong to its beginning, as a border is not one of them.
#[inline(never)]
fn role_start(text: &str, before: &impl Fn() -> Option<char>) -> Option<usize> {
    let letters = text.bytes().rev().take(ASSISTANT.len());
    let length = letters.take_while(|byte| matches!(byte, b'a' | b's' | b'i' | b't' | b'n')).count();
    let start = text.len() - length;
    let is_beginning =
        length < ASSISTANT.len() && text.get(start..).is_some_and(|end| ASSISTANT.starts_with(end));
    (is_beginning && follows_border(text, start, before)).then_some(start)
}

fn follows_border(text: &str, at: usize, before: &impl Fn() -> Option<char>) -> bool {
    let (head, _) = text.split_at(at);
    head.chars().next_back().or_else(before).is_some_and(ends_content)
}

/// Whether the last word of a text lets it end as [`may_be_header`] allows: with the role and channels, with the
/// recipient or with a type. Every piece of every content is looked at, so this has no branch that depends on the words.
#[inline]
fn may_end_in_header(text: &[u8]) -> bool {
    let Some(end) = text.last_chunk::<8>().filter(|_| text.len() >= ASSISTANT.len()) else { return false };
    let end = u64::from_le_bytes(*end);
    let blanks = zero_bytes(end ^ u64::from_le_bytes([b' '; 8]));
    if blanks == 0 {
        return may_end_in_long_word(text);
    }
    // The bytes of the word, the first one lowest; behind a blank there are at most 7.
    let length = blanks.leading_zeros() / 8;
    let word = end >> (56 - 8 * length) >> 8;
    let is_same = |other: u64, length: u32| (word ^ other) & ((1 << (8 * length)) - 1) == 0;
    TYPE_WORDS.iter().fold(is_same(RECIPIENT_WORD, length.min(3)), |may_be, kind| {
        may_be | ((length <= 4) & is_same(*kind, length))
    })
}

const RECIPIENT_WORD: u64 = packed("to=");
const TYPE_WORDS: [u64; TYPES.len()] = [packed(TYPES[0]), packed(TYPES[1])];

/// The bytes of a short word, the first one lowest.
const fn packed(word: &str) -> u64 {
    let (bytes, mut packed, mut at) = (word.as_bytes(), 0, word.len());
    while at > 0 {
        at -= 1;
        packed = packed << 8 | bytes[at] as u64;
    }
    packed
}

/// The highest bit of each byte that is zero.
const fn zero_bytes(number: u64) -> u64 {
    const LOW_BITS: u64 = u64::from_le_bytes([0x7f; 8]);
    !(((number & LOW_BITS) + LOW_BITS) | number | LOW_BITS)
}

/// Whether a text whose last word has more than 7 bytes may end in a header.
#[inline(never)]
fn may_end_in_long_word(text: &[u8]) -> bool {
    let tail = text.get(text.len().saturating_sub(MAX_HELD)..).unwrap_or_default();
    let word = memchr::memrchr(b' ', tail).map_or(tail, |at| tail.get(at + 1..).unwrap_or_default());
    let behind = word.get(word.len().saturating_sub(MAX_ROLE_AND_CHANNELS)..).unwrap_or_default();
    word.starts_with(b"to=") || behind.windows(ASSISTANT.len()).any(|part| part == ASSISTANT.as_bytes())
}

/// Whether a content can end with this character, and a role without a blank follow it.
fn ends_content(c: char) -> bool {
    matches!(c, '}' | ']' | ')' | '.' | '!' | '?' | '>' | '*' | '`' | '|' | '\n' | '…' | '。' | '！' | '？')
}

/// Whether a text is `assistant`, a channel, ` to=`, a name and a type, each as far as the text goes.
fn may_be_header(text: &str) -> bool {
    let rest = match text.strip_prefix(ASSISTANT) {
        _ if text.len() > MAX_HELD => return false,
        Some(rest) => rest,
        None => return ASSISTANT.starts_with(text),
    };
    let behind_channel = CHANNELS.iter().find_map(|channel| rest.strip_prefix(channel)).unwrap_or(rest);
    if CHANNELS.iter().any(|channel| channel.starts_with(behind_channel)) {
        return true;
    }
    let Some(value) = behind_channel.strip_prefix(" to=") else {
        return " to=".starts_with(behind_channel) || is_type(behind_channel);
    };
    is_type(value.trim_start_matches(is_name_char))
}

fn is_type(text: &str) -> bool {
    let Some(word) = text.strip_prefix(' ') else { return text.is_empty() };
    word.is_empty() || TYPES.iter().any(|kind| kind.starts_with(word))
}

impl Parser {
    /// Where the end of a content begins that is held back, because it may be the role of the next header.
    #[inline]
    pub fn glued_start(&self, text: &str, sink: &impl Sink) -> Option<usize> {
        glued_start(text, || sink.content().chars().next_back())
    }

    /// Reads content whose end, from byte `start` on, may be the beginning of a header.
    #[cold]
    pub(super) fn hold_role(
        &mut self,
        text: &str,
        start: usize,
        at: usize,
        tokens: u64,
        sink: &mut impl Sink,
    ) {
        let mut held = HeaderBuffer::default();
        held.push_text(text, at, tokens);
        let head = held.cut(start, self.per_byte);
        self.count_content(head.tokens);
        self.delta(&head.text, sink);
        if self.state == State::Content {
            self.buffer = held;
            self.state = State::GluedRole;
        }
    }

    /// The held text begins a content, which text that follows continues; its end may be such a beginning, too.
    pub(super) fn begin_held_content(&mut self, sink: &mut impl Sink) {
        let start = self.glued_start(&self.buffer.text, sink).filter(|_| self.state == State::Content);
        self.emit(start.unwrap_or(self.buffer.text.len()), sink);
        if start.is_some() && self.state == State::Content {
            self.state = State::GluedRole;
        }
    }

    /// Reads text behind the beginning of such a header.
    pub(super) fn read_glued_role(&mut self, text: &str, at: usize, tokens: u64, sink: &mut impl Sink) {
        self.buffer.push_text(text, at, tokens);
        if may_be_header(&self.buffer.text) {
            return;
        }
        let before = || sink.content().chars().next_back();
        let start = glued_start(&self.buffer.text, before).unwrap_or(self.buffer.text.len());
        self.emit(start, sink);
        if self.buffer.is_empty() && self.state == State::GluedRole {
            self.state = State::Content;
        }
    }

    /// A marker behind such a beginning: a header goes on, or all of it is content.
    pub(super) fn end_glued_role(&mut self, marker: Marker, sink: &mut impl Sink) {
        let goes_on = matches!(marker, Marker::Channel | Marker::Constrain | Marker::Message)
            && self.buffer.text.starts_with(ASSISTANT);
        if goes_on {
            self.state = State::Candidate;
        } else {
            self.state = State::Content;
            self.emit_held(sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as [`glued_start`], place by place.
    fn first_start(text: &str) -> Option<usize> {
        let is_partial = |tail: &str| tail.len() < ASSISTANT.len() && ASSISTANT.starts_with(tail);
        let starts = |fits: &dyn Fn(&str) -> bool| {
            let places = text.char_indices().map(|(at, _)| at);
            places.filter(|at| fits(&text[*at..])).find(|at| follows_border(text, *at, &|| Some('}')))
        };
        let is_whole = |tail: &str| tail.starts_with(ASSISTANT) && may_be_header(tail);
        starts(&is_whole).or_else(|| starts(&is_partial))
    }

    #[test]
    fn starts_are_those_that_a_test_of_each_place_gives() {
        let parts = [
            "assistant",
            "assis",
            "a",
            "t",
            "analysis",
            "commentary",
            "final",
            "fin",
            " to=",
            " t",
            "to",
            "x.y",
            " ",
            " json",
            " co",
            "code",
            "}",
            ".",
            "\n",
            "é",
            "。",
            "word",
        ];
        let mut number: usize = 1;
        for _ in 0..200_000 {
            let mut text = String::new();
            for _ in 0..number % 7 {
                number =
                    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(parts[(number >> 33) % parts.len()]);
            }
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            number ^= number >> 29;
            assert_eq!(glued_start(&text, || Some('}')), first_start(&text), "{text:?}");
        }
    }

    #[test]
    fn beginnings_of_headers_are_held_behind_the_end_of_a_content() {
        let cases = [
            ("}assistant", Some(1)),
            ("}assis", Some(1)),
            ("}a", Some(1)),
            ("}assistants", None),
            ("an assistant", None),
            ("done.assistantfinal", Some(5)),
            ("done.assistant to=functions.f json", Some(5)),
            ("done.assistant to=functions.f jsonl", None),
            ("done.assistant to=x. assistant", None),
            ("done.assistant to=x.assistant to=y", Some(20)),
            ("a", None),
        ];
        for (text, start) in cases {
            assert_eq!(glued_start(text, || None), start, "{text}");
            // Equal to reading it character by character.
            let mut held = None;
            for end in (1..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let from = held.unwrap_or(0);
                let tail = &text[from..end];
                if held.is_none() || !may_be_header(tail) {
                    held = glued_start(tail, || text[..from].chars().next_back()).map(|at| from + at);
                }
            }
            assert_eq!(held, start, "{text}");
        }
    }
}
