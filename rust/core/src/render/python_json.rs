//! JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it: a space after `,` and `:`, characters beyond
//! ASCII unescaped, floats as their `repr`. Servers run the published chat template in Python, so prompts contain it.
//!
//! A parser of its own, because serde_json rounds the last digit of some floats and has no large integers.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};

/// Deeper values are refused.
const MAX_DEPTH: usize = 200;

/// A JSON value.
#[derive(Debug, PartialEq)]
pub(crate) enum Json {
    /// `null`, a boolean or a number, spelled as Python spells it.
    Bare(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Why a text cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    NotJson,
    TooDeep,
}

impl Json {
    /// Parses what Python's `json.loads` accepts, `NaN` and infinities included. Of equal keys the last one wins.
    pub(crate) fn parse(text: &str) -> Result<Json, Fault> {
        let (value, rest) = value(blank(text), 0)?;
        if blank(rest).is_empty() { Ok(value) } else { Err(Fault::NotJson) }
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Json {
        match value {
            Value::Null | Value::Bool(_) => Json::Bare(value.to_string()),
            Value::Number(number) if number.is_f64() => {
                Json::Bare(float(number.as_f64().unwrap_or_default()))
            }
            Value::Number(number) => Json::Bare(number.to_string()),
            Value::String(text) => Json::Text(text.clone()),
            Value::Array(items) => Json::Array(items.iter().map(Json::from).collect()),
            Value::Object(fields) => {
                Json::Object(fields.iter().map(|(key, value)| (key.clone(), Json::from(value))).collect())
            }
        }
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Json::Bare(word) => f.write_str(word),
            Json::Text(text) => quoted(text, f),
            Json::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
            Json::Object(fields) => {
                f.write_str("{")?;
                for (at, (key, value)) in fields.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { ", " })?;
                    quoted(key, f)?;
                    f.write_str(": ")?;
                    value.fmt(f)?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(text: &str, f: &mut Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\')) {
        let (plain, odd) = rest.split_at(at);
        f.write_str(plain)?;
        let mut chars = odd.chars();
        match chars.next() {
            Some('\n') => f.write_str("\\n")?,
            Some('\r') => f.write_str("\\r")?,
            Some('\t') => f.write_str("\\t")?,
            Some('\u{8}') => f.write_str("\\b")?,
            Some('\u{c}') => f.write_str("\\f")?,
            Some(c @ ('"' | '\\')) => write!(f, "\\{c}")?,
            Some(c) => write!(f, "\\u{:04x}", u32::from(c))?,
            None => {}
        }
        rest = chars.as_str();
    }
    write!(f, "{rest}\"")
}

/// A float as Python's `repr`: the fewest digits that parse back, with an exponent below 1e-4 and from 1e16.
pub(crate) fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let shortest = format!("{value:e}");
    let count = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    // Of two equally short and near spellings Python takes the even one, as formatting with a precision does.
    let even = format!("{value:.*e}", count.saturating_sub(1));
    let chosen = if even.parse() == Ok(value) { even } else { shortest };
    let (mantissa, exponent) = chosen.split_once('e').unwrap_or((&chosen, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let digits = mantissa.replace(['-', '.'], "");
    match usize::try_from(exponent) {
        Ok(places @ 0..16) => {
            let (whole, fraction) = digits.split_at_checked(places + 1).unwrap_or((&digits, ""));
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            format!("{sign}{whole:0<width$}.{fraction}", width = places + 1)
        }
        Err(_) if exponent >= -4 => {
            format!("{sign}0.{digits:0>width$}", width = digits.len() + exponent.unsigned_abs() as usize - 1)
        }
        _ => format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// A value as Python's `str` writes it: text verbatim, everything else as its `repr`.
pub(crate) fn python_str(value: &Value) -> String {
    value.as_str().map_or_else(|| python_repr(value), str::to_owned)
}

fn python_repr(value: &Value) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap_or_default()),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted_repr(text),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(python_repr).collect())),
        Value::Object(fields) => {
            let field =
                |(key, value): (&String, &Value)| format!("{}: {}", quoted_repr(key), python_repr(value));
            format!("{{{}}}", joined(fields.iter().map(field).collect()))
        }
    }
}

fn quoted_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() && u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

type Read<'a, T> = Result<(T, &'a str), Fault>;

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

fn value(text: &str, depth: usize) -> Read<'_, Json> {
    if depth > MAX_DEPTH {
        return Err(Fault::TooDeep);
    }
    if let Some(rest) = text.strip_prefix('{') {
        return object(rest, depth);
    }
    if let Some(rest) = text.strip_prefix('[') {
        return array(rest, depth);
    }
    if let Some(rest) = text.strip_prefix('"') {
        return string(rest).map(|(text, rest)| (Json::Text(text), rest));
    }
    for word in ["null", "true", "false", "NaN", "Infinity", "-Infinity"] {
        if let Some(rest) = text.strip_prefix(word) {
            return Ok((Json::Bare(word.to_owned()), rest));
        }
    }
    number(text)
}

fn array(text: &str, depth: usize) -> Read<'_, Json> {
    let mut items = Vec::new();
    let mut rest = blank(text);
    if let Some(rest) = rest.strip_prefix(']') {
        return Ok((Json::Array(items), rest));
    }
    loop {
        let (item, behind) = value(rest, depth + 1)?;
        items.push(item);
        let behind = blank(behind);
        if let Some(rest) = behind.strip_prefix(']') {
            return Ok((Json::Array(items), rest));
        }
        rest = blank(behind.strip_prefix(',').ok_or(Fault::NotJson)?);
    }
}

fn object(text: &str, depth: usize) -> Read<'_, Json> {
    let mut fields: Vec<(String, Json)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut rest = blank(text);
    if let Some(rest) = rest.strip_prefix('}') {
        return Ok((Json::Object(fields), rest));
    }
    loop {
        let (key, behind) = string(rest.strip_prefix('"').ok_or(Fault::NotJson)?)?;
        let behind = blank(behind).strip_prefix(':').ok_or(Fault::NotJson)?;
        let (item, behind) = value(blank(behind), depth + 1)?;
        let place = *places.entry(key.clone()).or_insert(fields.len());
        match fields.get_mut(place) {
            Some((_, value)) => *value = item,
            None => fields.push((key, item)),
        }
        let behind = blank(behind);
        if let Some(rest) = behind.strip_prefix('}') {
            return Ok((Json::Object(fields), rest));
        }
        rest = blank(behind.strip_prefix(',').ok_or(Fault::NotJson)?);
    }
}

/// The string after an opening quotation mark, up to the closing one.
fn string(text: &str) -> Read<'_, String> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let end = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\')).ok_or(Fault::NotJson)?;
        let (plain, odd) = rest.split_at(end);
        out.push_str(plain);
        if let Some(rest) = odd.strip_prefix('"') {
            return Ok((out, rest));
        }
        let escape = odd.strip_prefix('\\').ok_or(Fault::NotJson)?;
        let mut chars = escape.chars();
        let (c, behind) = match chars.next() {
            Some(c @ ('"' | '\\' | '/')) => (c, chars.as_str()),
            Some('b') => ('\u{8}', chars.as_str()),
            Some('f') => ('\u{c}', chars.as_str()),
            Some('n') => ('\n', chars.as_str()),
            Some('r') => ('\r', chars.as_str()),
            Some('t') => ('\t', chars.as_str()),
            Some('u') => code_point(chars.as_str())?,
            _ => return Err(Fault::NotJson),
        };
        out.push(c);
        rest = behind;
    }
}

/// The character of one `\u` escape or of a surrogate pair. A lone surrogate has no UTF-8, so its text is rejected.
fn code_point(text: &str) -> Read<'_, char> {
    let (first, rest) = code_unit(text)?;
    let (code, rest) = if (0xd800..0xdc00).contains(&first) {
        let (second, rest) = code_unit(rest.strip_prefix("\\u").ok_or(Fault::NotJson)?)?;
        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or(Fault::NotJson)?;
        (0x10000 + ((first - 0xd800) << 10) + low, rest)
    } else {
        (first, rest)
    };
    Ok((char::from_u32(code).ok_or(Fault::NotJson)?, rest))
}

fn code_unit(text: &str) -> Read<'_, u32> {
    let digits = text.get(..4).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()));
    let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or(Fault::NotJson)?;
    Ok((unit, text.get(4..).unwrap_or_default()))
}

fn number(text: &str) -> Read<'_, Json> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let at = |at: usize| text.get(at..).unwrap_or_default();
    let start = usize::from(text.starts_with('-'));
    let whole = if at(start).starts_with('0') { 1 } else { digits(at(start)) };
    if whole == 0 {
        return Err(Fault::NotJson);
    }
    let integer = start + whole;
    let mut end = integer;
    if let Some(fraction) = at(end).strip_prefix('.').map(digits).filter(|count| *count > 0) {
        end += 1 + fraction;
    }
    if let Some(exponent) = at(end).strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let count = digits(exponent.get(sign..).unwrap_or_default());
        end += if count > 0 { 1 + sign + count } else { 0 };
    }
    let (spelled, rest) = text.split_at(end);
    let word = match spelled {
        "-0" => "0".to_owned(),
        _ if end == integer => spelled.to_owned(),
        _ => float(spelled.parse().map_err(|_| Fault::NotJson)?),
    };
    Ok((Json::Bare(word), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Json::parse(text).map(|value| value.to_string()).as_deref(), Ok(expected));
    }

    #[test]
    fn text_is_rewritten_as_python_writes_it() {
        check(
            r#" {"b":1,"a":[true,null,"\u00e9\ud83d\ude00\/\u001f\u007f"]} "#,
            "{\"b\": 1, \"a\": [true, null, \"é😀/\\u001f\u{7f}\"]}",
        );
        check(r#"{"a":1,"b":2,"a":3}"#, r#"{"a": 3, "b": 2}"#);
        check("[]", "[]");
        check("{ }", "{}");
        check("[ 1 , -Infinity ]", "[1, -Infinity]");
        check("123456789012345678901234567890", "123456789012345678901234567890");
    }

    #[test]
    fn numbers_are_spelled_as_in_python() {
        for (text, expected) in [
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1E5", "100000.0"),
            ("1e16", "1e+16"),
            ("9999999999999998.0", "9999999999999998.0"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-300", "1.5e-300"),
            ("1e999", "Infinity"),
            ("0.1", "0.1"),
            ("658480471348057.25", "658480471348057.2"),
            ("5e-324", "5e-324"),
            ("5.9604644775390625e-8", "5.960464477539063e-08"),
            ("-120.0", "-120.0"),
            ("-0.00123", "-0.00123"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn text_that_python_rejects_is_not_json() {
        for text in [
            "",
            "{",
            "01",
            "1.",
            "[1,]",
            "{\"a\":1,}",
            "'a'",
            "\"\n\"",
            "\"\\x\"",
            "nul",
            "1 2",
            r#""\ud800""#,
            "-",
            "\u{a0}1",
        ] {
            assert_eq!(Json::parse(text), Err(Fault::NotJson), "{text:?}");
        }
        assert_eq!(Json::parse(&"[".repeat(100_000)), Err(Fault::TooDeep));
    }
}
