//! A mistake in the configuration, told so that it can be put right.
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, the environment variable or the flag.
    pub source: String,
    /// The key, dots between its parts; `None` if the whole source is concerned.
    pub key: Option<String>,
    pub what: String,
    pub fix: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.source)?;
        if let Some(key) = &self.key {
            write!(formatter, "{key}: ")?;
        }
        write!(formatter, "{}; {}", self.what, self.fix)
    }
}
