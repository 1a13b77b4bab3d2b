//! Names of tools and the recipients that stand for them: `get_weather` is addressed as `functions.get_weather`,
//! built-in tools by their own name. The only file that spells the prefix.

/// The namespace of the caller's own functions, with its dot.
const FUNCTIONS: &str = "functions.";

/// The namespace of the caller's own functions.
pub(crate) const FUNCTIONS_NAMESPACE: &str = "functions";

/// Tools that are addressed by their own name.
const BUILT_IN: [&str; 4] = ["python", "browser", "container", "repo_browser"];

/// Whether a name is a built-in tool's, or a function's of one: `python`, `browser.search`.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name.split('.').next().unwrap_or(name))
}

/// The recipient of a call of this tool: `get_weather` gives `functions.get_weather`, built-in tools keep their name.
pub fn recipient_of(name: &str) -> String {
    if is_built_in(name) { name.to_owned() } else { function_recipient(name) }
}

/// `functions.` and the name, whichever tool it is.
pub fn function_recipient(name: &str) -> String {
    format!("{FUNCTIONS}{name}")
}

/// The name of the tool that a recipient (or the author of a result) stands for: the inverse of [`recipient_of`].
pub fn name_of(recipient: &str) -> &str {
    function_of(recipient).unwrap_or(recipient)
}

/// The name behind `functions.`; `None` if the recipient does not begin with it.
pub fn function_of(recipient: &str) -> Option<&str> {
    recipient.strip_prefix(FUNCTIONS)
}

/// What stands behind `functions` in upper or lower case letters; `None` if the text does not begin with it.
pub(crate) fn behind_namespace(text: &str) -> Option<&str> {
    let (head, rest) = text.split_at_checked(FUNCTIONS_NAMESPACE.len())?;
    head.eq_ignore_ascii_case(FUNCTIONS_NAMESPACE).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_recipients_are_inverse() {
        for name in [
            "get_weather",
            "math.sum",
            "python",
            "browser.search",
            "container.exec",
            "repo_browser.search",
            "pythonic",
        ] {
            assert_eq!(name_of(&recipient_of(name)), name);
        }
    }
}
