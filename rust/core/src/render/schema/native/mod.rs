//! JSON Schema as TypeScript, with every construct.
//!
//! No text of a schema can leave the place it is written to: each line of a comment begins with `//`, whatever ends
//! the line; names and values are JSON strings. The other dialects keep the bytes of others instead.

mod comments;
mod references;
mod writer;

pub(crate) use comments::{comment, literal};

use self::references::References;
use self::writer::SchemaWriter;
use crate::error::RenderError;
use crate::message::Tool;
use crate::render::notes::Notes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The types of a namespace besides its functions: their texts by name.
#[derive(Debug, Default)]
pub(crate) struct NamedTypes {
    texts: BTreeMap<String, String>,
}

impl NamedTypes {
    /// Declares the types of a tool; `false` without any change if a name is taken by another type or by a tool.
    fn declare(&mut self, types: &[(String, String)], tools: &[Tool], out: &mut String) -> bool {
        let is_free = |(name, text): &(String, String)| {
            self.texts.get(name).is_none_or(|other| other == text)
                && tools.iter().all(|tool| tool.name != *name)
        };
        if !types.iter().all(is_free) {
            return false;
        }
        for (name, text) in types {
            if self.texts.insert(name.clone(), text.clone()).is_none() {
                out.push_str(text);
            }
        }
        true
    }
}

/// A tool as a function type, its description above, and before it the types that its schema refers to.
pub(crate) fn function(
    tool: &Tool,
    tools: &[Tool],
    types: &mut NamedTypes,
    notes: &mut Notes,
) -> Result<String, RenderError> {
    let mut out = String::new();
    let mut suffix = String::new();
    let parameters = loop {
        let mut attempt = notes.fork();
        let (declarations, parameters) = parameters(tool, &suffix, &mut attempt)?;
        if types.declare(&declarations, tools, &mut out) {
            notes.join(attempt);
            break parameters;
        }
        suffix = if suffix.is_empty() {
            format!("_of_{}", tool.name.replace(['.', '-'], "_"))
        } else {
            suffix + "_"
        };
    };
    if !tool.description.is_empty() {
        comment(&mut out, "", &tool.description);
    }
    comments::comments(&mut out, "", &parameters.comments);
    let _ = write!(out, "type {} = ({}) => any;\n\n", tool.name, parameters.text);
    Ok(out)
}

/// The parameters of a function type.
#[derive(Default)]
struct Parameters {
    /// Comments above the type.
    comments: Vec<String>,
    /// The text between the parentheses; empty for no parameters.
    text: String,
}

/// The parameters of a tool and the types that they use. Empty without a schema, and for an object without fields.
fn parameters(
    tool: &Tool,
    suffix: &str,
    notes: &mut Notes,
) -> Result<(Vec<(String, String)>, Parameters), RenderError> {
    let Some(schema) = tool.parameters.as_ref().filter(|schema| !takes_nothing(schema)) else {
        let description = tool.parameters.as_ref().and_then(|schema| schema.get("description"));
        let comments = description.and_then(Value::as_str).map(str::to_owned).into_iter().collect();
        return Ok((Vec::new(), Parameters { comments, text: String::new() }));
    };
    let root_name = format!("{}_parameters", tool.name);
    let references = References::read(schema, &root_name, suffix);
    let mut writer = SchemaWriter::new(&references, schema, notes);
    let (mut comments, shape) = writer.root()?;
    // The name of the arguments is the generator's; a description of them is the author's.
    if schema.get("title").is_some_and(Value::is_string) {
        comments.remove(0);
        comments.retain(|comment| !comment.is_empty());
    }
    let text = format!("_: {shape}");
    Ok((writer.declarations()?, Parameters { comments, text }))
}

/// Whether a schema is an object without fields.
fn takes_nothing(schema: &Value) -> bool {
    const SOURCES: [&str; 9] = [
        "additionalProperties",
        "patternProperties",
        "$ref",
        "anyOf",
        "oneOf",
        "allOf",
        "then",
        "else",
        "dependentSchemas",
    ];
    let no_fields = |properties: &Value| properties.as_object().is_some_and(Map::is_empty);
    schema.get("type").and_then(Value::as_str) == Some("object")
        && schema.get("properties").is_none_or(no_fields)
        && !SOURCES.iter().any(|key| schema.get(key).is_some_and(|value| value != &Value::Bool(false)))
}
