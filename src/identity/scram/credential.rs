//! What is kept of a SCRAM-SHA-256 password (RFC 5802 section 3, RFC 7677), and its line in a file.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub(super) const KEY_BYTES: usize = 32;
/// Fewer are forbidden by RFC 7677.
pub(crate) const ITERATIONS_MIN: u32 = 4096;
/// A client does them all; beyond this a device would seem dead.
pub(crate) const ITERATIONS_MAX: u32 = 10_000_000;
const SALT_BYTES: usize = 16;
pub(super) const METHOD: &str = "scram-sha-256";

pub(super) type Key = [u8; KEY_BYTES];

/// Enough to check a proof, and not enough to make one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: Key,
    pub server_key: Key,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Credential {
    /// Makes a new one. `None` for a password that cannot be brought to its normal form (RFC 4013).
    pub fn new(password: &str, iterations: u32) -> Option<Self> {
        let salt: [u8; SALT_BYTES] = crate::clock::random();
        Some(Self::derive(&stringprep::saslprep(password).ok()?, salt.to_vec(), iterations))
    }

    pub fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, KEY_BYTES>(password.as_bytes(), &salt, iterations);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key = Sha256::digest(client_key).into();
        Self { iterations, salt, stored_key, server_key: hmac(&salted, b"Server Key") }
    }

    /// One that nothing matches, but for who knows the keys that nobody knows.
    pub fn nobody(salt: Vec<u8>, iterations: u32) -> Self {
        Self { iterations, salt, stored_key: crate::clock::random(), server_key: crate::clock::random() }
    }

    /// Reads what a line has behind the user; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split(':').collect();
        let [method, iterations, salt, stored_key, server_key] = parts.as_slice() else {
            return Err("this is not scram-sha-256:iterations:salt:stored key:server key");
        };
        if *method != METHOD {
            return Err("this method is not known; scram-sha-256 is");
        }
        let legal = ITERATIONS_MIN..=ITERATIONS_MAX;
        let iterations = iterations.parse().ok().filter(|count| legal.contains(count));
        let salt = decode(salt)?;
        if salt.is_empty() {
            return Err("the salt is empty");
        }
        Ok(Self {
            iterations: iterations.ok_or("the number of iterations is no number from 4096 to 10,000,000")?,
            salt,
            stored_key: parse_key(stored_key)?,
            server_key: parse_key(server_key)?,
        })
    }

    /// The line's part behind the user.
    pub fn to_line(&self) -> String {
        let [salt, stored, server] =
            [self.salt.as_slice(), &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        format!("{METHOD}:{}:{salt}:{stored}:{server}", self.iterations)
    }
}

pub(super) fn hmac(key: &[u8], message: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "salt or key is not base64")
}

fn parse_key(text: &str) -> Result<Key, &'static str> {
    decode(text)?.try_into().map_err(|_| "a key has not 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_all_of_a_credential() {
        let credential = Credential::new("pencil", ITERATIONS_MIN).expect("a plain password");
        assert_eq!(Credential::parse(&credential.to_line()), Ok(credential.clone()));
        assert_ne!(Credential::new("pencil", ITERATIONS_MIN).expect("a plain password").salt, credential.salt);
        assert!(!format!("{credential:?}").contains("key"));
    }

    #[test]
    fn bad_lines_are_refused() {
        let good = Credential::new("pencil", ITERATIONS_MIN).expect("a plain password").to_line();
        let few = good.replace(":4096:", ":4095:");
        let other = good.replace("sha-256", "sha-1");
        for bad in ["", "x", "scram-sha-256:4096:AAAA:AAAA:AAAA", &few, &other, &format!("{good}:"), &good[..40]] {
            assert!(Credential::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_the_same_in_every_way_of_writing_them() {
        // RFC 4013: a ligature and its letters, and a soft hyphen that nobody sees.
        let prepared = |password: &str| stringprep::saslprep(password).expect("it has a normal form").into_owned();
        assert_eq!(prepared("\u{2168}"), "IX");
        assert_eq!(prepared("I\u{ad}X"), "IX");
        assert!(Credential::new("a\u{7}", ITERATIONS_MIN).is_none());
    }
}
