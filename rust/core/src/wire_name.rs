//! The names under which tools stand in prompts. A tool of an MCP server may be named `files/read` or `Web Search`, and a
//! model may invent any name; headers hold only names of the grammar.

use crate::header_grammar::{MAX_TOOL_NAME, is_tool_name, is_tool_name_char};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Stands for an empty name.
const UNKNOWN: &str = "unknown_tool";

/// The name as headers can hold it: each run of other characters becomes `_`, a role gets a `_` at its end, an empty
/// name becomes `unknown_tool`, and at most 64 characters are kept. Valid names are unchanged.
pub fn wire_name(name: &str) -> Cow<'_, str> {
    if is_tool_name(name) {
        return Cow::Borrowed(name);
    }
    let mut wire = String::new();
    let mut in_run = false;
    for c in name.chars() {
        if is_tool_name_char(c) {
            wire.push(c);
        } else if !in_run {
            wire.push('_');
        }
        in_run = !is_tool_name_char(c);
        if wire.len() >= MAX_TOOL_NAME {
            break;
        }
    }
    if wire.is_empty() {
        wire.push_str(UNKNOWN);
    } else if !is_tool_name(&wire) {
        wire.push('_');
    }
    Cow::Owned(wire)
}

/// The wire names of tools that are offered together: no two different names share one. Valid names are unchanged, and
/// others give way to them and to those before them, with a number at their end.
pub fn wire_names<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<Cow<'a, str>> {
    if names.clone().all(is_tool_name) {
        return names.map(Cow::Borrowed).collect();
    }
    let mut used: HashSet<String> =
        names.clone().filter(|name| is_tool_name(name)).map(str::to_owned).collect();
    let mut renamed: HashMap<&str, String> = HashMap::new();
    let unique = |name: &'a str| {
        if is_tool_name(name) {
            return Cow::Borrowed(name);
        }
        let wire = renamed.entry(name).or_insert_with(|| {
            let base = wire_name(name);
            let numbered = |number: usize| {
                let suffix = format!("_{number}");
                format!("{}{suffix}", base.get(..MAX_TOOL_NAME - suffix.len()).unwrap_or(&base))
            };
            let candidates = std::iter::once(base.clone().into_owned()).chain((2..).map(numbered));
            let wire = candidates.into_iter().find(|wire| !used.contains(wire)).unwrap_or_default();
            used.insert(wire.clone());
            wire
        });
        Cow::Owned(wire.clone())
    };
    names.map(unique).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_valid() {
        for (name, wire) in [
            ("get_weather", "get_weather"),
            ("files/read", "files_read"),
            ("Web  Search!", "Web_Search_"),
            ("天気", "_"),
            ("", "unknown_tool"),
            ("assistant", "assistant_"),
            ("<|end|>", "_end_"),
        ] {
            assert_eq!(wire_name(name), wire);
            assert!(is_tool_name(&wire_name(name)), "{name}");
        }
        assert_eq!(wire_name(&"é x".repeat(99)).len(), MAX_TOOL_NAME);
    }

    #[test]
    fn names_offered_together_stay_apart() {
        let long = "x y".repeat(40);
        let other = format!("{long}z");
        let names = ["a b", "a_b", "a/b", "a b", "天", "気", &long, &other];
        let wires = wire_names(names.into_iter());
        let expected = ["a_b_2", "a_b", "a_b_3", "a_b_2", "_", "__2"];
        assert_eq!(wires.iter().take(6).map(AsRef::as_ref).collect::<Vec<_>>(), expected);
        assert!(wires.iter().all(|wire| is_tool_name(wire)));
        assert_ne!(wires.get(6), wires.get(7));
    }
}
