//! What must never be, and what must stay true of the sources themselves.

use motet::error::{Code, Tier};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_core_depends_on_little() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .args(["tree", "--package", "motet", "--edges", "normal", "--prefix", "none", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(tree.stdout).expect("UTF-8");
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.contains(&"motet"), "{tree}");
    let allowed =
        ["motet", "memchr", "serde", "serde_core", "serde_json", "indexmap", "hashbrown", "equivalent"];
    let format = ["itoa", "ryu", "zmij", "foldhash"];
    for name in names {
        assert!(allowed.contains(&name) || format.contains(&name), "the core has come to depend on {name}");
    }
}

#[test]
fn the_core_has_unsafe_code_in_one_file_and_does_no_input_or_output() {
    for path in sources(&root().join("rust/core/src")) {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        assert!(
            path.ends_with("tokenizer/simd.rs") || !text.contains("unsafe "),
            "{} has unsafe code",
            path.display()
        );
        for banned in ["std::fs", "std::net", "std::env", "std::time", "println!", "pyo3"] {
            assert!(!text.contains(banned), "{} has {banned:?}", path.display());
        }
    }
}

#[test]
fn the_tokenizer_imports_nothing_of_the_rest() {
    for path in sources(&root().join("rust/core/src/tokenizer")) {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for (at, _) in text.match_indices("crate::") {
            let import = text[at..].lines().next().unwrap_or_default();
            assert!(import.starts_with("crate::tokenizer"), "{} imports {import:?}", path.display());
        }
    }
}

#[test]
fn the_binding_reads_nothing_and_decides_nothing() {
    for path in sources(&root().join("rust/python/src")) {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        assert!(
            path.ends_with("src/ffi.rs") || !text.contains("unsafe "),
            "{} has unsafe code",
            path.display()
        );
        for banned in ["std::fs", "std::net", "std::env::", "\"analysis\" =>", "<|"] {
            assert!(!text.contains(banned), "{} has {banned:?}", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    for folder in ["rust/core/src", "rust/python/src"] {
        for path in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            assert!(text.starts_with("//! "), "{} does not say what lives there", path.display());
            assert!(text.lines().count() <= 700, "{} is too long", path.display());
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_repair_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/reference/repairs.md")).expect("the page is there");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let expected = Code::ALL.iter().map(|code| {
        let tier = if code.tier() == Tier::Fault { "fault" } else { "remark" };
        format!("| `{}` | {tier} | {} |", code.as_str(), code.message().replace('|', "\\|"))
    });
    assert_eq!(rows.map(str::to_owned).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn the_changelog_has_this_version_once() {
    let log = std::fs::read_to_string(root().join("CHANGELOG.md")).expect("the log is there");
    let title = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(log.lines().filter(|line| line.starts_with(&title)).count(), 1);
}
