//! The streaming parser: a lexer and the state machine together. It reads chunks of one lane and emits events.

use crate::error::excerpt::{Item, Recent};
use crate::error::{ParseError, Repair};
use crate::frame::Stop;
use crate::parser::collect::{ClassifiedFrame, FrameCollector};
pub use crate::parser::glued_role::is_plain;
use crate::parser::lexer::{IdLexer, TextLexer};
use crate::parser::machine::Parser;
use crate::parser::{ChannelTokens, ParseOptions, Sink};
use std::sync::Arc;

/// The form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Token ids: a marker is an id, so quoted text never reads as one.
    Ids,
    /// Text with markers.
    Text,
}

/// The error of feeding ids to a parser of text, or text to a parser of ids; holds the parser's lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixedLanes(pub Lane);

/// Parses one input chunk by chunk.
#[derive(Clone, Debug)]
pub struct StreamParser {
    options: Arc<ParseOptions>,
    parser: Parser,
    lexer: Option<Lexer>,
}

#[derive(Clone, Debug)]
enum Lexer {
    Ids(IdLexer, Recent<u32>),
    Text(TextLexer, Recent<u8>),
}

impl StreamParser {
    pub fn new(options: Arc<ParseOptions>) -> StreamParser {
        StreamParser { parser: Parser::new(Arc::clone(&options), false), options, lexer: None }
    }

    pub fn options(&self) -> &Arc<ParseOptions> {
        &self.options
    }

    /// The lane of the first chunk; `Text` before it.
    pub fn lane(&self) -> Lane {
        match self.lexer {
            Some(Lexer::Ids(..)) => Lane::Ids,
            Some(Lexer::Text(..)) | None => Lane::Text,
        }
    }

    /// The fault at which strict parsing stopped.
    pub fn error(&self) -> Option<&ParseError> {
        self.parser.error()
    }

    pub fn feed_ids(&mut self, ids: &[u32], sink: &mut impl Sink) -> Result<(), MixedLanes> {
        let Feed { lexer, recent, parser } = self.ids()?;
        lexer.feed(ids, parser, sink);
        track_excerpt(parser, recent, ids);
        Ok(())
    }

    /// Reads an id that does not fit 32 bits; `written` is its decimal form.
    pub fn feed_invalid_id(&mut self, written: String, sink: &mut impl Sink) -> Result<(), MixedLanes> {
        let Feed { lexer, recent, parser } = self.ids()?;
        lexer.invalid(written, parser, sink);
        track_excerpt(parser, recent, &[u32::MAX]);
        Ok(())
    }

    pub fn feed_text(&mut self, text: &str, sink: &mut impl Sink) -> Result<(), MixedLanes> {
        let Feed { lexer, recent, parser } = self.text()?;
        lexer.feed(text, parser, sink);
        track_excerpt(parser, recent, text.as_bytes());
        Ok(())
    }

    /// Reads UTF-8; chunks may end inside a character.
    pub fn feed_bytes(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<(), MixedLanes> {
        let Feed { lexer, recent, parser } = self.text()?;
        lexer.feed_bytes(bytes, parser, sink);
        track_excerpt(parser, recent, bytes);
        Ok(())
    }

    /// Whether a chunk of this lane whose text is plain ([`is_plain`]) only adds that text to the open content: see
    /// [`StreamParser::feed_plain`].
    #[inline]
    pub fn takes_plain(&self, lane: Lane) -> bool {
        // Strict parsing keeps its input, for the excerpts of faults.
        self.parser.in_content()
            && !self.parser.is_strict()
            && match &self.lexer {
                Some(Lexer::Ids(lexer, _)) => lane == Lane::Ids && !lexer.holds_bytes(),
                Some(Lexer::Text(lexer, _)) => lane == Lane::Text && !lexer.holds_bytes(),
                None => false,
            }
    }

    /// Reads an ordinary token, or a chunk of text, whose text is plain ([`is_plain`]). The parser takes it
    /// ([`StreamParser::takes_plain`]). Does the same as `feed_ids` and `feed_text`, which find out both for each chunk.
    #[inline]
    pub fn feed_plain(&mut self, text: &str, sink: &mut impl Sink) {
        match &mut self.lexer {
            Some(Lexer::Ids(lexer, _)) => lexer.feed_plain(text, &mut self.parser, sink),
            Some(Lexer::Text(lexer, _)) => lexer.feed_plain(text, &mut self.parser, sink),
            None => {}
        }
    }

    /// Ends the input and emits the events of held-back text.
    pub fn close(&mut self, sink: &mut impl Sink) {
        let parser = &mut self.parser;
        match &mut self.lexer {
            Some(Lexer::Ids(lexer, recent)) => {
                lexer.close(parser, sink);
                track_excerpt(parser, recent, &[]);
            }
            Some(Lexer::Text(lexer, recent)) => {
                lexer.close(parser, sink);
                track_excerpt(parser, recent, &[]);
            }
            None => parser.close(0, sink),
        }
    }

    /// The stop token at the end of the input so far.
    pub fn stop(&self) -> Option<Stop> {
        self.parser.stop()
    }

    /// The tokens counted so far. The text lane counts markers and headers only.
    pub fn tokens(&self) -> ChannelTokens {
        self.parser.tokens()
    }

    /// The completion of the input so far.
    pub fn complete(&self, collector: FrameCollector) -> Completion {
        Completion {
            frames: collector.frames,
            repairs: collector.repairs,
            stop: self.parser.stop(),
            tokens: self.parser.tokens(),
            lane: self.lane(),
        }
    }

    /// Ends the input and returns its completion, or the fault at which strict parsing stopped.
    pub fn finish(mut self, mut collector: FrameCollector) -> Result<Completion, ParseError> {
        self.close(&mut collector);
        match self.parser.error() {
            Some(error) => Err(error.clone()),
            None => Ok(self.complete(collector)),
        }
    }

    fn ids(&mut self) -> Result<Feed<'_, IdLexer, u32>, MixedLanes> {
        match self.lexer.get_or_insert_with(|| Lexer::Ids(IdLexer::default(), Recent::default())) {
            Lexer::Ids(lexer, recent) => Ok(Feed { lexer, recent, parser: &mut self.parser }),
            Lexer::Text(..) => Err(MixedLanes(Lane::Text)),
        }
    }

    fn text(&mut self) -> Result<Feed<'_, TextLexer, u8>, MixedLanes> {
        if self.lexer.is_none() {
            self.parser = Parser::new(Arc::clone(&self.options), true);
        }
        match self.lexer.get_or_insert_with(|| Lexer::Text(TextLexer::default(), Recent::default())) {
            Lexer::Text(lexer, recent) => Ok(Feed { lexer, recent, parser: &mut self.parser }),
            Lexer::Ids(..) => Err(MixedLanes(Lane::Ids)),
        }
    }
}

/// A lexer, its most recent input, and the parser that it feeds.
struct Feed<'a, L, T> {
    lexer: &'a mut L,
    recent: &'a mut Recent<T>,
    parser: &'a mut Parser,
}

/// Adds the excerpt to a new fault, or keeps the chunk for later ones. Tolerant parsing has no faults to show.
fn track_excerpt<T: Item>(parser: &mut Parser, recent: &mut Recent<T>, chunk: &[T]) {
    if !parser.is_strict() {
        return;
    }
    match parser.error_mut() {
        Some(error) if error.excerpt.line.is_empty() => {
            error.excerpt = recent.around(chunk, error.repair.at, &error.repair.text);
        }
        _ => recent.push(chunk),
    }
}

/// The result of parsing one input.
#[derive(Clone, Debug)]
pub struct Completion {
    pub frames: Vec<ClassifiedFrame>,
    pub repairs: Vec<Repair>,
    pub stop: Option<Stop>,
    pub tokens: ChannelTokens,
    pub lane: Lane,
}

/// Parses a whole input of token ids.
pub fn parse_ids(ids: &[u32], options: Arc<ParseOptions>) -> Result<Completion, ParseError> {
    parse_with(options, |parser, collector| parser.feed_ids(ids, collector))
}

/// Parses a whole input of text. Bytes that are not UTF-8 are repaired.
pub fn parse_text(text: &[u8], options: Arc<ParseOptions>) -> Result<Completion, ParseError> {
    match std::str::from_utf8(text) {
        Ok(text) => parse_str(text, options),
        Err(_) => parse_with(options, |parser, collector| parser.feed_bytes(text, collector)),
    }
}

/// Reads a whole input of text that is known to be UTF-8.
pub fn parse_str(text: &str, options: Arc<ParseOptions>) -> Result<Completion, ParseError> {
    parse_with(options, |parser, collector| parser.feed_text(text, collector))
}

fn parse_with(
    options: Arc<ParseOptions>,
    feed: impl FnOnce(&mut StreamParser, &mut FrameCollector) -> Result<(), MixedLanes>,
) -> Result<Completion, ParseError> {
    let mut collector = FrameCollector::new(options.turn);
    let mut parser = StreamParser::new(options);
    // Cannot fail: a new parser accepts either lane.
    let _ = feed(&mut parser, &mut collector);
    parser.finish(collector)
}
