//! Token ids or text to events, frames and messages. This file has what the stages share: the options, the events that it
//! emits, and the counts of tokens.

use self::classify::{ChannelBucket, Kind};
use self::opened::Opened;
use self::stripped::Stripped;
use self::tool_names::ToolNames;
use crate::error::Repair;
use crate::frame::{Header, Role, Stop};

pub mod assemble;
pub mod classify;
pub mod collect;
mod framing;
mod glued_role;
pub mod header;
pub mod header_buffer;
mod headerless;
pub mod lexer;
pub mod machine;
pub mod opened;
mod recovery;
pub mod stream;
pub mod stripped;
pub mod tool_names;
pub mod well_formed;

/// Bytes of a header, or of a candidate for one, with markers spelled; longer ones are abandoned. The longest header of the
/// grammar has about 300 bytes.
pub const HEADER_LIMIT: usize = 1024;

/// The start of a text that may have lost its markers is held back up to this many bytes, until a second header shows
/// what it is.
pub const DOUBT_LIMIT: usize = 8 * 1024;

/// Receives the events of a parser.
pub trait Sink {
    fn start(&mut self, start: FrameStart);
    fn delta(&mut self, text: &str);
    fn end(&mut self, stop: Option<Stop>);
    fn repair(&mut self, repair: Repair);
    /// The content so far of the open frame.
    fn content(&self) -> &str;
}

/// A frame that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameStart {
    pub header: Header,
    pub kind: Kind,
    /// The frame was written without its `<|start|>`, or without any header.
    pub implied: bool,
    /// The tool that a call calls, without `functions.`.
    pub tool: Option<String>,
    /// Whether the call cannot result from quoted or misread text.
    pub trusted: bool,
    /// Where the frame begins in the input: at its `<|start|>`, or at the first piece of what stands in its place.
    pub at: usize,
}

/// The options of parsing.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// The role whose header the prompt began. `None`: the input begins with its own `<|start|>`.
    pub role: Option<Role>,
    /// What of the first frame the prompt contains beside its role.
    pub opened: Option<Opened>,
    /// A whole prompt or transcript, with frames of every role; otherwise one completion.
    pub transcript: bool,
    pub strict: bool,
    pub stripped: Stripped,
    pub tools: ToolNames,
    /// The number of earlier turns in the conversation. It is part of the ids of calls, so that equal completions of
    /// several turns have calls with different ids.
    pub turn: u64,
}

/// The number of tokens by channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelTokens {
    pub analysis: u64,
    pub commentary: u64,
    pub r#final: u64,
    /// Markers, headers, and text between frames.
    pub markup: u64,
    /// The content of other roles.
    pub other: u64,
}

impl ChannelTokens {
    /// The counter of a bucket.
    #[inline]
    pub fn of(&mut self, bucket: ChannelBucket) -> &mut u64 {
        match bucket {
            ChannelBucket::Analysis => &mut self.analysis,
            ChannelBucket::Commentary => &mut self.commentary,
            ChannelBucket::Final => &mut self.r#final,
            ChannelBucket::Other => &mut self.other,
        }
    }

    pub fn sum(&self) -> u64 {
        self.analysis + self.commentary + self.r#final + self.markup + self.other
    }
}
