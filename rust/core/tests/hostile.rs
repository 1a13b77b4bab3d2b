//! Inputs that want to be expensive: memory stays within the input and a constant, and so does the list of repairs.
//!
//! The allocator counts what the parser asks for. The sizes fit a test run; `cargo test --release --test hostile --
//! --ignored` reads ten million frames and one of 100 MB.

use motet::frame::Role;
use motet::marker::Marker;
use motet::parser::ParseOptions;
use motet::parser::collect::MAX_SEPARATE_REPAIRS;
use motet::parser::stream::{Completion, parse_ids, parse_text};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it hands everything to the system's allocator and only counts.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time: the allocator counts for all threads.
static TURN: Mutex<()> = Mutex::new(());

/// What was read, and the most bytes that reading it held at once, the result included.
fn measured(read: impl FnOnce(Arc<ParseOptions>) -> Completion) -> (Completion, usize) {
    let options = ParseOptions { role: Some(Role::Assistant), ..ParseOptions::default() };
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let completion = read(Arc::new(options));
    (completion, MOST.load(Ordering::Relaxed) - before)
}

fn ids(ids: &[u32]) -> (Completion, usize) {
    measured(|options| parse_ids(ids, options).expect("tolerant"))
}

fn text(text: &str) -> (Completion, usize) {
    measured(|options| parse_text(text.as_bytes(), options).expect("tolerant"))
}

const CONSTANT: usize = 1 << 20;

#[test]
fn ten_million_stop_tokens_are_one_repair() {
    let _turn = TURN.lock();
    const COUNT: usize = 10_000_000;
    let (completion, memory) = ids(&vec![Marker::End.id(); COUNT]);
    assert_eq!(completion.repairs.len(), 1);
    assert_eq!((completion.repairs[0].at, completion.repairs[0].count), (0, COUNT));
    assert_eq!(completion.tokens.markup, COUNT as u64);
    assert!(memory < CONSTANT, "{memory} bytes");
    let (completion, memory) = text(&"<|return|>".repeat(COUNT / 10));
    assert_eq!((completion.repairs.len(), completion.repairs[0].count), (1, COUNT / 10));
    assert!(memory < CONSTANT, "{memory} bytes");
}

#[test]
fn a_header_without_end_is_given_up() {
    let _turn = TURN.lock();
    for word in
        [" to=functions.f", "<|channel|>", "<|constrain|>", "<|start|>", "analysis", "\n", "\u{a0}", "{"]
    {
        for opening in ["", "<|channel|>", "<|start|>assistant", "<|channel|>final<|message|><|channel|>"] {
            let input = format!("{opening}{}", word.repeat(10_000_000 / word.len() / 4));
            let (completion, memory) = text(&input);
            // Content doubles what it holds as it grows.
            assert!(memory < 4 * input.len() + CONSTANT, "{opening}{word}...: {memory} bytes");
            assert!(
                completion.repairs.len() < MAX_SEPARATE_REPAIRS,
                "{opening}{word}...: {}",
                completion.repairs.len()
            );
        }
    }
}

#[test]
fn repairs_do_not_pile_up() {
    let _turn = TURN.lock();
    let pieces = [
        "<|start|><|end|>",
        "<|end|><|return|>",
        "<|end|>x<|end|> ",
        "<|message|>x<|end|>",
        "<|channel|>",
        "<|start|>",
        "<|channel|>final<|message|>x<|end|>",
        "<|start|>tool<|message|>",
        "<|channel|>a b to= to=x to=y<|message|>",
        "<|start|>user<|message|>x<|end|>y",
        "<|channel|>final<|message|>a<|message|>b<|constrain|>",
        "\u{a0}<|end|>",
        "<|channel|>commentary to=functions.f<|message|>{<|return|>",
        "<|endoftext|>",
        "<|channel|>ANALYSIS??<|start|>",
    ];
    for piece in pieces {
        let input = piece.repeat(400_000 / piece.len());
        let (completion, memory) = text(&input);
        assert!(
            completion.repairs.len() <= MAX_SEPARATE_REPAIRS + 60,
            "{piece}: {} repairs",
            completion.repairs.len()
        );
        let frames = completion.frames.len();
        assert!(
            memory < 10 * input.len() + 400 * frames + CONSTANT,
            "{piece}: {memory} bytes, {frames} frames"
        );
        // Twice the input is at most twice the memory: nothing grows faster.
        let (_, twice) = text(&input.repeat(2));
        assert!(twice < 2 * memory + CONSTANT, "{piece}: {memory}, then {twice} bytes");
    }
}

fn frames(count: usize) {
    let frame =
        [Marker::Start.id(), 173781, Marker::Channel.id(), 17196, Marker::Message.id(), 87, Marker::End.id()];
    let (completion, memory) = ids(&frame.repeat(count));
    assert_eq!(completion.frames.len(), count);
    assert!(completion.repairs.len() <= MAX_SEPARATE_REPAIRS + 60);
    assert!(memory < 400 * count + CONSTANT, "{} bytes a frame", memory / count);
}

#[test]
fn frames_take_what_frames_take() {
    let _turn = TURN.lock();
    frames(100_000);
}

#[test]
#[ignore = "takes gigabytes"]
fn ten_million_frames() {
    let _turn = TURN.lock();
    frames(10_000_000);
}

fn one_frame(length: usize) {
    let content = "All work and no play makes Jack a dull boy. <| ".repeat(length / 47);
    let input = format!("<|channel|>analysis<|message|>{content}<|end|>");
    let (completion, memory) = text(&input);
    assert_eq!(completion.frames[0].frame.content, content);
    assert!(memory < 2 * input.len() + CONSTANT, "{memory} bytes for {length}");
}

#[test]
fn a_long_frame_is_held_once() {
    let _turn = TURN.lock();
    one_frame(10_000_000);
}

#[test]
#[ignore = "takes half a gigabyte"]
fn one_frame_of_100_megabytes() {
    let _turn = TURN.lock();
    one_frame(100_000_000);
}
