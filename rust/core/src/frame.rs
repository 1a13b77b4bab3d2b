//! Frames: one header and content each, exactly as written. Plain data without rules of the format.

/// The role of a frame's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// A tool; its frame's header begins with the tool's name in place of a role.
    Tool,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool];

    pub const fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }

    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// Reasoning.
pub const ANALYSIS: &str = "analysis";
/// Tool calls, and text to the user that precedes them.
pub const COMMENTARY: &str = "commentary";
/// The answer.
pub const FINAL: &str = "final";

/// The channels that the format defines.
pub const CHANNELS: [&str; 3] = [ANALYSIS, COMMENTARY, FINAL];

/// Where in its header the recipient (` to=...`) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientPosition {
    /// Behind the role: `assistant to=functions.f<|channel|>commentary`.
    Role,
    /// Behind the channel: `assistant<|channel|>commentary to=functions.f`, as models write it.
    Channel,
}

/// What stands between `<|start|>` and `<|message|>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    pub role: Role,
    /// The author of a tool frame (`functions.get_weather`), or the name of a user.
    pub name: Option<String>,
    /// The recipient, without `to=`.
    pub recipient: Option<String>,
    /// `None`: the dialect's usual position.
    pub recipient_at: Option<RecipientPosition>,
    pub channel: Option<String>,
    /// As written, with its marker if present: `<|constrain|>json`, `json`, `code`.
    pub content_type: Option<String>,
}

impl Header {
    /// A header with a role and nothing else.
    pub const fn new(role: Role) -> Header {
        Header { role, name: None, recipient: None, recipient_at: None, channel: None, content_type: None }
    }
}

/// The token that ended a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    Return,
    Call,
    End,
}

impl Stop {
    pub const fn as_str(self) -> &'static str {
        match self {
            Stop::Return => "return",
            Stop::Call => "call",
            Stop::End => "end",
        }
    }

    pub fn from_name(name: &str) -> Option<Stop> {
        [Stop::Return, Stop::Call, Stop::End].into_iter().find(|stop| stop.as_str() == name)
    }
}

/// One frame: `<|start|>header<|message|>content<|end|>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    pub header: Header,
    pub content: String,
    /// `None`: the input ended before a stop token.
    pub stop: Option<Stop>,
    /// True if the `<|start|>` or the whole header is missing in the input.
    pub implied: bool,
}
