//! Why a measurement could not be made, in words.

#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Problem(String);

pub type Tried<T> = Result<T, Problem>;

impl Problem {
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Says what was tried when it failed.
pub trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Tried<T>;
}

impl<T, E: std::fmt::Display> Trying<T> for Result<T, E> {
    fn trying(self, what: impl FnOnce() -> String) -> Tried<T> {
        self.map_err(|error| Problem(format!("{}: {error}", what())))
    }
}
