//! Markers: the special tokens that give harmony its structure. Enum, id and spelling; what a marker means at a given
//! place is the parser's business. `build.rs` includes this file, so that the vocabulary takes the spellings from here.

/// A control token of the harmony format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Marker {
    /// `<|endoftext|>`: ends a text in training; models write it now and then as a stop.
    EndOfText,
    /// `<|return|>`: the model has finished its answer.
    Return,
    /// `<|constrain|>`: stands before the content type.
    Constrain,
    /// `<|channel|>`: stands before the channel.
    Channel,
    /// `<|start|>`: begins a frame's header.
    Start,
    /// `<|end|>`: ends a frame.
    End,
    /// `<|message|>`: ends the header, begins the content.
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

    /// The marker of a token id, if it is one.
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

    /// The word of its spelling: `start` of `<|start|>`.
    pub fn word(self) -> &'static str {
        self.spelling().trim_matches(['<', '|', '>'])
    }

    /// How the marker is spelled in text.
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

/// Special tokens with a name that have no meaning in harmony. All others are spelled `<|reserved_ID|>`.
pub const OTHER_NAMED_TOKENS: [(u32, &str); 2] = [(199_998, "<|startoftext|>"), (200_018, "<|endofprompt|>")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_markers_are_inverse() {
        for marker in Marker::ALL {
            assert_eq!(Marker::from_id(marker.id()), Some(marker));
        }
        let found = (0..300_000).filter(|&id| Marker::from_id(id).is_some());
        assert_eq!(found.count(), Marker::ALL.len());
    }
}
