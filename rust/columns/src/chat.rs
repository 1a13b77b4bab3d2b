//! Conversations in the plain shape of OpenAI's chat messages, which nearly all data sets have: texts, reasoning, calls.
//! Every other shape is left to the reader in Python, `motet.dialects`, which knows all of them and their errors.

use motet::tool_name::name_of;
use motet::{Developer, Message, Part, Role, ToolCall, ToolResult};
use serde_json::{Map, Value};

const REASONING_KEYS: [&str; 3] = ["reasoning", "reasoning_content", "thinking"];

/// The messages; `None` if one of them has another shape.
pub(crate) fn read(conversation: &Value) -> Option<Vec<Message>> {
    conversation.as_array()?.iter().map(message).collect()
}

fn message(value: &Value) -> Option<Message> {
    let shape = Shape(value.as_object()?);
    if shape.get("type").is_some() {
        return None;
    }
    let (role, name, content) = match shape.get("role")?.as_str()? {
        "system" | "developer" => (Role::Developer, None, instructions(shape)?),
        "user" => (Role::User, shape.text("name")?.map(str::to_owned), vec![answer(shape.text("content")??)]),
        "assistant" => (Role::Assistant, None, assistant_parts(shape)?),
        "tool" | "function" => (Role::Tool, None, vec![Part::ToolResult(result(shape)?)]),
        _ => return None,
    };
    Some(Message { role, name, content })
}

/// The keys of a message. A null is as good as no key.
#[derive(Clone, Copy)]
struct Shape<'a>(&'a Map<String, Value>);

impl<'a> Shape<'a> {
    fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text, or nothing; `None` for any other value.
    fn text(self, key: &str) -> Option<Option<&'a str>> {
        self.get(key).map_or(Some(None), |value| value.as_str().map(Some))
    }
}

fn answer(text: &str) -> Part {
    Part::Text { text: text.to_owned(), channel: None, content_type: None }
}

fn instructions(shape: Shape<'_>) -> Option<Vec<Part>> {
    if shape.get("tools").is_some() {
        return None;
    }
    let text = shape.text("content")?.unwrap_or_default();
    // Nothing is rendered of a message without instructions.
    let part = Developer { instructions: text.to_owned(), tools: Vec::new(), text: None };
    Some(if text.is_empty() { Vec::new() } else { vec![Part::Developer(part)] })
}

fn assistant_parts(shape: Shape<'_>) -> Option<Vec<Part>> {
    if shape.get("refusal").is_some() || shape.get("function_call").is_some() {
        return None;
    }
    let mut reasoning = None;
    for key in REASONING_KEYS {
        match shape.text(key)? {
            Some(text) if !text.is_empty() => {
                reasoning = Some(Part::Reasoning { text: text.to_owned(), content_type: None });
                break;
            }
            _ => {}
        }
    }
    let calls: Vec<Part> = match shape.get("tool_calls") {
        None => Vec::new(),
        Some(calls) => calls.as_array()?.iter().map(call).collect::<Option<_>>()?,
    };
    let content = shape.text("content")?;
    if content.is_none() && calls.is_empty() && reasoning.is_none() {
        return None;
    }
    let text = match content.unwrap_or_default() {
        "" if calls.is_empty() && reasoning.is_none() => Some(answer("")),
        "" => None,
        text if calls.is_empty() => Some(answer(text)),
        text => Some(Part::Preamble { text: text.to_owned(), content_type: None }),
    };
    Some(reasoning.into_iter().chain(text).chain(calls).collect())
}

fn call(value: &Value) -> Option<Part> {
    let call = Shape(value.as_object()?);
    let function = Shape(call.get("function")?.as_object()?);
    let arguments = function.text("arguments")?.filter(|text| !text.is_empty()).unwrap_or("{}");
    Some(Part::ToolCall(ToolCall::new(
        call.text("id")?.unwrap_or_default().to_owned(),
        name_of(function.text("name")??).to_owned(),
        arguments.to_owned(),
    )))
}

fn result(shape: Shape<'_>) -> Option<ToolResult> {
    let id = shape.text("tool_call_id")?.unwrap_or_default();
    let (name, tool_name) = (shape.text("name")?, shape.text("tool_name")?);
    let name = name.filter(|name| !name.is_empty()).or(tool_name);
    if id.is_empty() && name.is_none() {
        return None;
    }
    let name = name.filter(|name| !name.is_empty()).map(|name| name_of(name).to_owned());
    Some(ToolResult::new(id.to_owned(), name, shape.text("content")??.to_owned()))
}
