//! Frames: what stands on the wire, flat and exactly as written. Plain data; no rule of the format lives here.

/// Who speaks in a frame.
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

/// The channels that the format defines.
pub const CHANNELS: [&str; 3] = ["analysis", "commentary", "final"];

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
    /// Whom the frame is for, without `to=`.
    pub recipient: Option<String>,
    /// `None`: where the dialect puts it.
    pub recipient_at: Option<RecipientPosition>,
    pub channel: Option<String>,
    /// With its marker, if it has one: `<|constrain|>json`, `json`, `code`.
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
    /// The frame was written without its `<|start|>`, or without any header.
    pub implied: bool,
}
