//! Client Identifiers (section 3.1.3.1): the key of a session.
use super::Text;
use std::fmt;

/// A Client Identifier in force: never empty, its bytes its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Text);

impl ClientId {
    /// `None` for the empty text, which asks the broker to assign an identifier.
    pub fn new(text: &Text) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.detached()))
    }

    pub fn as_text(&self) -> &Text {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}
