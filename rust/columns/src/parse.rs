//! Completions to columns of what they say.

use crate::blocks::{Threads, divide, map};
use crate::cells::{Cell, Cells, UnsupportedType};
use crate::column::Column;
use crate::ids::Run;
use crate::text_builder::TextBuilder;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, ListArray, StructArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use motet::parser::classify::Kind;
use motet::parser::collect::count_contents;
use motet::parser::stream::parse_text;
use motet::{Completion, FrameCollector, Lane, ParseOptions, StreamParser};
use std::sync::{Arc, LazyLock};

/// How completions are parsed.
#[derive(Clone, Debug)]
pub struct ParseColumnOptions {
    /// Not strict: no completion is refused.
    pub parse: Arc<ParseOptions>,
    /// Whether the tokens of text are counted, which takes longer than parsing it. Those of ids are known.
    pub count_tokens: bool,
    pub threads: Threads,
}

/// Parses each row. Nulls stay nulls.
pub fn parse(array: &dyn Array, options: &ParseColumnOptions) -> Result<Column, UnsupportedType> {
    let cells = Cells::of(array)?;
    let blocks = divide(cells.len(), |row| cells.size(row), options.threads);
    let chunks = map(&blocks, options.threads, |rows| {
        let mut block = Block::default();
        for row in rows.clone() {
            match parse_cell(cells.get(row), &options.parse, &mut block.scratch) {
                Some(completion) => block.push(&completion, options.count_tokens),
                None => block.push_null(),
            }
        }
        block.finish()
    });
    Ok(Column { data_type: data_type(), chunks })
}

fn parse_cell(cell: Cell<'_>, options: &Arc<ParseOptions>, scratch: &mut Vec<u32>) -> Option<Completion> {
    let options = Arc::clone(options);
    // Only strict parsing has errors.
    match cell {
        Cell::Null => None,
        Cell::Text(text) => parse_text(text, options).ok(),
        Cell::Ids(ids) => {
            let mut collector = FrameCollector::new(options.turn);
            let mut parser = StreamParser::new(options);
            ids.for_each_run(scratch, |run| {
                // A new parser takes either lane.
                let _ = match run {
                    Run::Ids(ids) => parser.feed_ids(ids, &mut collector),
                    Run::Invalid(written) => parser.feed_invalid_id(written, &mut collector),
                };
            });
            parser.finish(collector).ok()
        }
    }
}

/// The type of the result: a struct.
pub fn data_type() -> DataType {
    DataType::Struct(FIELDS.clone())
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let list = |fields: &Fields| DataType::List(item_field(fields));
    Fields::from(vec![
        text_field("reasoning"),
        text_field("preamble"),
        text_field("text"),
        Field::new("tool_calls", list(&CALL_FIELDS), true),
        text_field("stop"),
        Field::new("repairs", list(&REPAIR_FIELDS), true),
        Field::new("tokens", DataType::Struct(TOKEN_FIELDS.clone()), true),
    ])
});

static CALL_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let mut fields: Vec<_> = ["id", "name", "arguments", "recipient"].into_iter().map(text_field).collect();
    fields.push(Field::new("trusted", DataType::Boolean, true));
    Fields::from(fields)
});

static REPAIR_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        text_field("code"),
        count_field("position"),
        text_field("text"),
        text_field("message"),
        count_field("count"),
    ])
});

static TOKEN_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    ["analysis", "commentary", "final", "markup", "other"].into_iter().map(count_field).collect()
});

fn text_field(name: &str) -> Field {
    Field::new(name, DataType::LargeUtf8, true)
}

/// Counts are signed: SQL and Spark have no unsigned integers, and the sums of narrow ones overflow.
fn count_field(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn item_field(fields: &Fields) -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(fields.clone()), true))
}

/// The rows of a block.
#[derive(Debug)]
struct Block {
    scratch: Vec<u32>,
    valid: NullBufferBuilder,
    reasoning: TextBuilder,
    preamble: TextBuilder,
    text: TextBuilder,
    calls: Calls,
    stop: TextBuilder,
    stopped: NullBufferBuilder,
    repairs: Repairs,
    tokens: [Vec<i64>; 5],
    counted: NullBufferBuilder,
}

impl Default for Block {
    fn default() -> Block {
        Block {
            scratch: Vec::new(),
            valid: NullBufferBuilder::new(0),
            reasoning: TextBuilder::new(),
            preamble: TextBuilder::new(),
            text: TextBuilder::new(),
            calls: Calls::new(),
            stop: TextBuilder::new(),
            stopped: NullBufferBuilder::new(0),
            repairs: Repairs::new(),
            tokens: Default::default(),
            counted: NullBufferBuilder::new(0),
        }
    }
}

impl Block {
    fn push(&mut self, completion: &Completion, count_tokens: bool) {
        self.valid.append_non_null();
        for classified in &completion.frames {
            let content = &classified.frame.content;
            match classified.kind {
                Kind::Reasoning => self.reasoning.push_str(content),
                Kind::Preamble => self.preamble.push_str(content),
                Kind::Text => self.text.push_str(content),
                Kind::ToolCall => {
                    let call = classified.call.as_ref();
                    let recipient = classified.frame.header.recipient.as_deref();
                    self.calls.id.push(call.map_or("", |call| &call.id));
                    self.calls.name.push(call.map_or("", |call| &call.name));
                    self.calls.arguments.push(content);
                    self.calls.recipient.push(recipient.unwrap_or_default());
                    self.calls.trusted.push(call.is_some_and(|call| call.trusted));
                }
                Kind::ToolResult | Kind::System | Kind::Developer | Kind::ForeignTurn => {}
            }
        }
        for repair in &completion.repairs {
            self.repairs.code.push(repair.code.as_str());
            self.repairs.position.push(repair.at as i64);
            self.repairs.text.push(&repair.text);
            self.repairs.message.push(repair.message());
            self.repairs.count.push(repair.count as i64);
        }
        self.stop.push_str(completion.stop.map_or("", |stop| stop.as_str()));
        self.stopped.append(completion.stop.is_some());
        let is_counted = count_tokens || completion.lane == Lane::Ids;
        let tokens = match completion.lane {
            Lane::Text if count_tokens => count_contents(&completion.frames, completion.tokens),
            _ => completion.tokens,
        };
        let counts = [tokens.analysis, tokens.commentary, tokens.r#final, tokens.markup, tokens.other];
        for (column, count) in self.tokens.iter_mut().zip(counts) {
            column.push(if is_counted { count as i64 } else { 0 });
        }
        self.counted.append(is_counted);
        self.end_row();
    }

    fn push_null(&mut self) {
        self.valid.append_null();
        self.stopped.append_null();
        self.tokens.iter_mut().for_each(|column| column.push(0));
        self.counted.append_null();
        self.end_row();
    }

    fn end_row(&mut self) {
        self.reasoning.end();
        self.preamble.end();
        self.text.end();
        self.stop.end();
        self.calls.offsets.push(self.calls.trusted.len() as i32);
        self.repairs.offsets.push(self.repairs.count.len() as i32);
    }

    /// Each field has the nulls of the rows as well, so that it can be read without the struct.
    fn finish(mut self) -> ArrayRef {
        let valid = self.valid.finish();
        let counted = self.counted.finish();
        let counts = self.tokens.into_iter().map(|column| counts(column, counted.as_ref()));
        let tokens = StructArray::new(TOKEN_FIELDS.clone(), counts.collect(), counted.clone());
        let fields: Vec<ArrayRef> = vec![
            self.reasoning.finish(valid.clone()),
            self.preamble.finish(valid.clone()),
            self.text.finish(valid.clone()),
            self.calls.finish(valid.clone()),
            self.stop.finish(self.stopped.finish()),
            self.repairs.finish(valid.clone()),
            Arc::new(tokens),
        ];
        Arc::new(StructArray::new(FIELDS.clone(), fields, valid))
    }
}

fn counts(values: Vec<i64>, nulls: Option<&NullBuffer>) -> ArrayRef {
    Arc::new(Int64Array::new(ScalarBuffer::from(values), nulls.cloned()))
}

fn list(fields: &Fields, offsets: Vec<i32>, columns: Vec<ArrayRef>, nulls: Option<NullBuffer>) -> ArrayRef {
    let items = StructArray::new(fields.clone(), columns, None);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Arc::new(ListArray::new(item_field(fields), offsets, Arc::new(items), nulls))
}

/// The tool calls of all rows.
#[derive(Debug)]
struct Calls {
    offsets: Vec<i32>,
    id: TextBuilder,
    name: TextBuilder,
    arguments: TextBuilder,
    recipient: TextBuilder,
    trusted: Vec<bool>,
}

impl Calls {
    fn new() -> Calls {
        Calls {
            offsets: vec![0],
            id: TextBuilder::new(),
            name: TextBuilder::new(),
            arguments: TextBuilder::new(),
            recipient: TextBuilder::new(),
            trusted: Vec::new(),
        }
    }

    fn finish(self, nulls: Option<NullBuffer>) -> ArrayRef {
        let columns: Vec<ArrayRef> = vec![
            self.id.finish(None),
            self.name.finish(None),
            self.arguments.finish(None),
            self.recipient.finish(None),
            Arc::new(BooleanArray::from(self.trusted)),
        ];
        list(&CALL_FIELDS, self.offsets, columns, nulls)
    }
}

/// The repairs of all rows.
#[derive(Debug)]
struct Repairs {
    offsets: Vec<i32>,
    code: TextBuilder,
    position: Vec<i64>,
    text: TextBuilder,
    message: TextBuilder,
    count: Vec<i64>,
}

impl Repairs {
    fn new() -> Repairs {
        Repairs {
            offsets: vec![0],
            code: TextBuilder::new(),
            position: Vec::new(),
            text: TextBuilder::new(),
            message: TextBuilder::new(),
            count: Vec::new(),
        }
    }

    fn finish(self, nulls: Option<NullBuffer>) -> ArrayRef {
        let columns = vec![
            self.code.finish(None),
            counts(self.position, None),
            self.text.finish(None),
            self.message.finish(None),
            counts(self.count, None),
        ];
        list(&REPAIR_FIELDS, self.offsets, columns, nulls)
    }
}
