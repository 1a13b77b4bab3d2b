//! The comments of a schema: what its type cannot express.

use crate::header_grammar::is_line_break;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Keywords of one value, written together on a line.
const LIMITS: [&str; 20] = [
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "contentEncoding",
    "contentMediaType",
    "readOnly",
    "writeOnly",
    "deprecated",
    "example",
];

/// Keywords whose value is a schema or names others, written as JSON.
const CONDITIONS: [&str; 9] = [
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
];

/// Appends a comment, `//` before each line.
pub(crate) fn comment(out: &mut String, indent: &str, text: &str) {
    let text = text.replace("\r\n", "\n");
    for line in text.trim_end_matches(is_line_break).split(is_line_break) {
        let _ = writeln!(out, "{indent}// {line}");
    }
}

/// Appends comments; an empty one is a separating line.
pub(super) fn comments(out: &mut String, indent: &str, comments: &[String]) {
    for text in comments {
        if text.is_empty() {
            let _ = writeln!(out, "{indent}//");
        } else {
            comment(out, indent, text);
        }
    }
}

/// JSON without line breaks or control characters.
pub(crate) fn literal(value: &Value) -> String {
    let json = value.to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_line_break(c) || c.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// The comments of a field: title, description, examples, limits. Its default stands behind its type.
pub(super) fn of_field(schema: &Value) -> Vec<String> {
    of_schema(schema, true)
}

/// The comments of a schema other than a field's: of a variant, an item, the target of a reference.
pub(super) fn of_value(schema: &Value, name: Option<&str>) -> Vec<String> {
    let is_name = |title: &Value| {
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        title.as_str().zip(name).is_some_and(|(title, name)| letters(title) == letters(name))
    };
    // Generators derive the title of a definition from its name, which says nothing more.
    let with_title = !schema.get("title").is_some_and(is_name);
    let mut comments = of_schema(schema, with_title);
    comments.retain(|comment| !comment.is_empty());
    if let Some(default) = schema.get("default") {
        comments.push(format!("default: {}", literal(default)));
    }
    comments
}

fn of_schema(schema: &Value, with_title: bool) -> Vec<String> {
    let Some(fields) = schema.as_object() else { return Vec::new() };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut comments: Vec<String> = text("title").filter(|_| with_title).into_iter().collect();
    if let Some(description) = text("description") {
        if !comments.is_empty() {
            comments.push(String::new());
        }
        comments.push(description);
    }
    if let Some(examples) = fields.get("examples").and_then(Value::as_array).filter(|all| !all.is_empty()) {
        comments.push("Examples:".to_owned());
        comments.extend(examples.iter().map(|example| format!("- {}", literal(example))));
    }
    let mut limits = keywords(fields, &LIMITS);
    limits.extend(undeclared(fields).map(|names| format!("required: {}", literal(&names))));
    if !limits.is_empty() {
        comments.push(limits.join(", "));
    }
    comments.extend(keywords(fields, &CONDITIONS));
    comments
}

/// `keyword: value` of each keyword of a list that a schema has, in the order of the list. A schema has few keywords, so
/// they are looked up in the list and not the other way round.
fn keywords(fields: &Map<String, Value>, list: &[&str]) -> Vec<String> {
    let place = |key: &String| list.iter().position(|keyword| keyword == key);
    let mut present: Vec<_> =
        fields.iter().filter_map(|(key, value)| Some((place(key)?, key, value))).collect();
    present.sort_unstable_by_key(|(place, ..)| *place);
    present.into_iter().map(|(_, key, value)| format!("{key}: {}", literal(value))).collect()
}

/// Required fields that the schema itself does not declare: it limits those of another one.
fn undeclared(fields: &Map<String, Value>) -> Option<Value> {
    let required = fields.get("required")?.as_array()?;
    let properties = fields.get("properties").and_then(Value::as_object);
    let is_declared = |name: &Value| {
        name.as_str().is_none_or(|name| properties.is_some_and(|fields| fields.contains_key(name)))
    };
    let names: Vec<Value> = required.iter().filter(|name| !is_declared(name)).cloned().collect();
    (!names.is_empty()).then_some(Value::Array(names))
}
