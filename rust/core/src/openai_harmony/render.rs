//! Messages to ids, by openai-harmony's rules: nothing is added, nothing validated, and each value encoded by itself.

use super::content::{Content, Library, Message};
use super::error::HarmonyError;
use super::sections;
use crate::frame::{ANALYSIS, COMMENTARY, FINAL, Role};
use crate::marker::Marker;
use crate::render::Writer;
use crate::tool_name::FUNCTIONS_NAMESPACE;

/// Appends the ids of a conversation.
///
/// `drop_analysis`: if the assistant's last message is final, messages on the channel analysis before the first final
/// message are left out.
pub fn render_conversation(
    messages: &[Message],
    drop_analysis: bool,
    library: Library,
    out: &mut Vec<u32>,
) -> Result<(), HarmonyError> {
    let has_function_tools = messages.iter().any(defines_functions);
    let is_final = |message: &Message| message.channel.as_deref() == Some(FINAL);
    let last_of_assistant = messages.iter().rev().find(|message| message.author.role == Role::Assistant);
    let dropped = match messages.iter().position(is_final) {
        Some(first_final) if drop_analysis && last_of_assistant.is_some_and(is_final) => first_final,
        _ => 0,
    };
    for (at, message) in messages.iter().enumerate() {
        if at >= dropped || message.channel.as_deref() != Some(ANALYSIS) {
            render_message(message, has_function_tools, library, out)?;
        }
    }
    Ok(())
}

fn defines_functions(message: &Message) -> bool {
    message.content.iter().any(|content| match content {
        Content::Developer(developer) => developer
            .tools
            .as_ref()
            .and_then(|tools| tools.get(FUNCTIONS_NAMESPACE))
            .is_some_and(|namespace| !namespace.tools.is_empty()),
        _ => false,
    })
}

/// Appends the ids of a conversation, and of the header's beginning that the model continues.
pub fn render_conversation_for_completion(
    messages: &[Message],
    next_role: Role,
    drop_analysis: bool,
    library: Library,
    out: &mut Vec<u32>,
) -> Result<(), HarmonyError> {
    render_conversation(messages, drop_analysis, library, out)?;
    out.mark(Marker::Start);
    out.text(next_role.as_str());
    Ok(())
}

/// Appends the ids of a conversation, whose last token becomes `<|return|>` if the last message is a final one of the
/// assistant.
pub fn render_conversation_for_training(
    messages: &[Message],
    drop_analysis: bool,
    library: Library,
    out: &mut Vec<u32>,
) -> Result<(), HarmonyError> {
    render_conversation(messages, drop_analysis, library, out)?;
    let ends_with_answer = messages.last().is_some_and(|message| {
        message.author.role == Role::Assistant && message.channel.as_deref() == Some(FINAL)
    });
    if let Some(token) = out.last_mut().filter(|_| ends_with_answer) {
        *token = Marker::Return.id();
    }
    Ok(())
}

/// Appends the ids of one message.
///
/// `has_function_tools`: the system content says on which channel functions are called.
pub fn render_message(
    message: &Message,
    has_function_tools: bool,
    library: Library,
    out: &mut Vec<u32>,
) -> Result<(), HarmonyError> {
    write_header(message, library, out)?;
    for content in &message.content {
        write_content(content, message.author.role, has_function_tools, library, out)?;
    }
    let is_call = message.author.role == Role::Assistant && message.recipient.is_some();
    out.mark(if is_call { Marker::Call } else { Marker::End });
    Ok(())
}

fn write_header(message: &Message, library: Library, out: &mut Vec<u32>) -> Result<(), HarmonyError> {
    out.mark(Marker::Start);
    match (message.author.role, &message.author.name) {
        (Role::Tool, Some(name)) => out.text(name),
        (Role::Tool, None) => return Err(HarmonyError("Tools should have a name!".to_owned())),
        (role, name) => {
            out.text(role.as_str());
            if let Some(name) = name {
                out.text(&format!(":{name}"));
            }
        }
    }
    let recipient = message.recipient.as_deref().filter(|recipient| *recipient != "all");
    let recipient = recipient.map(|recipient| format!(" to={recipient}"));
    let is_behind_channel = library == Library::OssHarmony && message.channel.as_deref() == Some(COMMENTARY);
    if let Some(recipient) = recipient.as_ref().filter(|_| !is_behind_channel) {
        out.text(recipient);
    }
    if let Some(channel) = &message.channel {
        out.mark(Marker::Channel);
        out.text(channel);
    }
    if let Some(recipient) = recipient.as_ref().filter(|_| is_behind_channel) {
        out.text(recipient);
    }
    if let Some(content_type) = &message.content_type {
        write_content_type(content_type, library, out);
    }
    out.mark(Marker::Message);
    Ok(())
}

/// A content type that begins with the spelling of `<|constrain|>` has it as a token.
fn write_content_type(content_type: &str, library: Library, out: &mut Vec<u32>) {
    match content_type.strip_prefix(Marker::Constrain.spelling()) {
        Some(rest) => write_constrained(rest, out),
        None if library == Library::OssHarmony => write_constrained(content_type, out),
        None => out.text(&format!(" {content_type}")),
    }
}

fn write_constrained(name: &str, out: &mut Vec<u32>) {
    out.text(" ");
    out.mark(Marker::Constrain);
    out.text(name);
}

fn write_content(
    content: &Content,
    role: Role,
    has_function_tools: bool,
    library: Library,
    out: &mut Vec<u32>,
) -> Result<(), HarmonyError> {
    let only_in = |kind: &str, home: Role| {
        let message = format!("{kind} may only appear in {} messages, found in {role:?}", home.as_str());
        if role == home { Ok(()) } else { Err(HarmonyError(message)) }
    };
    match content {
        Content::Text(text) => out.text(text),
        Content::System(system) => {
            only_in("SystemContent", Role::System)?;
            out.text(&sections::system(system, has_function_tools, library)?);
        }
        Content::Developer(developer) => {
            only_in("DeveloperContent", Role::Developer)?;
            out.text(&sections::developer(developer, library)?);
        }
    }
    Ok(())
}
