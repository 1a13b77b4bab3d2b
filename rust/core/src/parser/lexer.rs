//! Two lexers, for token ids and for text, that split their input into markers and text. They know markers and UTF-8,
//! not frames.
//!
//! In the ids lane a marker is an id, and a marker that is spelled in ordinary tokens is text. In the text lane a
//! marker is its spelling; a possible prefix of a marker is held back until the next chunk decides.

use crate::error::Code;
use crate::marker::Marker;
use crate::parser::Sink;
use crate::parser::machine::Parser;
use crate::tokenizer;
use crate::tokenizer::vocabulary;

/// Bytes of the longest spellings, `<|endoftext|>` and `<|constrain|>`.
const LONGEST_MARKER: usize = 13;

/// The first bytes of every marker.
pub(super) const OPENING: &[u8] = b"<|";

/// Replaces bytes that are not UTF-8, once per maximal prefix of a valid sequence: as in the format's own decoder
/// (Unicode 16, section 3.9, U+FFFD substitution of maximal subparts).
const REPLACEMENT: &str = "\u{FFFD}";

/// Splits token ids into markers and text.
#[derive(Clone, Debug, Default)]
pub struct IdLexer {
    /// Bytes of an incomplete character at the end of the input so far.
    pending: Vec<u8>,
    /// The number of ids read.
    at: usize,
}

impl IdLexer {
    pub fn feed(&mut self, ids: &[u32], parser: &mut Parser, sink: &mut impl Sink) {
        // Fast path for streams: a single ordinary token inside content is passed on without a copy.
        if let ([id @ ..vocabulary::FIRST_SPECIAL_ID], true) =
            (ids, parser.in_content() && self.pending.is_empty())
            && let Some(Ok(text)) = vocabulary::token_bytes(*id).map(std::str::from_utf8)
        {
            parser.text(text, self.at, 1, sink);
            self.at += 1;
            return;
        }
        let mut rest = ids;
        while let Some(&id) = rest.first() {
            if parser.error().is_some() {
                return;
            }
            let run = if parser.in_content() {
                ordinary_run(rest)
            } else {
                usize::from(id < vocabulary::FIRST_SPECIAL_ID)
            };
            let (ordinary, behind) = rest.split_at(run.max(1));
            if run == 0 {
                self.special(id, parser, sink);
            } else {
                self.ordinary(ordinary, parser, sink);
            }
            rest = behind;
        }
    }

    /// Whether bytes are held that further ids may complete.
    #[inline]
    pub fn holds_bytes(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Reads an ordinary id of a plain text, where a content is open and nothing is held.
    #[inline]
    pub fn feed_plain(&mut self, text: &str, parser: &mut Parser, sink: &mut impl Sink) {
        parser.content(text, 1, sink);
        self.at += 1;
    }

    /// An id that does not fit 32 bits; `written` is how it was given.
    pub fn invalid(&mut self, written: String, parser: &mut Parser, sink: &mut impl Sink) {
        self.flush(parser, sink);
        parser.repair(Code::InvalidId, self.at, written, sink);
        parser.text(REPLACEMENT, self.at, 1, sink);
        self.at += 1;
    }

    pub fn close(&mut self, parser: &mut Parser, sink: &mut impl Sink) {
        self.flush(parser, sink);
        parser.close(self.at, sink);
    }

    fn special(&mut self, id: u32, parser: &mut Parser, sink: &mut impl Sink) {
        if let Some(marker) = Marker::from_id(id) {
            self.flush(parser, sink);
            parser.mark(marker, self.at, sink);
            self.at += 1;
            return;
        }
        let Some(spelling) = vocabulary::token_bytes(id).and_then(|bytes| std::str::from_utf8(bytes).ok())
        else {
            return self.invalid(id.to_string(), parser, sink);
        };
        self.flush(parser, sink);
        parser.repair(Code::ReservedToken, self.at, spelling.to_owned(), sink);
        parser.text(spelling, self.at, 1, sink);
        self.at += 1;
    }

    fn ordinary(&mut self, ids: &[u32], parser: &mut Parser, sink: &mut impl Sink) {
        let held = self.pending.len();
        // Callers pass ordinary ids only, so decoding cannot fail.
        let _ = tokenizer::decode_into(ids, &mut self.pending);
        match std::str::from_utf8(&self.pending) {
            Ok(text) => {
                if ids.len() == 1 || !parser.in_content() {
                    parser.text(text, self.at, ids.len() as u64, sink);
                } else if let Some(start) = parser.glued_start(text, sink) {
                    let (head, tail) = ids.split_at(ids.len() - tokens_within(ids, text.len() - start));
                    self.pending.truncate(held);
                    return self.token_by_token(head, tail, parser, sink);
                } else {
                    parser.content(text, ids.len() as u64, sink);
                }
                self.pending.clear();
            }
            Err(error) if error.error_len().is_none() => {
                let (valid, _) = self.pending.split_at(error.valid_up_to());
                parser.text(std::str::from_utf8(valid).unwrap_or_default(), self.at, ids.len() as u64, sink);
                self.pending.drain(..error.valid_up_to());
            }
            Err(_) => {
                self.pending.truncate(held);
                self.one_by_one(ids, parser, sink);
                return;
            }
        }
        self.at += ids.len();
    }

    /// Reads a run whose last tokens may belong to a header: `tail`, from the header's first token on, is read token by
    /// token, so that the counts per channel do not depend on chunk boundaries.
    #[cold]
    fn token_by_token(&mut self, head: &[u32], tail: &[u32], parser: &mut Parser, sink: &mut impl Sink) {
        if !head.is_empty() {
            self.ordinary(head, parser, sink);
        }
        for id in tail {
            self.ordinary(std::slice::from_ref(id), parser, sink);
        }
    }

    /// Reads tokens with invalid UTF-8 one by one, so that each repair has the position of its own id.
    fn one_by_one(&mut self, ids: &[u32], parser: &mut Parser, sink: &mut impl Sink) {
        for &id in ids {
            self.pending.extend_from_slice(vocabulary::token_bytes(id).unwrap_or_default());
            let pending = std::mem::take(&mut self.pending);
            let mut tokens = 1;
            let mut rest = pending.as_slice();
            loop {
                let (valid, bad) = next_part(rest);
                parser.text(valid, self.at, std::mem::take(&mut tokens), sink);
                rest = rest.get(valid.len()..).unwrap_or_default();
                let Some(bad) = bad else { break };
                replace(rest.get(..bad).unwrap_or_default(), self.at, parser, sink);
                rest = rest.get(bad..).unwrap_or_default();
            }
            self.pending = rest.to_vec();
            self.at += 1;
        }
    }

    /// Replaces pending bytes that no further input can complete.
    fn flush(&mut self, parser: &mut Parser, sink: &mut impl Sink) {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            replace(&pending, self.at, parser, sink);
        }
    }
}

/// How many of the last ids overlap the last `length` bytes of their text.
fn tokens_within(ids: &[u32], length: usize) -> usize {
    let mut left = length;
    let has_bytes = |id: &&u32| {
        let within = left > 0;
        left = left.saturating_sub(vocabulary::token_bytes(**id).map_or(0, <[u8]>::len));
        within
    };
    ids.iter().rev().take_while(has_bytes).count()
}

/// How many ids from the start are ordinary tokens.
fn ordinary_run(ids: &[u32]) -> usize {
    ids.iter().position(|&id| id >= vocabulary::FIRST_SPECIAL_ID).unwrap_or(ids.len())
}

/// The valid text at the start of `bytes`, and the number of invalid bytes after it; `None` if the rest is empty or an
/// incomplete character.
fn next_part(bytes: &[u8]) -> (&str, Option<usize>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let (valid, _) = bytes.split_at(error.valid_up_to());
            (std::str::from_utf8(valid).unwrap_or_default(), error.error_len())
        }
    }
}

/// Replaces one sequence of bytes that are not UTF-8.
fn replace(bytes: &[u8], at: usize, parser: &mut Parser, sink: &mut impl Sink) {
    let shown = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    parser.repair(Code::InvalidUtf8, at, shown, sink);
    parser.text(REPLACEMENT, at, 0, sink);
}

/// Splits text into markers and plain text.
#[derive(Clone, Debug, Default)]
pub struct TextLexer {
    /// A possible prefix of a marker, or an incomplete character.
    pending: Vec<u8>,
    /// The number of bytes read, without the pending ones.
    at: usize,
}

impl TextLexer {
    pub fn feed(&mut self, text: &str, parser: &mut Parser, sink: &mut impl Sink) {
        if !self.pending.is_empty() {
            return self.feed_bytes(text.as_bytes(), parser, sink);
        }
        let done = self.pieces(text, parser, sink);
        self.pending.extend_from_slice(text.as_bytes().get(done..).unwrap_or_default());
    }

    /// Whether bytes are held that further text may complete.
    #[inline]
    pub fn holds_bytes(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Reads a plain text, where a content is open and nothing is held.
    #[inline]
    pub fn feed_plain(&mut self, text: &str, parser: &mut Parser, sink: &mut impl Sink) {
        parser.content(text, 0, sink);
        self.at += text.len();
    }

    pub fn feed_bytes(&mut self, bytes: &[u8], parser: &mut Parser, sink: &mut impl Sink) {
        let joined;
        let mut rest = bytes;
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.pending);
            rest = &joined;
        }
        loop {
            let (valid, bad) = next_part(rest);
            let mut done = self.pieces(valid, parser, sink);
            let Some(bad) = bad else {
                self.pending = rest.get(done..).unwrap_or_default().to_vec();
                return;
            };
            // The rest is text, not a prefix of a marker: markers are ASCII, and an invalid byte follows.
            self.plain(valid.get(done..).unwrap_or_default(), parser, sink);
            done = valid.len();
            replace(rest.get(done..done + bad).unwrap_or_default(), self.at, parser, sink);
            self.at += bad;
            rest = rest.get(done + bad..).unwrap_or_default();
        }
    }

    pub fn close(&mut self, parser: &mut Parser, sink: &mut impl Sink) {
        let pending = std::mem::take(&mut self.pending);
        let (valid, _) = next_part(&pending);
        self.plain(valid, parser, sink);
        let bad = pending.get(valid.len()..).unwrap_or_default();
        if !bad.is_empty() {
            replace(bad, self.at, parser, sink);
            self.at += bad.len();
        }
        parser.close(self.at, sink);
    }

    fn plain(&mut self, text: &str, parser: &mut Parser, sink: &mut impl Sink) {
        if !text.is_empty() {
            parser.text(text, self.at, 0, sink);
            self.at += text.len();
        }
    }

    /// Passes complete markers and text on; returns the number of bytes passed.
    fn pieces(&mut self, text: &str, parser: &mut Parser, sink: &mut impl Sink) -> usize {
        let bytes = text.as_bytes();
        // Most chunks have none, and to search for a byte takes no preparation.
        if memchr::memchr(OPENING[0], bytes).is_none() {
            self.plain(text, parser, sink);
            return text.len();
        }
        let mut done = 0;
        for start in memchr::memmem::find_iter(bytes, OPENING) {
            let behind = bytes.get(start..).unwrap_or_default();
            if start < done {
                continue;
            }
            if let Some(marker) = marker_at(behind) {
                self.plain(text.get(done..start).unwrap_or_default(), parser, sink);
                parser.mark(marker, self.at, sink);
                done = start + marker.spelling().len();
                self.at += marker.spelling().len();
            } else if behind.len() < LONGEST_MARKER && may_become_marker(behind) {
                self.plain(text.get(done..start).unwrap_or_default(), parser, sink);
                return start;
            }
        }
        let end = text.len() - usize::from(text.ends_with('<') && done < text.len());
        self.plain(text.get(done..end).unwrap_or_default(), parser, sink);
        end
    }
}

/// The marker that bytes begin with.
pub(super) fn marker_at(bytes: &[u8]) -> Option<Marker> {
    Marker::ALL.into_iter().find(|marker| bytes.starts_with(marker.spelling().as_bytes()))
}

fn may_become_marker(bytes: &[u8]) -> bool {
    Marker::ALL.into_iter().any(|marker| marker.spelling().as_bytes().starts_with(bytes))
}
