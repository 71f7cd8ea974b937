//! Files of one user a line: `user:` and what is kept of the password.
use super::proof::is_user_name;
use std::fmt;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1 on.
    pub line: usize,
    what: &'static str,
}

impl Fault {
    pub fn new(line: usize, what: &'static str) -> Self {
        Self { line, what }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.line, self.what)
    }
}

/// Number, user and the rest of each line that is neither empty nor a comment.
pub(super) fn entries(text: &str) -> impl Iterator<Item = Result<(usize, &str, &str), Fault>> {
    text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#')).map(|(text, line)| {
        let (user, rest) = text.split_once(':').ok_or(Fault::new(line, "there is no colon behind the user"))?;
        if !is_user_name(user) {
            return Err(Fault::new(line, "the user name is empty or holds control characters"));
        }
        if user.trim() != user {
            return Err(Fault::new(line, "there are blanks around the user name"));
        }
        Ok((line, user, rest))
    })
}
