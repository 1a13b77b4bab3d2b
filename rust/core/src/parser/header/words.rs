//! Classifies single words of a header: channels, content types, their prefixes, and text attached to them.

use crate::frame::CHANNELS;
use crate::parser::tool_names::TYPES;

/// Endings that make another word of `final`.
const FINAL_SUFFIXES: [&str; 17] = [
    "e", "es", "ise", "ised", "ises", "ising", "ist", "ists", "ity", "ize", "ized", "izes", "izing", "ly",
    "s", "mente", "ement",
];

/// The beginning of `commentary` that is read as the whole word: no other channel begins like it.
const SHORT_COMMENTARY: &str = "comment";

/// What models write where a marker cannot be sampled, as under a grammar that excludes special tokens.
const MASKED_MARKER: char = '?';

/// Whether the text behind `final` continues the word: `ly is done`.
pub(in crate::parser) fn is_longer_word(behind: &str) -> bool {
    let length = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
    let suffix = behind.split_at(length).0;
    FINAL_SUFFIXES.contains(&suffix)
}

/// Whether more letters may make it such a suffix.
pub(in crate::parser) fn may_become_longer_word(behind: &str) -> bool {
    FINAL_SUFFIXES.iter().any(|suffix| suffix.starts_with(behind))
}

/// The channel that a word begins with, in any case, and how many bytes of the word say so.
pub(super) fn channel_of_word(word: &str) -> Option<(&'static str, usize)> {
    let begins = |start: &str| word.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let channel = CHANNELS.into_iter().find(|channel| begins(channel));
    let whole = channel.map(|channel| (channel, channel.len()));
    whole.or_else(|| begins(SHORT_COMMENTARY).then_some(("commentary", SHORT_COMMENTARY.len())))
}

/// Whether a word is a channel, perhaps with something attached, and not another word that begins like one. A word in
/// lower case or in upper case can be a channel; `Final answer` is text.
pub(super) fn is_channel_word(word: &str) -> bool {
    let Some((channel, length)) = channel_of_word(word) else { return false };
    let (head, behind) = word.split_at(length);
    let one_case =
        head.bytes().all(|c| c.is_ascii_lowercase()) || head.bytes().all(|c| c.is_ascii_uppercase());
    let goes_on = match channel {
        "final" => is_longer_word(behind),
        _ => length < channel.len() && behind.starts_with(|c: char| c.is_alphabetic()),
    };
    one_case && !goes_on
}

/// How much of the text attached to a channel stands for markers and channels: `?commentary?`.
pub(super) fn garbage_length(attached: &str) -> usize {
    let mut rest = attached;
    loop {
        let inner = rest.trim_start_matches(MASKED_MARKER);
        let channel = CHANNELS.into_iter().find_map(|channel| inner.strip_prefix(channel));
        match channel {
            Some(behind) if inner.len() < rest.len() => rest = behind,
            _ => return attached.len() - inner.len(),
        }
    }
}

/// Whether a text is a content type with nothing or with JSON attached to it.
pub(super) fn is_type_before_content(text: &str, kind: &str) -> bool {
    text.strip_prefix(kind).is_some_and(|behind| behind.is_empty() || behind.starts_with(['{', '[']))
}

/// Whether a word at the end of the input can be the beginning of a word of a header.
pub(super) fn begins_header_word(word: &str) -> bool {
    let mut known = CHANNELS.into_iter().chain(TYPES).chain(["to="]);
    known.any(|known| known.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_words_are_told_from_words_that_begin_like_them() {
        for word in
            ["final", "FINAL", "finalHello", "final{", "final__X", "analysis", "commentary?", "comment"]
        {
            assert!(is_channel_word(word), "{word}");
        }
        for suffix in FINAL_SUFFIXES {
            assert!(!is_channel_word(&format!("final{suffix}")), "{suffix}");
        }
        for word in ["Final", "comments", "commented", "fin", "NOTE:", "Hello!"] {
            assert!(!is_channel_word(word), "{word}");
        }
    }

    #[test]
    fn masked_markers_and_repeated_channels_are_garbage() {
        let cases =
            [("?commentary?We", 12), ("?", 1), ("?We", 1), ("We?", 0), ("commentary", 0), ("??final??", 9)];
        for (attached, length) in cases {
            assert_eq!(garbage_length(attached), length, "{attached}");
        }
    }
}
