//! What stands before the conversation proper: who says it, the first messages, the settings, or both.

use crate::error::RenderError;
use crate::frame::{Header, Role};
use crate::message::{Developer, Message, Part, Tool};
use crate::render::{Draft, Settings, draft, generated};
use crate::template;
use std::sync::Arc;

/// What stands before the conversation proper: a system frame and a developer frame, from the first messages, from
/// the settings, or from both.
pub(crate) struct Front {
    /// How many messages belong to it.
    pub(crate) messages: usize,
    has_system: bool,
    /// The text of the developer frame, if its parts are to be joined with the settings.
    developer: Option<Developer>,
    has_developer: bool,
}

impl Front {
    pub(crate) fn read(messages: &[Message], settings: &Settings) -> Front {
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
        let from_settings = settings.instructions.is_some()
            || !settings.tools.is_empty()
            || settings.response_format.is_some();
        Front {
            messages: at + usize::from(developer.is_some()),
            has_system,
            has_developer: from_settings || developer.is_some(),
            developer,
        }
    }

    pub(crate) fn preface(&self, settings: &Settings) -> Result<Vec<Arc<Draft>>, RenderError> {
        let mut drafts = Vec::new();
        if !self.has_system {
            let tools = self.developer.as_ref().is_some_and(has_functions);
            let text = template::system(settings, tools || !settings.tools.is_empty())?;
            drafts.push(generated(Role::System, text));
            if self.has_developer && self.developer.is_none() {
                drafts.push(generated(Role::Developer, self.developer_text(settings)?));
            }
        }
        Ok(drafts)
    }

    pub(crate) fn drafts(
        &mut self,
        message: &Message,
        at: usize,
        settings: &Settings,
    ) -> Result<Vec<Arc<Draft>>, RenderError> {
        let place = |error: RenderError| RenderError { at: Some(at), ..error };
        match message.content.first() {
            Some(Part::System { text }) => {
                let mut drafts = vec![Arc::new(draft(Header::new(Role::System), text.clone()).of(0))];
                if self.has_developer && self.developer.is_none() {
                    drafts.push(generated(Role::Developer, self.developer_text(settings)?));
                }
                Ok(drafts)
            }
            _ => {
                let text = self.developer_text(settings).map_err(place)?;
                Ok(vec![Arc::new(draft(Header::new(Role::Developer), text).of(0))])
            }
        }
    }

    fn developer_text(&self, settings: &Settings) -> Result<String, RenderError> {
        let format = settings.response_format.as_ref();
        let Some(developer) = &self.developer else {
            return template::developer(
                settings.instructions.as_deref(),
                &settings.tools,
                format,
                settings.dialect,
            );
        };
        let bare = settings.instructions.is_none() && settings.tools.is_empty() && format.is_none();
        if let Some(text) = developer.text.as_ref().filter(|_| bare) {
            return Ok(text.clone());
        }
        let own = (!developer.instructions.is_empty() || developer.tools.is_empty())
            .then_some(developer.instructions.as_str());
        let instructions = match (settings.instructions.as_deref(), own) {
            (Some(first), Some(second)) => Some(format!("{first}\n\n{second}")),
            (first, second) => first.or(second).map(str::to_owned),
        };
        let tools: Vec<Tool> = settings.tools.iter().chain(&developer.tools).cloned().collect();
        template::developer(instructions.as_deref(), &tools, format, settings.dialect)
    }
}

/// Whether a developer frame offers functions.
pub(crate) fn has_functions(developer: &Developer) -> bool {
    !developer.tools.is_empty()
        || developer.text.as_deref().is_some_and(|text| text.contains("\nnamespace functions {"))
}
