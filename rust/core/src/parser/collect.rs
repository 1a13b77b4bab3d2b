//! Events become frames.

use crate::error::Repair;
use crate::frame::{Frame, Header, Stop};
use crate::parser::Sink;
use crate::parser::classify::Kind;

/// A frame, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassifiedFrame {
    pub frame: Frame,
    pub kind: Kind,
}

/// So many repairs are kept one by one, runs of the same at adjacent places as one. Of those that follow, each code
/// has one, which stands for all of them: whatever the input is, their number has a bound.
pub const ALONE: usize = 1000;

/// Collects the frames and repairs of a parser.
#[derive(Clone, Debug, Default)]
pub struct FrameCollector {
    pub frames: Vec<ClassifiedFrame>,
    pub repairs: Vec<Repair>,
    /// How many repairs those stand for.
    pub repaired: usize,
    /// Whether the last frame has not ended yet.
    pub open: bool,
}

impl Sink for FrameCollector {
    fn start(&mut self, header: Header, kind: Kind, implied: bool) {
        self.frames.push(ClassifiedFrame {
            frame: Frame { header, content: String::new(), stop: None, implied },
            kind,
        });
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
        let later = self.repairs.get_mut(ALONE..).unwrap_or_default();
        match later.iter_mut().find(|kept| kept.code == repair.code) {
            Some(kept) => kept.absorb(&repair),
            None => self.repairs.push(repair),
        }
    }

    fn content(&self) -> &str {
        self.frames.last().map_or("", |last| &last.frame.content)
    }
}
