//! Repairs of the tolerant parser, and errors of strict parsing and rendering, with their texts. The code that detects a
//! fault gives its code and position only.

use self::excerpt::Excerpt;
use std::fmt;

pub mod excerpt;

/// A deviation from the format, with its code, position and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub code: Code,
    /// An index into the ids, or a byte offset into the UTF-8 text.
    pub at: usize,
    /// The text at the position. With a `count` above 1: the common text of all occurrences, or their texts joined.
    pub text: String,
    /// The number of occurrences.
    pub count: usize,
    /// Whether `text` is common to all occurrences.
    same: bool,
}

impl Repair {
    pub const fn new(code: Code, at: usize, text: String) -> Repair {
        Repair { code, at, text, count: 1, same: true }
    }

    /// Whether `next` repeats this one directly after it. Positions count ids, or bytes of the text.
    pub(crate) fn goes_on_with(&self, next: &Repair) -> bool {
        let distance = next.at.wrapping_sub(self.at);
        let adjacent = distance == self.count || distance == self.count * self.text.len();
        adjacent && self.same && self.code == next.code && self.text == next.text
    }

    /// Merges `next` into this one.
    pub(crate) fn absorb(&mut self, next: &Repair) {
        if self.same && self.text != next.text {
            self.text = self.text.repeat(self.count);
            self.same = false;
        }
        if !self.same {
            self.text.push_str(&next.text);
        }
        self.count += 1;
    }

    /// The deviation, and how it is read.
    pub fn message(&self) -> &'static str {
        self.code.row().2
    }
}

/// The severity of a [`Code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// A violation of the grammar: strict parsing raises it.
    Fault,
    /// Valid by the grammar, but unexpected.
    Remark,
}

macro_rules! codes {
    ($($variant:ident $tier:ident $name:literal $message:literal)*) => {
        /// The kind of a repair. The set is closed; `docs/reference/repairs.md` lists it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            const fn row(self) -> (&'static str, Tier, &'static str) {
                match self { $(Code::$variant => ($name, Tier::$tier, $message)),* }
            }
        }
    };
}

codes! {
    // In the units of the input.
    InvalidId Fault "invalid_id" "not a token id; read as U+FFFD"
    ReservedToken Fault "reserved_token" "reserved token without meaning in the format; kept as text"
    InvalidUtf8 Fault "invalid_utf8" "invalid UTF-8; read as U+FFFD"
    // Between frames.
    EmptyOutput Fault "empty_output" "empty output: neither a marker nor text"
    NoMarkup Fault "no_markup" "text without markers; read as the answer"
    StrippedMarkers Fault "stripped_markers" "text whose markers were removed; frames are recognised by the remaining words"
    MissingHeader Fault "missing_header" "text without a header; its position decides what it is"
    MissingStart Fault "missing_start" "header without <|start|>; the role is read as assistant"
    DuplicateStart Fault "duplicate_start" "repeated <|start|>; the last one counts"
    RepeatedStart Fault "repeated_start" "repeats the <|start|> and role of its prompt; skipped"
    StrayText Fault "stray_text" "text between frames; not part of the message"
    RedundantStop Fault "redundant_stop" "stop token without an open frame; ignored"
    EndOfText Fault "end_of_text" "<|endoftext|> in place of a stop token"
    ReturnMidTurn Fault "return_mid_turn" "<|return|> before the last frame"
    // In headers.
    MissingRole Fault "missing_role" "header without a role; read as assistant"
    UnknownRole Fault "unknown_role" "unknown role; read as the known role that it begins with"
    RoleIsToolName Fault "role_is_tool_name" "tool name in place of the role; read as a call of that tool"
    EmptyChannel Fault "empty_channel" "<|channel|> without a channel"
    ChannelCase Fault "channel_case" "channel in upper case; read in lower case"
    GarbageChannel Fault "garbage_channel" "channel followed by other characters; read as the channel that it begins with"
    UnmarkedChannel Fault "unmarked_channel" "channel without <|channel|>"
    DuplicateChannel Fault "duplicate_channel" "second channel; the last one counts"
    DuplicateRecipient Fault "duplicate_recipient" "second recipient; the first one counts"
    UnmarkedRecipient Fault "unmarked_recipient" "recipient without to="
    InvalidRecipient Fault "invalid_recipient" "recipient with other characters around it; read as the part that is a valid name"
    EmptyRecipient Fault "empty_recipient" "to= without a recipient"
    ChannelAsRecipient Fault "channel_as_recipient" "channel in place of the recipient; the frame is read as one of that channel"
    NoRecipient Fault "no_recipient" "recipient that is neither a tool nor a role; the channel decides what the frame is"
    DuplicateContentType Fault "duplicate_content_type" "second content type; the first one counts"
    EmptyContentType Fault "empty_content_type" "<|constrain|> without a content type"
    HeaderOrder Fault "header_order" "recipient or channel after the content type"
    InvalidValue Fault "invalid_value" "header value outside the grammar; kept as written"
    OddSpace Fault "odd_space" "white space other than a blank in a header; read as a blank"
    StrayHeaderText Fault "stray_header_text" "words without meaning in a header; ignored"
    GarbageHeader Fault "garbage_header" "header without content; ignored"
    MissingMessage Fault "missing_message" "header without <|message|>; content begins at the first word that cannot be header"
    HeaderTooLong Fault "header_too_long" "header over the length limit; content begins at the first word that cannot be header"
    TruncatedHeader Fault "truncated_header" "the input ends in a header"
    // In content.
    MissingEnd Fault "missing_end" "frame without a stop token before the next one; read as ended"
    DuplicateMessage Fault "duplicate_message" "repeated <|message|>; the second one is ignored"
    MarkerInContent Fault "marker_in_content" "marker that does not begin a frame; kept as text"
    TruncatedContent Fault "truncated_content" "the input ends before a stop token"
    CallWithoutRecipient Fault "call_without_recipient" "<|call|> at the end of a frame that is not a call"
    CallEndedByStop Fault "call_ended_by_stop" "tool call with another stop token than <|call|>"
    // In the turn.
    ForeignRole Fault "foreign_role" "turn of another role in the completion; not part of the message"
    ForeignToolResult Fault "foreign_tool_result" "tool result written by the model"
    // Remarks.
    MissingChannel Remark "missing_channel" "assistant frame without a channel; read as the answer"
    UnknownChannel Remark "unknown_channel" "unknown channel; the frame is read as the answer"
    UnknownContentType Remark "unknown_content_type" "unknown content type"
    ToolCallOnAnalysis Remark "tool_call_on_analysis" "function call on the analysis channel"
    ToolCallOnFinal Remark "tool_call_on_final" "tool call on the final channel"
    BareRecipient Remark "bare_recipient" "tool without its namespace; read as a call of that tool"
    WrongNamespace Remark "wrong_namespace" "tool in another namespace than its own"
    OddToolName Remark "odd_tool_name" "tool name in another case or with other characters around it; read as the offered tool"
    GluedContentType Remark "glued_content_type" "content type glued to the tool name; separated from it"
    EmptyFunctionName Remark "empty_function_name" "functions. without a name"
    EmptyArguments Remark "empty_arguments" "call without arguments"
    InvalidJson Remark "invalid_json" "arguments that are not valid JSON; kept as written"
    MultipleFinals Remark "multiple_finals" "second answer in one turn; both are kept"
    EmptyAnswer Remark "empty_answer" "empty answer"
}

impl Code {
    /// The code as a word: `missing_start`.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    pub const fn tier(self) -> Tier {
        self.row().1
    }

    /// The text of its repairs: the deviation, and how it is read.
    pub const fn message(self) -> &'static str {
        self.row().2
    }
}

/// The part of a frame in which the parser is at a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseStage {
    Start,
    Header,
    Content,
}

impl ParseStage {
    pub const fn as_str(self) -> &'static str {
        match self {
            ParseStage::Start => "start",
            ParseStage::Header => "header",
            ParseStage::Content => "content",
        }
    }

    /// The input that the format allows at this stage.
    pub const fn expected(self) -> &'static str {
        match self {
            ParseStage::Start => "<|start|>",
            ParseStage::Header => {
                "a role, then ` to=` and a recipient, <|channel|> and a channel, a content type, then <|message|>"
            }
            ParseStage::Content => "text, then <|end|>, <|call|> or <|return|>",
        }
    }
}

/// The fault at which strict parsing stops: the first of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub repair: Repair,
    pub state: ParseStage,
    /// The input around the fault, as far as it is read.
    pub excerpt: Excerpt,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repair { code, at, text, .. } = &self.repair;
        write!(f, "{} at {at} ({}): ", code.as_str(), self.state.as_str())?;
        if !text.is_empty() {
            let shown: String = text.chars().take(60).collect();
            write!(f, "{shown:?}{}: ", if shown.len() < text.len() { "..." } else { "" })?;
        }
        write!(f, "{}; expected {}\n{}", code.message(), self.state.expected(), self.excerpt)
    }
}

impl std::error::Error for ParseError {}

/// The reason for which a conversation cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// The fault, its value and a hint, in one sentence.
    pub message: String,
    /// The index of the faulty message in the input.
    pub at: Option<usize>,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "messages[{at}]: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for RenderError {}
