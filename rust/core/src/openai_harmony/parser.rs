//! The state machine of openai-harmony's streaming parser, token by token, with all that it shows in between.

use super::content::Library;
use super::error::HarmonyError;
use super::header::{self, ParsedHeader};
use super::vocabulary;
use crate::frame::Role;
use crate::marker::Marker;
use crate::tokenizer::encode_into;

/// A message that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedMessage {
    pub header: ParsedHeader,
    pub text: String,
}

/// Where the parser is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState<'a> {
    ExpectStart,
    Header {
        tokens: &'a [u32],
    },
    /// The content's tokens are those of each delta encoded by itself: not always the ones that were fed.
    Content {
        header: &'a ParsedHeader,
        tokens: &'a [u32],
    },
}

/// Reads a completion, one token at a time.
///
/// After an error the parser stays usable: it is in the state in which openai-harmony's is.
#[derive(Clone, Debug)]
pub struct StreamableParser {
    library: Library,
    strict: bool,
    /// The role of the message to come, if the prompt named it.
    next_role: Option<Role>,
    tokens: Vec<u32>,
    messages: Vec<ParsedMessage>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    ExpectStart,
    Header(Vec<u32>),
    Content(Box<OpenMessage>),
}

/// A message whose content is being read.
#[derive(Clone, Debug)]
struct OpenMessage {
    header: ParsedHeader,
    text: String,
    /// Where in `text` the last delta begins. `None`: the last token gave none.
    delta_start: Option<usize>,
    /// Where in `text` each run of text ends that is encoded by itself.
    run_ends: Vec<usize>,
    /// The tokens of the first `encoded_runs` runs.
    encoded: Vec<u32>,
    encoded_runs: usize,
    /// Bytes that are not text yet. Only one invalid sequence is replaced with each token, so that more than the
    /// beginning of a character can be in here.
    bytes: Vec<u8>,
    /// A number outside of the vocabulary was fed. The tokens behind it are lost, as openai-harmony never decodes them.
    has_invalid_token: bool,
}

impl StreamableParser {
    /// A parser at the header of a message of `role`; without one, before a `<|start|>`.
    ///
    /// `strict`: a stop token within a header belongs to the header; otherwise it ends a message without content.
    pub fn new(role: Option<Role>, strict: bool, library: Library) -> StreamableParser {
        let state = if role.is_some() { State::Header(Vec::new()) } else { State::ExpectStart };
        StreamableParser { library, strict, next_role: role, tokens: Vec::new(), messages: Vec::new(), state }
    }

    /// Reads one token.
    pub fn process(&mut self, token: u32) -> Result<(), HarmonyError> {
        self.tokens.push(token);
        match &mut self.state {
            State::Content(open) if !is_stop(token) => open.push(token),
            State::Content(_) => self.end_message(),
            State::Header(tokens) if token == Marker::Message.id() => {
                let tokens = std::mem::take(tokens);
                return self.end_header(&tokens);
            }
            State::Header(_) if !self.strict && is_stop(token) => return self.end_unfinished_header(),
            State::Header(tokens) => tokens.push(token),
            State::ExpectStart if token == Marker::Start.id() => self.state = State::Header(Vec::new()),
            State::ExpectStart => {
                let start = Marker::Start.id();
                let message = format!("Unexpected token {token} while expecting start token {start}");
                return Err(HarmonyError(message));
            }
        }
        Ok(())
    }

    /// Reads the end of the input: ends the open message.
    pub fn process_eos(&mut self) -> Result<(), HarmonyError> {
        match self.state {
            State::ExpectStart => {}
            State::Header(_) => {
                let message = "Unexpected EOS while waiting for message header to complete";
                return Err(HarmonyError(message.to_owned()));
            }
            State::Content(_) => self.end_message(),
        }
        Ok(())
    }

    fn end_header(&mut self, tokens: &[u32]) -> Result<(), HarmonyError> {
        self.state = State::ExpectStart;
        let text = vocabulary::decode_utf8(tokens)
            .map_err(|_| HarmonyError("could not decode header".to_owned()))?;
        let header = header::parse(&text, self.next_role, self.library)?;
        self.next_role = None;
        self.state = State::Content(Box::new(OpenMessage::new(header)));
        Ok(())
    }

    fn end_unfinished_header(&mut self) -> Result<(), HarmonyError> {
        if let (Some(role), State::Header(tokens)) = (self.next_role, &self.state)
            && !tokens.is_empty()
        {
            let decoded = vocabulary::decode_utf8(tokens)?;
            let (header, text) = header::parse_unfinished(&decoded, role, self.library)?;
            self.messages.push(ParsedMessage { header, text });
        }
        self.state = State::ExpectStart;
        self.next_role = None;
        Ok(())
    }

    fn end_message(&mut self) {
        if let State::Content(open) = std::mem::replace(&mut self.state, State::ExpectStart) {
            self.messages.push(open.finish());
        }
    }

    /// The tokens that were fed, those that raised errors included.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The messages that have ended.
    pub fn messages(&self) -> &[ParsedMessage] {
        &self.messages
    }

    /// The messages that have ended, taken out of the parser.
    pub fn into_messages(self) -> Vec<ParsedMessage> {
        self.messages
    }

    /// The number of the open message.
    pub fn current_index(&self) -> Option<usize> {
        self.current_header().map(|_| self.messages.len())
    }

    /// The header of the open message.
    pub fn current_header(&self) -> Option<&ParsedHeader> {
        match &self.state {
            State::Content(open) => Some(&open.header),
            _ => None,
        }
    }

    /// The role of the open message, or of the message to come.
    pub fn current_role(&self) -> Option<Role> {
        self.current_header().map_or(self.next_role, |header| Some(header.author.role))
    }

    /// The content of the open message so far.
    pub fn current_content(&self) -> &str {
        match &self.state {
            State::Content(open) => &open.text,
            _ => "",
        }
    }

    /// The text that the last token added. `None` outside of content, and while a character is incomplete.
    pub fn last_content_delta(&self) -> Option<&str> {
        match &self.state {
            State::Content(open) => open.text.get(open.delta_start?..),
            _ => None,
        }
    }

    /// The name of the state, in constant time.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::ExpectStart => "ExpectStart",
            State::Header(_) => "Header",
            State::Content(_) => "Content",
        }
    }

    /// The state with its tokens. Encodes the content that is new since the last call.
    pub fn state(&mut self) -> StreamState<'_> {
        match &mut self.state {
            State::ExpectStart => StreamState::ExpectStart,
            State::Header(tokens) => StreamState::Header { tokens },
            State::Content(open) => {
                open.encode_runs();
                StreamState::Content { header: &open.header, tokens: &open.encoded }
            }
        }
    }
}

fn is_stop(token: u32) -> bool {
    matches!(Marker::from_id(token), Some(Marker::Return | Marker::End | Marker::Call))
}

impl OpenMessage {
    fn new(header: ParsedHeader) -> OpenMessage {
        OpenMessage {
            header,
            text: String::new(),
            delta_start: None,
            run_ends: Vec::new(),
            encoded: Vec::new(),
            encoded_runs: 0,
            bytes: Vec::new(),
            has_invalid_token: false,
        }
    }

    fn push(&mut self, token: u32) {
        self.delta_start = None;
        let token_bytes = vocabulary::token_bytes(token);
        self.has_invalid_token |= token_bytes.is_none();
        let Some(token_bytes) = token_bytes.filter(|_| !self.has_invalid_token) else { return };
        if self.bytes.is_empty()
            && let Ok(text) = std::str::from_utf8(token_bytes)
        {
            return self.push_delta(text);
        }
        self.bytes.extend_from_slice(token_bytes);
        self.push_bytes();
    }

    /// Moves what is complete of the bytes into the text, and one invalid sequence behind it.
    fn push_bytes(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let Err(error) = std::str::from_utf8(&bytes) else {
            return self.push_delta(&String::from_utf8_lossy(&bytes));
        };
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        let start = self.text.len();
        if !valid.is_empty() {
            self.push_delta(&String::from_utf8_lossy(valid));
        }
        if error.error_len().is_some() {
            self.push_delta(char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]));
            self.delta_start = Some(start);
        }
        self.bytes = rest.get(error.error_len().unwrap_or(0)..).unwrap_or_default().to_vec();
    }

    fn push_delta(&mut self, text: &str) {
        self.delta_start = Some(self.text.len());
        self.text.push_str(text);
        self.run_ends.push(self.text.len());
    }

    fn encode_runs(&mut self) {
        let mut start = self.encoded_runs.checked_sub(1).and_then(|last| self.run_ends.get(last)).copied();
        for &end in self.run_ends.get(self.encoded_runs..).unwrap_or_default() {
            let run = self.text.get(start.unwrap_or(0)..end).unwrap_or_default();
            encode_into(run, &mut self.encoded);
            start = Some(end);
        }
        self.encoded_runs = self.run_ends.len();
    }

    fn finish(mut self) -> ParsedMessage {
        if self.has_invalid_token {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.text.push_str(&String::from_utf8_lossy(&self.bytes));
        ParsedMessage { header: self.header, text: self.text }
    }
}
