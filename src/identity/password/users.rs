//! The text of a password file: one `user:hash` a line.
use super::hash::Hash;
use crate::identity::lines::{Fault, entries};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// The users of one file.
#[derive(Debug, Default)]
pub(in crate::identity) struct Users {
    by_name: HashMap<String, usize>,
    hashes: Vec<Hash>,
}

impl Users {
    /// Reads a whole file; the first line that is not as it should be makes all of it worth nothing.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut users = Self::default();
        for entry in entries(text) {
            let (line, user, rest) = entry?;
            if rest.starts_with("scram-sha-256:") {
                return Err(Fault::new(line, "this is for an authenticator of kind = \"scram\""));
            }
            let hash = Hash::parse(rest).map_err(|what| Fault::new(line, what))?;
            if users.by_name.insert(user.to_owned(), users.hashes.len()).is_some() {
                return Err(Fault::new(line, "this user is there twice"));
            }
            users.hashes.push(hash);
        }
        Ok(users)
    }

    pub fn find(&self, user: &str) -> Option<&Hash> {
        self.by_name.get(user).and_then(|at| self.hashes.get(*at))
    }

    /// The hash that stands in for that of an unknown user: always the same one for a name, and as costly as the
    /// others are, so that the time of a refusal does not tell who is known.
    pub fn stand_in(&self, user: &str, seed: &RandomState) -> Option<&Hash> {
        let count = self.hashes.len() as u64;
        let at = seed.hash_one(user).checked_rem(count)?;
        self.hashes.get(usize::try_from(at).ok()?)
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::password::hash::hash;

    #[test]
    fn a_file_has_users_comments_and_blank_lines() {
        let text = format!("# staff\n\nann:{}\r\nbob:{}", hash(b"a"), hash(b"b"));
        let users = Users::parse(&text).expect("a legal file");
        assert_eq!(users.len(), 2);
        assert!(users.find("ann").is_some_and(|hash| hash.matches(b"a")));
        assert!(users.find("bob").is_some_and(|hash| hash.matches(b"b")));
        assert!(users.find("").is_none() && users.find("# staff").is_none() && users.find("Ann").is_none());
    }

    #[test]
    fn one_bad_line_spoils_the_file_and_is_named() {
        let good = format!("ann:{}\n", hash(b"a"));
        for bad in ["bob", ":", ":x", "bob:", "bob:secret", " bob:x", "b\u{7}b:x", "ann:x", good.trim_end()] {
            let fault = Users::parse(&format!("{good}\n{bad}\n")).expect_err("a bad line");
            assert_eq!(fault.line, 3, "{bad:?}");
        }
        let fault = Users::parse("ann:scram-sha-256:4096:AAAA:AAAA:AAAA").expect_err("for another authenticator");
        assert!(fault.to_string().contains("scram"), "{fault}");
    }

    #[test]
    fn an_unknown_user_has_one_stand_in() {
        let text = format!("ann:{}\nbob:{}\n", hash(b"a"), hash(b"b"));
        let (users, seed) = (Users::parse(&text).expect("a legal file"), RandomState::new());
        let stand_in = |name| users.stand_in(name, &seed).map(std::ptr::from_ref);
        for name in ["x", "y", "z"] {
            assert!(stand_in(name).is_some() && stand_in(name) == stand_in(name));
        }
        assert!(Users::default().stand_in("x", &seed).is_none());
    }
}
