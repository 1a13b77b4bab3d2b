//! The part of a completion's first frame that the prompt contains: its header, or the beginning of it.

use crate::frame::{CHANNELS, Role};
use crate::marker::Marker;
use crate::parser::header::{self, Ending, HeaderContext, ParsedHeader};
use crate::parser::header_buffer::HeaderBuffer;
use crate::parser::tool_names::ToolNames;

/// A header, or the beginning of one, as the prompt ended with it.
#[derive(Clone, Debug)]
pub struct Opened {
    pub(super) buffer: HeaderBuffer,
    /// Whether `<|message|>` ends it, so that the completion begins with content.
    pub(super) complete: bool,
    /// Whether the role is in the buffer.
    pub(super) says_role: bool,
}

/// The reason for which a text is not the end of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedError {
    /// Content stands behind `<|message|>`.
    Content,
    /// A marker that does not belong to a header.
    Marker(Marker),
    /// Words that are not a header.
    NotAHeader,
}

impl Opened {
    /// Reads a channel (`analysis`), or a header with its markers: `<|channel|>analysis<|message|>`, with or without
    /// `<|start|>` and the role. Without `<|message|>` the completion goes on within the header.
    pub fn new(text: &str, tools: &ToolNames) -> Result<Opened, OpenedError> {
        if CHANNELS.contains(&text) {
            let [channel, message] = [Marker::Channel, Marker::Message].map(Marker::spelling);
            return Opened::new(&format!("{channel}{text}{message}"), tools);
        }
        let mut rest = text.strip_prefix(Marker::Start.spelling()).unwrap_or(text);
        let first = rest.split(|c: char| c.is_whitespace() || c == '<').next().unwrap_or_default();
        let says_role = header::says_role(first.split(':').next().unwrap_or_default());
        let mut buffer = HeaderBuffer::default();
        let mut complete = false;
        while let Some((at, marker)) = next_marker(rest) {
            buffer.push_text(rest.get(..at).unwrap_or_default(), 0, 0);
            rest = rest.get(at + marker.spelling().len()..).unwrap_or_default();
            match marker {
                Marker::Channel | Marker::Constrain => buffer.push_mark(marker, 0, 0),
                Marker::Message if rest.is_empty() => complete = true,
                Marker::Message => return Err(OpenedError::Content),
                _ => return Err(OpenedError::Marker(marker)),
            }
        }
        buffer.push_text(rest, 0, 0);
        buffer.close_preset();
        let opened = Opened { buffer, complete, says_role };
        let parsed = opened.parse(Role::Assistant, tools);
        if parsed.rest.is_some() || complete && !parsed.faults.is_empty() || text.is_empty() {
            return Err(OpenedError::NotAHeader);
        }
        Ok(opened)
    }

    pub(super) fn parse(&self, role: Role, tools: &ToolNames) -> ParsedHeader {
        let ending = if self.complete { Ending::Message } else { Ending::Input };
        let role = if self.says_role { None } else { Some(role) };
        header::parse(&self.buffer, HeaderContext { role, ending, in_completion: true, tools })
    }
}

fn next_marker(text: &str) -> Option<(usize, Marker)> {
    let places = Marker::ALL.into_iter().filter_map(|marker| Some((text.find(marker.spelling())?, marker)));
    places.min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_headers_open_a_frame() {
        let tools = ToolNames::default();
        for text in [
            "analysis",
            "<|channel|>analysis<|message|>",
            "<|start|>assistant<|channel|>analysis<|message|>",
            "assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>",
            " to=functions.f<|channel|>commentary<|message|>",
            "<|channel|>",
            "<|channel|>commentary to=functions.f",
        ] {
            let opened = Opened::new(text, &tools).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(opened.complete, !text.contains("<|") || text.contains("<|message|>"), "{text}");
        }
    }

    #[test]
    fn content_and_other_texts_are_refused() {
        let refused = [
            ("<|channel|>final<|message|>Hi", OpenedError::Content),
            ("<|channel|>final<|end|>", OpenedError::Marker(Marker::End)),
            ("We think", OpenedError::NotAHeader),
            ("", OpenedError::NotAHeader),
            ("<|channel|>final so on<|message|>", OpenedError::NotAHeader),
        ];
        for (text, error) in refused {
            assert_eq!(Opened::new(text, &ToolNames::default()).err(), Some(error), "{text}");
        }
    }
}
