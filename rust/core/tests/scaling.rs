//! Hostile inputs cost time that is linear in their length, however they are cut and however many tools there are.
//! Counted in allocations and bytes asked for, which do not depend on the machine.

use motet::frame::Role;
use motet::parser::ParseOptions;
use motet::parser::collect::FrameCollector;
use motet::parser::stream::StreamParser;
use motet::parser::tool_names::ToolNames;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it hands everything to the system's allocator and only counts.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(layout.size() + 16, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What reading a text character by character asks of the allocator, with so many tools offered.
fn asked(text: &str, tools: usize) -> usize {
    let names = (0..tools).map(|number| format!("tool_{number}"));
    let tools = ToolNames::new(names);
    // The index of the tools is made once, whatever is read.
    tools.contains("x");
    let options = Arc::new(ParseOptions { role: Some(Role::Assistant), tools, ..ParseOptions::default() });
    let mut parser = StreamParser::new(options);
    let mut collector = FrameCollector::default();
    let before = ASKED.load(Ordering::Relaxed);
    for at in 0..text.len() {
        parser.feed_text(&text[at..=at], &mut collector).expect("text only");
    }
    parser.close(&mut collector);
    ASKED.load(Ordering::Relaxed) - before
}

#[test]
fn doubtful_text_costs_linear_work_with_any_tools() {
    for (start, word) in [
        ("analysis#", "assistant to=x "),
        ("analysisresult", "assistant to=functions.x "),
        ("", "assistant to=y "),
    ] {
        let text = |count: usize| format!("{start}{}", word.repeat(count));
        let (short, long) = (asked(&text(1000), 128), asked(&text(2000), 128));
        assert!(long < 3 * short, "{start}: {short} bytes, then {long}");
        let many = asked(&text(2000), 5000);
        assert!(many < 2 * long, "{start}: {long} bytes with 128 tools, {many} with 5000");
        assert!(long < 20_000 * 2000, "{start}: {long} bytes");
    }
}
