//! Reads the corpus that Rust and Python share: each file of `tests/corpus` is a case.
//!
//! A file is a line that says what it shows, options (`tools: a b`, `tool: a name with blanks`, `role: none`,
//! `opened: analysis`, `transcript: yes`, `stripped: always`), a line `===`, the input, a line `===`, and what comes out.

use motet::frame::Role;
use motet::parser::ParseOptions;
use motet::parser::opened::Opened;
use motet::parser::stripped::Stripped;
use motet::parser::tool_names::ToolNames;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of the corpus.
pub(crate) struct Case {
    pub(crate) path: PathBuf,
    /// What it shows, and its options.
    pub(crate) head: String,
    pub(crate) input: String,
    pub(crate) expected: String,
    pub(crate) options: Arc<ParseOptions>,
}

/// All cases, by name.
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(paths.len() > 100, "only {} cases", paths.len());
    paths.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Case {
    let file = std::fs::read_to_string(&path).expect("a case is UTF-8");
    let mut parts = file.splitn(3, "===\n");
    let head = parts.next().unwrap_or_default().to_owned();
    let input = parts.next().expect("an input behind ===");
    let input = input.strip_suffix('\n').unwrap_or(input).to_owned();
    let expected = parts.next().unwrap_or_default().to_owned();
    Case { options: Arc::new(options(&head)), head, input, expected, path }
}

fn options(head: &str) -> ParseOptions {
    let option = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let transcript = option("transcript:") == Some("yes");
    let words = option("tools:").unwrap_or_default().split_whitespace();
    let tools = ToolNames::new(words.chain(option("tool:")).map(str::to_owned));
    let opened = option("opened:").map(|text| Opened::new(text, &tools).expect("the end of a prompt"));
    ParseOptions {
        role: if transcript || option("role:") == Some("none") { None } else { Some(Role::Assistant) },
        opened,
        transcript,
        strict: false,
        stripped: match option("stripped:") {
            Some("always") => Stripped::Always,
            Some("never") => Stripped::Never,
            _ => Stripped::Auto,
        },
        tools,
        turn: 0,
    }
}
