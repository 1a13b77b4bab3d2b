//! Finds the end of a call's JSON arguments in content whose markers were removed: words within a string are not
//! headers, and what follows the value is not part of it.

/// Follows a JSON value byte by byte. It checks as little as is needed to tell strings from what stands between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JsonTracker {
    depth: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the value.
    #[default]
    Start,
    /// Between strings.
    Between,
    InString,
    Escape,
    /// Behind a string, where a comma, a colon or a bracket follows.
    BehindString,
    /// Behind the whole value.
    Done,
    /// The input is not JSON: its strings and its end are unknown.
    Broken,
}

impl JsonTracker {
    pub(crate) fn is_in_string(self) -> bool {
        matches!(self.place, Place::InString | Place::Escape)
    }

    /// Reads a text; returns the offset of the first byte behind the value that is neither white space nor JSON.
    pub(crate) fn read(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate() {
            if self.step(byte) {
                return Some(at);
            }
        }
        None
    }

    /// Whether the byte stands behind the value.
    fn step(&mut self, byte: u8) -> bool {
        let blank = matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.place = match (self.place, byte) {
            (Place::Broken, _) => return false,
            (Place::InString, b'\\') => Place::Escape,
            (Place::InString, b'"') if self.depth == 0 => Place::Done,
            (Place::InString, b'"') => Place::BehindString,
            (Place::InString | Place::Escape, _) => Place::InString,
            (place, _) if blank => place,
            (Place::Start | Place::Between, b'{' | b'[') => {
                self.depth += 1;
                Place::Between
            }
            (Place::Start | Place::Between, b'"') => Place::InString,
            (Place::Between | Place::BehindString, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 { Place::Done } else { Place::Between }
            }
            (Place::Between | Place::BehindString, b',' | b':') => Place::Between,
            (Place::Between, b'0'..=b'9' | b'+' | b'-' | b'.' | b'a'..=b'z' | b'E') => Place::Between,
            // More JSON: the model wrote two values, or a bracket too many.
            (Place::Done, b'{' | b'}' | b'[' | b']' | b'"' | b',' | b':') => Place::Broken,
            (Place::Done, _) => return true,
            _ => Place::Broken,
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_ends_where_its_brackets_close() {
        let cases = [
            (r#"{"a":"x}y","b":[1,{"c":"\"]"}]}rest"#, Some("rest")),
            (r#" "a\"b" rest"#, Some("rest")),
            (r#"{"a":1}  "#, None),
            (r#"{"a":1}}rest"#, None),
            (r#"{"a":"x"y"}rest"#, None),
            ("print(1)rest", None),
            (r#"{"a":true,"b":-1.5E3}rest"#, Some("rest")),
        ];
        for (text, rest) in cases {
            let behind = JsonTracker::default().read(text);
            assert_eq!(behind.map(|at| &text[at..]), rest, "{text}");
        }
        let mut tracker = JsonTracker::default();
        tracker.read(r#"{"a":"in a string "#);
        assert!(tracker.is_in_string());
    }
}
