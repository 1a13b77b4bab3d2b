//! JSON Schema as TypeScript, with every construct.
//!
//! No text of a schema can leave the place it is written to: each line of a comment begins with `//`, whatever ends
//! the line; names and values are JSON strings. The other dialects keep the bytes of others instead.

use crate::error::RenderError;
use crate::header_grammar::is_line_break;
use crate::message::Tool;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Deeper schemas are refused.
pub(crate) const MAX_DEPTH: usize = 64;

/// Longer types are refused: references let a small schema expand without bound.
const MAX_TYPE_BYTES: usize = 1 << 20;

/// A tool as a function type, its description above.
pub(crate) fn function(tool: &Tool) -> Result<String, RenderError> {
    let mut out = String::new();
    if !tool.description.is_empty() {
        comment(&mut out, "", &tool.description);
    }
    let parameters = parameters(tool.parameters.as_ref())?;
    let _ = write!(out, "{}type {} = ({}) => any;\n\n", parameters.comments, tool.name, parameters.text);
    Ok(out)
}

/// The parameters of a function type.
struct Parameters {
    /// Comments above the type.
    comments: String,
    /// The text between the parentheses; empty for no parameters.
    text: String,
}

/// The parameters of a tool: none for no schema and for an object without properties.
fn parameters(schema: Option<&Value>) -> Result<Parameters, RenderError> {
    let none = Parameters { comments: String::new(), text: String::new() };
    let Some(schema) = schema else { return Ok(none) };
    let mut writer = SchemaWriter { root: schema, refs: Vec::new(), path: Vec::new(), written: 0 };
    let mut comments = String::new();
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        comment(&mut comments, "", text);
    }
    let empty = schema.get("type").and_then(Value::as_str) == Some("object")
        && schema
            .get("properties")
            .is_none_or(|properties| properties.as_object().is_some_and(Map::is_empty))
        && !["additionalProperties", "patternProperties", "$ref", "anyOf", "oneOf", "allOf"]
            .iter()
            .any(|key| schema.get(key).is_some_and(|value| value != &Value::Bool(false)));
    let text = if empty { String::new() } else { format!("_: {}", writer.shape(schema, "")?.text) };
    Ok(Parameters { comments, text })
}

/// Appends a comment, `//` before each line.
pub(crate) fn comment(out: &mut String, indent: &str, text: &str) {
    let text = text.replace("\r\n", "\n");
    for line in text.trim_end_matches(is_line_break).split(is_line_break) {
        let _ = writeln!(out, "{indent}// {line}");
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

/// A type, and whether it needs parentheses before `[]` or in an intersection.
struct Shape {
    text: String,
    compound: bool,
}

impl Shape {
    fn simple(text: impl Into<String>) -> Shape {
        Shape { text: text.into(), compound: false }
    }

    fn grouped(self) -> String {
        if self.compound { format!("({})", self.text) } else { self.text }
    }
}

struct SchemaWriter<'a> {
    root: &'a Value,
    /// The references being followed; a repetition is a cycle.
    refs: Vec<&'a str>,
    path: Vec<String>,
    written: usize,
}

impl<'a> SchemaWriter<'a> {
    fn error(&self, what: &str) -> RenderError {
        let path = if self.path.is_empty() { "the root".to_owned() } else { self.path.join(".") };
        RenderError { message: format!("the schema {what} at {path}"), at: None }
    }

    fn inner(&mut self, name: &str, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(self.error(&format!("is nested deeper than {MAX_DEPTH}")));
        }
        self.path.push(name.to_owned());
        let shape = self.shape(schema, indent)?;
        self.path.pop();
        self.written += shape.text.len();
        if self.written > MAX_TYPE_BYTES {
            return Err(self.error("is too long when its references are followed"));
        }
        Ok(shape)
    }

    fn shape(&mut self, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let Some(fields) = schema.as_object() else {
            return Ok(Shape::simple(if schema == &Value::Bool(false) { "never" } else { "any" }));
        };
        let shape = self.bare_shape(schema, fields, indent)?;
        let nullable = fields.get("nullable") == Some(&Value::Bool(true));
        if nullable && !shape.text.split(" | ").any(|variant| variant == "null") {
            return Ok(Shape { text: format!("{} | null", shape.text), compound: true });
        }
        Ok(shape)
    }

    fn bare_shape(
        &mut self,
        schema: &'a Value,
        fields: &'a Map<String, Value>,
        indent: &str,
    ) -> Result<Shape, RenderError> {
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, indent);
        }
        if let Some(value) = fields.get("const") {
            return Ok(Shape::simple(literal(value)));
        }
        if let Some(values) = fields.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty())
        {
            let text = values.iter().map(literal).collect::<Vec<_>>().join(" | ");
            return Ok(Shape { text, compound: values.len() > 1 });
        }
        for (key, joint) in [("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")] {
            if let Some(variants) =
                fields.get(key).and_then(Value::as_array).filter(|variants| !variants.is_empty())
            {
                return self.variants(key, variants, joint, indent);
            }
        }
        match fields.get("type") {
            Some(Value::Array(types)) => self.types(types, schema, indent),
            Some(Value::String(name)) => self.named(name, schema, indent),
            _ if fields.contains_key("properties") => self.object(schema, indent),
            _ if fields.contains_key("items") => self.array(schema, indent),
            _ => Ok(Shape::simple("any")),
        }
    }

    /// A reference to another part of the same schema. Cycles end in `any`.
    fn reference(&mut self, reference: &'a str, indent: &str) -> Result<Shape, RenderError> {
        if self.refs.contains(&reference) {
            return Ok(Shape::simple("any"));
        }
        let root = self.root;
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(target) = target else {
            return Err(self.error(&format!("refers to {reference:?}, which it does not hold,")));
        };
        self.refs.push(reference);
        let shape = self.inner(reference, target, indent)?;
        self.refs.pop();
        Ok(shape)
    }

    fn types(&mut self, types: &'a [Value], schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let mut variants: Vec<String> = Vec::new();
        for name in types.iter().filter_map(Value::as_str) {
            let shape = self.named(name, schema, indent)?.grouped();
            if !variants.contains(&shape) {
                variants.push(shape);
            }
        }
        if variants.is_empty() {
            return Ok(Shape::simple("any"));
        }
        Ok(Shape { compound: variants.len() > 1, text: variants.join(" | ") })
    }

    fn named(&mut self, name: &str, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        match name {
            "object" => self.object(schema, indent),
            "array" => self.array(schema, indent),
            "integer" | "number" => Ok(Shape::simple("number")),
            "string" | "boolean" | "null" => Ok(Shape::simple(name)),
            _ => Ok(Shape::simple("any")),
        }
    }

    /// A union or an intersection, with a line for each variant if one of them has a description.
    fn variants(
        &mut self,
        key: &str,
        variants: &'a [Value],
        joint: &str,
        indent: &str,
    ) -> Result<Shape, RenderError> {
        let inner = format!("{indent}    ");
        let described = variants.iter().any(|variant| variant.get("description").is_some());
        let mut lines = String::new();
        let mut shapes: Vec<String> = Vec::new();
        for (at, variant) in variants.iter().enumerate() {
            let shape =
                self.inner(&format!("{key}[{at}]"), variant, if described { &inner } else { indent })?;
            let text = if joint == " & " { shape.grouped() } else { shape.text };
            if described {
                if let Some(text) = variant.get("description").and_then(Value::as_str) {
                    comment(&mut lines, &inner, text);
                }
                let _ = writeln!(lines, "{inner}{}{text}", joint.trim_start());
            }
            if !shapes.contains(&text) {
                shapes.push(text);
            }
        }
        if described {
            return Ok(Shape { text: format!("\n{lines}{indent}"), compound: true });
        }
        Ok(Shape { compound: shapes.len() > 1, text: shapes.join(joint) })
    }

    fn array(&mut self, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let tuple =
            schema.get("prefixItems").or_else(|| schema.get("items").filter(|items| items.is_array()));
        if let Some(items) = tuple.and_then(Value::as_array) {
            let mut shapes = Vec::new();
            for (at, item) in items.iter().enumerate() {
                shapes.push(self.inner(&format!("items[{at}]"), item, indent)?.text);
            }
            return Ok(Shape::simple(format!("[{}]", shapes.join(", "))));
        }
        match schema.get("items") {
            Some(items) => Ok(Shape::simple(format!("{}[]", self.inner("items", items, indent)?.grouped()))),
            None => Ok(Shape::simple("any[]")),
        }
    }

    fn object(&mut self, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        // The fields of the outermost object are not indented, as in the models' training data.
        let inner = if self.path.is_empty() { String::new() } else { format!("{indent}    ") };
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |key: &str| required.is_some_and(|keys| keys.iter().any(|name| name.as_str() == Some(key)));
        let mut out = String::from("{\n");
        for (key, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let shape = self.inner(key, field, &inner)?;
            describe(&mut out, &inner, field);
            let mark = if is_required(key) { "" } else { "?" };
            let _ = write!(out, "{inner}{}{mark}: {},", field_name(key), shape.text);
            if let Some(default) = field.get("default") {
                let _ = write!(out, " // default: {}", literal(default));
            }
            out.push('\n');
        }
        if let Some(others) = schema.get("additionalProperties").filter(|others| !others.is_boolean()) {
            let shape = self.inner("additionalProperties", others, &inner)?;
            describe(&mut out, &inner, others);
            let _ = writeln!(out, "{inner}[key: string]: {},", shape.text);
        }
        if out.len() == 2 {
            return Ok(Shape::simple("object"));
        }
        let _ = write!(out, "{indent}}}");
        Ok(Shape::simple(out))
    }
}

/// The comments above a field: its title, description, examples and limits.
fn describe(out: &mut String, indent: &str, field: &Value) {
    let described = field.get("anyOf").or_else(|| field.get("oneOf")).or_else(|| field.get("allOf"));
    let title = field.get("title").and_then(Value::as_str);
    let description = field.get("description").and_then(Value::as_str);
    if let Some(title) = title {
        comment(out, indent, title);
        if description.is_some() {
            let _ = writeln!(out, "{indent}//");
        }
    }
    if let Some(description) = description {
        comment(out, indent, description);
    }
    if let Some(examples) =
        field.get("examples").and_then(Value::as_array).filter(|examples| !examples.is_empty())
    {
        let _ = writeln!(out, "{indent}// Examples:");
        for example in examples {
            let _ = writeln!(out, "{indent}// - {}", literal(example));
        }
    }
    let limits: Vec<String> = LIMITS
        .iter()
        .filter_map(|key| field.get(key).map(|value| format!("{key}: {}", literal(value))))
        .collect();
    if !limits.is_empty() && described.is_none() {
        let _ = writeln!(out, "{indent}// {}", limits.join(", "));
    }
}

/// Keywords that a TypeScript type cannot express.
const LIMITS: [&str; 12] = [
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
];

/// A field name, quoted unless it is an identifier.
fn field_name(key: &str) -> String {
    let mut chars = key.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$'));
    if begins && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$')) {
        return key.to_owned();
    }
    literal(&Value::String(key.to_owned()))
}
