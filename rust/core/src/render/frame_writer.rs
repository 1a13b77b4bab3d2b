//! Frames as markers and text.

use super::piece_writer::Writer;
use crate::error::RenderError;
use crate::frame::{Frame, Header, RecipientPosition, Role, Stop};
use crate::header_grammar;
use crate::marker::Marker;

/// Writes frames exactly: without a stop token where `stop` is `None`, without a header where it is implied. Raises for
/// header values that the format does not allow.
pub fn render_frames(frames: &[Frame], out: &mut impl Writer) -> Result<(), RenderError> {
    for (at, frame) in frames.iter().enumerate() {
        header_grammar::header(&frame.header, Some(at))
            .map_err(|error| RenderError { message: format!("frames[{at}]: {}", error.message), at: None })?;
        write_frame(frame, out);
    }
    Ok(())
}

pub(crate) fn write_frame(frame: &Frame, out: &mut impl Writer) {
    let Frame { header, content, stop, implied } = frame;
    let bare = header.channel.is_none() && header.recipient.is_none() && header.content_type.is_none();
    if *implied {
        if !bare {
            write_values(header, String::new(), out);
            out.mark(Marker::Message);
        }
    } else if bare && content.is_empty() && stop.is_none() {
        // The end of a prompt: the header that the model continues.
        return write_next_role(Some(header.role), out);
    } else {
        write_header(header, out);
    }
    out.text(content);
    write_stop(*stop, out);
}

pub(crate) fn write_header(header: &Header, out: &mut impl Writer) {
    out.mark(Marker::Start);
    write_values(header, author(header), out);
    out.mark(Marker::Message);
}

/// The first word of a header: a role, a role with a name, or a tool.
pub(crate) fn author(header: &Header) -> String {
    match (header.role, &header.name) {
        (Role::Tool, Some(author)) => author.clone(),
        (role, Some(name)) => format!("{}:{name}", role.as_str()),
        (role, None) => role.as_str().to_owned(),
    }
}

/// The author, and the values after it: recipient, channel, content type.
fn write_values(header: &Header, author: String, out: &mut impl Writer) {
    let default = if header.role == Role::Assistant && header.channel.is_some() {
        RecipientPosition::Channel
    } else {
        RecipientPosition::Role
    };
    let position = if header.channel.is_some() {
        header.recipient_at.unwrap_or(default)
    } else {
        RecipientPosition::Role
    };
    let recipient = |at: RecipientPosition| match &header.recipient {
        Some(recipient) if position == at => format!(" to={recipient}"),
        _ => String::new(),
    };
    let mut text = author + &recipient(RecipientPosition::Role);
    if let Some(channel) = &header.channel {
        write_text(&text, out);
        out.mark(Marker::Channel);
        text = format!("{channel}{}", recipient(RecipientPosition::Channel));
    }
    if let Some(content_type) = &header.content_type {
        text.push(' ');
        match content_type.strip_prefix(Marker::Constrain.spelling()) {
            Some(plain) => {
                write_text(&text, out);
                out.mark(Marker::Constrain);
                text = plain.to_owned();
            }
            None => text.push_str(content_type),
        }
    }
    write_text(&text, out);
}

fn write_text(text: &str, out: &mut impl Writer) {
    if !text.is_empty() {
        out.text(text);
    }
}

pub(crate) fn write_stop(stop: Option<Stop>, out: &mut impl Writer) {
    match stop {
        Some(Stop::Return) => out.mark(Marker::Return),
        Some(Stop::Call) => out.mark(Marker::Call),
        Some(Stop::End) => out.mark(Marker::End),
        None => {}
    }
}

pub(crate) fn write_next_role(role: Option<Role>, out: &mut impl Writer) {
    if let Some(role) = role {
        out.mark(Marker::Start);
        out.text(role.as_str());
    }
}
