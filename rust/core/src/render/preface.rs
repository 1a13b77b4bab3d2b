//! The system and developer frames before the conversation: from the options, from the first messages, or from both.

use super::draft::Draft;
use super::notes::Notes;
use super::options::RenderOptions;
use super::system_text;
use crate::error::RenderError;
use crate::message::{Developer, Message, Part, Tool};
use std::sync::Arc;

/// The frames before the conversation.
pub(crate) struct Preface {
    /// The number of leading messages that belong to the preface.
    pub(crate) messages: usize,
    has_system: bool,
    /// The developer message, which is joined with the options.
    developer: Option<Developer>,
    has_developer: bool,
}

impl Preface {
    pub(crate) fn read(messages: &[Message], options: &RenderOptions) -> Preface {
        let single = |at: usize| match messages.get(at).map(|message| message.content.as_slice()) {
            Some([part]) => Some(part),
            _ => None,
        };
        let has_system = matches!(single(0), Some(Part::System { .. }));
        let at = usize::from(has_system);
        let developer = match single(at) {
            Some(Part::Developer(developer)) => Some(developer.clone()),
            _ => None,
        };
        let has_options =
            options.instructions.is_some() || !options.tools.is_empty() || options.response_format.is_some();
        Preface {
            messages: at + usize::from(developer.is_some()),
            has_system,
            has_developer: has_options || developer.is_some(),
            developer,
        }
    }

    /// The frames that no message stands for.
    pub(crate) fn generated(&self, options: &RenderOptions) -> Result<Vec<Arc<Draft>>, RenderError> {
        let mut drafts = Vec::new();
        if !self.has_system {
            let tools = self.developer.as_ref().is_some_and(Developer::has_functions);
            let text = system_text::system(options, tools || !options.tools.is_empty())?;
            drafts.push(Arc::new(Draft::system(text)));
            if self.has_developer && self.developer.is_none() {
                drafts.push(Arc::new(self.developer_draft(options)?));
            }
        }
        Ok(drafts)
    }

    /// The frames of the preface's message at index `at`.
    pub(crate) fn drafts(
        &mut self,
        message: &Message,
        at: usize,
        options: &RenderOptions,
    ) -> Result<Vec<Arc<Draft>>, RenderError> {
        let place = |error: RenderError| RenderError { at: Some(at), ..error };
        match message.content.first() {
            Some(Part::System { text }) => {
                let mut drafts = vec![Arc::new(Draft::system(text.clone()).of(0))];
                if self.has_developer && self.developer.is_none() {
                    drafts.push(Arc::new(self.developer_draft(options)?));
                }
                Ok(drafts)
            }
            _ => Ok(vec![Arc::new(self.developer_draft(options).map_err(place)?.of(0))]),
        }
    }

    fn developer_draft(&self, options: &RenderOptions) -> Result<Draft, RenderError> {
        let mut notes = Notes::new(options.strict);
        let text = self.developer_text(options, &mut notes)?;
        Ok(Draft::developer(text, notes))
    }

    fn developer_text(&self, options: &RenderOptions, notes: &mut Notes) -> Result<String, RenderError> {
        let format = options.response_format.as_ref();
        let Some(developer) = &self.developer else {
            let instructions = options.instructions.as_deref();
            return system_text::developer(instructions, &options.tools, format, options.dialect, notes);
        };
        let no_options = options.instructions.is_none() && options.tools.is_empty() && format.is_none();
        if let Some(text) = developer.text.as_ref().filter(|_| no_options) {
            return Ok(text.clone());
        }
        let own = (!developer.instructions.is_empty() || developer.tools.is_empty())
            .then_some(developer.instructions.as_str());
        let instructions = match (options.instructions.as_deref(), own) {
            (Some(first), Some(second)) => Some(format!("{first}\n\n{second}")),
            (first, second) => first.or(second).map(str::to_owned),
        };
        let tools: Vec<Tool> = options.tools.iter().chain(&developer.tools).cloned().collect();
        system_text::developer(instructions.as_deref(), &tools, format, options.dialect, notes)
    }
}
