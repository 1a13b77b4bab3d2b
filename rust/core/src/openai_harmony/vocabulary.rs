//! The vocabulary as openai-harmony has it. It differs from that of tiktoken and of the models in two ids: 200018 is a
//! reserved token here, not `<|endofprompt|>`, and there is one token more, 201088.

use super::error::HarmonyError;
use crate::tokenizer::{self, SpecialChoice, SpecialPolicy, SpecialTokenFound, vocabulary};

/// The reserved token that the models do not have.
const EXTRA_ID: u32 = 201_088;
const EXTRA_SPELLING: &str = "<|reserved_201088|>";

/// The token that tiktoken names `<|endofprompt|>`.
const RESERVED_ID: u32 = 200_018;
const RESERVED_SPELLING: &str = "<|reserved_200018|>";

/// The bytes of a token; special tokens as they are spelled.
pub fn token_bytes(id: u32) -> Option<&'static [u8]> {
    match id {
        RESERVED_ID => Some(RESERVED_SPELLING.as_bytes()),
        EXTRA_ID => Some(EXTRA_SPELLING.as_bytes()),
        _ => vocabulary::token_bytes(id),
    }
}

/// Whether an id is that of a special token.
pub fn is_special_token(id: u32) -> bool {
    (vocabulary::FIRST_SPECIAL_ID..=EXTRA_ID).contains(&id)
}

/// The spellings of all special tokens, in the order of their ids.
pub fn special_tokens() -> impl Iterator<Item = &'static str> {
    (vocabulary::FIRST_SPECIAL_ID..=EXTRA_ID).filter_map(|id| std::str::from_utf8(token_bytes(id)?).ok())
}

/// The bytes of ids.
pub fn decode_bytes(ids: &[u32]) -> Result<Vec<u8>, HarmonyError> {
    let mut bytes = Vec::with_capacity(ids.len() * 6 + 4096);
    for run in ids.split_inclusive(|id| matches!(*id, RESERVED_ID | EXTRA_ID)) {
        let (run, odd) = match run.split_last() {
            Some((last @ (&RESERVED_ID | &EXTRA_ID), rest)) => (rest, token_bytes(*last)),
            _ => (run, None),
        };
        tokenizer::decode_into(run, &mut bytes)
            .map_err(|invalid| HarmonyError(format!("Invalid token for decoding: {}", invalid.id)))?;
        bytes.extend_from_slice(odd.unwrap_or_default());
    }
    Ok(bytes)
}

/// The text of ids, which must be UTF-8.
pub fn decode_utf8(ids: &[u32]) -> Result<String, HarmonyError> {
    let bytes = decode_bytes(ids)
        .map_err(|error| HarmonyError(format!("Could not decode tokens: Invalid token error: {error}")))?;
    String::from_utf8(bytes)
        .map_err(|error| HarmonyError(format!("Could not decode tokens: Invalid utf-8 sequence: {error}")))
}

/// What becomes of the spellings of special tokens in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    choice: SpecialChoice,
    extra_is_token: bool,
    extra_is_error: bool,
}

impl SpecialTokens {
    /// Makes a spelling a special token. Spellings that are not those of special tokens have no effect.
    pub fn allow(&mut self, spelling: &str) {
        if spelling == EXTRA_SPELLING {
            self.extra_is_token = true;
        } else if is_spelling(spelling) {
            self.choice.tokens.insert(spelling);
        }
    }

    /// Makes a spelling an error. Returns whether it is the spelling of a special token.
    pub fn refuse(&mut self, spelling: &str) -> bool {
        if spelling == EXTRA_SPELLING {
            self.extra_is_error = true;
            return true;
        }
        is_spelling(spelling) && self.choice.errors.insert(spelling)
    }

    /// Appends the ids of a text.
    pub fn encode(&self, text: &str, out: &mut Vec<u32>) -> Result<(), SpecialTokenFound> {
        let policy = SpecialPolicy::Choice(&self.choice);
        if !self.extra_is_token && !self.extra_is_error {
            return tokenizer::encode_with(text, policy, out);
        }
        let mut start = 0;
        for (at, _) in text.match_indices(EXTRA_SPELLING) {
            tokenizer::encode_with(text.get(start..at).unwrap_or_default(), policy, out)?;
            if self.extra_is_error {
                return Err(SpecialTokenFound { spelling: EXTRA_SPELLING.to_owned(), at });
            }
            out.push(EXTRA_ID);
            start = at + EXTRA_SPELLING.len();
        }
        tokenizer::encode_with(text.get(start..).unwrap_or_default(), policy, out)
    }
}

fn is_spelling(text: &str) -> bool {
    // Of the two spellings of 200018 that motet knows, tiktoken's is ordinary text here.
    let named = vocabulary::token_bytes(RESERVED_ID) == Some(text.as_bytes());
    !named && vocabulary::special_id(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ids_differ_from_tiktoken() {
        let spellings: Vec<_> = special_tokens().collect();
        assert_eq!(spellings.len(), 1091);
        for (id, spelling) in (vocabulary::FIRST_SPECIAL_ID..).zip(spellings) {
            let same = vocabulary::special_id(spelling) == Some(id);
            assert_eq!(same, id != EXTRA_ID, "{spelling}");
            let mut specials = SpecialTokens::default();
            specials.allow(spelling);
            let mut ids = Vec::new();
            assert_eq!(specials.encode(spelling, &mut ids), Ok(()));
            assert_eq!((&ids[..], decode_utf8(&ids).as_deref()), (&[id][..], Ok(spelling)));
        }
    }

    #[test]
    fn refused_spellings_are_errors_in_order() {
        let mut specials = SpecialTokens::default();
        assert!(specials.refuse(EXTRA_SPELLING) && specials.refuse(RESERVED_SPELLING));
        assert!(!specials.refuse("<|endofprompt|>") && !specials.refuse("x"));
        let text = format!("<|endofprompt|>{EXTRA_SPELLING}{RESERVED_SPELLING}");
        let error = specials.encode(&text, &mut Vec::new()).expect_err("refused");
        assert_eq!(error.spelling, EXTRA_SPELLING);
    }

    #[test]
    fn invalid_ids_are_named() {
        let error = decode_utf8(&[EXTRA_ID, 1, 201_089]).expect_err("no token");
        let text = "Could not decode tokens: Invalid token error: Invalid token for decoding: 201089";
        assert_eq!(error.to_string(), text);
    }
}
