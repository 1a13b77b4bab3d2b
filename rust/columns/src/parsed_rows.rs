//! The arrays of parsed completions, row by row.

use crate::text_builder::TextBuilder;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, ListArray, StructArray};
use arrow_buffer::{NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use motet::parser::classify::Kind;
use motet::parser::collect::count_contents;
use motet::parser::well_formed::WellFormed;
use motet::{ChannelTokens, Completion, Lane, Repair, Stop, count};
use std::sync::{Arc, LazyLock};

/// The type of the result: a struct.
pub(crate) fn data_type() -> DataType {
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
pub(crate) struct ParsedRows {
    count_tokens: bool,
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

/// A call, without its arguments.
#[derive(Clone, Copy, Debug)]
struct CallFields<'a> {
    id: &'a str,
    name: &'a str,
    recipient: &'a str,
    trusted: bool,
}

impl ParsedRows {
    /// Room for so many rows. `count_tokens`: whether the tokens of text are counted.
    pub(crate) fn new(rows: usize, count_tokens: bool) -> ParsedRows {
        ParsedRows {
            count_tokens,
            valid: NullBufferBuilder::new(rows),
            reasoning: TextBuilder::with_rows(rows),
            preamble: TextBuilder::with_rows(rows),
            text: TextBuilder::with_rows(rows),
            calls: Calls::new(rows),
            stop: TextBuilder::with_rows(rows),
            stopped: NullBufferBuilder::new(rows),
            repairs: Repairs::new(rows),
            tokens: std::array::from_fn(|_| Vec::with_capacity(rows)),
            counted: NullBufferBuilder::new(rows),
        }
    }

    pub(crate) fn push(&mut self, completion: &Completion) {
        for classified in &completion.frames {
            let call = classified.call.as_ref();
            let call = CallFields {
                id: call.map_or("", |call| &call.id),
                name: call.map_or("", |call| &call.name),
                recipient: classified.frame.header.recipient.as_deref().unwrap_or_default(),
                trusted: call.is_some_and(|call| call.trusted),
            };
            self.push_content(classified.kind, &classified.frame.content, call);
        }
        let tokens = match completion.lane {
            Lane::Text if self.count_tokens => Some(count_contents(&completion.frames, completion.tokens)),
            Lane::Text => None,
            Lane::Ids => Some(completion.tokens),
        };
        self.end(&completion.repairs, completion.stop, tokens);
    }

    /// Pushes the completion that the text is.
    pub(crate) fn push_well_formed(&mut self, text: &str, completion: &WellFormed<'_>) {
        let mut tokens = ChannelTokens { markup: completion.markup, ..ChannelTokens::default() };
        for frame in completion.frames {
            let content = text.get(frame.content.clone()).unwrap_or_default();
            let header = &frame.header;
            let call = CallFields {
                id: &frame.call_id,
                name: &header.tool,
                recipient: &header.recipient,
                trusted: header.trusted,
            };
            self.push_content(header.kind, content, call);
            if self.count_tokens {
                *tokens.of(header.bucket) += count(content) as u64;
            }
        }
        let tokens = self.count_tokens.then_some(tokens);
        self.end(completion.repair.as_slice(), completion.stop, tokens);
    }

    fn push_content(&mut self, kind: Kind, content: &str, call: CallFields<'_>) {
        match kind {
            Kind::Reasoning => self.reasoning.push_str(content),
            Kind::Preamble => self.preamble.push_str(content),
            Kind::Text => self.text.push_str(content),
            Kind::ToolCall => self.calls.push(content, call),
            Kind::ToolResult | Kind::System | Kind::Developer | Kind::ForeignTurn => {}
        }
    }

    /// Ends a row that is not null. Without `tokens` their counts are null.
    fn end(&mut self, repairs: &[Repair], stop: Option<Stop>, tokens: Option<ChannelTokens>) {
        self.valid.append_non_null();
        repairs.iter().for_each(|repair| self.repairs.push(repair));
        self.stop.push_str(stop.map_or("", Stop::as_str));
        self.stopped.append(stop.is_some());
        self.counted.append(tokens.is_some());
        self.end_row(tokens.unwrap_or_default());
    }

    pub(crate) fn push_null(&mut self) {
        self.valid.append_null();
        self.stopped.append_null();
        self.counted.append_null();
        self.end_row(ChannelTokens::default());
    }

    fn end_row(&mut self, tokens: ChannelTokens) {
        self.reasoning.end();
        self.preamble.end();
        self.text.end();
        self.stop.end();
        self.calls.offsets.push(self.calls.trusted.len() as i32);
        self.repairs.offsets.push(self.repairs.count.len() as i32);
        let counts = [tokens.analysis, tokens.commentary, tokens.r#final, tokens.markup, tokens.other];
        for (column, count) in self.tokens.iter_mut().zip(counts) {
            column.push(count as i64);
        }
    }

    /// Each field has the nulls of the rows as well, so that it can be read without the struct.
    pub(crate) fn finish(mut self) -> ArrayRef {
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

/// The first of the offsets of lists, with room for those of so many rows.
fn first_offset(rows: usize) -> Vec<i32> {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    offsets
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
    fn new(rows: usize) -> Calls {
        Calls {
            offsets: first_offset(rows),
            id: TextBuilder::new(),
            name: TextBuilder::new(),
            arguments: TextBuilder::new(),
            recipient: TextBuilder::new(),
            trusted: Vec::new(),
        }
    }

    fn push(&mut self, arguments: &str, call: CallFields<'_>) {
        self.id.push(call.id);
        self.name.push(call.name);
        self.arguments.push(arguments);
        self.recipient.push(call.recipient);
        self.trusted.push(call.trusted);
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
    fn new(rows: usize) -> Repairs {
        Repairs {
            offsets: first_offset(rows),
            code: TextBuilder::new(),
            position: Vec::new(),
            text: TextBuilder::new(),
            message: TextBuilder::new(),
            count: Vec::new(),
        }
    }

    fn push(&mut self, repair: &Repair) {
        self.code.push(repair.code.as_str());
        self.position.push(repair.at as i64);
        self.text.push(&repair.text);
        self.message.push(repair.message());
        self.count.push(repair.count as i64);
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
