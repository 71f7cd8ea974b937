//! Who may ask: tokens, kept as hashes, each with its role.
use crate::clock::secret;
use crate::config::{self, AdminRole};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use subtle::ConstantTimeEq;

/// Bytes below which a secret can be guessed.
const SECRET_BYTES_MIN: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("admin.token: {name}: {path}: {source}; make the file readable for the broker")]
    Unreadable { name: String, path: PathBuf, source: std::io::Error },
    #[error("admin.token: {name}: the environment variable {variable} is not set; set it, or use file")]
    Unset { name: String, variable: String },
    #[error(
        "admin.token: {name}: shorter than 16 bytes, so that it could be guessed; e.g. `openssl rand -hex 32` makes a good one"
    )]
    TooShort { name: String },
}

/// The tokens in force.
#[derive(Debug)]
pub struct Credentials {
    settings: config::Admin,
    /// Of the broker's own token, which may do everything; set once the data directory is known to be ours.
    own: OnceLock<[u8; 32]>,
    /// Users: requests (to read), reloads (to replace all).
    known: RwLock<Arc<Vec<Known>>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Known {
    name: String,
    role: AdminRole,
    hash: [u8; 32],
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operator {
    pub name: String,
    pub role: AdminRole,
}

impl Credentials {
    /// Reads the tokens' files and variables.
    pub(super) fn load(settings: &config::Admin) -> Result<Self, CredentialsError> {
        let known = RwLock::new(Arc::new(read(settings)?));
        Ok(Self { settings: settings.clone(), own: OnceLock::new(), known })
    }

    pub(super) fn set_own(&self, token: &str) {
        // The first one stands: it is made once.
        let _ = self.own.set(hash(token.as_bytes()));
    }

    /// The files that tokens are in.
    pub fn files(&self) -> Vec<PathBuf> {
        self.settings.tokens.iter().filter_map(|token| token.file.as_ref().map(PathBuf::from)).collect()
    }

    /// Reads them again; on an error what was in force stays so.
    pub fn reload(&self) -> Result<bool, String> {
        let fresh = read(&self.settings).map_err(|error| error.to_string())?;
        let has_changed = **self.known.read() != fresh;
        *self.known.write() = Arc::new(fresh);
        Ok(has_changed)
    }

    /// Whose credential an `Authorization` header holds: `Bearer token`, or `Basic` with the token's name and the token.
    pub(super) fn operator(&self, authorization: &str) -> Option<Operator> {
        let (scheme, value) = authorization.split_once(' ')?;
        let (name, secret) = if scheme.eq_ignore_ascii_case("bearer") {
            (None, value.trim().to_owned())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = String::from_utf8(BASE64_STANDARD.decode(value.trim()).ok()?).ok()?;
            let (name, secret) = decoded.split_once(':')?;
            (Some(name.to_owned()), secret.to_owned())
        } else {
            return None;
        };
        let given = hash(secret.as_bytes());
        // All are compared, so that the time does not tell which one was nearly right.
        let mut found = None;
        let own = self.own.get().map(|hash| Known { name: "ctl".to_owned(), role: AdminRole::Admin, hash: *hash });
        for known in self.known.read().iter().chain(&own) {
            let is_it = bool::from(known.hash.ct_eq(&given));
            if is_it && name.as_ref().is_none_or(|name| *name == known.name) {
                found = Some(Operator { name: known.name.clone(), role: known.role });
            }
        }
        found
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn read(settings: &config::Admin) -> Result<Vec<Known>, CredentialsError> {
    let mut known = Vec::new();
    for token in &settings.tokens {
        let name = token.name.clone();
        let secret = match (&token.file, &token.env) {
            (Some(file), _) => std::fs::read_to_string(file).map_err(|source| CredentialsError::Unreadable {
                name: name.clone(),
                path: PathBuf::from(file),
                source,
            })?,
            (None, Some(variable)) => std::env::var(variable)
                .map_err(|_| CredentialsError::Unset { name: name.clone(), variable: variable.clone() })?,
            (None, None) => String::new(),
        };
        let secret = secret.trim();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(CredentialsError::TooShort { name });
        }
        known.push(Known { name, role: token.role, hash: hash(secret.as_bytes()) });
    }
    Ok(known)
}

/// The broker's own token, made at the first start; for whoever may read the data directory.
pub(super) fn own_token(data_dir: &Path) -> std::io::Result<String> {
    let path = data_dir.join(super::TOKEN_FILE);
    if let Ok(token) = std::fs::read_to_string(&path)
        && token.trim().len() >= SECRET_BYTES_MIN
    {
        return Ok(token.trim().to_owned());
    }
    let token = BASE64_URL_SAFE_NO_PAD.encode(secret()?);
    // Under another name first, so that nobody reads half of it.
    let fresh = data_dir.join(format!("{}.new", super::TOKEN_FILE));
    if fresh.exists() {
        std::fs::remove_file(&fresh)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(format!("{token}\n").as_bytes())?;
    std::fs::rename(&fresh, &path)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AdminToken;
    use std::os::unix::fs::PermissionsExt;

    fn credentials(directory: &Path) -> Credentials {
        let file = directory.join("reader");
        let token = AdminToken {
            name: "reader".into(),
            role: AdminRole::Read,
            file: Some(file.display().to_string()),
            env: None,
        };
        let settings = config::Admin { tokens: vec![token], ..config::Admin::default() };
        let credentials = Credentials::load(&settings).unwrap();
        credentials.set_own("the broker's own token");
        credentials
    }

    #[test]
    fn a_token_is_taken_as_bearer_and_with_its_name_as_basic() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("reader"), "0123456789abcdef\n").unwrap();
        let credentials = credentials(directory.path());
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        let reader = Some(Operator { name: "reader".into(), role: AdminRole::Read });
        assert_eq!(credentials.operator("Bearer 0123456789abcdef"), reader);
        assert_eq!(credentials.operator(&basic("reader:0123456789abcdef")), reader);
        assert_eq!(
            credentials.operator("bearer the broker's own token").map(|found| found.role),
            Some(AdminRole::Admin)
        );
        for wrong in ["Bearer ", "Bearer 0123456789abcde", "Digest 0123456789abcdef", "0123456789abcdef", "Basic !"] {
            assert_eq!(credentials.operator(wrong), None, "{wrong}");
        }
        assert_eq!(credentials.operator(&basic("ctl:0123456789abcdef")), None);
        assert_eq!(credentials.operator(&basic("reader:")), None);
    }

    #[test]
    fn tokens_change_at_a_reload_and_stay_when_it_fails() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("reader");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let credentials = credentials(directory.path());
        assert_eq!(credentials.reload(), Ok(false));
        std::fs::write(&file, "short").unwrap();
        assert!(credentials.reload().unwrap_err().contains("shorter than 16 bytes"));
        assert!(credentials.operator("Bearer 0123456789abcdef").is_some());
        std::fs::write(&file, "fedcba9876543210").unwrap();
        assert_eq!(credentials.reload(), Ok(true));
        assert!(credentials.operator("Bearer 0123456789abcdef").is_none());
    }

    #[test]
    fn the_own_token_is_made_once_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let token = own_token(directory.path()).unwrap();
        assert!(token.len() > 40);
        assert_eq!(own_token(directory.path()).unwrap(), token);
        let mode = std::fs::metadata(directory.path().join("admin.token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
