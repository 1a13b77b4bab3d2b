//! JSON Schema as TypeScript, byte for byte as openai-harmony 0.0.8 writes it: an object's description twice, numeric
//! enums lost, unions in arrays without parentheses. Text that leaves its comment or string is noted.

use super::strict_text::SchemaPath;
use crate::error::RenderError;
use crate::message::Tool;
use crate::render::notes::Notes;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// As openai-harmony 0.0.8 writes a Python number: read from its text, which may change the last digit.
    OpenaiHarmony,
    /// The same for numbers that serde_json has read from text already.
    OpenaiHarmonyRead,
    /// As oss-harmony 0.0.11 does, and serde_json since 1.0.146.
    OssHarmony,
}

/// A tool as a function type, its description above.
pub(crate) fn function(tool: &Tool, numbers: Numbers, notes: &mut Notes) -> Result<String, RenderError> {
    let mut out = String::new();
    let mut writer = SchemaWriter { path: SchemaPath::new(notes), numbers };
    for line in tool.description.lines() {
        writer.path.tool_description(line)?;
        let _ = writeln!(out, "// {line}");
    }
    let parameters = match &tool.parameters {
        Some(schema) => format!("_: {}", writer.shape(schema, "")?),
        None => String::new(),
    };
    let _ = write!(out, "type {} = ({parameters}) => any;\n\n", tool.name);
    Ok(out)
}

struct SchemaWriter<'n> {
    path: SchemaPath<'n>,
    numbers: Numbers,
}

impl SchemaWriter<'_> {
    fn inner(&mut self, name: &str, schema: &Value, indent: &str) -> Result<String, RenderError> {
        self.path.enter(name)?;
        let text = self.shape(schema, indent)?;
        self.path.leave();
        Ok(text)
    }

    /// The type of a field or a variant, the only places where `nullable` is honoured.
    fn nullable(&mut self, name: &str, schema: &Value, indent: &str) -> Result<String, RenderError> {
        let shape = self.inner(name, schema, indent)?;
        let add = schema.get("nullable") == Some(&Value::Bool(true)) && !shape.contains("null");
        Ok(if add { format!("{shape} | null") } else { shape })
    }

    fn shape(&mut self, schema: &Value, indent: &str) -> Result<String, RenderError> {
        if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
            return self.one_of(variants, indent);
        }
        if let Some(types) = schema.get("type").and_then(Value::as_array) {
            let names: Vec<&str> = types.iter().filter_map(Value::as_str).collect();
            let mut variants = Vec::new();
            for name in names {
                variants.push(if name == "integer" { "number" } else { self.path.key(name)? });
            }
            if !variants.is_empty() {
                return Ok(variants.join(" | "));
            }
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.object(schema, indent),
            Some("string") => self.string(schema),
            Some("number" | "integer") => Ok("number".to_owned()),
            Some("boolean") => Ok("boolean".to_owned()),
            Some("array") => match schema.get("items") {
                Some(items) => Ok(format!("{}[]", self.inner("items", items, indent)?)),
                None => Ok("Array<any>".to_owned()),
            },
            _ => Ok("any".to_owned()),
        }
    }

    fn string(&mut self, schema: &Value) -> Result<String, RenderError> {
        let Some(values) = enumeration(schema) else { return Ok("string".to_owned()) };
        let mut members = Vec::new();
        for value in values.iter().filter_map(Value::as_str) {
            members.push(format!("\"{}\"", self.path.quoted("value of an enum", value)?));
        }
        Ok(if members.is_empty() { "string".to_owned() } else { members.join(" | ") })
    }

    fn one_of(&mut self, variants: &[Value], indent: &str) -> Result<String, RenderError> {
        let mut out = String::new();
        for (at, variant) in variants.iter().enumerate() {
            let shape = self.nullable(&format!("oneOf[{at}]"), variant, &format!("{indent}   "))?;
            let _ = write!(out, "\n{indent} | {shape}");
            self.trailing(&mut out, variant, true, false)?;
        }
        Ok(out)
    }

    /// The comment behind a variant: ` // description default: value`.
    fn trailing(
        &mut self,
        out: &mut String,
        variant: &Value,
        described: bool,
        bare_enums: bool,
    ) -> Result<(), RenderError> {
        let mut notes = Vec::new();
        if let Some(text) = variant.get("description").and_then(Value::as_str).filter(|_| described) {
            notes.push(self.path.line("description", text)?.to_owned());
        }
        if let Some(default) = self.default(variant, bare_enums)? {
            notes.push(default);
        }
        if !notes.is_empty() {
            let _ = write!(out, " // {}", notes.join(" "));
        }
        Ok(())
    }

    /// `default: value`, text in quotes. Beside an enum text stands bare (`bare_enums`) or as JSON.
    fn default(&mut self, schema: &Value, bare_enums: bool) -> Result<Option<String>, RenderError> {
        let Some(value) = schema.get("default") else { return Ok(None) };
        Ok(Some(match value {
            Value::String(text) if enumeration(schema).is_none() => {
                format!("default: \"{}\"", self.path.quoted("default", text)?)
            }
            Value::String(text) if bare_enums => format!("default: {}", self.path.line("default", text)?),
            other => format!("default: {}", self.path.line("default", &json(other, self.numbers))?),
        }))
    }

    fn object(&mut self, schema: &Value, indent: &str) -> Result<String, RenderError> {
        let mut out = String::new();
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            let _ = writeln!(out, "{indent}// {}", self.path.line("description", text)?);
        }
        out.push_str("{\n");
        let required: Vec<&str> = match schema.get("required").and_then(Value::as_array) {
            Some(keys) => keys.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        let empty = Map::new();
        for (key, field) in schema.get("properties").and_then(Value::as_object).unwrap_or(&empty) {
            let mark = if required.contains(&key.as_str()) { "" } else { "?" };
            let name = format!("{}{mark}", self.path.key(key)?);
            self.field(&mut out, key, &name, field, indent)?;
        }
        let _ = write!(out, "{indent}}}");
        Ok(out)
    }

    fn field(
        &mut self,
        out: &mut String,
        key: &str,
        name: &str,
        field: &Value,
        indent: &str,
    ) -> Result<(), RenderError> {
        let text = |name: &str| field.get(name).and_then(Value::as_str);
        let variants = field.get("oneOf").and_then(Value::as_array);
        if let Some(title) = text("title") {
            let _ = writeln!(out, "{indent}// {}\n{indent}//", self.path.line("title", title)?);
        }
        if let Some(description) = text("description").filter(|_| field.get("oneOf").is_none()) {
            let _ = writeln!(out, "{indent}// {}", self.path.line("description", description)?);
        }
        if let Some(examples) = field.get("examples").and_then(Value::as_array).filter(|all| !all.is_empty())
        {
            let _ = writeln!(out, "{indent}// Examples:");
            for example in examples.iter().filter_map(Value::as_str) {
                let _ = writeln!(out, "{indent}// - \"{}\"", self.path.quoted("example", example)?);
            }
        }
        if let Some(variants) = variants {
            return self.union_field(out, key, name, field, variants, indent);
        }
        let shape = self.nullable(key, field, &format!("{indent}    "))?;
        let _ = write!(out, "{indent}{name}: {shape},");
        if let Some(default) = self.default(field, true)? {
            let _ = write!(out, " // {default}");
        }
        out.push('\n');
        Ok(())
    }

    fn union_field(
        &mut self,
        out: &mut String,
        key: &str,
        name: &str,
        field: &Value,
        variants: &[Value],
        indent: &str,
    ) -> Result<(), RenderError> {
        let description = field.get("description").and_then(Value::as_str);
        let first = variants.first().and_then(|variant| variant.get("description")).and_then(Value::as_str);
        let above = description.filter(|text| Some(*text) != first);
        if let Some(text) = above {
            let _ = writeln!(out, "{indent}// {}", self.path.line("description", text)?);
        }
        if let Some(default) = self.default(field, true)? {
            let _ = writeln!(out, "{indent}// {default}");
        }
        let _ = writeln!(out, "{indent}{name}:");
        self.path.enter(key)?;
        for (at, variant) in variants.iter().enumerate() {
            let shape = self.nullable(&format!("oneOf[{at}]"), variant, &format!("{indent}   "))?;
            let _ = write!(out, "{indent} | {shape}");
            let own = variant.get("description").and_then(Value::as_str);
            let described =
                if at == 0 { description.is_none() } else { description.is_none() || description != own };
            self.trailing(out, variant, described, true)?;
            out.push('\n');
        }
        self.path.leave();
        let _ = writeln!(out, "{indent},");
        Ok(())
    }
}

/// JSON. The numbers of 0.0.8 are `1e20` instead of `1e+20`.
fn json(value: &Value, numbers: Numbers) -> String {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            match numbers {
                Numbers::OssHarmony => text,
                Numbers::OpenaiHarmonyRead => text.replace("e+", "e"),
                Numbers::OpenaiHarmony => {
                    let read = serde_json::from_str::<Value>(&text);
                    read.unwrap_or_else(|_| value.clone()).to_string().replace("e+", "e")
                }
            }
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| json(item, numbers)).collect::<Vec<_>>().join(","))
        }
        Value::Object(fields) => {
            let field =
                |(key, value)| format!("{}:{}", Value::String(String::clone(key)), json(value, numbers));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

fn enumeration(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty())
}
