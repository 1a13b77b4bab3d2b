//! Tokenizes files over and over: a program for profilers, and for `benches/instructions.py`.
//!
//! tokens split|count|encode|decode TIMES FILE...

#![allow(clippy::print_stdout)]

use motet::tokenizer;
use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let step = arguments.next().ok_or("missing step: split, count, encode or decode")?;
    let times: u32 = arguments.next().ok_or("missing number of times")?.parse()?;
    for path in arguments {
        let text = std::fs::read_to_string(&path)?;
        let ids = tokenizer::encode(&text);
        let mut best_seconds = f64::INFINITY;
        for _ in 0..times {
            let start = Instant::now();
            match step.as_str() {
                "encode" => drop(black_box(tokenizer::encode(&text))),
                "split" => tokenizer::for_each_pretoken(&text, |pretoken| _ = black_box(pretoken)),
                "count" => _ = black_box(tokenizer::count(&text)),
                "decode" => {
                    let mut bytes = Vec::new();
                    tokenizer::decode_into(&ids, &mut bytes).map_err(|invalid| format!("{invalid:?}"))?;
                    black_box(bytes);
                }
                _ => return Err(format!("unknown step: {step:?}").into()),
            }
            best_seconds = best_seconds.min(start.elapsed().as_secs_f64());
        }
        let speed = text.len() as f64 / best_seconds / 1e6;
        let cost = best_seconds * 1e9 / ids.len() as f64;
        println!("{path}: {speed:.0} MB/s, {cost:.1} ns a token, {} tokens", ids.len());
    }
    Ok(())
}
