//! Collects events into frames.

use crate::error::Repair;
use crate::frame::{Frame, Header, Stop};
use crate::parser::classify::{ChannelBucket, Kind, bucket_of};
use crate::parser::{ChannelTokens, FrameStart, Sink};
use crate::tokenizer;

/// A frame and its classification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifiedFrame {
    pub frame: Frame,
    pub kind: Kind,
    /// The call, as known from its start on.
    pub call: Option<Call>,
    /// Where the frame begins in the input: at this id, or at this byte of a text; up to 2³² - 1. It fills what would be
    /// padding: there may be many frames.
    pub at: u32,
}

impl ClassifiedFrame {
    /// What the tokens of its content are counted as.
    pub fn bucket(&self) -> ChannelBucket {
        bucket_of(self.kind, &self.frame.header)
    }
}

/// A call, without its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Made of the turn, of what the completion says before the call, and of the recipient: known when the call starts,
    /// and different for each call of a conversation.
    pub id: String,
    /// The name of the tool, without `functions.`.
    pub name: String,
    /// Whether the call cannot result from quoted or misread text.
    pub trusted: bool,
}

/// So many repairs are kept separately, except that runs of the same one at adjacent places are one. Of those that
/// follow, each code has one, which stands for all of them: whatever the input is, their number has a bound.
pub const MAX_SEPARATE_REPAIRS: usize = 1000;

/// Collects the frames and repairs of a parser.
#[derive(Clone, Debug, Default)]
pub struct FrameCollector {
    pub frames: Vec<ClassifiedFrame>,
    pub repairs: Vec<Repair>,
    /// The number of repairs that those stand for.
    pub repaired: usize,
    /// Whether the last frame has not ended yet.
    pub open: bool,
    digest: Digest,
}

impl FrameCollector {
    /// A collector for a completion behind so many turns of its conversation.
    pub fn new(turn: u64) -> FrameCollector {
        FrameCollector { digest: Digest::new(turn), ..FrameCollector::default() }
    }

    fn call(&mut self, header: &Header, name: String, trusted: bool) -> Call {
        let contents = self.frames.iter().map(|earlier| earlier.frame.content.as_str());
        let id = self.digest.call_id(contents, header.recipient.as_deref().unwrap_or_default());
        Call { id, name, trusted }
    }
}

impl Sink for FrameCollector {
    fn start(&mut self, start: FrameStart) {
        let FrameStart { header, kind, implied, tool, trusted, at } = start;
        let call = tool.map(|name| self.call(&header, name, trusted));
        let frame = Frame { header, content: String::new(), stop: None, implied };
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.frames.push(ClassifiedFrame { frame, kind, call, at });
        self.open = true;
    }

    fn delta(&mut self, text: &str) {
        if let Some(last) = self.frames.last_mut() {
            last.frame.content.push_str(text);
        }
    }

    fn end(&mut self, stop: Option<Stop>) {
        if let Some(last) = self.frames.last_mut() {
            last.frame.stop = stop;
        }
        self.open = false;
    }

    fn repair(&mut self, repair: Repair) {
        self.repaired += 1;
        if let Some(last) = self.repairs.last_mut().filter(|last| last.goes_on_with(&repair)) {
            return last.absorb(&repair);
        }
        let later = self.repairs.get_mut(MAX_SEPARATE_REPAIRS..).unwrap_or_default();
        match later.iter_mut().find(|kept| kept.code == repair.code) {
            Some(kept) => kept.absorb(&repair),
            None => self.repairs.push(repair),
        }
    }

    fn content(&self) -> &str {
        self.frames.last().map_or("", |last| &last.frame.content)
    }
}

/// The tokens of contents that were read from text, with those that were counted while parsing.
pub fn count_contents(frames: &[ClassifiedFrame], counted: ChannelTokens) -> ChannelTokens {
    let mut tokens = counted;
    for frame in frames {
        *tokens.of(frame.bucket()) += tokenizer::count(&frame.frame.content) as u64;
    }
    tokens
}

/// A hash of contents. Not made to resist attacks: ids need to differ within a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Digest {
    state: u64,
    /// How many frames are in it.
    frames: usize,
}

/// The odd number next to 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl Digest {
    pub(super) const fn new(turn: u64) -> Digest {
        Digest { state: mixed(turn), frames: 0 }
    }

    /// The id of a call behind frames with these contents.
    pub(super) fn call_id<'a>(
        &mut self,
        contents: impl ExactSizeIterator<Item = &'a str>,
        recipient: &str,
    ) -> String {
        let count = contents.len();
        contents.skip(self.frames).for_each(|content| self.add(content.as_bytes()));
        self.frames = count;
        self.id(count, recipient)
    }

    /// A number made of the bytes added so far.
    pub(super) const fn number(self) -> u64 {
        mixed(self.state)
    }

    /// Adds bytes and their number. Blocks of 64 bytes are read in four lanes, which do not wait for each other.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<64>();
        if !blocks.is_empty() {
            let mut lanes: [u64; 4] = [1, 2, 3, 4];
            for block in blocks {
                for (lane, pair) in lanes.iter_mut().zip(block.as_chunks::<16>().0) {
                    let pair = u128::from_le_bytes(*pair);
                    let (first, second) = (pair as u64, (pair >> 64) as u64);
                    let product = u128::from(first ^ *lane) * u128::from(second ^ MULTIPLIER);
                    *lane = (product ^ (product >> 64)) as u64;
                }
            }
            lanes.into_iter().for_each(|lane| self.add_number(lane));
        }
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            self.add_number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last.split_at_mut(rest.len()).0.copy_from_slice(rest);
        self.add_number(u64::from_le_bytes(last));
        self.add_number(bytes.len() as u64);
    }

    const fn add_number(&mut self, number: u64) {
        self.state = (self.state.rotate_left(5) ^ number).wrapping_mul(MULTIPLIER);
    }

    fn id(self, index: usize, recipient: &str) -> String {
        let mut digest = self;
        digest.add_number(index as u64);
        digest.add(recipient.as_bytes());
        format!("call_{:016x}", digest.number())
    }
}

/// Spreads each bit over all of them (the finaliser of SplitMix64).
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
