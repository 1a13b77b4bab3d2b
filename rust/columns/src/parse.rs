//! Completions to columns of what they say.

use crate::blocks::{Threads, divide, map};
use crate::cells::{Cell, Cells, UnsupportedType};
use crate::column::Column;
use crate::ids::{Ids, Run};
use crate::parsed_rows::{ParsedRows, data_type};
use arrow_array::{Array, ArrayRef};
use motet::parser::stream::parse_str;
use motet::parser::well_formed::WellFormedReader;
use motet::{Completion, FrameCollector, ParseOptions, StreamParser, parse_text};
use std::ops::Range;
use std::sync::Arc;

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
    let chunks = map(&blocks, options.threads, |rows| parse_block(&cells, rows.clone(), options));
    Ok(Column { data_type: data_type(), chunks })
}

fn parse_block(cells: &Cells<'_>, rows: Range<usize>, options: &ParseColumnOptions) -> ArrayRef {
    let mut parsed = ParsedRows::new(rows.len(), options.count_tokens);
    let mut reader = WellFormedReader::new(Arc::clone(&options.parse));
    let mut scratch = Vec::new();
    for row in rows {
        // Only strict parsing has errors.
        let completion = match cells.get(row) {
            Cell::Null => None,
            Cell::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => {
                    if let Some(completion) = reader.read(text) {
                        parsed.push_well_formed(text, &completion);
                        continue;
                    }
                    parse_str(text, Arc::clone(&options.parse)).ok()
                }
                Err(_) => parse_text(bytes, Arc::clone(&options.parse)).ok(),
            },
            Cell::Ids(ids) => parse_ids(ids, &options.parse, &mut scratch),
        };
        match completion {
            Some(completion) => parsed.push(&completion),
            None => parsed.push_null(),
        }
    }
    parsed.finish()
}

fn parse_ids(ids: Ids<'_>, options: &Arc<ParseOptions>, scratch: &mut Vec<u32>) -> Option<Completion> {
    let mut collector = FrameCollector::new(options.turn);
    let mut parser = StreamParser::new(Arc::clone(options));
    ids.for_each_run(scratch, |run| {
        // A new parser takes either lane.
        let _ = match run {
            Run::Ids(ids) => parser.feed_ids(ids, &mut collector),
            Run::Invalid(written) => parser.feed_invalid_id(written, &mut collector),
        };
    });
    parser.finish(collector).ok()
}
