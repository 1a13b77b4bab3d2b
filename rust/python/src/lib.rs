//! The module `motet._core`: converts between Python and the crate `motet`, which decides what the format means.
//! An input takes one way: `from_python`, the core, `to_python`.

mod classes;
mod columns;
mod delta_cache;
mod event_maker;
mod events;
mod ffi;
mod from_python;
mod names;
mod openai_harmony;
mod parse;
mod prompt;
mod special;
mod stream_parser;
mod stream_tokenizer;
mod threads;
mod to_python;
mod tokenizer;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod _core {
    use super::*;

    #[pymodule_export]
    use super::names::{function_recipient, name_of, recipient_of, wire_names};

    #[pymodule_export]
    use super::special::SpecialChoice;
    #[pymodule_export]
    use super::stream_tokenizer::{StreamDecoder, StreamEncoder};
    #[pymodule_export]
    use super::tokenizer::{
        _pretokens, _token_id, _vocabulary, count, decode, decode_bytes, decode_with_offsets, encode,
        encode_array, encode_batch, encode_with_offsets, truncate,
    };

    #[pymodule_export]
    use super::events::Event;

    #[pymodule_export]
    use super::openai_harmony::encoding::{HarmonyEncoding, SpecialTokens};
    #[pymodule_export]
    use super::openai_harmony::parser::StreamableParser;

    #[pymodule_export]
    use super::parse::{frames, parse, parse_batch, parse_conversation, tokens_by_channel};

    #[pymodule_export]
    use super::stream_parser::StreamParser;

    #[pymodule_export]
    use super::from_python::tool_dicts;
    #[pymodule_export]
    use super::prompt::{Prompt, plain_messages, render, render_frames};

    #[pymodule_export]
    use super::columns::{
        Column, cost_column, count_column, decode_column, encode_column, parse_column, render_column,
    };
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        names::constants(module)?;
        ffi::method::add::<stream_parser::StreamParser>(module.py())?;
        tokenizer::constants(module)
    }
}
