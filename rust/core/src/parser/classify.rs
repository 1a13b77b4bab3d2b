//! Classifies frames: by the recipient first, then by the channel.

use crate::error::Code;
use crate::frame::{CHANNELS, Header, Role};
use crate::marker::Marker;
use crate::parser::tool_names::{SEPARATORS, ToolNames};
use crate::tool_name::{behind_namespace, is_built_in, name_of};

/// The kind of part that a frame becomes in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Reasoning,
    Preamble,
    Text,
    ToolCall,
    ToolResult,
    System,
    Developer,
    /// A user, system or developer frame inside a completion.
    ForeignTurn,
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
            Kind::ForeignTurn => "stray",
        }
    }
}

/// Content types with a known meaning.
const KNOWN_TYPES: [&str; 3] = ["json", "code", "text"];

/// Words that models write in the place of a recipient when the frame has none.
const PLACEHOLDERS: [&str; 9] =
    ["none", "null", "nil", "nobody", "undefined", "n/a", "self", "me", Role::Tool.as_str()];

/// The meaning of a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// A tool by its name without `functions.`, and what is odd about the recipient.
    Tool(&'a str, Option<Code>),
    /// A channel in the place of a recipient.
    Channel(&'static str),
    /// A role, or `all`.
    Participant,
    /// Neither: `none`, `tool:`, punctuation.
    Placeholder,
}

/// What a recipient stands for.
pub fn addressee<'a>(recipient: &'a str, tools: &'a ToolNames) -> Addressee<'a> {
    let name = name_of(recipient);
    let in_functions = name.len() < recipient.len();
    if let Some(tool) = tools.get(name) {
        let code = match (in_functions, is_built_in(name)) {
            (false, false) => Some(Code::BareRecipient),
            // A function may be named as a built-in tool: `functions.python` is the function.
            (true, true) => (name.contains('.') && !tools.has_function(name)).then_some(Code::WrongNamespace),
            _ => None,
        };
        return Addressee::Tool(tool, code);
    }
    let bare = recipient.trim_matches(SEPARATORS);
    if !in_functions && let Some(other) = not_a_tool(recipient, bare) {
        return other;
    }
    if let Some((tool, code)) = tools.find(name) {
        return Addressee::Tool(tool, Some(code));
    }
    // From an unknown name, only characters outside of names are removed.
    let mut inner = bare;
    while let Some(rest) = without_functions(inner) {
        inner = rest;
    }
    let code = if inner.is_empty() {
        Some(Code::EmptyFunctionName)
    } else if inner == name {
        (!in_functions && !is_built_in(name)).then_some(Code::BareRecipient)
    } else if bare.len() < recipient.len() {
        Some(Code::OddToolName)
    } else {
        Some(Code::WrongNamespace)
    };
    Addressee::Tool(inner, code)
}

/// The recipient as a role, a channel or a word for none of them.
fn not_a_tool(recipient: &str, bare: &str) -> Option<Addressee<'static>> {
    let same = |word: &&str| bare.eq_ignore_ascii_case(word);
    if recipient == "all" || Role::from_name(recipient).is_some_and(|role| role != Role::Tool) {
        return Some(Addressee::Participant);
    }
    if let Some(channel) = channel_named(bare) {
        return Some(Addressee::Channel(channel));
    }
    let is_role = Role::ALL.into_iter().any(|role| same(&role.as_str()));
    let is_placeholder = bare.is_empty() || is_role || same(&"all") || PLACEHOLDERS.iter().any(same);
    is_placeholder.then_some(Addressee::Placeholder)
}

/// The tool that a recipient names, and what is odd about it. `None` if it names no tool.
pub fn tool_of<'a>(recipient: &'a str, tools: &'a ToolNames) -> Option<(&'a str, Option<Code>)> {
    match addressee(recipient, tools) {
        Addressee::Tool(name, code) => Some((name, code)),
        _ => None,
    }
}

/// The name behind `functions` and a separator, in upper or lower case letters.
fn without_functions(name: &str) -> Option<&str> {
    let rest = behind_namespace(name)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(SEPARATORS) }
}

/// The classification of a frame by its header.
#[derive(Clone, Debug)]
pub struct Classification {
    pub kind: Kind,
    /// The name of the called tool, without `functions.`.
    pub tool: Option<String>,
    /// What is odd about the header's values.
    pub codes: Vec<Code>,
}

impl Classification {
    /// The classification of a frame without a header.
    pub(super) const fn of_kind(kind: Kind) -> Classification {
        Classification { kind, tool: None, codes: Vec::new() }
    }
}

/// Classifies a frame by its header.
///
/// `turn_of` is the role whose completion is parsed; `None` in a transcript, where frames of all roles are expected.
pub fn classify(header: &Header, turn_of: Option<Role>, tools: &ToolNames) -> Classification {
    let mut codes = Vec::new();
    let addressee = header.recipient.as_deref().map(|to| (to, addressee(to, tools)));
    match addressee {
        Some((_, Addressee::Channel(_))) => codes.push(Code::ChannelAsRecipient),
        Some((_, Addressee::Placeholder)) => codes.push(Code::NoRecipient),
        _ => {}
    }
    let channel = match addressee {
        Some((_, Addressee::Channel(channel))) => Some(channel),
        _ => header.channel.as_deref(),
    };
    let mut tool = None;
    let kind = match (header.role, turn_of) {
        (Role::Tool, _) => Kind::ToolResult,
        (role, Some(turn)) if role != turn => Kind::ForeignTurn,
        (Role::System, _) => Kind::System,
        (Role::Developer, _) => Kind::Developer,
        (Role::User, _) => Kind::Text,
        (Role::Assistant, _) => match (addressee, channel) {
            (Some((recipient, Addressee::Tool(name, code))), _) => {
                tool = Some(name.to_owned());
                codes.extend(code);
                match channel {
                    Some("analysis") if !is_built_in(recipient) => codes.push(Code::ToolCallOnAnalysis),
                    Some("final") => codes.push(Code::ToolCallOnFinal),
                    _ => {}
                }
                Kind::ToolCall
            }
            (_, Some("analysis")) => Kind::Reasoning,
            (_, Some("commentary")) => Kind::Preamble,
            _ => Kind::Text,
        },
    };
    if kind != Kind::ToolCall && header.role == Role::Assistant && channel.is_none() {
        codes.push(Code::MissingChannel);
    }
    if channel.is_some_and(|name| !CHANNELS.contains(&name)) {
        codes.push(Code::UnknownChannel);
    }
    if let Some(content_type) = header.content_type.as_deref() {
        let plain = content_type.trim_start_matches(Marker::Constrain.spelling());
        if !KNOWN_TYPES.contains(&plain) {
            codes.push(Code::UnknownContentType);
        }
    }
    Classification { kind, tool, codes }
}

/// The channel that counts: that of the header, unless the recipient is a channel.
pub fn channel_of(header: &Header) -> Option<&str> {
    let recipient = header.recipient.as_deref().map(|to| to.trim_matches(SEPARATORS));
    recipient.and_then(channel_named).or(header.channel.as_deref())
}

/// The channel with a name, in upper or lower case letters.
fn channel_named(name: &str) -> Option<&'static str> {
    CHANNELS.into_iter().find(|channel| name.eq_ignore_ascii_case(channel))
}

/// What the tokens of a frame's content are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBucket {
    Analysis,
    Commentary,
    Final,
    /// The content of other roles.
    Other,
}

/// The bucket of a frame: its channel; without one that the format defines, reasoning counts as analysis, a call as
/// commentary, and everything else as the answer.
pub fn bucket_of(kind: Kind, header: &Header) -> ChannelBucket {
    match (header.role, channel_of(header)) {
        (Role::Assistant | Role::Tool, Some("analysis")) => ChannelBucket::Analysis,
        (Role::Assistant | Role::Tool, Some("commentary")) => ChannelBucket::Commentary,
        (Role::Assistant, Some("final")) => ChannelBucket::Final,
        (Role::Assistant, _) if kind == Kind::Reasoning => ChannelBucket::Analysis,
        (Role::Assistant, _) if kind == Kind::ToolCall => ChannelBucket::Commentary,
        (Role::Assistant, _) => ChannelBucket::Final,
        _ => ChannelBucket::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tool_is_found_under_a_damaged_name() {
        let tools = ToolNames::new(["get_weather", "functions.math.sum", "python"].map(str::to_owned));
        let cases = [
            ("functions.get_weather", "get_weather", None),
            ("functions.math.sum", "math.sum", None),
            ("get_weather", "get_weather", Some(Code::BareRecipient)),
            ("functions.get_weatherjson", "get_weather", Some(Code::GluedContentType)),
            ("tools.get_weather", "get_weather", Some(Code::WrongNamespace)),
            ("functions.functions.get_weather", "get_weather", Some(Code::WrongNamespace)),
            ("browser.search", "browser.search", None),
            ("functions.", "", Some(Code::EmptyFunctionName)),
            ("functions.get_weather.", "get_weather", Some(Code::OddToolName)),
            ("get_weathercommentary", "get_weather", Some(Code::OddToolName)),
            ("functions.get_weathercommentaryjson", "get_weather", Some(Code::OddToolName)),
            ("Functions.Get_Weather", "get_weather", Some(Code::OddToolName)),
            ("GET_WEATHER", "get_weather", Some(Code::OddToolName)),
            ("functions:get_weather", "get_weather", Some(Code::WrongNamespace)),
            ("api/v1/math.sum", "math.sum", Some(Code::WrongNamespace)),
            ("sum", "math.sum", Some(Code::WrongNamespace)),
            ("math:sum", "math.sum", Some(Code::OddToolName)),
            ("python", "python", None),
            ("functions.python", "python", None),
            ("functions.unknown", "unknown", None),
            ("unknown", "unknown", Some(Code::BareRecipient)),
            ("get_weather_json", "get_weather_json", Some(Code::BareRecipient)),
        ];
        for (recipient, name, code) in cases {
            assert_eq!(tool_of(recipient, &tools), Some((name, code)), "{recipient}");
        }
        for other in ["assistant", "Assistant", "user.", "all", "", ".", "tool:", "none", "final", "Analysis"]
        {
            assert_eq!(tool_of(other, &tools), None);
        }
    }

    #[test]
    fn a_function_may_be_named_as_one_of_a_built_in_tool() {
        let tools = ToolNames::new(["functions.container.exec", "browser.open"].map(str::to_owned));
        let cases = [
            ("functions.container.exec", "container.exec", None),
            ("container.exec", "container.exec", None),
            ("functions.browser.open", "browser.open", Some(Code::WrongNamespace)),
        ];
        for (recipient, name, code) in cases {
            assert_eq!(tool_of(recipient, &tools), Some((name, code)), "{recipient}");
        }
    }

    #[test]
    fn a_name_that_could_be_two_tools_is_none_of_them() {
        let tools = ["open", "Open", "a.find", "b.find"].map(str::to_owned);
        let tools = ToolNames::new(tools);
        assert_eq!(tool_of("functions.OPEN", &tools), Some(("OPEN", None)));
        assert_eq!(tool_of("functions.find", &tools), Some(("find", None)));
        assert_eq!(tool_of("functions.Open", &tools), Some(("Open", None)));
    }

    #[test]
    fn without_tools_only_what_is_no_name_is_taken_off() {
        let cases = [
            ("functions.f", "f", None),
            ("functions.f.", "f", Some(Code::OddToolName)),
            ("Functions.f", "f", Some(Code::WrongNamespace)),
            ("functions.functions.f", "f", Some(Code::WrongNamespace)),
            ("functions/f", "f", Some(Code::WrongNamespace)),
            ("functions", "", Some(Code::EmptyFunctionName)),
            ("functions..", "", Some(Code::EmptyFunctionName)),
            ("functionsjson", "functionsjson", Some(Code::BareRecipient)),
            ("functions.geojson", "geojson", None),
            ("tools.f", "tools.f", Some(Code::BareRecipient)),
            ("browser.search", "browser.search", None),
        ];
        for (recipient, name, code) in cases {
            assert_eq!(tool_of(recipient, &ToolNames::default()), Some((name, code)), "{recipient}");
        }
    }
}
