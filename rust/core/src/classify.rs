//! What a frame is: the recipient decides first, then the channel. The only place that knows which names are
//! built-in tools and what a channel means.

use crate::error::Code;
use crate::frame::{Header, Role};

/// What becomes of a frame in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Reasoning,
    Preamble,
    Text,
    ToolCall,
    ToolResult,
    System,
    Developer,
    /// A turn of somebody else in the middle of a completion.
    Stray,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Reasoning => "reasoning",
            Kind::Preamble => "preamble",
            Kind::Text => "text",
            Kind::ToolCall => "tool_call",
            Kind::ToolResult => "tool_result",
            Kind::System => "system_content",
            Kind::Developer => "developer_content",
            Kind::Stray => "stray",
        }
    }
}

/// The channels that the format defines.
pub const CHANNELS: [&str; 3] = ["analysis", "commentary", "final"];

/// The namespace of the user's own functions.
const FUNCTIONS: &str = "functions.";

/// Tools that stand on the wire under their own name.
const BUILT_IN: [&str; 3] = ["python", "browser", "container"];

pub(crate) fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name.split('.').next().unwrap_or(name))
}

/// The recipient of a call of this tool: `get_weather` gives `functions.get_weather`, built-in tools keep their name.
pub fn recipient_of(name: &str) -> String {
    if is_built_in(name) { name.to_owned() } else { format!("{FUNCTIONS}{name}") }
}

/// The name of the tool that a recipient (or the author of a result) stands for: the inverse of [`recipient_of`].
pub fn name_of(recipient: &str) -> &str {
    recipient.strip_prefix(FUNCTIONS).unwrap_or(recipient)
}

/// The names of the tools that a model was given, without `functions.`.
#[derive(Clone, Debug, Default)]
pub struct ToolNames(Vec<String>);

impl ToolNames {
    pub fn new(names: impl IntoIterator<Item = String>) -> ToolNames {
        ToolNames(names.into_iter().map(|name| name_of(&name).to_owned()).collect())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// The tool that a damaged name means, and what is wrong with the name.
    fn find(&self, name: &str) -> Option<(&str, Code)> {
        let known = |wanted: &str| self.0.iter().find(|known| *known == wanted).map(String::as_str);
        let glued = ["json", "code"].iter().find_map(|suffix| known(name.strip_suffix(suffix)?));
        if let Some(found) = glued {
            return Some((found, Code::GluedContentType));
        }
        let mut rest = name;
        while let Some((_, inner)) = rest.split_once('.') {
            if let Some(found) = known(inner) {
                return Some((found, Code::WrongNamespace));
            }
            rest = inner;
        }
        None
    }
}

/// The tool that a recipient names, and what is odd about it. `None` if it names no tool.
pub fn tool_of<'a>(recipient: &'a str, tools: &'a ToolNames) -> Option<(&'a str, Option<Code>)> {
    if recipient.is_empty() || recipient == "all" || Role::from_name(recipient).is_some() {
        return None;
    }
    let name = name_of(recipient);
    let in_functions = name.len() < recipient.len();
    if name.is_empty() {
        return Some((name, Some(Code::EmptyFunctionName)));
    }
    if in_functions && tools.contains(name) {
        return Some((name, None));
    }
    if !in_functions && tools.contains(name) {
        return Some((name, Some(Code::BareRecipient)));
    }
    if let Some((found, code)) = tools.find(name) {
        return Some((found, Some(code)));
    }
    let bare = !in_functions && !is_built_in(name);
    Some((name, bare.then_some(Code::BareRecipient)))
}

/// What a frame with this header is.
///
/// `turn_of` is the role whose completion is being read; `None` in a transcript, where every role has its say.
pub fn kind_of(header: &Header, turn_of: Option<Role>, tools: &ToolNames) -> Kind {
    if header.role == Role::Tool {
        return Kind::ToolResult;
    }
    if turn_of.is_some_and(|role| role != header.role) {
        return Kind::Stray;
    }
    match header.role {
        Role::System => Kind::System,
        Role::Developer => Kind::Developer,
        Role::User | Role::Tool => Kind::Text,
        Role::Assistant => {
            if header.recipient.as_deref().is_some_and(|to| tool_of(to, tools).is_some()) {
                return Kind::ToolCall;
            }
            match header.channel.as_deref() {
                Some("analysis") => Kind::Reasoning,
                Some("commentary") => Kind::Preamble,
                _ => Kind::Text,
            }
        }
    }
}

/// What is odd, but allowed, about a frame of this kind.
pub fn remarks(header: &Header, kind: Kind, tools: &ToolNames) -> Vec<Code> {
    let mut found = Vec::new();
    let channel = header.channel.as_deref();
    if kind == Kind::ToolCall {
        let recipient = header.recipient.as_deref().unwrap_or_default();
        found.extend(tool_of(recipient, tools).and_then(|(_, code)| code));
        match channel {
            Some("analysis") if !is_built_in(recipient) => found.push(Code::ToolCallOnAnalysis),
            Some("final") => found.push(Code::ToolCallOnFinal),
            _ => {}
        }
    } else if header.role == Role::Assistant && channel.is_none() {
        found.push(Code::MissingChannel);
    }
    if channel.is_some_and(|name| !CHANNELS.contains(&name)) {
        found.push(Code::UnknownChannel);
    }
    if let Some(content_type) = header.content_type.as_deref() {
        let plain = content_type.trim_start_matches("<|constrain|>");
        if !["json", "code", "text"].contains(&plain) {
            found.push(Code::UnknownContentType);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_recipients_are_inverse() {
        for name in ["get_weather", "math.sum", "python", "browser.search", "container.exec", "pythonic"] {
            assert_eq!(name_of(&recipient_of(name)), name);
        }
    }

    #[test]
    fn a_known_tool_is_found_under_a_damaged_name() {
        let tools = ToolNames::new(["get_weather".to_owned(), "functions.math.sum".to_owned()]);
        let cases = [
            ("functions.get_weather", "get_weather", None),
            ("functions.math.sum", "math.sum", None),
            ("get_weather", "get_weather", Some(Code::BareRecipient)),
            ("functions.get_weatherjson", "get_weather", Some(Code::GluedContentType)),
            ("tools.get_weather", "get_weather", Some(Code::WrongNamespace)),
            ("functions.functions.get_weather", "get_weather", Some(Code::WrongNamespace)),
            ("browser.search", "browser.search", None),
            ("functions.", "", Some(Code::EmptyFunctionName)),
        ];
        for (recipient, name, code) in cases {
            assert_eq!(tool_of(recipient, &tools), Some((name, code)), "{recipient}");
        }
        assert_eq!(tool_of("assistant", &tools), None);
    }
}
