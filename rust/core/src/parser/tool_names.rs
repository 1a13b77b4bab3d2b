//! The names of the tools that a model was given, and which of them a damaged name means.

use crate::error::Code;
use crate::frame::CHANNELS;
use crate::header_grammar::is_name;
use crate::tool_name::{function_of, is_built_in, name_of};
use crate::wire_name::wire_names;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Characters that separate a namespace from a name; the format itself writes a dot.
pub(super) const SEPARATORS: [char; 3] = ['.', ':', '/'];

/// Content types that models write without a blank behind a name.
pub(super) const TYPES: [&str; 2] = ["json", "code"];

/// Up to this many names are compared one by one, which is faster than hashing.
const MAX_SCANNED: usize = 8;

/// The names of the tools that a model was given, without `functions.`.
#[derive(Clone, Debug, Default)]
pub struct ToolNames {
    names: Vec<String>,
    /// Those that were given with `functions.` and are named as functions of built-in tools.
    function_names: Vec<String>,
    /// The names under which prompts offer tools whose own names headers cannot hold, each with its tool.
    wires: Vec<(String, usize)>,
    /// Made by the first lookup that needs it, so that the cost of a lookup does not grow with the number of tools.
    index: OnceLock<Index>,
}

/// Tools by what of their names a damaged name still has.
#[derive(Clone, Debug, Default)]
struct Index {
    /// The place of each tool, by its name and by its name in prompts.
    exact: HashMap<String, usize>,
    /// By the name in lower case with dots for all separators. `None`: several tools.
    loose: HashMap<String, Option<usize>>,
    /// By the part behind the last dot. `None`: several tools.
    last: HashMap<String, Option<usize>>,
    /// Names with characters that recipients do not have, sorted, and their lengths in bytes, the longest first.
    odd: Vec<String>,
    odd_lengths: Vec<usize>,
}

impl Index {
    fn new(names: &[String], wires: &[(String, usize)]) -> Index {
        let mut index = Index::default();
        let names = names.iter().zip(0..);
        for (name, at) in names.clone().chain(wires.iter().map(|(wire, at)| (wire, *at))) {
            if index.exact.contains_key(name) {
                continue;
            }
            index.exact.insert(name.clone(), at);
            let only = |entry: &mut Option<usize>| *entry = entry.filter(|other| *other == at);
            index.loose.entry(loosely(name)).and_modify(only).or_insert(Some(at));
            let last = name.rsplit('.').next().unwrap_or(name);
            index.last.entry(last.to_owned()).and_modify(only).or_insert(Some(at));
            if !is_name(name) && !name.is_empty() {
                index.odd.push(name.clone());
                index.odd_lengths.push(name.len());
            }
        }
        index.odd.sort_unstable();
        index.odd_lengths.sort_unstable_by(|a, b| b.cmp(a));
        index.odd_lengths.dedup();
        index
    }
}

impl ToolNames {
    /// `functions.` before a name says that it is a function, also where it is named as a function of a built-in tool.
    pub fn new(names: impl IntoIterator<Item = String>) -> ToolNames {
        let mut function_names = Vec::new();
        let plain_name = |name: String| {
            let plain = name_of(&name);
            if plain.len() < name.len() && is_built_in(plain) {
                function_names.push(plain.to_owned());
            }
            plain.to_owned()
        };
        let names: Vec<String> = names.into_iter().map(plain_name).collect();
        let wires = wire_names(names.iter().map(String::as_str)).into_iter().enumerate();
        let renamed = |(at, wire)| if let Cow::Owned(wire) = wire { Some((wire, at)) } else { None };
        let wires = wires.filter_map(renamed).collect();
        ToolNames { names, function_names, wires, index: OnceLock::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The tool of this name, which may be its name in prompts.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = if self.names.len() <= MAX_SCANNED {
            let renamed = || self.wires.iter().find(|(wire, _)| wire == name).map(|(_, at)| *at);
            self.names.iter().position(|known| known == name).or_else(renamed)
        } else {
            self.index().exact.get(name).copied()
        };
        at.and_then(|at| self.name_at(at))
    }

    /// Whether a tool is a function that is named as a built-in tool or as one of its functions.
    pub(super) fn has_function(&self, name: &str) -> bool {
        self.function_names.iter().any(|known| known == name)
    }

    fn name_at(&self, at: usize) -> Option<&str> {
        self.names.get(at).map(String::as_str)
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::new(&self.names, &self.wires))
    }

    /// Whether a word is the name of a tool, with or without `functions.`.
    pub(super) fn names_tool(&self, word: &str) -> bool {
        self.contains(word) || function_of(word).is_some_and(|name| self.contains(name))
    }

    /// The length of the tool's name that a text begins with, `functions.` included, if the name has characters that
    /// recipients do not have, such as blanks: `functions.Web Search <|constrain|>json`. Other names end at the first
    /// such character, and need no list.
    pub(super) fn odd_name_length(&self, text: &str) -> Option<usize> {
        if self.names.is_empty() {
            return None;
        }
        let index = self.index();
        let name = name_of(text);
        let ends = |length: &usize| {
            let (name, behind) = name.split_at_checked(*length)?;
            let is_border = behind.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            (is_border && index.exact.contains_key(name)).then_some(text.len() - behind.len())
        };
        index.odd_lengths.iter().find_map(ends)
    }

    /// Whether a text that goes on may become such a name.
    pub(super) fn may_become_odd_name(&self, text: &str) -> bool {
        if self.names.is_empty() {
            return false;
        }
        let odd = &self.index().odd;
        let next = odd.partition_point(|name| name.as_str() <= text);
        odd.get(next).is_some_and(|name| name.starts_with(text))
    }

    /// The tool that a damaged name means, and what is wrong with the name: words of the header that are attached to
    /// it, other namespaces before it, other letters. `None` if it could be several tools.
    pub(super) fn find(&self, name: &str) -> Option<(&str, Code)> {
        if self.names.is_empty() {
            return None;
        }
        let bare = name.trim_matches(SEPARATORS);
        let untyped = TYPES.iter().find_map(|suffix| bare.strip_suffix(suffix)).unwrap_or(bare);
        let without_channel =
            CHANNELS.iter().find_map(|suffix| untyped.strip_suffix(suffix)).unwrap_or(untyped);
        for is_loose in [false, true] {
            for stem in [bare, untyped, without_channel] {
                if let Some((tool, written)) = self.find_inside(stem, is_loose) {
                    let code = if stem.len() < bare.len() && stem == untyped {
                        Code::GluedContentType
                    } else if stem.len() < name.len() || tool != written {
                        Code::OddToolName
                    } else {
                        Code::WrongNamespace
                    };
                    return Some((tool, code));
                }
            }
        }
        // `search` for `browser.search`.
        let last = bare.rsplit(SEPARATORS).next()?;
        let tool = self.name_at((*self.index().last.get(last)?)?)?;
        Some((tool, Code::WrongNamespace))
    }

    /// The tool whose name a text is, or has behind a separator; and the name as it stands there.
    fn find_inside<'t>(&self, text: &'t str, is_loose: bool) -> Option<(&str, &'t str)> {
        let mut rest = text;
        loop {
            let tool = if is_loose {
                self.index().loose.get(&loosely(rest)).copied().flatten()
            } else {
                self.index().exact.get(rest).copied()
            };
            if let Some(tool) = tool.and_then(|at| self.name_at(at)) {
                return Some((tool, rest));
            }
            rest = rest.split_once(SEPARATORS)?.1;
        }
    }
}

fn loosely(name: &str) -> String {
    let plain = |c: char| if SEPARATORS.contains(&c) { '.' } else { c.to_ascii_lowercase() };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_found_at_the_start_of_a_text() {
        let tools =
            ToolNames::new(["Web Search", "Web Search Pro", "get_wetter_für", "plain"].map(str::to_owned));
        let cases = [
            ("Web Search <x", Some("Web Search")),
            ("functions.Web Search Pro", Some("functions.Web Search Pro")),
            ("Web Searches", None),
            ("functions.get_wetter_für{}", Some("functions.get_wetter_für")),
            ("plain", None),
            ("Web", None),
        ];
        for (text, name) in cases {
            assert_eq!(tools.odd_name_length(text), name.map(str::len), "{text}");
        }
        assert!(tools.may_become_odd_name("Web Sea") && !tools.may_become_odd_name("pla"));
    }
}
