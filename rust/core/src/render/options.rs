//! The options of rendering.

use crate::frame::Role;
use crate::message::Tool;
use serde_json::Value;

/// The rules that the prompt's text follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// Headers in the order in which models write them; every construct of JSON Schema.
    #[default]
    Motet,
    /// The ids of openai-harmony 0.0.8.
    OpenaiHarmony,
    /// The ids of oss-harmony 0.0.11: the recipient behind the channel if that is commentary, behind the author
    /// otherwise, and each content type behind `<|constrain|>`.
    OssHarmony,
    /// The text of gpt-oss's published chat template, with its own rule for which reasoning is kept.
    ChatTemplate,
}

/// Which reasoning of earlier frames stays in the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAnalysis {
    /// The reasoning of the running turn; reasoning before the last final answer is dropped.
    #[default]
    Turn,
    /// All reasoning.
    All,
    /// No reasoning.
    None,
    /// The rule of openai-harmony 0.0.8: if the assistant's last frame is final, every analysis frame before the first
    /// final is dropped, tool calls and results included; otherwise nothing is dropped.
    OpenaiHarmony,
}

/// How much the model reasons, as the system frame states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    Low,
    #[default]
    Medium,
    High,
}

impl Effort {
    pub const fn as_str(self) -> &'static str {
        match self {
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
        }
    }
}

/// A tool that gpt-oss was trained with. Prompts describe them in the order of their names, as openai-harmony does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Builtin {
    Browser,
    Container,
    Python,
    RepoBrowser,
}

impl Builtin {
    pub const ALL: [Builtin; 4] =
        [Builtin::Browser, Builtin::Container, Builtin::Python, Builtin::RepoBrowser];

    /// The name in recipients, before the dot of a function's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Builtin::Browser => "browser",
            Builtin::Container => "container",
            Builtin::Python => "python",
            Builtin::RepoBrowser => "repo_browser",
        }
    }

    /// The names of its functions, as calls bear them.
    pub const fn functions(self) -> &'static [&'static str] {
        match self {
            Builtin::Browser => &["browser.search", "browser.open", "browser.find"],
            Builtin::Container => &["container.exec"],
            Builtin::Python => &["python"],
            Builtin::RepoBrowser => &[
                "repo_browser.print_tree",
                "repo_browser.search",
                "repo_browser.open_file",
                "repo_browser.list_dir",
                "repo_browser.apply_patch",
            ],
        }
    }
}

/// The schema that the answer has to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseFormat {
    pub name: String,
    pub description: Option<String>,
    /// JSON Schema.
    pub schema: Value,
}

/// The content of a prompt besides its messages, and how it is rendered.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    pub tools: Vec<Tool>,
    pub builtin_tools: Vec<Builtin>,
    pub instructions: Option<String>,
    pub response_format: Option<ResponseFormat>,
    pub reasoning_effort: Effort,
    /// As `2025-06-28`; `None`: the prompt has no date.
    pub current_date: Option<String>,
    pub identity: String,
    pub knowledge_cutoff: Option<String>,
    /// The role whose header ends the prompt; `None`: no header.
    pub next_role: Option<Role>,
    pub keep_analysis: KeepAnalysis,
    pub dialect: Dialect,
    /// Leave the last frame open, without its stop token, for the model to continue: a prefill. The last message must
    /// be the assistant's; `next_role` is ignored.
    pub continue_final_message: bool,
    /// Refuse what would otherwise be a [`Note`](super::Note) on the prompt.
    pub strict: bool,
}

impl Default for RenderOptions {
    fn default() -> RenderOptions {
        RenderOptions {
            tools: Vec::new(),
            builtin_tools: Vec::new(),
            instructions: None,
            response_format: None,
            reasoning_effort: Effort::default(),
            current_date: None,
            identity: "You are ChatGPT, a large language model trained by OpenAI.".to_owned(),
            knowledge_cutoff: Some("2024-06".to_owned()),
            next_role: Some(Role::Assistant),
            keep_analysis: KeepAnalysis::default(),
            dialect: Dialect::default(),
            continue_final_message: false,
            strict: false,
        }
    }
}
