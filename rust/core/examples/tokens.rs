//! Encodes files over and over: what the profilers look at, and what `benches/tokenizer/instructions.py` counts.
//!
//! tokens split|lookup|count|encode|decode TIMES FILE...

#![allow(clippy::print_stdout)]

use motet::tokenizer;
use std::hint::black_box;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or("what to do: encode, count or decode")?;
    let times: u32 = arguments.next().ok_or("how often")?.parse()?;
    for path in arguments {
        let text = std::fs::read_to_string(&path)?;
        let ids = tokenizer::encode(&text);
        let mut best = f64::INFINITY;
        for _ in 0..times {
            let start = Instant::now();
            match what.as_str() {
                "encode" => drop(black_box(tokenizer::encode(&text))),
                "split" | "lookup" => _ = black_box(tokenizer::steps(&text, what == "lookup")),
                "count" => _ = black_box(tokenizer::count(&text)),
                "decode" => {
                    let mut bytes = Vec::new();
                    tokenizer::decode_into(&ids, &mut bytes).map_err(|invalid| format!("{invalid:?}"))?;
                    black_box(bytes);
                }
                _ => return Err(what.into()),
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let speed = text.len() as f64 / best / 1e6;
        let cost = best * 1e9 / ids.len() as f64;
        println!("{path}: {speed:.0} MB/s, {cost:.1} ns a token, {} tokens", ids.len());
    }
    Ok(())
}
