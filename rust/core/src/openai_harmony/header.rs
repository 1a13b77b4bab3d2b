//! A header's text to its values, by openai-harmony's rules: words from the right, whatever they are.

use super::content::{Author, Library};
use super::error::HarmonyError;
use crate::frame::Role;
use crate::marker::Marker;

/// The values of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedHeader {
    pub author: Author,
    pub recipient: Option<String>,
    pub channel: Option<String>,
    pub content_type: Option<String>,
}

/// Reads a complete header. `role`: the role that the prompt named, which the text then may repeat.
pub(super) fn parse(text: &str, role: Option<Role>, library: Library) -> Result<ParsedHeader, HarmonyError> {
    let (channel, text) = take_channel(text, library)?;
    let text = separate_content_type(&text);
    let (author, mut words) = take_author(&text, role)?;
    let (recipient, content_type) = match (words.pop(), words.pop()) {
        (None, _) => (None, None),
        (Some(last), before) => match (last.strip_prefix("to="), before) {
            (Some(recipient), before) => {
                words.extend(before);
                (Some(recipient), None)
            }
            // A single word is the recipient, whatever it is.
            (None, None) => (Some(last), None),
            (None, Some(before)) => (Some(before.strip_prefix("to=").unwrap_or(before)), Some(last)),
        },
    };
    if !words.is_empty() {
        let rest = Some(words.join(" "));
        return Err(HarmonyError(format!("unexpected tokens remaining in message header: {rest:?}")));
    }
    Ok(ParsedHeader {
        author,
        recipient: recipient.map(str::to_owned),
        channel,
        content_type: content_type.map(str::to_owned),
    })
}

/// Reads a header that a stop token ended: the words behind the role are content.
pub(super) fn parse_unfinished(
    text: &str,
    role: Role,
    library: Library,
) -> Result<(ParsedHeader, String), HarmonyError> {
    let (channel, text) = take_channel(text, library)?;
    let text = separate_content_type(&text);
    let (author, words) = take_author(&text, Some(role))?;
    Ok((ParsedHeader { author, recipient: None, channel, content_type: None }, words.join(" ")))
}

/// The channel, and the text without it and its marker.
fn take_channel(text: &str, library: Library) -> Result<(Option<String>, String), HarmonyError> {
    let Some((channel, mut rest)) = without_channel(text) else { return Ok((None, text.to_owned())) };
    if channel.is_empty() {
        let message = "channel marker present but no channel value found in header";
        return Err(HarmonyError(message.to_owned()));
    }
    if library == Library::OssHarmony {
        while let Some((_, shorter)) = without_channel(&rest) {
            rest = shorter;
        }
    }
    Ok((Some(channel.to_owned()), rest))
}

/// The first channel, which may be empty, and the text without it and its marker.
fn without_channel(text: &str) -> Option<(&str, String)> {
    let (before, behind) = text.split_once(Marker::Channel.spelling())?;
    let end = behind.find(|c: char| c.is_whitespace() || c == '<').unwrap_or(behind.len());
    let (channel, after) = behind.split_at(end);
    Some((channel, format!("{before}{after}")))
}

/// Puts a blank before each `<|constrain|>`, so that the content type is a word of its own.
fn separate_content_type(text: &str) -> String {
    let marker = Marker::Constrain.spelling();
    text.trim().replace(marker, &format!(" {marker}"))
}

/// The author, and the words behind it.
fn take_author(text: &str, role: Option<Role>) -> Result<(Author, Vec<&str>), HarmonyError> {
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (role, name) = match (role, words.as_slice()) {
        (Some(role), _) => (role, None),
        (None, []) => return Err(HarmonyError("message header did not contain a role".to_owned())),
        (None, [first, rest @ ..]) => match Role::from_name(first) {
            Some(role) => (role, Some((*first).to_owned())),
            None if rest.is_empty() && !first.starts_with("to=") => {
                return Err(HarmonyError(format!("Unknown role: {first}")));
            }
            None => {
                let name = (*first).to_owned();
                words.remove(0);
                (Role::Tool, Some(name))
            }
        },
    };
    if words.first() == Some(&role.as_str()) {
        words.remove(0);
    }
    Ok((Author { role, name: name.filter(|_| role == Role::Tool) }, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Author, recipient, channel and content type, or the error.
    fn read(text: &str, role: Option<Role>) -> Result<[Option<String>; 4], String> {
        let text = text.replace('^', Marker::Channel.spelling()).replace('%', Marker::Constrain.spelling());
        let header = parse(&text, role, Library::OpenaiHarmony).map_err(|error| error.to_string())?;
        let author = header.author.name.unwrap_or_else(|| header.author.role.as_str().to_owned());
        Ok([Some(author), header.recipient, header.channel, header.content_type])
    }

    fn values(values: [&str; 4]) -> Result<[Option<String>; 4], String> {
        Ok(values.map(|value| {
            Some(value.replace('%', Marker::Constrain.spelling())).filter(|text| !text.is_empty())
        }))
    }

    #[test]
    fn words_are_read_from_the_right() {
        let assistant = Some(Role::Assistant);
        assert_eq!(read("^final", assistant), values(["assistant", "", "final", ""]));
        assert_eq!(read("assistant^final", None), values(["assistant", "", "final", ""]));
        assert_eq!(
            read("^commentary to=f%json", assistant),
            values(["assistant", "f", "commentary", "%json"])
        );
        assert_eq!(read("json", assistant), values(["assistant", "json", "", ""]));
        assert_eq!(read("f json", assistant), values(["assistant", "f", "", "json"]));
        assert_eq!(read("functions.f to=assistant", None), values(["functions.f", "assistant", "", ""]));
        assert_eq!(read("functions.f tool to=x", None), values(["functions.f", "x", "", ""]));
        assert_eq!(read("to=x", None), values(["to=x", "", "", ""]));
    }

    #[test]
    fn headers_that_do_not_read_have_their_errors() {
        let rest = "unexpected tokens remaining in message header: Some(\"a\")";
        assert_eq!(read("a b c", Some(Role::User)), Err(rest.to_owned()));
        assert_eq!(read("a to=c", Some(Role::User)), Err(rest.to_owned()));
        let channel = "channel marker present but no channel value found in header";
        assert_eq!(read("^ final", Some(Role::User)), Err(channel.to_owned()));
        assert_eq!(read("x", None), Err("Unknown role: x".to_owned()));
        assert_eq!(read("", None), Err("message header did not contain a role".to_owned()));
    }

    #[test]
    fn oss_harmony_ignores_further_channels() {
        let text = format!("{0}a to=f{0}b{0} json", Marker::Channel.spelling());
        let header = parse(&text, Some(Role::Assistant), Library::OssHarmony).expect("a header");
        assert_eq!(header.channel.as_deref(), Some("a"));
        assert_eq!((header.recipient.as_deref(), header.content_type.as_deref()), (Some("f"), Some("json")));
    }
}
