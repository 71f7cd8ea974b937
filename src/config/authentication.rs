//! How clients prove who they are: the settings, with their defaults.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[authentication]`: what checking passwords and tokens may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authentication {
    /// Threads that check passwords and tokens.
    pub threads: usize,
    /// Logins that may wait for one of them.
    pub queued_logins_max: usize,
    /// Whether a reload that takes a user away, or revokes a certificate, ends the connections of who came in by it.
    pub disconnect_removed: bool,
}

impl Default for Authentication {
    fn default() -> Self {
        Self { threads: 2, queued_logins_max: 1000, disconnect_removed: true }
    }
}

/// One `[[authenticator]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticator {
    /// What listeners and logs call it.
    pub name: String,
    #[serde(flatten)]
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    PasswordFile {
        file: PathBuf,
    },
    Certificate {
        /// Whether a User Name in CONNECT has to be the name in the certificate.
        #[serde(default = "yes")]
        user_must_match: bool,
    },
    Jwt(Jwt),
    Http(Http),
    Scram {
        file: PathBuf,
    },
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jwt {
    /// The one algorithm that is taken, whatever a token asks for.
    pub algorithm: JwtAlgorithm,
    /// PEM, or the secret of HS256, HS384 and HS512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// A JSON Web Key Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// `iss` must be one of them; empty takes any.
    pub issuers: Vec<String>,
    /// `aud` must have one of them; empty takes any.
    pub audiences: Vec<String>,
    /// Seconds by which clocks may differ.
    pub leeway_s: u64,
    pub user_claim: String,
    pub groups_claim: String,
    /// Further claims that access rules may use.
    pub claims: Vec<String>,
    /// Whether a token without `exp` is refused.
    pub expiry_required: bool,
    /// Whether a connection ends when its token does.
    pub disconnect_at_expiry: bool,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            algorithm: JwtAlgorithm::RS256,
            key_file: None,
            jwks_file: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_s: 30,
            user_claim: "sub".to_owned(),
            groups_claim: "groups".to_owned(),
            claims: Vec::new(),
            expiry_required: true,
            disconnect_at_expiry: true,
        }
    }
}

/// Signature algorithms (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JwtAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    pub url: String,
    /// Milliseconds from the first byte of a request to the last of its answer.
    pub timeout_ms: u64,
    /// Requests at once.
    pub requests_max: usize,
    /// Logins that may wait for one of them.
    pub queued_logins_max: usize,
    /// Answers that are remembered.
    pub cache_entries_max: usize,
    /// Seconds for which they are; 0 asks every time.
    pub cache_ttl_s: u64,
    /// PEM of who may have signed the service's certificate; without it Mozilla's list counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            url: String::new(),
            timeout_ms: 2000,
            requests_max: 8,
            queued_logins_max: 256,
            cache_entries_max: 10_000,
            cache_ttl_s: 60,
            ca_file: None,
        }
    }
}
