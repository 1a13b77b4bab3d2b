//! Conversations to prompts.

use crate::blocks::{Threads, divide, map};
use crate::cells::{Cell, Cells, UnsupportedType};
use crate::column::Column;
use crate::text_builder::TextBuilder;
use crate::{chat, rows, runs};
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, StructArray, UInt32Array};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use motet::RenderOptions;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// The prompt of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered {
    Null,
    Ids(Vec<u32>),
    /// The reason for which there is no prompt.
    Error(String),
    /// A conversation in a shape that is not read here, as JSON, or text that may not be JSON.
    Unread(String),
}

/// Renders the conversations of an array: lists of structs, or their JSON as text.
pub fn render(
    array: &dyn Array,
    options: &RenderOptions,
    threads: Threads,
) -> Result<Vec<Rendered>, UnsupportedType> {
    let blocks = match Conversations::of(array)? {
        Conversations::Json(cells) => {
            let blocks = divide(cells.len(), |row| cells.size(row), threads);
            map(&blocks, threads, |rows| {
                rows.clone().map(|row| render_json(cells.get(row), options)).collect::<Vec<_>>()
            })
        }
        Conversations::Nested => {
            // Their size is not known before they are read.
            let blocks = divide(array.len(), |_| TYPICAL_CONVERSATION_BYTES, threads);
            map(&blocks, threads, |rows| {
                rows.clone().map(|row| render_value(rows::value(array, row), options)).collect::<Vec<_>>()
            })
        }
    };
    Ok(blocks.into_iter().flatten().collect())
}

const TYPICAL_CONVERSATION_BYTES: usize = 1024;

enum Conversations<'a> {
    Json(Cells<'a>),
    Nested,
}

impl<'a> Conversations<'a> {
    fn of(array: &'a dyn Array) -> Result<Conversations<'a>, UnsupportedType> {
        let unsupported =
            || UnsupportedType { data_type: array.data_type().clone(), expected: "chat messages" };
        let item = match runs::decoded_type(array.data_type()) {
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _) => item,
            _ => return Cells::of(array).map(Conversations::Json).map_err(|_| unsupported()),
        };
        rows::check(item.data_type()).map_err(|_| unsupported())?;
        match item.data_type() {
            DataType::Struct(_) | DataType::Map(..) | DataType::Null => Ok(Conversations::Nested),
            _ => Err(unsupported()),
        }
    }
}

fn render_json(cell: Cell<'_>, options: &RenderOptions) -> Rendered {
    match cell {
        Cell::Text(text) => match serde_json::from_slice::<Value>(text) {
            Ok(value) => match chat::read(&value) {
                Some(messages) => render_messages(messages, options),
                None => Rendered::Unread(String::from_utf8_lossy(text).into_owned()),
            },
            Err(_) => Rendered::Unread(String::from_utf8_lossy(text).into_owned()),
        },
        Cell::Null | Cell::Ids(_) => Rendered::Null,
    }
}

fn render_value(value: Value, options: &RenderOptions) -> Rendered {
    match chat::read(&value) {
        Some(messages) => render_messages(messages, options),
        None if value.is_null() => Rendered::Null,
        None => Rendered::Unread(value.to_string()),
    }
}

fn render_messages(messages: Vec<motet::Message>, options: &RenderOptions) -> Rendered {
    match motet::render(messages, options.clone()) {
        Ok(prompt) => Rendered::Ids(prompt.ids().to_vec()),
        Err(error) => Rendered::Error(error.to_string()),
    }
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("ids", DataType::List(id_field()), true),
        Field::new("tokens", DataType::Int64, true),
        Field::new("error", DataType::LargeUtf8, true),
    ])
});

pub(crate) fn id_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::UInt32, true))
}

/// Ids that an array of prompts has at least, unless it is the last one: far from the limit of its 32-bit offsets.
const CHUNK_IDS: usize = 1 << 24;

/// The column of prompts: structs of the ids, their number, and the error.
pub fn column(prompts: &[Rendered]) -> Column {
    let mut chunks = Vec::new();
    let mut chunk = Chunk::default();
    for prompt in prompts {
        chunk.push(prompt);
        if chunk.ids.len() >= CHUNK_IDS {
            chunks.push(std::mem::take(&mut chunk).finish());
        }
    }
    if !chunk.tokens.is_empty() {
        chunks.push(chunk.finish());
    }
    Column { data_type: DataType::Struct(FIELDS.clone()), chunks }
}

struct Chunk {
    ids: Vec<u32>,
    offsets: Vec<i32>,
    tokens: Vec<i64>,
    valid: NullBufferBuilder,
    rendered: NullBufferBuilder,
    errors: TextBuilder,
    failed: NullBufferBuilder,
}

impl Default for Chunk {
    fn default() -> Chunk {
        let nulls = || NullBufferBuilder::new(0);
        let (valid, rendered, failed) = (nulls(), nulls(), nulls());
        let (ids, offsets, tokens, errors) = (Vec::new(), vec![0], Vec::new(), TextBuilder::new());
        Chunk { ids, offsets, tokens, valid, rendered, errors, failed }
    }
}

impl Chunk {
    fn push(&mut self, prompt: &Rendered) {
        let (ids, error) = match prompt {
            Rendered::Ids(ids) => (Some(ids.as_slice()), None),
            Rendered::Error(error) | Rendered::Unread(error) => (None, Some(error.as_str())),
            Rendered::Null => (None, None),
        };
        self.ids.extend_from_slice(ids.unwrap_or_default());
        self.offsets.push(self.ids.len() as i32);
        self.tokens.push(ids.map_or(0, <[u32]>::len) as i64);
        self.errors.push(error.unwrap_or_default());
        self.valid.append(*prompt != Rendered::Null);
        self.rendered.append(ids.is_some());
        self.failed.append(error.is_some());
    }

    fn finish(mut self) -> ArrayRef {
        let rendered = self.rendered.finish();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let items = Arc::new(UInt32Array::new(ScalarBuffer::from(self.ids), None));
        let fields: Vec<ArrayRef> = vec![
            Arc::new(ListArray::new(id_field(), offsets, items, rendered.clone())),
            Arc::new(Int64Array::new(ScalarBuffer::from(self.tokens), rendered)),
            self.errors.finish(self.failed.finish()),
        ];
        Arc::new(StructArray::new(FIELDS.clone(), fields, self.valid.finish()))
    }
}
