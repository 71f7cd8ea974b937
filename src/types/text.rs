//! UTF-8 Encoded Strings (3.1.1 section 1.5.3, 5.0 section 1.5.4) as slices of the buffer they came in.
use super::Violation;
use bytes::Bytes;
use std::fmt;

/// Well-formed UTF-8 without U+0000, at most 65,535 bytes. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

/// Name and value pairs in the order they came.
pub type UserProperties = Vec<(Text, Text)>;

impl Text {
    /// Fails on ill-formed UTF-8 (surrogates included), on U+0000, and beyond 65,535 bytes.
    pub fn parse(bytes: Bytes) -> Result<Self, Violation> {
        // [MQTT-1.5.4-1] (5.0), [MQTT-1.5.3-1] (3.1.1)
        if std::str::from_utf8(&bytes).is_err() {
            return Err(Violation::malformed("MQTT-1.5.4-1", "a string is not well-formed UTF-8"));
        }
        // [MQTT-1.5.4-2] (5.0), [MQTT-1.5.3-2] (3.1.1)
        if bytes.contains(&0) {
            return Err(Violation::malformed("MQTT-1.5.4-2", "a string holds U+0000"));
        }
        if bytes.len() > usize::from(u16::MAX) {
            return Err(Violation::malformed("sec:1.5.4", "a string is longer than 65,535 bytes"));
        }
        Ok(Self(bytes))
    }

    /// For the broker's own short, constant texts.
    pub fn from_static(text: &'static str) -> Self {
        Self::parse(Bytes::from_static(text.as_bytes())).expect("a literal of ours is legal text")
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was parsed")
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy of its own, so that a small text kept for long does not hold a whole read buffer.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl TryFrom<&str> for Text {
    type Error = Violation;
    fn try_from(text: &str) -> Result<Self, Violation> {
        Self::parse(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}
