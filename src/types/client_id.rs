//! Client Identifiers (section 3.1.3.1): the key of a session.
use super::Text;
use std::fmt;
use std::sync::Arc;

/// A Client Identifier in force: never empty. Its bytes are its own, and all copies share them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// `None` for the empty text, which asks the broker to assign an identifier.
    pub fn new(text: &Text) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.as_str().into()))
    }

    /// As a packet tells it.
    pub fn to_text(&self) -> Text {
        Text::try_from(self.as_str()).expect("it was made of a text")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}
