//! Counts of tokens and prices to money.

use crate::blocks::Threads;
use crate::cells::{Cell, Cells, UnsupportedType};
use crate::column::Column;
use crate::tokens::{TokensError, count};
use crate::{rows, runs};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Decimal128Array, Int64Array, StructArray};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields};
use motet::SpecialPolicy;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// Digits of money: as many as an amount can have.
pub const PRECISION: u8 = 38;

/// Digits behind the point: a token at a price of a millionth of a dollar for a million tokens costs 10⁻¹² dollars.
pub const SCALE: i8 = 12;

/// 10⁻¹² US dollars for a token. `None`: unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenPrice {
    pub input: Option<i128>,
    pub output: Option<i128>,
    /// For cached prompt tokens. `None`: the price of `input`.
    pub cached: Option<i128>,
}

/// The prices of the rows.
#[derive(Clone, Debug)]
pub enum Prices {
    Same(TokenPrice),
    /// By the name in another column; a row with another name has no price.
    ByModel(HashMap<String, TokenPrice>, ArrayRef),
}

/// The columns of counts. `None`: unknown in all rows; without `cached`, no token has its price.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub prompt: Option<Int64Array>,
    pub completion: Option<Int64Array>,
    pub cached: Option<Int64Array>,
}

/// The error of columns of different lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnequalLengths(pub Vec<usize>);

impl fmt::Display for UnequalLengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<_> = self.0.iter().map(usize::to_string).collect();
        write!(f, "the columns have different numbers of rows: {}", lengths.join(", "))
    }
}

impl std::error::Error for UnequalLengths {}

/// The counts in an array of integers, or those of its texts or token ids, special tokens as tokens.
pub fn counts(array: &dyn Array, threads: Threads) -> Result<Int64Array, UnsupportedType> {
    if runs::decoded_type(array.data_type()).is_integer() {
        let values = (0..array.len()).map(|row| rows::value(array, row).as_i64().filter(|count| *count >= 0));
        return Ok(values.collect());
    }
    let column = count(array, SpecialPolicy::Token, threads).map_err(|error| match error {
        TokensError::UnsupportedType(error) => {
            UnsupportedType { expected: "counts, text or token ids", ..error }
        }
        // The policy refuses nothing.
        TokensError::SpecialToken(..) | TokensError::InvalidIds(..) => {
            UnsupportedType { data_type: array.data_type().clone(), expected: "counts" }
        }
    })?;
    let array = column.to_array().map_err(|_| UnsupportedType {
        data_type: array.data_type().clone(),
        expected: "counts, text or token ids",
    })?;
    Ok(array.as_primitive::<Int64Type>().clone())
}

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let money = DataType::Decimal128(PRECISION, SCALE);
    ["prompt", "cached", "completion", "total"]
        .map(|name| Field::new(name, money.clone(), true))
        .into_iter()
        .collect()
});

/// The cost of each row in US dollars, exact: that of the uncached prompt, the cached prompt, the completion, and all.
/// What is not known is null, and a row without any count is null.
pub fn cost(counts: &Counts, prices: &Prices) -> Result<Column, UnequalLengths> {
    let columns = [&counts.prompt, &counts.completion, &counts.cached];
    let mut lengths: Vec<usize> = columns.into_iter().flatten().map(|column| column.len()).collect();
    if let Prices::ByModel(_, models) = prices {
        lengths.push(models.len());
    }
    let rows = lengths.first().copied().unwrap_or_default();
    if lengths.iter().any(|length| *length != rows) {
        return Err(UnequalLengths(lengths));
    }
    let models = match prices {
        Prices::Same(_) => None,
        Prices::ByModel(_, models) => Cells::of(models.as_ref()).ok(),
    };
    let price_of = |row| match prices {
        Prices::Same(price) => *price,
        Prices::ByModel(table, _) => match models.as_ref().map(|models| models.get(row)) {
            Some(Cell::Text(name)) => {
                let name = std::str::from_utf8(name).ok();
                name.and_then(|name| table.get(name)).copied().unwrap_or_default()
            }
            _ => TokenPrice::default(),
        },
    };
    let mut amounts: [Vec<i128>; 4] = Default::default();
    let mut known: [NullBufferBuilder; 4] = std::array::from_fn(|_| NullBufferBuilder::new(rows));
    let mut valid = NullBufferBuilder::new(rows);
    for row in 0..rows {
        let [prompt, completion, cached] = columns.map(|column| count_of(column.as_ref(), row));
        let parts = parts(prompt, completion, cached, price_of(row));
        for ((amounts, known), part) in amounts.iter_mut().zip(&mut known).zip(parts) {
            amounts.push(part.unwrap_or_default());
            known.append(part.is_some());
        }
        valid.append(prompt.is_some() || completion.is_some());
    }
    let fields = amounts.into_iter().zip(known).map(|(amounts, mut known)| {
        let array = Decimal128Array::new(ScalarBuffer::from(amounts), known.finish());
        Arc::new(array.with_data_type(DataType::Decimal128(PRECISION, SCALE))) as ArrayRef
    });
    let array = StructArray::new(FIELDS.clone(), fields.collect(), valid.finish());
    Ok(Column { data_type: DataType::Struct(FIELDS.clone()), chunks: vec![Arc::new(array)] })
}

fn count_of(column: Option<&Int64Array>, row: usize) -> Option<i128> {
    column.filter(|column| column.is_valid(row)).map(|column| i128::from(column.value(row)))
}

/// Prompt, cached, completion and total. As `motet.metrics` has them: a count of cached tokens above that of the prompt is
/// ignored.
fn parts(
    prompt: Option<i128>,
    completion: Option<i128>,
    cached: Option<i128>,
    price: TokenPrice,
) -> [Option<i128>; 4] {
    let cached = cached.filter(|cached| prompt.is_none_or(|prompt| *cached <= prompt)).unwrap_or_default();
    let amount = |count: Option<i128>, price: Option<i128>| count?.checked_mul(price?);
    let prompt_part = amount(prompt.map(|prompt| prompt - cached), price.input);
    let cached_part = amount(prompt.map(|_| cached), price.cached.or(price.input));
    let completion_part = amount(completion, price.output);
    let total = match (prompt_part, cached_part, completion_part) {
        (Some(prompt), Some(cached), Some(completion)) => Some(prompt + cached + completion),
        _ => None,
    };
    [prompt_part, cached_part, completion_part, total]
}
