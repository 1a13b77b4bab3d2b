//! Markers: the special tokens that structure harmony, with id and spelling. Their meaning at a position is in
//! `parser/machine.rs`. `build.rs` includes this file as the only source of the spellings.

/// A control token of the harmony format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// `<|endoftext|>`: ends a document in training; models sometimes write it as a stop token.
    EndOfText,
    /// `<|return|>`: ends the answer.
    Return,
    /// `<|constrain|>`: precedes the content type.
    Constrain,
    /// `<|channel|>`: precedes the channel.
    Channel,
    /// `<|start|>`: begins a frame's header.
    Start,
    /// `<|end|>`: ends a frame.
    End,
    /// `<|message|>`: ends the header and begins the content.
    Message,
    /// `<|call|>`: ends a tool call.
    Call,
}

impl Marker {
    /// All markers, in the order of their ids.
    pub const ALL: [Marker; 8] = [
        Marker::EndOfText,
        Marker::Return,
        Marker::Constrain,
        Marker::Channel,
        Marker::Start,
        Marker::End,
        Marker::Message,
        Marker::Call,
    ];

    /// The token id, as in tiktoken's `o200k_harmony`.
    pub const fn id(self) -> u32 {
        match self {
            Marker::EndOfText => 199_999,
            Marker::Return => 200_002,
            Marker::Constrain => 200_003,
            Marker::Channel => 200_005,
            Marker::Start => 200_006,
            Marker::End => 200_007,
            Marker::Message => 200_008,
            Marker::Call => 200_012,
        }
    }

    /// The marker with this token id.
    pub const fn from_id(id: u32) -> Option<Marker> {
        match id {
            199_999 => Some(Marker::EndOfText),
            200_002 => Some(Marker::Return),
            200_003 => Some(Marker::Constrain),
            200_005 => Some(Marker::Channel),
            200_006 => Some(Marker::Start),
            200_007 => Some(Marker::End),
            200_008 => Some(Marker::Message),
            200_012 => Some(Marker::Call),
            _ => None,
        }
    }

    /// The spelling without its delimiters: `start` for `<|start|>`.
    pub fn word(self) -> &'static str {
        self.spelling().trim_matches(['<', '|', '>'])
    }

    /// The marker as text.
    pub const fn spelling(self) -> &'static str {
        match self {
            Marker::EndOfText => "<|endoftext|>",
            Marker::Return => "<|return|>",
            Marker::Constrain => "<|constrain|>",
            Marker::Channel => "<|channel|>",
            Marker::Start => "<|start|>",
            Marker::End => "<|end|>",
            Marker::Message => "<|message|>",
            Marker::Call => "<|call|>",
        }
    }
}

/// Named special tokens without a meaning in harmony. All others are spelled `<|reserved_ID|>`.
pub const OTHER_NAMED_TOKENS: [(u32, &str); 2] = [(199_998, "<|startoftext|>"), (200_018, "<|endofprompt|>")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_markers_are_inverse() {
        for marker in Marker::ALL {
            assert_eq!(Marker::from_id(marker.id()), Some(marker));
        }
        let ids = (0..300_000).filter(|&id| Marker::from_id(id).is_some());
        assert_eq!(ids.count(), Marker::ALL.len());
    }
}
