//! Users of SCRAM-SHA-256, in a file of `user:scram-sha-256:iterations:salt:stored key:server key` lines.
mod credential;
mod exchange;
mod message;

pub(super) use credential::{Credential, ITERATIONS_MAX, ITERATIONS_MIN};
pub use exchange::{Exchange, Failed};

use super::LoadError;
use super::lines::{Fault, entries};
use super::source::{Source, text};
use credential::{KEY_BYTES, hmac};
use std::collections::HashMap;
use std::path::Path;

/// The name of the method on the wire.
pub(super) const METHOD: &str = "SCRAM-SHA-256";

#[derive(Debug)]
pub(super) struct ScramFile {
    pub source: Source<Users>,
    /// Makes the salts of users that are not there: always the same one for a name.
    secret: Secret,
}

struct Secret([u8; KEY_BYTES]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<String, Credential>,
    /// Of every user, for those who look like one.
    iterations: Vec<u32>,
}

impl Users {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut users = Self::default();
        for entry in entries(text) {
            let (line, user, rest) = entry?;
            let credential = Credential::parse(rest).map_err(|what| Fault::new(line, what))?;
            let name = stringprep::saslprep(user).map_err(|_| Fault::new(line, "the user name has no normal form"))?;
            users.iterations.push(credential.iterations);
            if users.by_name.insert(name.into_owned(), credential).is_some() {
                return Err(Fault::new(line, "this user is there twice"));
            }
        }
        Ok(users)
    }
}

impl ScramFile {
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let parse = |bytes: &[u8]| Users::parse(text(bytes)?).map_err(|fault| fault.to_string());
        Ok(Self { source: Source::open(path, parse)?, secret: Secret(crate::clock::random()) })
    }

    /// Begins an exchange with the first of these files that knows the user, or, if none does, one that will fail.
    pub fn begin<'a>(
        files: impl Iterator<Item = &'a Self> + Clone,
        message: &[u8],
    ) -> Result<(Exchange, String), Failed> {
        const NONCE_BYTES: usize = 18;
        let nonce = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD_NO_PAD,
            crate::clock::random::<NONCE_BYTES>(),
        );
        Exchange::begin(message, &nonce, |user| {
            let known = files.clone().find_map(|file| file.source.current().by_name.get(user).cloned());
            match (known, files.clone().next()) {
                (Some(credential), _) => (credential, true),
                (None, Some(file)) => (file.stand_in(user), false),
                (None, None) => (Credential::nobody(Vec::new(), ITERATIONS_MIN), false),
            }
        })
    }

    /// Whether the user is there; named as an exchange names it.
    pub fn knows(&self, user: &str) -> bool {
        self.source.current().by_name.contains_key(user)
    }

    /// Looks like that of a known user.
    fn stand_in(&self, user: &str) -> Credential {
        const SALT_BYTES: usize = 16;
        let made = hmac(&self.secret.0, user.as_bytes());
        let salt = made.iter().copied().take(SALT_BYTES).collect();
        let users = self.source.current();
        let at = made.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(256).wrapping_add(usize::from(*byte)));
        let alike = at.checked_rem(users.iterations.len()).and_then(|at| users.iterations.get(at));
        Credential::nobody(salt, alike.copied().unwrap_or(ITERATIONS_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(lines: &str) -> (tempfile::TempDir, ScramFile) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("users");
        std::fs::write(&path, lines).expect("it can be written");
        let file = ScramFile::open(&path).expect("a legal file");
        (directory, file)
    }

    fn challenge(file: &ScramFile, user: &str) -> (String, String) {
        let message = format!("n,,n={user},r=x");
        let (_, challenge) = ScramFile::begin([file].into_iter(), message.as_bytes()).expect("a legal message");
        let (nonce, rest) = challenge.split_once(',').expect("two parts");
        (nonce.to_owned(), rest.to_owned())
    }

    #[test]
    fn an_unknown_user_is_challenged_like_a_known_one() {
        let line = Credential::new("pencil", 5000).expect("a plain password").to_line();
        let (_directory, file) = open(&format!("ann:{line}\n"));
        let (known, unknown) = (challenge(&file, "ann"), challenge(&file, "bob"));
        assert_eq!(known.1.len(), unknown.1.len());
        assert!(unknown.1.ends_with(",i=5000"));
        assert_eq!(challenge(&file, "bob").1, unknown.1, "the same salt each time");
        assert_ne!(challenge(&file, "bob").0, unknown.0, "another nonce each time");
        assert_ne!(challenge(&file, "eve").1, unknown.1);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, line) in [("ann:x", 1), ("#\n\nann:scram-sha-256:1:a:b:c", 3), ("ann", 1)] {
            assert_eq!(Users::parse(text).expect_err("a bad line").line, line);
        }
    }
}
