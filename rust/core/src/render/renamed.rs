//! Recipients of calls and authors of results whose names headers cannot hold: of tools that are declared under such
//! names, and of calls that a model invented.

use super::notes::{NoteCode, Notes};
use super::options::RenderOptions;
use crate::error::RenderError;
use crate::header_grammar::{is_callable, is_tool_name};
use crate::message::{Message, Part, Tool};
use crate::tool_name::function_recipient;
use crate::wire_name::{wire_name, wire_names};
use std::borrow::Cow;

/// The name under which a tool stands in the prompt; `earlier` are the messages before its call.
pub(crate) fn name_in_prompt<'m>(
    name: &str,
    earlier: impl Iterator<Item = &'m Message>,
    options: &RenderOptions,
) -> String {
    if is_tool_name(name) {
        return name.to_owned();
    }
    // The options and a developer message at the front share a frame; each further one is a frame of its own.
    let mut frames: Vec<Vec<&Tool>> = vec![options.tools.iter().collect()];
    let mut shares_frame = true;
    for message in earlier {
        for part in &message.content {
            if let Part::Developer(developer) = part {
                match frames.first_mut().filter(|_| shares_frame) {
                    Some(first) => first.extend(&developer.tools),
                    None => frames.push(developer.tools.iter().collect()),
                }
            }
        }
        shares_frame &= matches!(message.content.as_slice(), [Part::System { .. }]);
    }
    let declared = frames.iter().find_map(|tools| {
        let at = tools.iter().position(|tool| tool.name == name)?;
        wire_names(tools.iter().map(|tool| tool.name.as_str())).into_iter().nth(at).map(Cow::into_owned)
    });
    let is_valid = || is_callable(&function_recipient(name));
    declared.unwrap_or_else(|| if is_valid() { name.to_owned() } else { wire_name(name).into_owned() })
}

/// Notes that a name is written as another. An error if rendering is strict.
pub(crate) fn note(notes: &mut Notes, subject: &str, wire: &str) -> Result<(), RenderError> {
    let message = format!("{subject} cannot stand in a header; it is written as {wire:?}");
    notes.add(NoteCode::RenamedTool, message)
}
