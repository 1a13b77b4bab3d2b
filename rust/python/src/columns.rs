//! Arrow arrays, for `motet.columns`.

use crate::ffi::arrow;
use crate::from_python::text::utf8;
use crate::from_python::{self, ParseArguments, parse_options, type_name};
use crate::special::{Special, special_token_error};
use crate::threads;
use crate::tokenizer::is_strict;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use motet_columns::cost::{self, Prices, TokenPrice};
use motet_columns::parse::ParseColumnOptions;
use motet_columns::render::{self, Rendered};
use motet_columns::tokens::TokensError;
use motet_columns::{Column as CoreColumn, UnsupportedType, parse, tokens};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyString, PyTuple};
use std::collections::HashMap;
use std::sync::Arc;

/// A column of results: Arrow arrays of one type, with a row for each row of the input.
///
/// It has Arrow's PyCapsule interface, so that libraries take it without a copy: `pyarrow.chunked_array(column)`,
/// `pyarrow.array(column)`, `polars.Series(column)`. `len(column)` is its number of rows.
#[pyclass(frozen, module = "motet.columns", sequence)]
pub(crate) struct Column(CoreColumn);

#[pymethods]
impl Column {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// The number of arrays that it is made of: 0 for a column without rows.
    #[getter]
    fn num_chunks(&self) -> usize {
        self.0.chunks.len()
    }

    fn __repr__(&self) -> String {
        format!("Column({} rows, {})", self.0.len(), self.0.data_type)
    }

    /// Arrow's PyCapsule interface: the type.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        arrow::export_schema(py, &self.0.data_type)
    }

    /// Arrow's PyCapsule interface: all rows as one array, which copies them if there are several chunks. A requested
    /// schema is ignored, as the interface allows.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        arrow::export_array(py, py.detach(|| whole(&self.0))?.as_ref())
    }

    /// Arrow's PyCapsule interface: the chunks. A requested schema is ignored, as the interface allows.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        arrow::export_stream(py, self.0.data_type.clone(), self.0.chunks.clone())
    }
}

/// The chunks of an argument.
struct Chunks(Vec<ArrayRef>);

impl Chunks {
    fn read(array: &Bound<'_, PyAny>) -> PyResult<Chunks> {
        match arrow::import(array)? {
            // An empty array has a type, which the functions check.
            Some((data_type, chunks)) if chunks.is_empty() => {
                Ok(Chunks(vec![arrow_array::new_empty_array(&data_type)]))
            }
            Some((_, chunks)) => Ok(Chunks(chunks)),
            None => Err(PyTypeError::new_err(format!(
                "array must be an Arrow array (with __arrow_c_array__ or __arrow_c_stream__), not {}",
                type_name(array)
            ))),
        }
    }

    /// Applies `work` to each chunk, with the interpreter released.
    fn map<E: Send>(
        &self,
        py: Python<'_>,
        work: impl Fn(&dyn Array) -> Result<CoreColumn, E> + Sync,
        error: impl Fn(E, usize) -> PyErr,
    ) -> PyResult<Column> {
        let (mut result, mut first_row) = (None::<CoreColumn>, 0);
        for chunk in &self.0 {
            let column = py.detach(|| work(chunk.as_ref())).map_err(|e| error(e, first_row))?;
            match &mut result {
                Some(result) => result.chunks.extend(column.chunks),
                None => result = Some(column),
            }
            first_row += chunk.len();
        }
        result.map(Column).ok_or_else(|| PyValueError::new_err("the stream has no array"))
    }
}

fn unsupported(error: UnsupportedType, _first_row: usize) -> PyErr {
    PyTypeError::new_err(error.to_string())
}

fn tokens_error(py: Python<'_>, error: TokensError, first_row: usize) -> PyErr {
    match error {
        TokensError::UnsupportedType(error) => unsupported(error, first_row),
        TokensError::SpecialToken(row, found) => {
            special_token_error(py, &format!("array[{}]", first_row + row), &found)
        }
        TokensError::InvalidIds(row, reason) => {
            PyValueError::new_err(format!("array[{}]: {reason}", first_row + row))
        }
    }
}

/// See `motet.columns.parse`.
#[pyfunction]
#[pyo3(
    signature = (array, *, role=Some("assistant"), opened=None, tools=None, stripped="auto", turn=0, tokens=true,
                 threads=None),
    text_signature = "(array, *, role='assistant', opened=None, tools=None, stripped='auto', turn=0, tokens=True, \
                      threads=None)"
)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn parse_column(
    array: &Bound<'_, PyAny>,
    role: Option<&str>,
    opened: Option<&str>,
    tools: Option<&Bound<'_, PyAny>>,
    stripped: &str,
    turn: u64,
    tokens: bool,
    threads: Option<usize>,
) -> PyResult<Column> {
    let arguments = ParseArguments { role, opened, tools, strict: false, stripped, turn };
    let options = ParseColumnOptions {
        parse: parse_options(&arguments, false)?,
        count_tokens: tokens,
        threads: threads::number(threads)?,
    };
    Chunks::read(array)?.map(array.py(), |chunk| parse::parse(chunk, &options), unsupported)
}

/// See `motet.columns.count`.
#[pyfunction]
#[pyo3(
    signature = (array, *, special=Special::TEXT, threads=None),
    text_signature = "(array, *, special='text', threads=None)"
)]
pub(crate) fn count_column(
    array: &Bound<'_, PyAny>,
    special: Special,
    threads: Option<usize>,
) -> PyResult<Column> {
    let (py, threads, policy) = (array.py(), threads::number(threads)?, special.policy());
    let work = |chunk: &dyn Array| tokens::count(chunk, policy, threads);
    Chunks::read(array)?.map(py, work, |error, first_row| tokens_error(py, error, first_row))
}

/// See `motet.columns.encode`.
#[pyfunction]
#[pyo3(
    signature = (array, *, special=Special::TEXT, threads=None),
    text_signature = "(array, *, special='text', threads=None)"
)]
pub(crate) fn encode_column(
    array: &Bound<'_, PyAny>,
    special: Special,
    threads: Option<usize>,
) -> PyResult<Column> {
    let (py, threads, policy) = (array.py(), threads::number(threads)?, special.policy());
    let work = |chunk: &dyn Array| tokens::encode(chunk, policy, threads);
    Chunks::read(array)?.map(py, work, |error, first_row| tokens_error(py, error, first_row))
}

/// See `motet.columns.decode`.
#[pyfunction]
#[pyo3(
    signature = (array, *, errors="replace", threads=None),
    text_signature = "(array, *, errors='replace', threads=None)"
)]
pub(crate) fn decode_column(
    array: &Bound<'_, PyAny>,
    errors: &str,
    threads: Option<usize>,
) -> PyResult<Column> {
    let (py, threads, strict) = (array.py(), threads::number(threads)?, is_strict(errors)?);
    let work = |chunk: &dyn Array| tokens::decode(chunk, strict, threads);
    Chunks::read(array)?.map(py, work, |error, first_row| tokens_error(py, error, first_row))
}

/// See `motet.columns.render`.
///
/// `read_other` takes the JSON of a conversation in a shape that is not read here. It returns the ids of its prompt, or
/// the error as a text.
#[pyfunction]
#[pyo3(signature = (array, options, read_other, *, threads=None))]
pub(crate) fn render_column(
    array: &Bound<'_, PyAny>,
    options: &Bound<'_, PyDict>,
    read_other: &Bound<'_, PyAny>,
    threads: Option<usize>,
) -> PyResult<Column> {
    let (py, threads) = (array.py(), threads::number(threads)?);
    let options = from_python::render_options(Some(options))?;
    let mut result = None::<CoreColumn>;
    for chunk in Chunks::read(array)?.0 {
        let rendered = py.detach(|| render::render(chunk.as_ref(), &options, threads));
        let mut prompts = rendered.map_err(|error| unsupported(error, 0))?;
        for prompt in &mut prompts {
            if let Rendered::Unread(json) = prompt {
                let value = read_other.call1((json.as_str(),))?;
                *prompt = match value.cast::<PyString>() {
                    Ok(error) => Rendered::Error(utf8(error)?.into_owned()),
                    Err(_) => Rendered::Ids(from_python::ids(&value, "ids")?),
                };
            }
        }
        let column = py.detach(|| render::column(&prompts));
        match &mut result {
            Some(result) => result.chunks.extend(column.chunks),
            None => result = Some(column),
        }
    }
    Ok(Column(result.unwrap_or_else(|| render::column(&[]))))
}

/// Input, output, cached input.
type TokenUnits = (Option<i128>, Option<i128>, Option<i128>);

/// See `motet.columns.cost`.
///
/// `prices`: for each model, or for `None`, 10⁻¹² dollars for a token of the input, the output and the cached input.
#[pyfunction]
#[pyo3(signature = (prompt, completion, cached, model, prices, *, threads=None))]
pub(crate) fn cost_column(
    py: Python<'_>,
    prompt: Option<&Bound<'_, PyAny>>,
    completion: Option<&Bound<'_, PyAny>>,
    cached: Option<&Bound<'_, PyAny>>,
    model: Option<&Bound<'_, PyAny>>,
    prices: HashMap<Option<String>, TokenUnits>,
    threads: Option<usize>,
) -> PyResult<Column> {
    let threads = threads::number(threads)?;
    let counts = |array: Option<&Bound<'_, PyAny>>| {
        let Some(array) = array else { return Ok(None) };
        let column = Chunks::read(array)?.map(
            py,
            |chunk| {
                let counts = cost::counts(chunk, threads)?;
                Ok(CoreColumn { data_type: DataType::Int64, chunks: vec![Arc::new(counts)] })
            },
            unsupported,
        )?;
        Ok::<_, PyErr>(Some(whole(&column.0)?.as_primitive::<Int64Type>().clone()))
    };
    let counts =
        cost::Counts { prompt: counts(prompt)?, completion: counts(completion)?, cached: counts(cached)? };
    let token_price = |(input, output, cached)| TokenPrice { input, output, cached };
    let prices = match model {
        None => Prices::Same(prices.get(&None).copied().map(token_price).unwrap_or_default()),
        Some(model) => {
            let chunks = Chunks::read(model)?.0;
            let names = chunks.first().map(|chunk| chunk.data_type().clone()).unwrap_or(DataType::Null);
            let column = CoreColumn { data_type: names, chunks };
            let named = prices.into_iter().filter_map(|(name, price)| Some((name?, token_price(price))));
            Prices::ByModel(named.collect(), whole(&column)?)
        }
    };
    let column = py.detach(|| cost::cost(&counts, &prices));
    column.map(Column).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The rows as one array.
fn whole(column: &CoreColumn) -> PyResult<ArrayRef> {
    column.to_array().map_err(|error| PyOverflowError::new_err(error.to_string()))
}
