//! The grammar of header values: the renderer rejects other values, and the parser uses it to find where a value ends.
//!
//! | value | grammar |
//! |---|---|
//! | tool name | `[A-Za-z0-9_.-]{1,64}`, except roles |
//! | recipient, author | `[A-Za-z0-9_.:/@-]{1,128}` |
//! | channel | `[A-Za-z0-9_-]{1,32}` |
//! | content type | `[<\|constrain\|>][A-Za-z0-9_.+/-]{1,64}` |
//! | user name | letters and digits of any script, `_ . - + @`, 1 to 64 |
//!
//! White space, `<`, `=` and control characters are excluded, so that a value cannot end its header, begin another value
//! or spell a marker.

use crate::error::RenderError;
use crate::frame::{CHANNELS, Header, Role};
use crate::marker::Marker;
use crate::tool_name::name_of;

/// Characters of recipients: `functions.get_weather`, `browser.search`.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '/' | '@')
}

pub(crate) fn is_name(value: &str) -> bool {
    fits(value, 128, is_name_char)
}

/// A content type without its marker.
pub(crate) fn is_type(value: &str) -> bool {
    fits(value, 64, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '+'))
}

/// Characters of a tool's name.
pub(crate) const MAX_TOOL_NAME: usize = 64;

pub(crate) const fn is_tool_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

pub(crate) fn is_tool_name(value: &str) -> bool {
    fits(value, MAX_TOOL_NAME, is_tool_name_char) && Role::from_name(value).is_none()
}

pub(crate) fn is_user_name(value: &str) -> bool {
    fits(value, 64, |c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+' | '@'))
}

pub(crate) fn is_channel(value: &str) -> bool {
    fits(value, 32, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn fits(value: &str, longest: usize, allowed: impl Fn(char) -> bool) -> bool {
    !value.is_empty() && value.chars().count() <= longest && value.chars().all(allowed)
}

/// The message that rejects a value.
pub(crate) fn refusal(what: &str, value: &str, allowed: &str) -> String {
    format!("{what} {} cannot stand in a header: it must be {allowed}", excerpt(value))
}

/// The beginning of a value, quoted.
pub(crate) fn excerpt(value: &str) -> String {
    let shown: String = value.chars().take(60).collect();
    let cut = if shown.len() < value.len() { "..." } else { "" };
    format!("{shown:?}{cut}")
}

const NAME: &str = "1 to 128 of A-Z a-z 0-9 _ . : / @ -";

/// Rejects a header with a value outside the grammar. `at` is the message's index.
pub(crate) fn header(header: &Header, at: Option<usize>) -> Result<(), RenderError> {
    let refuse = |what: &str, value: &str, allowed: &str| {
        Err(RenderError { message: refusal(what, value, allowed), at })
    };
    match (header.role, header.name.as_deref()) {
        (Role::Tool, Some(author)) if is_author(author) => {}
        (Role::Tool, Some(author)) => {
            let allowed = format!("{NAME}, and neither begin as a role nor be a channel");
            return refuse("tool author", author, &allowed);
        }
        (Role::Tool, None) => return refuse("tool author", "", NAME),
        (_, Some(name)) if !is_user_name(name) => {
            return refuse("name", name, "1 to 64 letters, digits or _ . - + @");
        }
        _ => {}
    }
    if let Some(recipient) = header.recipient.as_deref().filter(|value| !is_name(value)) {
        return refuse("recipient", recipient, NAME);
    }
    if let Some(channel) = header.channel.as_deref().filter(|value| !is_channel(value)) {
        return refuse("channel", channel, "1 to 32 of A-Z a-z 0-9 _ -");
    }
    if let Some(content_type) = header.content_type.as_deref() {
        let plain = content_type.strip_prefix(Marker::Constrain.spelling()).unwrap_or(content_type);
        if !is_type(plain) {
            return refuse(
                "content type",
                content_type,
                &format!("1 to 64 of A-Z a-z 0-9 _ . + / -, perhaps behind {}", Marker::Constrain.spelling()),
            );
        }
    }
    Ok(())
}

/// Whether a value can be the author of a tool's result.
pub(crate) fn is_author(author: &str) -> bool {
    is_callable(author) && !reads_as_another(author)
}

/// Whether a value can be the recipient of a call and, behind `functions.`, the author of its result.
pub(crate) fn is_callable(recipient: &str) -> bool {
    let name = name_of(recipient);
    !name.is_empty() && is_name(recipient) && Role::from_name(name).is_none()
}

/// Whether the parser would read this author of a tool frame as something else: `user:alice` as a user, `user_lookup`
/// as a user with garbage, `final` as a header without a role.
pub(crate) fn reads_as_another(author: &str) -> bool {
    let roles = Role::ALL.into_iter().filter(|role| *role != Role::Tool);
    let base = author.split(':').next().unwrap_or(author);
    CHANNELS.contains(&author)
        || base == Role::Tool.as_str()
        || roles.map(Role::as_str).any(|role| author.starts_with(role))
}

pub(crate) fn tool_name(name: &str) -> Result<(), RenderError> {
    if is_tool_name(name) {
        return Ok(());
    }
    let message = refusal("tool name", name, "1 to 64 of A-Z a-z 0-9 _ . -, and not a role");
    Err(RenderError { message, at: None })
}

/// Rejects a value that is not a date as `2025-06-28`.
pub(crate) fn date(value: &str) -> Result<(), RenderError> {
    let bytes = value.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let number =
        |from: usize, to: usize| value.get(from..to).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    let shape =
        bytes.len() == 10 && (0..10).all(|at| if at == 4 || at == 7 { bytes[at] == b'-' } else { digit(at) });
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    if shape && (1..=days).contains(&day) {
        return Ok(());
    }
    Err(RenderError { message: format!("current_date {value:?} must be a date as 2025-06-28"), at: None })
}

/// Characters that end a line in at least one of TypeScript, Python and Unicode; a comment must not contain them.
pub(crate) fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Rejects a value of more than one line.
pub(crate) fn line(what: &str, value: &str) -> Result<(), RenderError> {
    if value.chars().any(is_line_break) {
        return Err(RenderError { message: format!("{what} {value:?} must be one line"), at: None });
    }
    Ok(())
}
