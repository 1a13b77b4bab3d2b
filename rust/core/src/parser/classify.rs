//! What a frame is: the recipient decides first, then the channel. The only place that knows which names are
//! built-in tools and what a channel means.

use crate::error::Code;
use crate::frame::{CHANNELS, Header, Role};
use crate::marker::Marker;
use crate::tool_name::{behind_namespace, function_of, is_built_in, name_of};

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

    /// The tool that a damaged name means, and what is wrong with the name: words of the header that are glued to
    /// it, other namespaces before it, other letters. Of two tools that it could mean it means neither.
    fn find(&self, name: &str) -> Option<(&str, Code)> {
        let bare = name.trim_matches(SEPARATORS);
        let untyped = TYPES.iter().find_map(|suffix| bare.strip_suffix(suffix)).unwrap_or(bare);
        let without_channel =
            CHANNELS.iter().find_map(|suffix| untyped.strip_suffix(suffix)).unwrap_or(untyped);
        let exactly = |known: &str, wanted: &str| known == wanted;
        for same in [exactly, is_loosely] {
            for stem in [bare, untyped, without_channel] {
                if let Some((found, wanted)) = self.find_inside(stem, same) {
                    let code = if stem.len() < bare.len() && stem == untyped {
                        Code::GluedContentType
                    } else if stem.len() < name.len() || found != wanted {
                        Code::OddToolName
                    } else {
                        Code::WrongNamespace
                    };
                    return Some((found, code));
                }
            }
        }
        // `search` for `browser.search`.
        let last = bare.rsplit(SEPARATORS).next()?;
        let found = self.only(|known| known.rsplit('.').next() == Some(last))?;
        Some((found, Code::WrongNamespace))
    }

    /// The tool whose name a text is, or has behind a separator; and the name as it stands there.
    fn find_inside<'t>(&self, text: &'t str, same: fn(&str, &str) -> bool) -> Option<(&str, &'t str)> {
        let mut rest = text;
        loop {
            if let Some(found) = self.only(|known| same(known, rest)) {
                return Some((found, rest));
            }
            rest = rest.split_once(SEPARATORS)?.1;
        }
    }

    /// The one tool that fits.
    fn only(&self, fits: impl Fn(&str) -> bool) -> Option<&str> {
        let mut fitting = self.0.iter().filter(|known| fits(known));
        fitting.next().filter(|first| fitting.all(|other| other == *first)).map(String::as_str)
    }
}

/// What can stand between a namespace and a name, if it is not written with a dot.
const SEPARATORS: [char; 3] = ['.', ':', '/'];

/// Content types that are found glued to names.
const TYPES: [&str; 2] = ["json", "code"];

fn is_loosely(known: &str, wanted: &str) -> bool {
    let plain = |byte: u8| if matches!(byte, b':' | b'/') { b'.' } else { byte.to_ascii_lowercase() };
    known.len() == wanted.len() && known.bytes().zip(wanted.bytes()).all(|(a, b)| plain(a) == plain(b))
}

/// The tool that a recipient names, and what is odd about it. `None` if it names no tool.
pub fn tool_of<'a>(recipient: &'a str, tools: &'a ToolNames) -> Option<(&'a str, Option<Code>)> {
    let bare = recipient.trim_matches(SEPARATORS);
    let whom = bare.to_ascii_lowercase();
    if bare.is_empty() || whom == "all" || Role::from_name(&whom).is_some() {
        return None;
    }
    let name = name_of(recipient);
    let in_functions = function_of(recipient).is_some();
    if tools.contains(name) {
        let code = match (in_functions, is_built_in(name)) {
            (true, false) | (false, true) => None,
            (false, false) => Some(Code::BareRecipient),
            // A function may be named as a built-in tool: `functions.python` is the function.
            (true, true) => name.contains('.').then_some(Code::WrongNamespace),
        };
        return Some((name, code));
    }
    if let Some((found, code)) = tools.find(name) {
        return Some((found, Some(code)));
    }
    // Nobody knows the name: only what cannot be part of any is taken off.
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
    Some((inner, code))
}

/// The name behind `functions` and a separator, in upper or lower case letters.
fn without_functions(name: &str) -> Option<&str> {
    let rest = behind_namespace(name)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(SEPARATORS) }
}

/// What a frame with this header is.
///
/// `turn_of` is the role whose completion is being read; `None` in a transcript, where every role has its say.
pub fn kind_of(header: &Header, turn_of: Option<Role>, tools: &ToolNames) -> Kind {
    if header.role == Role::Tool {
        return Kind::ToolResult;
    }
    if turn_of.is_some_and(|role| role != header.role) {
        return Kind::ForeignTurn;
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

/// What the tokens of a frame's content are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBucket {
    Analysis,
    Commentary,
    Final,
    /// The content of other roles.
    Other,
}

/// By its channel; without one that the format defines, a call counts as commentary, and all else as the answer.
pub fn bucket_of(header: &Header) -> ChannelBucket {
    let calls = |to: &str| tool_of(to, &ToolNames::default()).is_some();
    match (header.role, header.channel.as_deref()) {
        (Role::Assistant | Role::Tool, Some("analysis")) => ChannelBucket::Analysis,
        (Role::Assistant | Role::Tool, Some("commentary")) => ChannelBucket::Commentary,
        (Role::Assistant, Some("final")) => ChannelBucket::Final,
        (Role::Assistant, _) if header.recipient.as_deref().is_some_and(calls) => ChannelBucket::Commentary,
        (Role::Assistant, _) => ChannelBucket::Final,
        _ => ChannelBucket::Other,
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
        let plain = content_type.trim_start_matches(Marker::Constrain.spelling());
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
        for nobody in ["assistant", "Assistant", "user.", "all", "", "."] {
            assert_eq!(tool_of(nobody, &tools), None);
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
