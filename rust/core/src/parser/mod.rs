//! Ids or text to events, frames and messages. What every stage of the parser shares: the options, the events that it
//! writes, and the counts of tokens.

use self::classify::{ChannelBucket, Kind, ToolNames};
use self::stripped::Stripped;
use crate::error::Repair;
use crate::frame::{Header, Role, Stop};

pub mod assemble;
pub mod classify;
pub mod collect;
pub mod header;
pub mod header_buffer;
pub mod lexer;
pub mod machine;
mod recovery;
pub mod stream;
pub mod stripped;

/// A header, or a candidate for one, is given up beyond this many bytes (markers spelled). The longest header that
/// the grammar allows is about 300 bytes.
pub const HEADER_LIMIT: usize = 1024;

/// The start of a text that may have lost its markers is held back this far for its second header to show itself.
pub const DOUBT_LIMIT: usize = 8 * 1024;

/// What events are written to.
pub trait Sink {
    fn start(&mut self, header: Header, kind: Kind, implied: bool);
    fn delta(&mut self, text: &str);
    fn end(&mut self, stop: Option<Stop>);
    fn repair(&mut self, repair: Repair);
    /// The content so far of the frame that is open.
    fn content(&self) -> &str;
}

/// How an input is to be parsed.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// The role whose header the prompt began. `None`: the input begins with its own `<|start|>`.
    pub role: Option<Role>,
    /// A whole prompt or transcript, in which every role speaks; else one completion.
    pub transcript: bool,
    pub strict: bool,
    pub stripped: Stripped,
    pub tools: ToolNames,
}

/// ChannelTokens by what they are part of.
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
    /// Those of contents that are bucket as this.
    #[inline]
    pub fn of(&mut self, bucket: ChannelBucket) -> &mut u64 {
        match bucket {
            ChannelBucket::Analysis => &mut self.analysis,
            ChannelBucket::Commentary => &mut self.commentary,
            ChannelBucket::Final => &mut self.r#final,
            ChannelBucket::Other => &mut self.other,
        }
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.analysis + self.commentary + self.r#final + self.markup + self.other
    }
}
