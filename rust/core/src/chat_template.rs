//! A conversation as gpt-oss's published chat template writes it: which frames it makes of messages, what it leaves
//! out, and what it raises for. The template knows chat dicts only, so each message is taken for the dict that says
//! the same: reasoning is its `thinking`, all other text its `content`.

use crate::error::RenderError;
use crate::frame::{Header, RecipientPosition, Role, Stop};
use crate::front::has_functions;
use crate::json::{Fault, Json};
use crate::message::{Developer, Message, Part, ToolCall, ToolResult};
use crate::render::{Draft, KeepAnalysis, Settings, draft, generated};
use crate::tool_name::name_of;
use crate::{header_grammar, template};
use std::sync::Arc;

pub(crate) mod schema;

/// What the template refuses in the assistant's text: signs that a whole completion was passed as content.
const CHANNEL_MARKERS: [&str; 2] = ["<|channel|>analysis<|message|>", "<|channel|>final<|message|>"];

/// The settings that the template gives: it names one cutoff, and what it keeps it decides itself.
pub(crate) fn settled(settings: Settings) -> Settings {
    let knowledge_cutoff = Some("2024-06".to_owned());
    Settings { knowledge_cutoff, keep_analysis: KeepAnalysis::All, ..settings }
}

/// The frames made from the settings, and those of each message.
pub(crate) fn frames(
    messages: &[Message],
    settings: &Settings,
) -> Result<(Vec<Arc<Draft>>, Vec<Made>), RenderError> {
    if !matches!(settings.next_role, None | Some(Role::Assistant)) {
        return Err(refuse("next_role must be assistant or none: the chat template prompts for nobody else"));
    }
    if settings.response_format.is_some() {
        return Err(refuse("the chat template has no place for a response_format"));
    }
    if settings.current_date.is_none() {
        return Err(refuse("the chat template names the day, so it needs a current_date"));
    }
    let first = messages.first().filter(|message| matches!(message.role, Role::System | Role::Developer));
    let (developer, with_functions) = developer(first, settings)?;
    let mut preface = vec![generated(Role::System, template::system(settings, with_functions)?)];
    let mut made = Vec::with_capacity(messages.len());
    if let Some(first) = first {
        let mut making = Making::new(first);
        if let Some(text) = developer {
            making.put(draft(Header::new(Role::Developer), text), &Said::by(first, spoken).parts)?;
        }
        made.push(making.done());
    } else if let Some(text) = developer {
        preface.push(generated(Role::Developer, text));
    }
    let mut history = History { called: None, last_answer: messages.iter().rposition(is_answer) };
    for (at, message) in messages.iter().enumerate().skip(made.len()) {
        let is_last = settings.next_role.is_none() && at + 1 == messages.len();
        let place = |error: RenderError| RenderError { at: Some(at), ..error };
        made.push(history.message(at, message, is_last).map_err(place)?);
    }
    Ok((preface, made))
}

fn refuse(message: &str) -> RenderError {
    RenderError { message: message.to_owned(), at: None }
}

/// The text of the developer frame, if there is one, and whether it offers functions.
fn developer(first: Option<&Message>, settings: &Settings) -> Result<(Option<String>, bool), RenderError> {
    let parts = first.map_or(&[][..], |message| &message.content);
    let bare = settings.instructions.is_none() && settings.tools.is_empty();
    if let [Part::Developer(read @ Developer { text: Some(text), .. })] = parts
        && bare
    {
        return Ok((Some(text.clone()), has_functions(read)));
    }
    let mut tools = settings.tools.clone();
    for part in parts {
        if let Part::Developer(developer) = part {
            tools.extend_from_slice(&developer.tools);
        }
    }
    let own = first.map(|message| Said::by(message, spoken).text);
    let instructions = [settings.instructions.clone(), own].into_iter().flatten();
    let instructions: Vec<String> = instructions.filter(|text| !text.is_empty()).collect();
    let mut out = String::new();
    if !instructions.is_empty() {
        out = format!("# Instructions\n\n{}\n\n", instructions.join("\n\n"));
    }
    if !tools.is_empty() {
        out.push_str(&template::functions(&tools, settings.dialect)?);
    }
    Ok(((!out.is_empty()).then_some(out), !tools.is_empty()))
}

/// What a message says in one of the template's fields, and the parts that say it.
struct Said {
    text: String,
    parts: Vec<usize>,
}

impl Said {
    fn by(message: &Message, field: fn(&Part) -> Option<&str>) -> Said {
        let mut said = Said { text: String::new(), parts: Vec::new() };
        for (at, part) in message.content.iter().enumerate() {
            if let Some(text) = field(part) {
                said.text.push_str(text);
                said.parts.push(at);
            }
        }
        said
    }

    /// Refuses a whole completion passed as text.
    fn unmarked(self, field: &str) -> Result<Said, RenderError> {
        match CHANNEL_MARKERS.iter().find(|marker| self.text.contains(*marker)) {
            Some(marker) => Err(refuse(&format!(
                "{field} holds {marker}, which the chat template refuses: reasoning belongs in thinking, the \
                 answer in content, both without markers"
            ))),
            None => Ok(self),
        }
    }
}

/// The field `content`.
fn spoken(part: &Part) -> Option<&str> {
    match part {
        Part::Text { text, .. } | Part::Preamble { text, .. } | Part::System { text } => Some(text),
        Part::Developer(developer) => Some(&developer.instructions),
        Part::Reasoning { .. } | Part::ToolCall(_) | Part::ToolResult(_) => None,
    }
}

/// The field `thinking`.
fn thought(part: &Part) -> Option<&str> {
    if let Part::Reasoning { text, .. } = part { Some(text) } else { None }
}

fn calls(message: &Message) -> impl Iterator<Item = (usize, &ToolCall)> {
    message.content.iter().enumerate().filter_map(|(at, part)| match part {
        Part::ToolCall(call) => Some((at, call)),
        _ => None,
    })
}

fn results(message: &Message) -> impl Iterator<Item = (usize, &ToolResult)> {
    message.content.iter().enumerate().filter_map(|(at, part)| match part {
        Part::ToolResult(result) => Some((at, result)),
        _ => None,
    })
}

/// Whether the assistant says something without calling a tool: the reasoning before it is of no use any more.
fn is_answer(message: &Message) -> bool {
    message.role == Role::Assistant
        && calls(message).next().is_none()
        && message.content.iter().any(|part| !matches!(part, Part::ToolResult(_)))
}

/// The frames of a message, and the parts of it that have none.
pub(crate) struct Made {
    pub(crate) drafts: Vec<Arc<Draft>>,
    pub(crate) left_out: Vec<usize>,
}

/// The frames of a message in the making.
struct Making {
    drafts: Vec<Arc<Draft>>,
    /// For each part whether a frame shows it.
    shown: Vec<bool>,
}

impl Making {
    fn new(message: &Message) -> Making {
        Making { drafts: Vec::new(), shown: vec![false; message.content.len()] }
    }

    fn put(&mut self, draft: Draft, parts: &[usize]) -> Result<(), RenderError> {
        header_grammar::header(&draft.frame.header, None)?;
        for part in parts {
            self.shown[*part] = true;
        }
        self.drafts.push(Arc::new(draft.of(parts.first().copied().unwrap_or_default())));
        Ok(())
    }

    fn done(self) -> Made {
        let shown = self.shown.into_iter().enumerate();
        Made { drafts: self.drafts, left_out: shown.filter(|(_, shown)| !shown).map(|(at, _)| at).collect() }
    }
}

/// What the template remembers between messages.
struct History<'a> {
    /// The name of the last call, until the assistant answers.
    called: Option<&'a str>,
    /// The index of the last message in which the assistant answers.
    last_answer: Option<usize>,
}

impl<'a> History<'a> {
    fn message(&mut self, at: usize, message: &'a Message, is_last: bool) -> Result<Made, RenderError> {
        let mut making = Making::new(message);
        let said = Said::by(message, spoken);
        match message.role {
            Role::User if !said.parts.is_empty() => {
                making.put(draft(Header::new(Role::User), said.text), &said.parts)?;
            }
            Role::Assistant => self.assistant(at, message, is_last, &mut making)?,
            Role::Tool if !said.parts.is_empty() => {
                let content = Json::Text(said.text).to_string();
                making.put(draft(self.author()?, content), &said.parts)?;
            }
            _ => {}
        }
        for (part, result) in results(message) {
            let content = if result.is_json {
                python_json(&result.content)?
            } else {
                Json::Text(result.content.clone()).to_string()
            };
            making.put(draft(self.author()?, content), &[part])?;
        }
        Ok(making.done())
    }

    fn assistant(
        &mut self,
        at: usize,
        message: &'a Message,
        is_last: bool,
        making: &mut Making,
    ) -> Result<(), RenderError> {
        let content = Said::by(message, spoken).unmarked("content")?;
        let thinking = Said::by(message, thought).unmarked("thinking")?;
        let on = |channel: &str| Header { channel: Some(channel.to_owned()), ..Header::new(Role::Assistant) };
        if let Some((part, call)) = calls(message).next() {
            let analysis = match (content.text.is_empty(), thinking.text.is_empty()) {
                (false, false) => {
                    return Err(refuse(
                        "holds both content and thinking beside tool calls, where the chat template has one \
                         place for the two: leave one out",
                    ));
                }
                (false, true) => content,
                (true, _) => thinking,
            };
            if !analysis.text.is_empty() && self.last_answer < Some(at) {
                making.put(draft(on("analysis"), analysis.text), &analysis.parts)?;
            }
            making.put(call_draft(call)?, &[part])?;
            self.called = Some(name_of(&call.name));
        } else if is_answer(message) {
            // Reasoning alone has an empty answer: a dict that says so has an empty content.
            let mut answer = draft(on("final"), content.text);
            if is_last && results(message).next().is_none() {
                if !thinking.parts.is_empty() {
                    making.put(draft(on("analysis"), thinking.text), &thinking.parts)?;
                }
                answer.frame.stop = Some(Stop::Return);
            }
            making.put(answer, &content.parts)?;
            self.called = None;
        }
        Ok(())
    }

    /// The header of a result: it is named after the last call, whatever it says itself.
    fn author(&self) -> Result<Header, RenderError> {
        let name = self.called.ok_or_else(|| {
            refuse(
                "is a tool's result, and no tool call stands before it: the chat template names results after \
                 the last call",
            )
        })?;
        Ok(Header {
            name: Some(format!("functions.{name}")),
            recipient: Some("assistant".to_owned()),
            recipient_at: Some(RecipientPosition::Role),
            channel: Some("commentary".to_owned()),
            ..Header::new(Role::Tool)
        })
    }
}

fn call_draft(call: &ToolCall) -> Result<Draft, RenderError> {
    let header = Header {
        recipient: Some(format!("functions.{}", name_of(&call.name))),
        recipient_at: Some(RecipientPosition::Role),
        channel: Some("commentary".to_owned()),
        content_type: Some("json".to_owned()),
        ..Header::new(Role::Assistant)
    };
    let mut draft = draft(header, python_json(&call.arguments)?);
    draft.frame.stop = Some(Stop::Call);
    Ok(draft)
}

/// A JSON text as Python would write its value; a text that is none, as a string.
fn python_json(text: &str) -> Result<String, RenderError> {
    match Json::parse(text) {
        Ok(value) => Ok(value.to_string()),
        Err(Fault::NotJson) => Ok(Json::Text(text.to_owned()).to_string()),
        Err(Fault::TooDeep) => Err(refuse("holds JSON that is nested too deep")),
    }
}
