//! What may be a header: its text, the markers between it, and where each came from.

use crate::marker::Marker;
use crate::tokenizer;

/// The pieces of what may be a header, in order: text, with markers between its bytes.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    pub text: String,
    pub marks: Vec<Mark>,
    /// Where each run of text came from.
    runs: Vec<Run>,
    /// The number of tokens in it, markers included. Zero in the text lane.
    pub tokens: u64,
}

/// A marker in a [`Buffer`].
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub marker: Marker,
    /// How many bytes of text stand before it.
    pub offset: usize,
    /// Its position in the input.
    pub at: usize,
    /// The number of tokens before it.
    pub tokens: u64,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    offset: usize,
    at: usize,
    tokens: u64,
}

impl Buffer {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.marks.is_empty()
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
        self.runs.clear();
        self.tokens = 0;
    }

    /// Its length in bytes of text, markers spelled.
    pub fn len(&self) -> usize {
        self.text.len() + self.marks.iter().map(|mark| mark.marker.spelling().len()).sum::<usize>()
    }

    pub fn push_text(&mut self, text: &str, at: usize, tokens: u64) {
        let run = Run { offset: self.text.len(), at, tokens: self.tokens };
        let goes_on = self.runs.last().is_some_and(|last| {
            tokens == 0 && last.tokens == run.tokens && at.wrapping_sub(last.at) == run.offset - last.offset
        });
        if !goes_on {
            self.runs.push(run);
        }
        self.text.push_str(text);
        self.tokens += tokens;
    }

    pub fn push_mark(&mut self, marker: Marker, at: usize, tokens: u64) {
        self.marks.push(Mark { marker, offset: self.text.len(), at, tokens: self.tokens });
        self.tokens += tokens;
    }

    /// The position in the input of a byte of its text. In the ids lane that is the id, or the run of ids, that
    /// it came in; `per_byte` says that positions count bytes.
    pub fn position(&self, offset: usize, per_byte: bool) -> usize {
        let next = self.runs.partition_point(|run| run.offset <= offset);
        match next.checked_sub(1).and_then(|index| self.runs.get(index)) {
            Some(run) if per_byte => run.at + (offset - run.offset),
            Some(run) => run.at,
            None => self.marks.first().map_or(0, |mark| mark.at),
        }
    }

    /// The position of its first piece.
    pub fn start(&self) -> usize {
        let mark = self.marks.first().map(|mark| mark.at);
        let run = self.runs.first().map(|run| run.at);
        mark.into_iter().chain(run).min().unwrap_or(0)
    }

    /// The number of tokens before a byte of its text, as near as runs of ids can tell.
    pub fn tokens_before(&self, offset: usize) -> u64 {
        let next = self.runs.partition_point(|run| run.offset < offset);
        self.runs.get(next).map_or(self.tokens, |run| run.tokens)
    }

    /// The number of ids that the tokenizer gives its text up to `offset`, each run between markers for itself.
    pub fn count_text(&self, offset: usize) -> u64 {
        let cuts = self
            .marks
            .iter()
            .map(|mark| mark.offset)
            .filter(|cut| *cut < offset)
            .chain(std::iter::once(offset));
        let mut done = 0;
        let runs = cuts.map(|cut| self.text.get(std::mem::replace(&mut done, cut)..cut).unwrap_or_default());
        runs.map(|run| tokenizer::count(run) as u64).sum()
    }

    /// Its text from `offset` on, markers spelled; `first_mark` is the first marker to be spelled.
    pub fn spelled(&self, offset: usize, first_mark: usize) -> String {
        let mut out = String::new();
        let mut done = offset;
        for mark in self.marks.get(first_mark..).unwrap_or_default() {
            if mark.offset < offset {
                continue;
            }
            out.push_str(self.text.get(done..mark.offset).unwrap_or_default());
            out.push_str(mark.marker.spelling());
            done = mark.offset;
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }

    /// Takes off its first bytes; it has no markers. A token that goes on behind them is counted with them.
    pub fn cut(&mut self, length: usize, per_byte: bool) -> Buffer {
        let tokens = self.tokens_before(length);
        let text = self.text.split_off(length.min(self.text.len()));
        let mut runs = self.runs.split_off(self.runs.partition_point(|run| run.offset < length));
        if let Some(last) = self.runs.last().filter(|_| runs.first().is_none_or(|run| run.offset > length)) {
            let at = if per_byte { last.at + (length - last.offset) } else { last.at };
            runs.insert(0, Run { offset: length, at, tokens });
        }
        for run in &mut runs {
            run.offset -= length;
            run.tokens -= tokens;
        }
        let rest = Buffer { text, marks: Vec::new(), runs, tokens: self.tokens - tokens };
        let head = std::mem::replace(self, rest);
        Buffer { tokens, ..head }
    }

    /// The part of it that begins with its marker `index`.
    pub fn from_mark(&self, index: usize) -> Buffer {
        let Some(first) = self.marks.get(index).copied() else { return Buffer::default() };
        let text = self.text.get(first.offset..).unwrap_or_default().to_owned();
        let marks = self.marks.get(index..).unwrap_or_default().iter();
        let runs = self.runs.iter().filter(|run| run.offset >= first.offset && run.tokens >= first.tokens);
        Buffer {
            text,
            marks: marks
                .map(|mark| Mark {
                    offset: mark.offset - first.offset,
                    tokens: mark.tokens - first.tokens,
                    ..*mark
                })
                .collect(),
            runs: runs
                .map(|run| Run {
                    offset: run.offset - first.offset,
                    at: run.at,
                    tokens: run.tokens - first.tokens,
                })
                .collect(),
            tokens: self.tokens - first.tokens,
        }
    }
}
