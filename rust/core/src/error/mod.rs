//! What can be wrong: repairs that the tolerant parser makes, and errors that strict parsing and rendering raise.
//! The texts that people read are made here; the places that find a fault say only which it is and where.

use self::excerpt::Excerpt;
use std::fmt;

pub mod excerpt;

/// Something that does not follow the format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    pub code: Code,
    /// An index into the ids, or a byte offset into the UTF-8 text.
    pub at: usize,
    /// What stood there; of several, once if it is the same, else all of it.
    pub text: String,
    /// How many of the same kind this stands for, itself included.
    pub count: usize,
    /// Whether `text` is that of each of them.
    same: bool,
}

impl Repair {
    pub const fn new(code: Code, at: usize, text: String) -> Repair {
        Repair { code, at, text, count: 1, same: true }
    }

    /// Whether the next one is the same again, at the place behind: positions count ids, or bytes of the text.
    pub(crate) fn goes_on_with(&self, next: &Repair) -> bool {
        let distance = next.at.wrapping_sub(self.at);
        let adjacent = distance == self.count || distance == self.count * self.text.len();
        adjacent && self.same && self.code == next.code && self.text == next.text
    }

    /// Makes it stand for the next one, too.
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

    /// What was wrong and what was made of it, in a sentence.
    pub fn message(&self) -> &'static str {
        self.code.row().2
    }
}

/// How much a [`Code`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// The grammar does not allow it: strict parsing raises it.
    Fault,
    /// The grammar allows it, and yet it is not what a reader would expect.
    Remark,
}

macro_rules! codes {
    ($($variant:ident $tier:ident $name:literal $message:literal)*) => {
        /// What a repair is about. The set is closed; `docs/reference/repairs.md` lists it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    // What cannot be text.
    InvalidId Fault "invalid_id" "is not a token id; it is read as U+FFFD"
    ReservedToken Fault "reserved_token" "is a reserved token without meaning; it is kept as text"
    InvalidUtf8 Fault "invalid_utf8" "is not UTF-8; it is read as U+FFFD"
    // Between frames.
    EmptyOutput Fault "empty_output" "there is nothing: no marker and no text"
    NoMarkup Fault "no_markup" "there are no markers; all of it is taken as the answer"
    StrippedMarkers Fault "stripped_markers" "the markers were taken out; the frames are found by the words they left"
    MissingHeader Fault "missing_header" "this text has no header; its place says what it is"
    MissingStart Fault "missing_start" "a header without <|start|>; the role is taken as assistant"
    DuplicateStart Fault "duplicate_start" "<|start|> stands twice; the last one counts"
    RepeatedStart Fault "repeated_start" "the completion begins with the <|start|> and role of its prompt; they are skipped"
    StrayText Fault "stray_text" "text between frames; it is left out of the message"
    RedundantStop Fault "redundant_stop" "a stop token where nothing was open; it is ignored"
    EndOfText Fault "end_of_text" "<|endoftext|> stands for a stop token"
    ReturnMidTurn Fault "return_mid_turn" "<|return|> ended a frame, and yet another one follows"
    // In headers.
    MissingRole Fault "missing_role" "a header without a role; it is taken as assistant"
    UnknownRole Fault "unknown_role" "is no role; the role it begins with is taken"
    RoleIsToolName Fault "role_is_tool_name" "a tool's name stands for the role; it is read as a call of that tool"
    EmptyChannel Fault "empty_channel" "<|channel|> without a channel"
    ChannelCase Fault "channel_case" "a channel in upper case; it is read in lower case"
    GarbageChannel Fault "garbage_channel" "a channel with more behind it; the channel it begins with is taken"
    UnmarkedChannel Fault "unmarked_channel" "a channel without <|channel|> before it"
    DuplicateChannel Fault "duplicate_channel" "another channel stands behind this one; the last one counts"
    DuplicateRecipient Fault "duplicate_recipient" "a second recipient; the first one counts"
    UnmarkedRecipient Fault "unmarked_recipient" "a recipient without to= before it"
    InvalidRecipient Fault "invalid_recipient" "a recipient with more around it; the part that can be a name is taken"
    EmptyRecipient Fault "empty_recipient" "to= without a recipient"
    ChannelAsRecipient Fault "channel_as_recipient" "a channel stands for the recipient; the frame is read as one of that channel"
    NoRecipient Fault "no_recipient" "a recipient that is neither a tool nor a role; the channel says what the frame is"
    DuplicateContentType Fault "duplicate_content_type" "a second content type; the first one counts"
    EmptyContentType Fault "empty_content_type" "<|constrain|> without a content type"
    HeaderOrder Fault "header_order" "the recipient or the channel stands behind the content type"
    InvalidValue Fault "invalid_value" "does not follow the grammar of header values; it is kept as written"
    OddSpace Fault "odd_space" "white space other than a blank in a header; it is read as a blank"
    StrayHeaderText Fault "stray_header_text" "words in a header that mean nothing there; they are left out"
    GarbageHeader Fault "garbage_header" "a header that leads to no content; it is left out"
    MissingMessage Fault "missing_message" "a header without <|message|>; what cannot be header is taken as content"
    HeaderTooLong Fault "header_too_long" "a header without end; what cannot be header is taken as content"
    TruncatedHeader Fault "truncated_header" "the input ended in a header"
    // In content.
    MissingEnd Fault "missing_end" "a frame begins inside another, which is taken as ended"
    DuplicateMessage Fault "duplicate_message" "<|message|> stands twice; the second one is ignored"
    MarkerInContent Fault "marker_in_content" "a marker that begins no frame; it is kept as text"
    TruncatedContent Fault "truncated_content" "the input ended before a stop token"
    CallWithoutRecipient Fault "call_without_recipient" "<|call|> ended a frame that calls nothing"
    CallEndedByStop Fault "call_ended_by_stop" "a tool call that another token than <|call|> ended"
    // In the turn.
    ForeignRole Fault "foreign_role" "the model wrote a turn that is not its own; it is left out of the message"
    ForeignToolResult Fault "foreign_tool_result" "the model wrote the result of a tool itself"
    // Allowed, and yet worth a look.
    MissingChannel Remark "missing_channel" "an assistant frame without a channel; it is taken as the answer"
    UnknownChannel Remark "unknown_channel" "is none of the three channels; the frame is taken as the answer"
    UnknownContentType Remark "unknown_content_type" "is a content type that nobody knows"
    ToolCallOnAnalysis Remark "tool_call_on_analysis" "a call of a function on the analysis channel"
    ToolCallOnFinal Remark "tool_call_on_final" "a tool call on the final channel"
    BareRecipient Remark "bare_recipient" "a tool without its namespace; it is read as a call of that tool"
    WrongNamespace Remark "wrong_namespace" "a tool in a namespace that is not its own"
    OddToolName Remark "odd_tool_name" "a tool's name in other letters or with something around it; the tool that it means is taken"
    GluedContentType Remark "glued_content_type" "the content type is glued to the tool's name; it is taken off"
    EmptyFunctionName Remark "empty_function_name" "functions. without a name"
    EmptyArguments Remark "empty_arguments" "a call without arguments"
    InvalidJson Remark "invalid_json" "the arguments are not JSON; they are kept as written"
    MultipleFinals Remark "multiple_finals" "a second answer in one turn; both are kept"
    EmptyAnswer Remark "empty_answer" "the answer is empty"
}

impl Code {
    /// The name that users see: `missing_start`.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    pub const fn tier(self) -> Tier {
        self.row().1
    }

    /// The sentence of its repairs.
    pub const fn message(self) -> &'static str {
        self.row().2
    }
}

/// What was being read when a fault was found.
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

    /// What the format allows there.
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

/// The first fault of an input that was parsed strictly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub repair: Repair,
    pub state: ParseStage,
    /// What stands around it, as far as it had been read.
    pub excerpt: Excerpt,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repair { code, at, text, .. } = &self.repair;
        write!(f, "{} at {at} ({}): ", code.as_str(), self.state.as_str())?;
        if !text.is_empty() {
            let shown: String = text.chars().take(60).collect();
            write!(f, "{shown:?}{} ", if shown.len() < text.len() { "..." } else { "" })?;
        }
        write!(f, "{}; expected {}\n{}", code.message(), self.state.expected(), self.excerpt)
    }
}

impl std::error::Error for ParseError {}

/// Why a conversation could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// What is wrong, where, and what to do, in one sentence.
    pub message: String,
    /// The index of the message in the input, if one is to blame.
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
