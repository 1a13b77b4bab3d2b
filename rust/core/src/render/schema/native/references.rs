//! References within a schema: what each points to, and which targets become types of their own.
//!
//! A target is written in place, as models know it, unless that would not end (it contains itself), would be nested too
//! deep, or would repeat so much that the whole becomes long. Each named type is written once, so that the text grows
//! linearly with the schema.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a schema with its references written in place; above it, what is referred to twice becomes a type.
const MAX_INLINE_BYTES: usize = 16 << 10;

/// Levels of a schema with its references written in place; above it, a target becomes a type.
const MAX_INLINE_DEPTH: usize = 24;

/// A schema by its address: one target can be referred to in several spellings.
pub(super) type SchemaId = usize;

pub(super) fn id_of(schema: &Value) -> SchemaId {
    std::ptr::from_ref(schema).addr()
}

pub(super) struct References<'a> {
    root: &'a Value,
    /// The schemas that have an `$id` or an `$anchor`.
    ids: BTreeMap<&'a str, &'a Value>,
    /// The types' names by their schemas.
    names: BTreeMap<SchemaId, String>,
}

/// What the analysis knows of the root and of each target.
#[derive(Default)]
struct Node {
    bytes: usize,
    depth: usize,
    /// The targets that it refers to, once for each reference.
    targets: Vec<SchemaId>,
}

impl<'a> References<'a> {
    /// Analyses a schema. Names end in `suffix`; the root has `root_name`.
    pub(super) fn read(root: &'a Value, root_name: &str, suffix: &str) -> References<'a> {
        if !has_reference(root) {
            return References { root, ids: BTreeMap::new(), names: BTreeMap::new() };
        }
        let mut ids = BTreeMap::new();
        collect_ids(root, &mut ids);
        let mut references = References { root, ids, names: BTreeMap::new() };
        let mut nodes: BTreeMap<SchemaId, Node> = BTreeMap::new();
        let mut spellings: Vec<(SchemaId, &'a str)> = Vec::new();
        let mut open = vec![root];
        while let Some(schema) = open.pop() {
            if nodes.contains_key(&id_of(schema)) {
                continue;
            }
            let mut node = Node::default();
            let mut targets = Vec::new();
            references.measure(schema, 1, &mut node, &mut targets);
            for (target, spelling) in targets {
                spellings.push((id_of(target), spelling));
                open.push(target);
            }
            nodes.insert(id_of(schema), node);
        }
        let named = named_types(&nodes, id_of(root));
        let mut taken = BTreeSet::new();
        for (id, spelling) in spellings {
            if named.contains(&id) && !references.names.contains_key(&id) {
                let stem = if id == id_of(root) { root_name } else { spelling };
                let mut name = type_name(stem, suffix);
                while !taken.insert(name.clone()) {
                    name.push('_');
                }
                references.names.insert(id, name);
            }
        }
        references
    }

    /// The schema that a reference points to.
    pub(super) fn target(&self, reference: &str) -> Option<&'a Value> {
        let fragment = match reference.split_once('#') {
            Some(("", fragment)) => fragment,
            _ => return self.ids.get(reference).copied(),
        };
        let fragment = percent_decoded(fragment);
        self.root.pointer(&fragment).or_else(|| self.ids.get(fragment.as_str()).copied())
    }

    /// The name of the type that a schema is written as, if it is not written in place.
    pub(super) fn name_of(&self, schema: &Value) -> Option<&str> {
        self.names.get(&id_of(schema)).map(String::as_str)
    }

    /// Adds the size, the depth and the targets of a schema to `node`.
    fn measure(
        &self,
        schema: &'a Value,
        depth: usize,
        node: &mut Node,
        targets: &mut Vec<(&'a Value, &'a str)>,
    ) {
        node.depth = node.depth.max(depth);
        let Some(fields) = schema.as_object() else { return };
        for (key, value) in fields {
            node.bytes +=
                key.len() + if value.is_object() || value.is_array() { 2 } else { value.to_string().len() };
        }
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str)
            && let Some(target) = self.target(reference)
        {
            node.targets.push(id_of(target));
            targets.push((target, reference));
        }
        for inner in subschemas(fields) {
            self.measure(inner, depth + 1, node, targets);
        }
    }
}

/// The schemas within a schema that are written.
fn subschemas(fields: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    const SCHEMAS: [&str; 5] = ["items", "additionalProperties", "additionalItems", "then", "else"];
    const MAPS: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];
    const LISTS: [&str; 5] = ["items", "prefixItems", "anyOf", "oneOf", "allOf"];
    let schemas = SCHEMAS.iter().filter_map(|key| fields.get(*key)).filter(|value| value.is_object());
    let maps = MAPS.iter().filter_map(|key| fields.get(*key)?.as_object()).flat_map(Map::values);
    let lists = LISTS.iter().filter_map(|key| fields.get(*key)?.as_array()).flatten();
    schemas.chain(maps).chain(lists)
}

/// The targets that become types: those in circles, those below which references are nested too deep, and, if the
/// whole is long, those referred to more than once.
fn named_types(nodes: &BTreeMap<SchemaId, Node>, root: SchemaId) -> BTreeSet<SchemaId> {
    let mut named = circular(nodes);
    let mut counts: BTreeMap<SchemaId, usize> = BTreeMap::new();
    for target in nodes.values().flat_map(|node| &node.targets) {
        *counts.entry(*target).or_default() += 1;
    }
    // Size and depth of each with its references in place.
    let mut expanded: BTreeMap<SchemaId, (usize, usize)> = BTreeMap::new();
    for id in targets_first(nodes, &named) {
        let Some(node) = nodes.get(&id) else { continue };
        let (mut bytes, mut depth) = (node.bytes, 0);
        for target in node.targets.iter().filter(|target| !named.contains(*target)) {
            let (inner_bytes, inner_depth) = expanded.get(target).copied().unwrap_or_default();
            bytes = bytes.saturating_add(inner_bytes);
            depth = depth.max(inner_depth);
        }
        depth += node.depth;
        if depth > MAX_INLINE_DEPTH && id != root {
            named.insert(id);
        }
        expanded.insert(id, (bytes, depth));
    }
    let written = named.iter().chain([&root]).filter_map(|id| expanded.get(id)).map(|(bytes, _)| *bytes);
    if written.fold(0, usize::saturating_add) > MAX_INLINE_BYTES {
        named.extend(counts.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id));
    }
    named
}

/// The nodes that are part of a circle, or on a way from one circle to another.
fn circular(nodes: &BTreeMap<SchemaId, Node>) -> BTreeSet<SchemaId> {
    let ending: BTreeSet<SchemaId> = targets_first(nodes, &BTreeSet::new()).into_iter().collect();
    let mut left: BTreeSet<SchemaId> = nodes.keys().filter(|id| !ending.contains(id)).copied().collect();
    let targets = |id: &SchemaId| nodes.get(id).map_or(&[][..], |node| &node.targets);
    let mut counts: BTreeMap<SchemaId, usize> = BTreeMap::new();
    for target in left.iter().flat_map(targets) {
        *counts.entry(*target).or_default() += 1;
    }
    let mut unreferenced: Vec<SchemaId> =
        left.iter().filter(|id| !counts.contains_key(id)).copied().collect();
    while let Some(id) = unreferenced.pop() {
        left.remove(&id);
        for target in targets(&id) {
            if let Some(count) = counts.get_mut(target) {
                *count -= 1;
                if *count == 0 && left.contains(target) {
                    unreferenced.push(*target);
                }
            }
        }
    }
    left
}

/// The nodes in an order in which targets stand before what refers to them, without those that lead into a circle.
/// References to `ignored` nodes do not count.
fn targets_first(nodes: &BTreeMap<SchemaId, Node>, ignored: &BTreeSet<SchemaId>) -> Vec<SchemaId> {
    let mut waits: BTreeMap<SchemaId, usize> = BTreeMap::new();
    let mut referring: BTreeMap<SchemaId, Vec<SchemaId>> = BTreeMap::new();
    let mut order = Vec::with_capacity(nodes.len());
    for (id, node) in nodes {
        let targets = node.targets.iter().filter(|target| !ignored.contains(*target));
        let count = targets.map(|target| referring.entry(*target).or_default().push(*id)).count();
        waits.insert(*id, count);
        if count == 0 {
            order.push(*id);
        }
    }
    let mut at = 0;
    while let Some(id) = order.get(at).copied() {
        at += 1;
        for source in referring.get(&id).into_iter().flatten() {
            if let Some(count) = waits.get_mut(source) {
                *count -= 1;
                if *count == 0 {
                    order.push(*source);
                }
            }
        }
    }
    order
}

/// The schemas that have an `$id` or an `$anchor`, by these.
fn collect_ids<'a>(schema: &'a Value, ids: &mut BTreeMap<&'a str, &'a Value>) {
    match schema {
        Value::Object(fields) => {
            for key in ["$id", "$anchor"] {
                if let Some(id) = fields.get(key).and_then(Value::as_str) {
                    ids.entry(id).or_insert(schema);
                }
            }
            fields.values().for_each(|inner| collect_ids(inner, ids));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_ids(inner, ids)),
        _ => {}
    }
}

/// Whether a schema refers to anything: most do not, and need no analysis.
fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = behind.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An identifier: of a reference the last segment, or all that name fields.
fn type_name(reference: &str, suffix: &str) -> String {
    let decoded = percent_decoded(reference.rsplit('#').next().unwrap_or(reference));
    let last = decoded.rsplit('/').next().unwrap_or_default();
    let is_definition = ["/$defs/", "/definitions/", "/schemas/"].iter().any(|place| decoded.contains(place));
    let words = if is_definition || !decoded.contains('/') {
        last.to_owned()
    } else {
        let segments = decoded.split('/').filter(|segment| !segment.is_empty() && *segment != "properties");
        segments.collect::<Vec<_>>().join("_")
    };
    let letters = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let mut name: String = letters.collect::<String>().trim_matches('_').to_owned();
    // Names of TypeScript's own types mean those.
    let own = ["any", "object", "string", "number", "boolean", "null", "never", "type", "Array", ""];
    if own.contains(&name.as_str()) || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name + suffix
}
