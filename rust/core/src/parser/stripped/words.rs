//! The words that distinguish a header without markers from plain text, and what can follow a channel directly.

/// The reason for which a text is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Undecided until more text arrives.
    NeedMoreInput,
    No,
}

/// Words with which models begin to reason or to answer, and with which no name goes on behind `analysis` or `final`:
/// `analysisResult` may be a variable, `analysisWe` may not.
pub(super) const SENTENCE_STARTERS: &[&str] = &[
    "Absolutely",
    "Actually",
    "Alright",
    "As",
    "Based",
    "Below",
    "Certainly",
    "Could",
    "Do",
    "For",
    "Given",
    "Great",
    "He",
    "Hello",
    "Here",
    "Hey",
    "Hi",
    "Hmm",
    "How",
    "I",
    "If",
    "In",
    "Is",
    "It",
    "Just",
    "Let",
    "Looking",
    "Maybe",
    "My",
    "Need",
    "No",
    "Now",
    "Of",
    "Oh",
    "Ok",
    "Okay",
    "Our",
    "Probably",
    "She",
    "Should",
    "So",
    "Sorry",
    "Sure",
    "Thank",
    "Thanks",
    "That",
    "The",
    "Their",
    "There",
    "These",
    "They",
    "This",
    "Unfortunately",
    "User",
    "We",
    "What",
    "Why",
    "Yes",
    "You",
    "Your",
];

/// Words with which names go on behind `final` or `analysis`: `finalScore`, `analysisResult`. A text that begins like
/// this is plain.
pub(super) const NAME_ENDINGS: &[&str] = &[
    "Answer", "Answers", "Array", "Block", "Bytes", "Class", "Config", "Context", "Cost", "Count", "Data",
    "Date", "Dict", "Error", "Field", "File", "Form", "Function", "Grade", "Id", "Index", "Input", "Item",
    "Items", "Key", "Length", "Lines", "List", "Map", "Message", "Mode", "Model", "Name", "Node", "Number",
    "Object", "Option", "Options", "Output", "Page", "Params", "Path", "Phase", "Point", "Position", "Price",
    "Query", "Rate", "Record", "Report", "Response", "Result", "Results", "Round", "Score", "Scores",
    "Sequence", "Set", "Size", "State", "Status", "Step", "String", "Sum", "Table", "Tag", "Target", "Task",
    "Test", "Text", "Time", "Tokens", "Tool", "Total", "Track", "Type", "Url", "Value", "Values", "Var",
    "Vector", "Version", "Year",
];

/// Characters behind a word that make it a name in code.
const CODE: [char; 6] = ['_', '(', '[', '=', '<', '{'];

/// Punctuation outside of ASCII that does not begin a content.
const CLOSING: &str = "—–…’”»、。，；：！？）」』》】·‐‑";

/// Behind this many letters a word is not a name, whatever follows: a text in a script without blanks.
const MAX_NAME: usize = 64;

/// What stands directly behind a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Content: no word goes on like this.
    Content,
    /// Content, if another header follows.
    MaybeContent,
    /// The rest of a name: `Score = 3`.
    Name,
    /// Neither: the word stands for itself.
    Other,
}

/// What stands directly behind a channel; `whole`: nothing follows the text.
pub(super) fn behind_channel(text: &str, whole: bool) -> Result<Behind, Miss> {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return if whole { Ok(Behind::Other) } else { Err(Miss::NeedMoreInput) };
    };
    let second = chars.next();
    if second.is_none() && !whole && first.is_ascii() && !first.is_ascii_digit() {
        return Err(Miss::NeedMoreInput);
    }
    match first {
        c if is_latin(c) && c.is_lowercase() => begins_in_lower_case(text, whole),
        c if is_latin(c) && c.is_alphabetic() => begins_in_upper_case(text, whole),
        c if c.is_ascii_digit() => begins_with_number(text, whole),
        ' ' => Ok(match second {
            Some(c) if c.is_uppercase() || c.is_numeric() => Behind::MaybeContent,
            _ => Behind::Other,
        }),
        '\n' => Ok(Behind::MaybeContent),
        c if c.is_ascii() => markup(text, first, second, whole),
        c if c.is_whitespace() || CLOSING.contains(c) => Ok(Behind::Other),
        _ => Ok(Behind::Content),
    }
}

fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}') && c.is_alphabetic()
}

/// Markdown, JSON and mathematics, or punctuation.
fn markup(text: &str, first: char, second: Option<char>, whole: bool) -> Result<Behind, Miss> {
    let is_content = match (first, second) {
        ('*', Some(c)) => c == '*' || c.is_alphabetic(),
        ('#', Some(c)) => c == '#' || c == ' ',
        ('|', Some(c)) => c == ' ' || c == '-' || c == ':',
        ('[', Some(c)) => c.is_alphabetic(),
        ('>', Some(c)) => c == ' ',
        ('\\', Some(c)) => c == '(' || c == '[',
        ('`' | '"' | '$', Some(_)) => true,
        ('{', Some(_)) => return begins_json(text, whole),
        _ => false,
    };
    if is_content {
        return Ok(Behind::Content);
    }
    Ok(if "*#[\"`".contains(first) && second.is_some() { Behind::MaybeContent } else { Behind::Other })
}

/// An object with a key.
fn begins_json(text: &str, whole: bool) -> Result<Behind, Miss> {
    let inner = text.strip_prefix('{').unwrap_or(text).trim_start();
    match inner.chars().next() {
        Some('"' | '}') => Ok(Behind::Content),
        None if !whole => Err(Miss::NeedMoreInput),
        _ => Ok(Behind::MaybeContent),
    }
}

/// `analysisthe user`, but not `analysisresult`.
fn begins_in_lower_case(text: &str, whole: bool) -> Result<Behind, Miss> {
    let length = text.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(text.len());
    let (word, rest) = text.split_at(length);
    let is_same = |starter: &&&str| starter.eq_ignore_ascii_case(word);
    let may_be =
        |starter: &&&str| starter.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if rest.is_empty() && !whole && SENTENCE_STARTERS.iter().any(|starter| may_be(&starter)) {
        return Err(Miss::NeedMoreInput);
    }
    let begins = SENTENCE_STARTERS.iter().any(|starter| is_same(&starter)) && rest.starts_with(' ');
    Ok(if begins { Behind::Content } else { Behind::MaybeContent })
}

/// A word in upper case: of a sentence, or of a name in code.
fn begins_in_upper_case(text: &str, whole: bool) -> Result<Behind, Miss> {
    let length = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    let (word, rest) = text.split_at(length);
    if word.len() > MAX_NAME {
        return Ok(Behind::Content);
    }
    let mut behind = rest.trim_start_matches(' ').chars();
    let (next, second) = (rest.chars().next(), behind.next());
    let third = behind.next();
    if !whole && (second.is_none() || third.is_none() && matches!(second, Some('.' | ':' | '+' | '-'))) {
        return Err(Miss::NeedMoreInput);
    }
    let assigned = matches!((second, third), (Some('='), _) | (Some('+' | '-' | ':'), Some('=')));
    let member = next == Some('.') && third.is_some_and(|c| c.is_ascii_alphanumeric());
    let scoped = next == Some(':') && third == Some(':');
    if next.is_some_and(|c| CODE.contains(&c)) || assigned || member || scoped {
        return Ok(Behind::Name);
    }
    let last = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let last = last.rfind(char::is_uppercase).and_then(|at| last.get(at..)).unwrap_or(last);
    let is_name = NAME_ENDINGS.contains(&last);
    Ok(if is_name { Behind::Name } else { Behind::Content })
}

/// `42 is the answer`, but not `2.docx` or `2 = 3`.
fn begins_with_number(text: &str, whole: bool) -> Result<Behind, Miss> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let mut behind = rest.trim_start_matches(' ').chars();
    let (next, second, third) = (rest.chars().next(), behind.next(), behind.next());
    if !whole && (second.is_none() || third.is_none() && matches!(second, Some('.' | '='))) {
        return Err(Miss::NeedMoreInput);
    }
    let named = match (next, second, third) {
        (Some('_' | '(' | '['), ..) | (_, Some('='), _) => true,
        (Some('.'), _, Some(c)) => c.is_ascii_alphabetic(),
        _ => false,
    };
    Ok(if named { Behind::Name } else { Behind::Content })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text, read whole and as far as its beginnings decide.
    fn check(text: &str, expected: Behind) {
        assert_eq!(behind_channel(text, true), Ok(expected), "{text}");
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let early = behind_channel(&text[..end], false);
            assert!(early == Err(Miss::NeedMoreInput) || early == Ok(expected), "{text}: {early:?} at {end}");
        }
    }

    #[test]
    fn sentence_starters_are_content() {
        for word in SENTENCE_STARTERS {
            check(&format!("{word} can be so"), Behind::Content);
            check(&format!("{} can be so", word.to_lowercase()), Behind::Content);
            check(&format!("{word}()"), Behind::Name);
        }
    }

    #[test]
    fn name_endings_are_names() {
        for word in NAME_ENDINGS {
            check(&format!("{word} is"), Behind::Name);
            check(&format!("Test{word} is"), Behind::Name);
            check(&format!("{word}2 is"), Behind::Name);
        }
    }

    #[test]
    fn scripts_digits_and_markdown_are_content() {
        for text in [
            "Marta cerró la puerta.",
            "Привет! Чем помочь?",
            "привет",
            "用户问天气。",
            "네, 오늘은",
            "こんにちは",
            "مرحبا",
            "42",
            "42 is it",
            "3.5 km",
            "**Shares**",
            "# Title",
            "## Title",
            "| Kind | Part |",
            "`code` is",
            "\"Hi\"",
            "{\"a\": 1}",
            "{\n  \"a\": 1}",
            "$x$",
            "\\(x\\)",
            "[link](x)",
            "¿Qué?",
            "“Hi”",
            "👍",
            "JavaScript is one",
            "OK.",
            "Paris",
            "Éclair is",
        ] {
            check(text, Behind::Content);
        }
    }

    #[test]
    fn code_and_punctuation_are_not() {
        for text in [
            "Foo = 3", "Foo_bar", "Foo(1)", "Foo[0]", "Foo.bar", "Foo += 1", "Foo::new", "2.docx", "2 = 3",
            "1_a",
        ] {
            check(text, Behind::Name);
        }
        for text in [" is", ".", ", then", ": this", "-year", "'s", "()", "_score", "—that", "。", ""] {
            check(text, Behind::Other);
        }
        for text in ["result", "sight is", "\nHi", " We need", "été", "#1", "[0]"] {
            check(text, Behind::MaybeContent);
        }
    }
}
