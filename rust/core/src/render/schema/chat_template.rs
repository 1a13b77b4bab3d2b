//! JSON Schema as TypeScript, byte for byte as the published chat template writes it: type names of a list unchanged,
//! variants without a space before their descriptions, fields of inner objects far to the right, long items as `any[]`.
//! Text that leaves its place is noted; a schema for which the template raises is refused.

use super::strict_text::SchemaPath;
use crate::error::RenderError;
use crate::message::Tool;
use crate::render::notes::Notes;
use crate::render::python_json::{Json, python_str};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Characters of an item type; longer ones become `any`.
const MAX_ITEM_CHARS: usize = 50;

/// A tool as a function type, its description above.
pub(crate) fn function(tool: &Tool, notes: &mut Notes) -> Result<String, RenderError> {
    let mut writer = SchemaWriter { path: SchemaPath::new(notes) };
    writer.path.tool_description(&tool.description)?;
    let mut out = format!("// {}\ntype {} = ", tool.description, tool.name);
    let parameters = tool.parameters.as_ref().unwrap_or(&Value::Null);
    match writer.properties(parameters)? {
        Some(fields) => {
            out.push_str("(_: {\n");
            for (key, field) in fields {
                writer.parameter(&mut out, key, field, parameters)?;
            }
            out.push_str("}) => any;\n\n");
        }
        None => out.push_str("() => any;\n\n"),
    }
    Ok(out)
}

/// The value of a keyword if it is true in Python.
fn truthy<'v>(schema: &'v Value, keyword: &str) -> Option<&'v Value> {
    schema.get(keyword).filter(|value| match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}

struct SchemaWriter<'n> {
    path: SchemaPath<'n>,
}

impl SchemaWriter<'_> {
    /// Rejects a schema for which the template raises, or whose rendering is ambiguous.
    fn unreadable(&self, keyword: &str, wanted: &str) -> RenderError {
        let what = format!("has {keyword:?} that is not {wanted}, for which the chat template fails,");
        let RenderError { message, at } = self.path.error(&what);
        RenderError { message: format!("{message}; dialect=\"motet\" renders it"), at }
    }

    fn properties<'v>(&self, schema: &'v Value) -> Result<Option<&'v Map<String, Value>>, RenderError> {
        let Some(fields) = truthy(schema, "properties") else { return Ok(None) };
        fields.as_object().map(Some).ok_or_else(|| self.unreadable("properties", "an object"))
    }

    fn list<'v>(&self, schema: &'v Value, keyword: &str) -> Result<Option<&'v Vec<Value>>, RenderError> {
        let Some(items) = truthy(schema, keyword) else { return Ok(None) };
        items.as_array().map(Some).ok_or_else(|| self.unreadable(keyword, "a list"))
    }

    /// Whether a field is required, as Python's `key in required` decides.
    fn is_required(&self, object: &Value, key: &str) -> Result<bool, RenderError> {
        Ok(match truthy(object, "required") {
            None => false,
            Some(Value::Array(keys)) => keys.iter().any(|name| name.as_str() == Some(key)),
            Some(Value::String(text)) => text.contains(key),
            Some(Value::Object(fields)) => fields.contains_key(key),
            Some(_) => return Err(self.unreadable("required", "a list")),
        })
    }

    fn description<'v>(&mut self, schema: &'v Value) -> Result<Option<&'v str>, RenderError> {
        let Some(value) = truthy(schema, "description") else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| self.unreadable("description", "text"))?;
        self.path.line("description", text).map(Some)
    }

    /// A default as JSON.
    fn default(&mut self, value: &Value) -> Result<String, RenderError> {
        let json = Json::from(value).to_string();
        self.path.line("default", &json).map(str::to_owned)
    }

    fn inner(&mut self, name: &str, schema: &Value) -> Result<String, RenderError> {
        self.path.enter(name)?;
        let shape = self.shape(schema)?;
        self.path.leave();
        Ok(shape)
    }

    /// `name: `, with `?` for an optional field.
    fn name(&mut self, object: &Value, key: &str) -> Result<String, RenderError> {
        let mark = if self.is_required(object, key)? { "" } else { "?" };
        Ok(format!("{}{mark}: ", self.path.key(key)?))
    }

    /// A field of the outermost object, the only ones with description and default.
    fn parameter(
        &mut self,
        out: &mut String,
        key: &str,
        field: &Value,
        parameters: &Value,
    ) -> Result<(), RenderError> {
        let name = self.name(parameters, key)?;
        self.path.enter(key)?;
        if let Some(text) = self.description(field)? {
            let _ = writeln!(out, "// {text}");
        }
        let _ = write!(out, "{name}{}", self.shape(field)?);
        if let Some(default) = field.get("default") {
            // Beside these keywords the template concatenates the default, which works for text only.
            let beside = ["enum", "oneOf"].into_iter().find(|keyword| truthy(field, keyword).is_some());
            let default = match (beside, default) {
                (None, value) => self.default(value)?,
                (Some(_), Value::String(text)) => self.path.line("default", text)?.to_owned(),
                (Some(keyword), _) => {
                    return Err(self.unreadable("default", &format!("text, beside {keyword:?}")));
                }
            };
            let comma = if beside == Some("oneOf") { "" } else { ", " };
            let _ = write!(out, "{comma}// default: {default}");
        }
        out.push_str(",\n");
        self.path.leave();
        Ok(())
    }

    fn shape(&mut self, schema: &Value) -> Result<String, RenderError> {
        let kind = schema.get("type");
        let name = kind.and_then(Value::as_str);
        if name == Some("array") {
            return self.array(schema);
        }
        if let Some(types) = kind.and_then(Value::as_array).filter(|types| !types.is_empty()) {
            let mut names = Vec::new();
            for item in types {
                let name = python_str(item);
                self.path.key(&name)?;
                names.push(name);
            }
            return Ok(names.join(" | "));
        }
        if let Some(variants) = self.list(schema, "oneOf")? {
            return self.one_of(variants);
        }
        Ok(match name {
            Some("string") => self.string(schema)?,
            Some("number" | "integer") => "number".to_owned(),
            Some("boolean") => "boolean".to_owned(),
            Some("object") => self.object(schema)?,
            _ => "any".to_owned(),
        })
    }

    fn array(&mut self, schema: &Value) -> Result<String, RenderError> {
        let null = if truthy(schema, "nullable").is_some() { " | null" } else { "" };
        let Some(items) = truthy(schema, "items") else { return Ok(format!("any[]{null}")) };
        let item = match items.get("type").and_then(Value::as_str) {
            Some("integer" | "number") => "number".to_owned(),
            Some(name @ ("string" | "boolean")) => name.to_owned(),
            _ => self.inner("items", items)?,
        };
        let unfit = item == "object | object" || item.chars().count() > MAX_ITEM_CHARS;
        Ok(format!("{}[]{null}", if unfit { "any" } else { &item }))
    }

    fn one_of(&mut self, variants: &[Value]) -> Result<String, RenderError> {
        let mut out = String::new();
        for (at, variant) in variants.iter().enumerate() {
            if at > 0 {
                out.push_str(" | \n");
            }
            self.path.enter(&format!("oneOf[{at}]"))?;
            out.push_str(&self.shape(variant)?);
            if let Some(text) = self.description(variant)? {
                let _ = write!(out, "// {text}");
            }
            if let Some(default) = variant.get("default") {
                let _ = write!(out, "{:20}// default: {}", "", self.default(default)?);
            }
            self.path.leave();
        }
        Ok(out)
    }

    fn string(&mut self, schema: &Value) -> Result<String, RenderError> {
        let Some(values) = self.list(schema, "enum")? else {
            let null = if truthy(schema, "nullable").is_some() { " | null" } else { "" };
            return Ok(format!("string{null}"));
        };
        let mut members = Vec::new();
        for value in values {
            let member = python_str(value);
            self.path.quoted("value of an enum", &member)?;
            members.push(format!("\"{member}\""));
        }
        Ok(members.join(" | "))
    }

    fn object(&mut self, schema: &Value) -> Result<String, RenderError> {
        let Some(fields) = self.properties(schema)? else { return Ok("object".to_owned()) };
        let mut out = String::from("{\n");
        for (at, (key, field)) in fields.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let name = self.name(schema, key)?;
            let _ = write!(out, "{comma}{name}\n{:16}{}", "", self.inner(key, field)?);
        }
        out.push('}');
        Ok(out)
    }
}
