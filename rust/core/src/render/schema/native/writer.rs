//! The types of a schema.

use super::comments::{self, literal};
use super::references::{References, SchemaId, id_of};
use crate::error::RenderError;
use crate::render::notes::{NoteCode, Notes};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Deeper schemas are refused.
const MAX_DEPTH: usize = 64;

/// A type, whether it needs parentheses before `[]` or in an intersection, and what it cannot express.
#[derive(Clone)]
struct Shape {
    text: String,
    compound: bool,
    /// Comments for the place where the type is written.
    comments: Vec<String>,
}

impl Shape {
    fn simple(text: impl Into<String>) -> Shape {
        Shape { text: text.into(), compound: false, comments: Vec::new() }
    }

    fn grouped(&self) -> String {
        if self.compound { format!("({})", self.text) } else { self.text.clone() }
    }

    /// Whether the type is the plain kind of the values that another type describes.
    fn is_implied_by(&self, other: &str) -> bool {
        let is_name = other.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match self.text.as_str() {
            "any" => true,
            "object" => other.contains('{') || is_name && !PLAIN.contains(&other),
            "string" => other.contains('"') || other.contains("string"),
            "number" => other.contains("number") || other.contains(|c: char| c.is_ascii_digit()),
            "boolean" => ["boolean", "true", "false"].iter().any(|word| other.contains(word)),
            "any[]" => other.contains('['),
            _ => false,
        }
    }
}

/// The types that name a kind of value and nothing else.
const PLAIN: [&str; 7] = ["any", "object", "string", "number", "boolean", "null", "any[]"];

pub(super) struct SchemaWriter<'a, 'n> {
    references: &'a References<'a>,
    notes: &'n mut Notes,
    /// The object whose fields are not indented, as in the models' training data.
    outermost: &'a Value,
    /// The named types that were referred to, and those of them that are not declared yet.
    used: BTreeSet<SchemaId>,
    undeclared: Vec<&'a Value>,
    path: Vec<String>,
}

impl<'a, 'n> SchemaWriter<'a, 'n> {
    pub(super) fn new(references: &'a References<'a>, root: &'a Value, notes: &'n mut Notes) -> Self {
        SchemaWriter {
            references,
            notes,
            outermost: root,
            used: BTreeSet::new(),
            undeclared: Vec::new(),
            path: Vec::new(),
        }
    }

    /// The comments and the type of the root.
    pub(super) fn root(&mut self) -> Result<(Vec<String>, String), RenderError> {
        let root = self.outermost;
        let mut comments = comments::of_field(root);
        if let Some(name) = self.references.name_of(root) {
            let name = name.to_owned();
            self.refer(root);
            return Ok((comments, name));
        }
        let shape = self.shape(root, "", None)?;
        add(&mut comments, shape.comments);
        Ok((comments, shape.text))
    }

    /// The declarations of all named types that were referred to, in the order of their use.
    pub(super) fn declarations(mut self) -> Result<Vec<(String, String)>, RenderError> {
        let mut declarations = Vec::new();
        while !self.undeclared.is_empty() {
            let schema = self.undeclared.remove(0);
            let Some(name) = self.references.name_of(schema).map(str::to_owned) else { continue };
            self.outermost = schema;
            self.path = vec![name.clone()];
            let shape = self.shape(schema, "", None)?;
            let mut comments = comments::of_value(schema, Some(&name));
            add(&mut comments, shape.comments);
            let mut text = String::new();
            comments::comments(&mut text, "", &comments);
            let _ = write!(text, "type {name} = {};\n\n", shape.text);
            declarations.push((name, text));
        }
        Ok(declarations)
    }

    fn sentence(&self, what: &str) -> String {
        let path = if self.path.is_empty() { "the root".to_owned() } else { self.path.join(".") };
        format!("the schema {what} at {path}")
    }

    fn error(&self, what: &str) -> RenderError {
        RenderError { message: self.sentence(what), at: None }
    }

    fn inner(
        &mut self,
        name: &str,
        schema: &'a Value,
        indent: &str,
        inherited: Option<&'a Value>,
    ) -> Result<Shape, RenderError> {
        if self.path.len() >= MAX_DEPTH {
            return Err(self.error(&format!("is nested deeper than {MAX_DEPTH}")));
        }
        self.path.push(name.to_owned());
        let shape = self.shape(schema, indent, inherited)?;
        self.path.pop();
        Ok(shape)
    }

    /// The type of a schema. A schema without a type of its own has that of the schema around it (`inherited`).
    fn shape(
        &mut self,
        schema: &'a Value,
        indent: &str,
        inherited: Option<&'a Value>,
    ) -> Result<Shape, RenderError> {
        let Some(fields) = schema.as_object() else {
            return Ok(Shape::simple(if schema == &Value::Bool(false) { "never" } else { "any" }));
        };
        let kind = fields.get("type").or(inherited);
        let mut shapes = Vec::new();
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            shapes.push(self.reference(reference, indent)?);
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let variants = fields.get(key).and_then(Value::as_array);
            if let Some(variants) = variants.filter(|variants| !variants.is_empty()) {
                shapes.push(self.variants(key, variants, indent, kind)?);
            }
        }
        let own = self.own_shape(schema, fields, kind, indent)?;
        let mut shape = intersection(own, shapes);
        let nullable = fields.get("nullable") == Some(&Value::Bool(true));
        if nullable && shape.text != "any" && !shape.text.split(" | ").any(|variant| variant == "null") {
            shape.text.push_str(" | null");
            shape.compound = true;
        }
        Ok(shape)
    }

    /// The type that a schema has by itself, without what it refers to and combines.
    fn own_shape(
        &mut self,
        schema: &'a Value,
        fields: &'a Map<String, Value>,
        kind: Option<&'a Value>,
        indent: &str,
    ) -> Result<Shape, RenderError> {
        if let Some(value) = fields.get("const") {
            return Ok(Shape::simple(literal(value)));
        }
        if let Some(values) = fields.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty())
        {
            let text = values.iter().map(literal).collect::<Vec<_>>().join(" | ");
            return Ok(Shape { compound: values.len() > 1, ..Shape::simple(text) });
        }
        match kind {
            Some(Value::Array(types)) => self.types(types, schema, indent),
            Some(Value::String(name)) => self.named(name, schema, indent),
            _ if declares_fields(fields) => self.object(schema, indent),
            _ if fields.contains_key("items") || fields.contains_key("prefixItems") => {
                self.array(schema, indent)
            }
            _ => Ok(Shape::simple("any")),
        }
    }

    /// The target of a reference: in place, or by its name.
    fn reference(&mut self, reference: &'a str, indent: &str) -> Result<Shape, RenderError> {
        let references = self.references;
        let Some(target) = references.target(reference) else {
            let message = self.sentence(&format!("refers to {reference:?}, which it does not hold,"));
            self.notes.add(NoteCode::UnresolvedReference, message)?;
            let comments = vec![format!("$ref: {}", literal(&Value::String(reference.to_owned())))];
            return Ok(Shape { comments, ..Shape::simple("any") });
        };
        if let Some(name) = references.name_of(target) {
            self.refer(target);
            return Ok(Shape::simple(name));
        }
        let mut shape = self.inner(reference, target, indent, None)?;
        let mut comments = comments::of_value(target, reference.rsplit('/').next());
        add(&mut comments, std::mem::take(&mut shape.comments));
        Ok(Shape { comments, ..shape })
    }

    fn refer(&mut self, target: &'a Value) {
        if self.used.insert(id_of(target)) {
            self.undeclared.push(target);
        }
    }

    fn types(&mut self, types: &'a [Value], schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let mut shapes: Vec<Shape> = Vec::new();
        for name in types.iter().filter_map(Value::as_str) {
            shapes.push(self.named(name, schema, indent)?);
        }
        if shapes.is_empty() {
            return Ok(Shape::simple("any"));
        }
        let mut comments = Vec::new();
        shapes.iter_mut().for_each(|shape| add(&mut comments, std::mem::take(&mut shape.comments)));
        let texts = distinct(shapes.iter().map(Shape::grouped));
        Ok(Shape { compound: texts.len() > 1, text: texts.join(" | "), comments })
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

    /// A union or an intersection. Variants with comments have a line each, unless the comments can stand above all.
    fn variants(
        &mut self,
        key: &str,
        variants: &'a [Value],
        indent: &str,
        inherited: Option<&'a Value>,
    ) -> Result<Shape, RenderError> {
        let mut shapes = Vec::new();
        for (at, variant) in variants.iter().enumerate() {
            let mut shape = self.inner(&format!("{key}[{at}]"), variant, indent, inherited)?;
            let mut comments = comments::of_value(variant, None);
            add(&mut comments, std::mem::take(&mut shape.comments));
            shapes.push(Shape { comments, ..shape });
        }
        if key == "allOf" {
            let first = shapes.remove(0);
            return Ok(intersection(first, shapes));
        }
        Ok(union(key, shapes, indent))
    }

    fn array(&mut self, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let items = schema.get("items");
        let (tuple, rest) = match (prefix, items) {
            (Some(prefix), items) => (prefix, items),
            (None, Some(Value::Array(items))) => (items, schema.get("additionalItems")),
            (None, Some(items)) => {
                let mut shape = self.item("items", items, indent)?;
                shape.text = format!("{}[]", shape.grouped());
                return Ok(Shape { compound: false, ..shape });
            }
            (None, None) => return Ok(Shape::simple("any[]")),
        };
        let (mut texts, mut comments) = (Vec::new(), Vec::new());
        for (at, item) in tuple.iter().enumerate() {
            let shape = self.item(&format!("items[{at}]"), item, indent)?;
            texts.push(shape.text);
            add(&mut comments, shape.comments);
        }
        if let Some(rest) = rest.filter(|rest| rest.is_object()) {
            let shape = self.item("further items", rest, indent)?;
            texts.push(format!("...{}[]", shape.grouped()));
            add(&mut comments, shape.comments);
        }
        Ok(Shape { comments, ..Shape::simple(format!("[{}]", texts.join(", "))) })
    }

    /// The type of an item, whose comments say that they are the item's.
    fn item(&mut self, name: &str, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let mut shape = self.inner(name, schema, indent, None)?;
        let mut comments = comments::of_value(schema, None);
        add(&mut comments, std::mem::take(&mut shape.comments));
        let comments = comments.into_iter().map(|comment| format!("{name}: {comment}")).collect();
        Ok(Shape { comments, ..shape })
    }

    fn object(&mut self, schema: &'a Value, indent: &str) -> Result<Shape, RenderError> {
        let is_outermost = std::ptr::eq(schema, self.outermost);
        let inner = if is_outermost { String::new() } else { format!("{indent}    ") };
        let required = schema.get("required").and_then(Value::as_array);
        let mut out = String::from("{\n");
        for (key, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_required = required.is_some_and(|keys| keys.iter().any(|name| name.as_str() == Some(key)));
            self.field(&mut out, &inner, &field_name(key), is_required, field, key)?;
        }
        for (key, field) in conditional_fields(schema) {
            self.field(&mut out, &inner, &field_name(key), false, field, key)?;
        }
        for (pattern, field) in
            schema.get("patternProperties").and_then(Value::as_object).into_iter().flatten()
        {
            let pattern = literal(&Value::String(pattern.clone()));
            comments::comment(&mut out, &inner, &format!("keys match {pattern}"));
            self.field(&mut out, &inner, "[key: string]", true, field, "patternProperties")?;
        }
        if let Some(others) = schema.get("additionalProperties").filter(|others| !others.is_boolean()) {
            self.field(&mut out, &inner, "[key: string]", true, others, "additionalProperties")?;
        }
        if out.len() == 2 {
            return Ok(Shape::simple("object"));
        }
        let _ = write!(out, "{indent}}}");
        Ok(Shape::simple(out))
    }

    fn field(
        &mut self,
        out: &mut String,
        indent: &str,
        name: &str,
        is_required: bool,
        schema: &'a Value,
        key: &str,
    ) -> Result<(), RenderError> {
        let shape = self.inner(key, schema, indent, None)?;
        let mut comments = comments::of_field(schema);
        add(&mut comments, shape.comments);
        comments::comments(out, indent, &comments);
        let mark = if is_required { "" } else { "?" };
        let _ = write!(out, "{indent}{name}{mark}: {},", shape.text);
        if let Some(default) = schema.get("default") {
            let _ = write!(out, " // default: {}", literal(default));
        }
        out.push('\n');
        Ok(())
    }
}

/// Adds comments that do not stand there yet.
fn add(comments: &mut Vec<String>, more: Vec<String>) {
    for comment in more {
        if !comments.contains(&comment) {
            comments.push(comment);
        }
    }
}

fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for text in texts {
        if !distinct.contains(&text) {
            distinct.push(text);
        }
    }
    distinct
}

/// The type that is all of these. A plain kind of value says nothing beside a type of that kind.
fn intersection(first: Shape, others: Vec<Shape>) -> Shape {
    let mut shapes: Vec<Shape> = std::iter::once(first).chain(others).collect();
    let mut comments = Vec::new();
    shapes.iter_mut().for_each(|shape| add(&mut comments, std::mem::take(&mut shape.comments)));
    let texts: Vec<String> = shapes.iter().map(|shape| shape.text.clone()).collect();
    let says_more = |shape: &Shape| texts.iter().any(|text| *text != shape.text && shape.is_implied_by(text));
    shapes.retain(|shape| !says_more(shape));
    let mut seen: Vec<String> = Vec::new();
    shapes.retain(|shape| {
        let is_new = !seen.contains(&shape.text);
        seen.push(shape.text.clone());
        is_new
    });
    match shapes.as_slice() {
        [only] => Shape { text: only.text.clone(), compound: only.compound, comments },
        several => {
            let text = several.iter().map(Shape::grouped).collect::<Vec<_>>().join(" & ");
            Shape { text, compound: true, comments }
        }
    }
}

/// The type that is one of these.
fn union(key: &str, shapes: Vec<Shape>, indent: &str) -> Shape {
    let texts = distinct(shapes.iter().map(|shape| shape.text.clone()));
    let joined =
        Shape { compound: texts.len() > 1 || shapes[0].compound, ..Shape::simple(texts.join(" | ")) };
    let is_null = |shape: &&Shape| shape.text == "null" && shape.comments.is_empty();
    let values: Vec<&Shape> = shapes.iter().filter(|shape| !is_null(shape)).collect();
    if values.iter().all(|shape| shape.comments.is_empty()) {
        return joined;
    }
    if let [only] = values.as_slice() {
        return Shape { comments: only.comments.clone(), ..joined };
    }
    let is_one_type = values.iter().all(|shape| shape.text == values[0].text);
    let is_short =
        |shape: &&Shape| shape.comments.len() <= 1 && shape.comments.iter().all(|text| !text.contains('\n'));
    if is_one_type && values.iter().all(is_short) {
        let label = if key == "oneOf" { "one of" } else { "any of" };
        let each = values.iter().map(|shape| shape.comments.first().map_or("any", String::as_str));
        let comments = vec![format!("{label}: {}", each.collect::<Vec<_>>().join(" | "))];
        return Shape { comments, ..joined };
    }
    let inner = format!("{indent}    ");
    let mut lines = String::from("\n");
    for shape in &shapes {
        comments::comments(&mut lines, &inner, &shape.comments);
        let _ = writeln!(lines, "{inner}| {}", shape.text.replace('\n', "\n    "));
    }
    Shape { compound: true, ..Shape::simple(lines + indent) }
}

/// Whether a schema without a type describes an object.
fn declares_fields(fields: &Map<String, Value>) -> bool {
    let keys = ["properties", "patternProperties", "dependentSchemas", "dependencies", "then", "else"];
    let others = fields.get("additionalProperties").is_some_and(Value::is_object);
    others || keys.iter().any(|key| fields.get(*key).is_some_and(Value::is_object))
}

/// Fields that only a condition declares.
fn conditional_fields(schema: &Value) -> Vec<(&String, &Value)> {
    let declared = schema.get("properties").and_then(Value::as_object);
    let branches = ["then", "else"].into_iter().filter_map(|key| schema.get(key));
    let dependent =
        ["dependentSchemas", "dependencies"].into_iter().filter_map(|key| schema.get(key)?.as_object());
    let sources = branches.chain(dependent.flat_map(Map::values));
    let mut fields: Vec<(&String, &Value)> = Vec::new();
    for (key, field) in sources.filter_map(|source| source.get("properties")?.as_object()).flatten() {
        let is_declared = declared.is_some_and(|declared| declared.contains_key(key));
        if !is_declared && fields.iter().all(|(name, _)| *name != key) {
            fields.push((key, field));
        }
    }
    fields
}

/// A field name, quoted unless it is an identifier.
fn field_name(key: &str) -> String {
    let mut chars = key.chars();
    let begins = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '$'));
    if begins && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$')) {
        return key.to_owned();
    }
    literal(&Value::String(key.to_owned()))
}
