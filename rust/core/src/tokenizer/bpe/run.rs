//! Pre-tokens that begin with a long run of one character, as a line of dashes.
//!
//! A sequence of tokens is the encoding of its bytes if all its adjacent pairs are stable. So where the encoding of a
//! shorter run begins with a token that is stable behind itself, that of a longer one has more of that token in front.

use super::{backtrack, is_stable_pair, token_length};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What is compared to find a run: 15 characters of four bytes, 60 of one.
const MIN_RUN_BYTES: usize = 60;

/// So much of a run is encoded by backtracking: whole characters of any length, and more than two of the longest tokens
/// of most characters.
const BASE_BYTES: usize = 240;

/// The bytes of each character of the run that a pre-token begins with, if it begins with one.
pub(super) fn run_character_bytes(pretoken: &[u8]) -> Option<usize> {
    let chunk = |at| pretoken.get(at..).and_then(<[u8]>::first_chunk::<MIN_RUN_BYTES>);
    (1..=4).find(|&char_bytes| chunk(char_bytes).is_some() && chunk(0) == chunk(char_bytes))
}

/// Appends the ids of a pre-token that begins with a run of characters of so many bytes.
pub(super) fn encode_run(pretoken: &[u8], char_bytes: usize, out: &mut Vec<u32>) {
    let run = run_bytes(pretoken, char_bytes);
    let out_start = out.len();
    if let (Some(base), Some(rest)) = (pretoken.get(..BASE_BYTES), run.checked_sub(BASE_BYTES)) {
        encode_short_run(base, out);
        let first = out.get(out_start).copied().unwrap_or_default();
        out.truncate(out_start);
        let length = token_length(first).max(1);
        if length.is_multiple_of(char_bytes) && is_stable_pair(first, first) {
            let count = rest / length;
            out.resize(out_start + count, first);
            encode_short_run(pretoken.get(count * length..).unwrap_or_default(), out);
            if out.get(out_start + count) == Some(&first) {
                return;
            }
            out.truncate(out_start);
        }
    }
    encode_short_run(pretoken, out);
}

/// How many bytes of a pre-token are a run of its first character, which has so many bytes.
fn run_bytes(pretoken: &[u8], char_bytes: usize) -> usize {
    let shifted = pretoken.get(char_bytes..).unwrap_or_default();
    // Whole blocks first: they are compared at once.
    let blocks = pretoken.as_chunks::<64>().0.iter().zip(shifted.as_chunks::<64>().0);
    let equal = 64 * blocks.take_while(|(block, next)| block == next).count();
    let rest = pretoken.iter().zip(shifted).skip(equal);
    char_bytes + equal + rest.take_while(|(byte, next)| byte == next).count()
}

type ShortRuns = BTreeMap<(u8, u16), Box<[u32]>>;

/// The ids of short runs of ASCII characters by character and length. They are asked for again: of any long run the end
/// is one of these.
static SHORT_RUNS: Mutex<ShortRuns> = Mutex::new(BTreeMap::new());

/// When there are more they are forgotten: 200 kB.
const MAX_SHORT_RUNS: usize = 1024;

/// Longer ones are not kept.
const MAX_SHORT_RUN_BYTES: usize = 512;

/// Appends the ids of a pre-token, from those that are kept if it is a short run of an ASCII character.
fn encode_short_run(pretoken: &[u8], out: &mut Vec<u32>) {
    let is_short_run =
        pretoken.len() <= MAX_SHORT_RUN_BYTES && pretoken.iter().all(|byte| Some(byte) == pretoken.first());
    let Some(&byte) = pretoken.first().filter(|byte| is_short_run && byte.is_ascii()) else {
        return backtrack(pretoken, out);
    };
    let key = (byte, pretoken.len() as u16);
    // Never waits: what another thread holds is computed.
    if let Ok(runs) = SHORT_RUNS.try_lock()
        && let Some(ids) = runs.get(&key)
    {
        return out.extend_from_slice(ids);
    }
    let out_start = out.len();
    backtrack(pretoken, out);
    if let Ok(mut runs) = SHORT_RUNS.try_lock() {
        if runs.len() >= MAX_SHORT_RUNS {
            runs.clear();
        }
        runs.insert(key, out.get(out_start..).unwrap_or_default().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_all_lengths_equal_backtracking() {
        let lengths = (61..1000).step_by(37).chain([64, 128, 239, 240, 241, 242, 304, 512, 513, 4096]);
        for length in lengths {
            for character in ["-", "=", "*", "#", "_", "~", " ", "\n", "a", "A", "0", "é", "─", "中", "😀"]
            {
                for behind in ["", "x", "-=", "\u{301}"] {
                    let pretoken = character.repeat(length) + behind;
                    let (mut ids, mut expected) = (Vec::new(), Vec::new());
                    if let Some(char_bytes) = run_character_bytes(pretoken.as_bytes()) {
                        encode_run(pretoken.as_bytes(), char_bytes, &mut ids);
                        backtrack(pretoken.as_bytes(), &mut expected);
                        assert_eq!(ids, expected, "{character:?} {length} {behind:?}");
                    }
                }
            }
        }
    }
}
