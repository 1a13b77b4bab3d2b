//! Special tokens by their spellings. The spellings are data: `build.rs` takes them from `marker.rs`.

use super::{FIRST_SPECIAL_ID, VOCAB_SIZE, token_bytes, u32_at};

/// Spellings of special tokens: one for each id from [`FIRST_SPECIAL_ID`] on, and a second one for 200,018, as in
/// tiktoken.
pub(in crate::tokenizer) const SPELLING_COUNT: usize = (VOCAB_SIZE - FIRST_SPECIAL_ID) as usize + 1;

/// The length of the longest spelling, `<|reserved_200000|>` and its like.
pub(in crate::tokenizer) const MAX_SPELLING_BYTES: usize = 19;

static SPELLINGS: &[u8] = table!("special_spellings.bin");
/// Where each spelling ends in [`SPELLINGS`], with a zero in front.
static SPELLING_ENDS: &[u8; (SPELLING_COUNT + 1) * 4] = table!("special_spelling_ends.bin");
static SPELLING_IDS: &[u8; SPELLING_COUNT * 4] = table!("special_spelling_ids.bin");

fn spelling(index: usize) -> &'static str {
    let end = |index: usize| u32_at(SPELLING_ENDS, index * 4) as usize;
    SPELLINGS
        .get(end(index)..end(index + 1))
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// The id of a spelling, by its number in alphabetical order.
pub(in crate::tokenizer) fn spelling_id(index: usize) -> u32 {
    u32_at(SPELLING_IDS, index * 4)
}

/// The number of a spelling among all spellings in alphabetical order.
pub(in crate::tokenizer) fn spelling_index(text: &str) -> Option<usize> {
    let (mut low, mut high) = (0, SPELLING_COUNT);
    while low < high {
        let middle = usize::midpoint(low, high);
        match spelling(middle).cmp(text) {
            std::cmp::Ordering::Equal => return Some(middle),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// The id of the special token that `spelling` spells. `<|reserved_200018|>` is a second spelling of
/// `<|endofprompt|>`, as in tiktoken.
pub fn special_id(spelling: &str) -> Option<u32> {
    spelling_index(spelling).map(spelling_id)
}

/// All 1,091 spellings of special tokens with their ids, in the order of the ids, as in tiktoken's `o200k_harmony`.
pub fn special_tokens() -> impl Iterator<Item = (&'static str, u32)> {
    let canonical = (FIRST_SPECIAL_ID..VOCAB_SIZE)
        .filter_map(|id| Some((std::str::from_utf8(token_bytes(id)?).ok()?, id)));
    let all = (0..SPELLING_COUNT).map(|index| (spelling(index), spelling_id(index)));
    canonical.chain(all.filter(|(spelling, id)| token_bytes(*id) != Some(spelling.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_are_found_by_spelling() {
        let all: Vec<_> = special_tokens().collect();
        assert_eq!(all.len(), SPELLING_COUNT);
        assert_eq!(all.iter().map(|(spelling, _)| spelling.len()).max(), Some(MAX_SPELLING_BYTES));
        for (spelling, id) in all {
            assert_eq!(special_id(spelling), Some(id), "{spelling}");
        }
        assert_eq!(special_id("<|reserved_200018|>"), Some(200_018));
        let unknown = [
            "<|reserved_200002|>",
            "<|reserved_0200000|>",
            "<|reserved_201088|>",
            "<|reserved_5|>",
            "<|x|>",
            "",
        ];
        for spelling in unknown {
            assert_eq!(special_id(spelling), None, "{spelling}");
        }
    }
}
