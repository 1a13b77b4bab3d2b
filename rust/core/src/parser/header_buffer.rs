//! A possible header: its text, the markers between it, and their positions in the input.

use crate::marker::Marker;
use crate::tokenizer;

/// The text of a possible header, with markers between its bytes.
#[derive(Clone, Debug, Default)]
pub struct HeaderBuffer {
    pub text: String,
    pub marks: Vec<Mark>,
    /// The position of each run of text.
    runs: Vec<Run>,
    /// The number of tokens in it, markers included. Zero in the text lane.
    pub tokens: u64,
    /// How many bytes of its text stand in the prompt; their tokens are not the completion's.
    preset: usize,
}

/// A marker in a [`HeaderBuffer`].
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

impl HeaderBuffer {
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.marks.is_empty()
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
        self.runs.clear();
        self.tokens = 0;
        self.preset = 0;
    }

    /// Marks all text so far as part of the prompt.
    pub(super) fn close_preset(&mut self) {
        self.preset = self.text.len();
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
            .filter(|cut| (self.preset..offset).contains(cut))
            .chain(std::iter::once(offset));
        let mut done = self.preset.min(offset);
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
    pub fn cut(&mut self, length: usize, per_byte: bool) -> HeaderBuffer {
        let tokens = self.tokens_before(length);
        let goes_on = length < self.text.len();
        let text = self.text.split_off(length.min(self.text.len()));
        let mut runs = self.runs.split_off(self.runs.partition_point(|run| run.offset < length));
        let begins_within = goes_on && runs.first().is_none_or(|run| run.offset > length);
        if let Some(last) = self.runs.last().filter(|_| begins_within) {
            let at = if per_byte { last.at + (length - last.offset) } else { last.at };
            runs.insert(0, Run { offset: length, at, tokens });
        }
        for run in &mut runs {
            run.offset -= length;
            run.tokens -= tokens;
        }
        let rest = HeaderBuffer { text, marks: Vec::new(), runs, tokens: self.tokens - tokens, preset: 0 };
        let head = std::mem::replace(self, rest);
        HeaderBuffer { tokens, ..head }
    }

    /// The part of it that begins with its marker `index`.
    pub fn from_mark(&self, index: usize) -> HeaderBuffer {
        let Some(first) = self.marks.get(index).copied() else { return HeaderBuffer::default() };
        let text = self.text.get(first.offset..).unwrap_or_default().to_owned();
        let marks = self.marks.get(index..).unwrap_or_default().iter();
        let runs = self.runs.iter().filter(|run| run.offset >= first.offset && run.tokens >= first.tokens);
        HeaderBuffer {
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
            preset: 0,
        }
    }

    /// A copy without its last bytes of text.
    pub(super) fn without_tail(&self, length: usize) -> HeaderBuffer {
        let mut copy = self.clone();
        copy.text.truncate(self.text.len() - length);
        copy
    }

    /// The length of the text at its end that may be the beginning of a marker.
    pub(super) fn partial_marker_length(&self) -> usize {
        let behind = self.marks.last().map_or(0, |mark| mark.offset);
        let tail = self.text.get(behind..).unwrap_or_default();
        let start = tail.rfind('<').unwrap_or(tail.len());
        let partial = tail.get(start..).unwrap_or_default();
        let begins = Marker::ALL.iter().any(|marker| marker.spelling().starts_with(partial));
        if begins { partial.len() } else { 0 }
    }
}
