//! One hashed password, in the three ways in which files hold them.
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

const DIGEST_BYTES: usize = 64;
/// Above this a login would take minutes: surely a mistake in the file.
const ITERATIONS_MAX: u32 = 10_000_000;
/// KiB of memory that one login may ask for.
const ARGON2_KIB_MAX: u32 = 1 << 20;
const ARGON2_PASSES_MAX: u32 = 64;
const SALT_BYTES: usize = 16;

/// What is kept of a password. `Debug` tells nothing of it.
#[derive(Clone)]
pub(crate) enum Hash {
    /// `$6$salt$hash` of mosquitto_passwd: SHA-512 of password and salt.
    Sha512 { salt: Vec<u8>, digest: [u8; DIGEST_BYTES] },
    /// `$7$iterations$salt$hash` of mosquitto_passwd: PBKDF2 with HMAC-SHA-512.
    Pbkdf2 { iterations: u32, salt: Vec<u8>, digest: [u8; DIGEST_BYTES] },
    /// `$argon2id$...`, a PHC string.
    Argon2(Box<PasswordHash>),
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Sha512 { .. } => "Sha512",
            Self::Pbkdf2 { .. } => "Pbkdf2",
            Self::Argon2(_) => "Argon2",
        })
    }
}

impl Hash {
    /// Reads what a line has behind the colon; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("$argon2") {
            return parse_argon2(text);
        }
        let mut parts = text.split('$');
        // What is before the first `$`.
        if parts.next() != Some("") {
            return Err("this is no hashed password");
        }
        let kind = parts.next();
        let rest: Vec<&str> = parts.collect();
        match (kind, rest.as_slice()) {
            (Some("6"), [salt, digest]) => Ok(Self::Sha512 { salt: decode(salt)?, digest: parse_digest(digest)? }),
            (Some("7"), [iterations, salt, digest]) => {
                let iterations = iterations.parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count));
                Ok(Self::Pbkdf2 {
                    iterations: iterations.ok_or("the number of iterations is no number from 1 to 10,000,000")?,
                    salt: decode(salt)?,
                    digest: parse_digest(digest)?,
                })
            }
            (Some("6" | "7"), _) => Err("the hash is not whole"),
            _ => Err("this kind of hash is not known; $6$, $7$ and $argon2id$ are"),
        }
    }

    /// Whether this is the password that was hashed. Takes the same time whatever differs.
    pub fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Sha512 { salt, digest } => {
                let found: [u8; DIGEST_BYTES] =
                    Sha512::new().chain_update(password).chain_update(salt).finalize().into();
                found.ct_eq(digest).into()
            }
            Self::Pbkdf2 { iterations, salt, digest } => {
                let found = pbkdf2::pbkdf2_hmac_array::<Sha512, DIGEST_BYTES>(password, salt, *iterations);
                found.ct_eq(digest).into()
            }
            Self::Argon2(hash) => Argon2::default().verify_password(password, hash.as_ref()).is_ok(),
        }
    }
}

/// Hashes a password as new ones are: argon2id with the parameters that OWASP asks for (19 MiB, 2 passes).
pub(crate) fn hash(password: &[u8]) -> String {
    let salt: [u8; SALT_BYTES] = crate::clock::random();
    let hash = Argon2::default().hash_password_with_salt(password, &salt);
    let hash: PasswordHash =
        hash.expect("the parameters and the salt are the crate's own kind, and no password is too long");
    hash.to_string()
}

fn parse_argon2(text: &str) -> Result<Hash, &'static str> {
    let hash = PasswordHash::new(text).map_err(|_| "this is no PHC string")?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err("of the argon2 family only argon2id is taken");
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("the PHC string has no salt or no hash");
    }
    let params = Params::try_from(&hash).map_err(|_| "the parameters of argon2id are out of range")?;
    if params.m_cost() > ARGON2_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX {
        return Err("argon2id would take more than 1 GiB of memory or 64 passes for each login");
    }
    Ok(Hash::Argon2(Box::new(hash)))
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    STANDARD.decode(text).map_err(|_| "salt or hash is not base64")
}

fn parse_digest(text: &str) -> Result<[u8; DIGEST_BYTES], &'static str> {
    decode(text)?.try_into().map_err(|_| "the hash has not 64 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by mosquitto_passwd 2.0.11.
    const PBKDF2: &str = "$7$101$UsjHPHgfkkl3BizC$LrdDCZ3UHJIIOwsy7Y8zCtHPgBjaDKHqgi7Lji4aduHmwJSBCBQSJUZb874fkcBxtB7uOxFbWDgtM5666XEzIQ==";
    const SHA512: &str =
        "$6$rVR68WtBGn7UGmry$HUQYPJMi3VISM6ODdonB6bGpo2TmndVYtNBZ0ocScKuXfdt3S9UYU9in9kfOKF+8egXXbrkBA/dke2xDymHXBw==";

    #[test]
    fn passwords_of_every_kind_match_only_themselves() {
        for (text, password) in [(PBKDF2, "secret"), (SHA512, "x"), (hash(b"geheim").as_str(), "geheim")] {
            let hash = Hash::parse(text).expect("a legal hash");
            assert!(hash.matches(password.as_bytes()), "{text}");
            for other in ["", "Secret", "secret ", "x\0", "geheim\n"] {
                assert!(!hash.matches(other.as_bytes()), "{text}: {other:?}");
            }
        }
    }

    #[test]
    fn the_same_password_is_hashed_differently_each_time() {
        assert_ne!(hash(b"a"), hash(b"a"));
        assert!(hash(b"a").starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[test]
    fn what_is_no_hash_is_refused_with_its_fault() {
        let huge = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG";
        for text in [
            "",
            "secret",
            "$6$",
            "$6$rVR68WtBGn7UGmry",
            "$6$rVR68WtBGn7UGmry$HUQYPJM=",
            "$6$!$x",
            "$7$0$AAAA$AAAA",
            "$7$99999999$AAAA$AAAA",
            "$7$101$AAAA",
            "$5$AAAA$AAAA",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG",
            huge,
            &format!("{PBKDF2}$"),
        ] {
            assert!(Hash::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hashes_tell_nothing_when_shown() {
        assert_eq!(format!("{:?}", Hash::parse(PBKDF2).expect("legal")), "Pbkdf2");
    }
}
