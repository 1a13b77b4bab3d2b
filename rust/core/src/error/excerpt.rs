//! The input around a fault: one line, with the fault underlined.

use crate::tokenizer::vocabulary;
use std::fmt;

/// Characters shown before a fault; and of the fault itself, and after it.
const BEFORE: usize = 48;
const BEHIND: usize = 32;

/// One line of an input; control characters are escaped, and the characters from `start` to `end` are the fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    pub line: String,
    pub start: usize,
    pub end: usize,
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marks = "^".repeat((self.end - self.start).max(1));
        write!(f, "    {}\n    {}{marks}", self.line, " ".repeat(self.start))
    }
}

/// A unit of the input: a byte or a token id.
pub(crate) trait Item: Copy {
    /// Appends its bytes.
    fn spell(self, out: &mut Vec<u8>);
}

impl Item for u8 {
    fn spell(self, out: &mut Vec<u8>) {
        out.push(self);
    }
}

impl Item for u32 {
    fn spell(self, out: &mut Vec<u8>) {
        out.extend_from_slice(vocabulary::token_bytes(self).unwrap_or("\u{FFFD}".as_bytes()));
    }
}

/// The last items read. The parser reports a fault later than its position: by at most a header or the text that it
/// holds back.
#[derive(Clone, Debug)]
pub(crate) struct Recent<T> {
    items: Vec<T>,
    /// The number of items before `items`.
    start: usize,
}

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent { items: Vec::new(), start: 0 }
    }
}

impl<T: Item> Recent<T> {
    const KEPT: usize = 16 * 1024;

    pub(crate) fn push(&mut self, chunk: &[T]) {
        let tail = chunk.split_at(chunk.len().saturating_sub(Self::KEPT)).1;
        self.start += chunk.len() - tail.len();
        self.items.extend_from_slice(tail);
        if self.items.len() > 2 * Self::KEPT {
            let gone = self.items.len() - Self::KEPT;
            self.items.drain(..gone);
            self.start += gone;
        }
    }

    /// The input around the fault `text` at position `at`. `chunk` is the input after the pushed items.
    pub(crate) fn around(&self, chunk: &[T], at: usize, text: &str) -> Excerpt {
        let border = self.start + self.items.len();
        let get = |place: usize| match place.checked_sub(border) {
            Some(place) => chunk.get(place),
            None => place.checked_sub(self.start).and_then(|place| self.items.get(place)),
        };
        let spelled = |from: usize, to: usize| {
            let mut bytes = Vec::new();
            (from..to).filter_map(get).for_each(|item| item.spell(&mut bytes));
            bytes
        };
        // A character has up to four bytes, and a token has one or more.
        let before = spelled(at.saturating_sub(4 * BEFORE), at);
        let behind = spelled(at, at + text.len().min(4 * BEHIND) + 4 * BEHIND);
        let mut line = String::new();
        let before = String::from_utf8_lossy(&before);
        let cut = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(start, _)| start);
        if cut > 0 || at > 4 * BEFORE {
            line.push('…');
        }
        escape(before.get(cut..).unwrap_or_default(), &mut line);
        let behind = String::from_utf8_lossy(&behind);
        // Tokens begin with the blank before their word; the blank is not underlined.
        let blank = behind.len() - behind.trim_start().len();
        let blank = if behind.split_at(blank).1.starts_with(text) && !text.is_empty() { blank } else { 0 };
        let (blank, behind) = behind.split_at(if behind.starts_with(text) { 0 } else { blank });
        escape(blank, &mut line);
        let start = line.chars().count();
        let first = behind.chars().next().map_or(0, char::len_utf8);
        let (wrong, behind) = behind.split_at(if behind.starts_with(text) { text.len() } else { first });
        let whole = shorten(wrong, &mut line);
        let end = line.chars().count();
        if whole {
            shorten(behind, &mut line);
        }
        Excerpt { line, start, end }
    }
}

/// Appends at most `BEHIND` characters; returns whether that is the whole text.
fn shorten(text: &str, out: &mut String) -> bool {
    match text.char_indices().nth(BEHIND) {
        Some((end, _)) => {
            escape(text.get(..end).unwrap_or_default(), out);
            out.push('…');
            false
        }
        None => {
            escape(text, out);
            true
        }
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\u{2028}' | '\u{2029}' => out.extend(c.escape_unicode()),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &str, at: usize, text: &str) -> String {
        let mut recent = Recent::<u8>::default();
        let (first, chunk) = input.as_bytes().split_at(input.len() / 2);
        first.iter().for_each(|byte| recent.push(&[*byte]));
        recent.around(chunk, at, text).to_string()
    }

    #[test]
    fn fault_is_underlined() {
        assert_eq!(shown("one two three", 4, "two"), "    one two three\n        ^^^");
        assert_eq!(shown("a\nb\u{7}", 1, "\n"), "    a\\nb\\u{7}\n     ^^");
        assert_eq!(shown("abc", 3, ""), "    abc\n       ^");
        assert_eq!(shown("", 0, ""), "    \n    ^");
        let long = format!("{}é{}", "x".repeat(300), "y".repeat(300));
        let line = format!("    …{}é{}…\n     {}^", "x".repeat(48), "y".repeat(32), " ".repeat(48));
        assert_eq!(shown(&long, 300, "é"), line);
    }

    #[test]
    fn memory_is_bounded() {
        let mut recent = Recent::<u8>::default();
        for _ in 0..100_000 {
            recent.push(b"0123456789");
        }
        assert!(recent.items.len() <= 2 * Recent::<u8>::KEPT);
        recent.push(&[b'x'; 100_000]);
        let excerpt = recent.around(b"!", 1_100_000, "!");
        assert_eq!((excerpt.line.len(), excerpt.end - excerpt.start), (52, 1));
    }
}
