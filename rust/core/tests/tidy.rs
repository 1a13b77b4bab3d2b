//! Rules of the sources: dependencies, layers, `unsafe`, lengths of files, and pages that list what the code has.

use motet::error::{Code, Tier};
use motet::marker::Marker;
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
        let text = code(&std::fs::read_to_string(&path).expect("UTF-8"));
        assert!(
            path.ends_with("src/ffi.rs")
                || path.parent().is_some_and(|folder| folder.ends_with("src/ffi"))
                || !text.contains("unsafe "),
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
    for folder in ["rust/core/src", "rust/columns/src", "rust/python/src"] {
        for path in sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            assert!(text.starts_with("//! "), "{} does not say what lives there", path.display());
            assert!(text.lines().count() <= 700, "{} is too long", path.display());
        }
    }
}

/// The rooms of the core in order: a file imports from its own room and from those on lower floors.
const FLOORS: [(&str, u8); 13] = [
    ("tokenizer", 0),
    ("marker", 0),
    ("tool_name", 0),
    ("frame", 0),
    ("error", 1),
    ("message", 1),
    ("header_grammar", 2),
    ("wire_name", 2),
    ("parser", 3),
    ("render", 3),
    ("openai_harmony", 4),
    ("continuation", 4),
    ("lib", 5),
];

/// The crate's files as their module paths (`["parser", "machine"]`), with those that each imports.
fn imports() -> Vec<(Vec<String>, Vec<Vec<String>>)> {
    let source = root().join("rust/core/src");
    let files: Vec<_> =
        sources(&source).into_iter().map(|path| (module_path(&source, &path), path)).collect();
    let known: Vec<Vec<String>> = files.iter().map(|(module, _)| module.clone()).collect();
    let of_file = |(module, path): &(Vec<String>, PathBuf)| {
        let text = code(&std::fs::read_to_string(path).expect("UTF-8"));
        let folder = path.ends_with("mod.rs");
        let mut targets: Vec<_> = use_paths(&text)
            .into_iter()
            .filter_map(|path| resolve(&path, module, folder, &known))
            .filter(|target| target != module)
            .collect();
        targets.sort();
        targets.dedup();
        (module.clone(), targets)
    };
    files.iter().map(of_file).collect()
}

fn module_path(source: &Path, path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(source).expect("below src").with_extension("");
    let names = relative.iter().map(|name| name.to_str().expect("UTF-8").to_owned());
    names.filter(|name| name != "mod").collect()
}

/// The paths of all `use` lines, braces multiplied out: `["crate", "frame", "Role"]`.
fn use_paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("use ") {
        let begins_line = rest[..start].ends_with(['\n', ' ']) || start == 0;
        let behind = &rest[start + 4..];
        let end = behind.find(';').unwrap_or(behind.len());
        if begins_line {
            expand("", &behind[..end], &mut paths);
        }
        rest = &behind[end..];
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let group = &group[..group.rfind('}').unwrap_or(group.len())];
        let (mut depth, mut from) = (0, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(&format!("{prefix}{}", head.trim()), &group[from..at], paths);
                    from = at + 1;
                }
                _ => {}
            }
        }
    } else if !tree.is_empty() {
        let path = format!("{prefix}{tree}");
        let path = path.split(" as ").next().unwrap_or_default().trim();
        paths.push(path.split("::").map(str::to_owned).collect());
    }
}

/// The file that a path of a `use` leads to.
fn resolve(path: &[String], module: &[String], folder: bool, known: &[Vec<String>]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let parent = || module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default();
    let mut full = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" if folder => parent(),
        "super" => parent(),
        _ => return None,
    };
    full.extend(rest.iter().filter(|name| *name != "self").cloned());
    (1..=full.len()).rev().map(|length| full[..length].to_vec()).find(|path| known.contains(path))
}

/// A source without comments and without its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn rooms_import_only_from_lower_floors() {
    let floor =
        |module: &[String]| FLOORS.iter().find(|(room, _)| *room == module[0]).map(|(_, floor)| *floor);
    for (module, targets) in imports() {
        let Some(own) = floor(&module) else { panic!("{module:?} is in no room") };
        for target in targets.iter().filter(|target| target[0] != module[0]) {
            let other = floor(target).unwrap_or_else(|| panic!("{target:?} is in no room"));
            // Files of the ground floor stand in the order of the list.
            let order = |module: &[String]| FLOORS.iter().position(|(room, _)| *room == module[0]);
            let below = other < own || other == own && own < 3 && order(target) < order(&module);
            assert!(below, "{} imports {}", module.join("/"), target.join("/"));
        }
    }
}

#[test]
fn no_file_imports_itself_through_others() {
    let mut left = imports();
    assert!(left.len() > 60, "{left:?}");
    // Takes away the files that import nothing of what is left, until there are only circles.
    loop {
        let modules: Vec<_> = left.iter().map(|(module, _)| module.clone()).collect();
        let before = left.len();
        left.retain(|(_, targets)| targets.iter().any(|target| modules.contains(target)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these files import each other: {left:#?}");
}

#[test]
fn markers_and_the_functions_prefix_are_spelled_once() {
    // Sentences for users name markers; everything else takes them from `Marker`.
    let sentences = "core/src/error/mod.rs";
    let mut files = vec![root().join("rust/core/build.rs")];
    for folder in ["rust/core/src", "rust/columns/src", "rust/python/src"] {
        files.extend(sources(&root().join(folder)));
    }
    for path in files {
        let text = code(&std::fs::read_to_string(&path).expect("UTF-8"));
        for marker in Marker::ALL {
            let allowed = path.ends_with("core/src/marker.rs") || path.ends_with(sentences);
            assert!(allowed || !text.contains(marker.spelling()), "{} spells {marker:?}", path.display());
        }
        let allowed = path.ends_with("core/src/tool_name.rs") || path.ends_with(sentences);
        assert!(allowed || !text.contains("functions."), "{} spells `functions.`", path.display());
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
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
