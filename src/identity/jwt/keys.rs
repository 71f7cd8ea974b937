//! The keys that tokens are checked with.
use super::signatures::significant;
use crate::config::JwtAlgorithm;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;

/// More than any issuer has at once.
const KEYS_MAX: usize = 64;

/// Every key that fits the algorithm.
#[derive(Clone)]
pub(in crate::identity) struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    /// The name that a token may ask for.
    id: Option<String>,
    key: DecodingKey,
}

impl Keys {
    /// A PEM file, or for HS256 and its like the secret itself, up to the end of its last line.
    pub fn from_file(bytes: &[u8], algorithm: JwtAlgorithm) -> Result<Self, String> {
        let is_no_pem = |_| format!(" this is no PEM file with a public key for {algorithm:?}");
        let key = match Family::of(algorithm) {
            Family::Hmac { bytes_min } => {
                let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
                if secret.starts_with(b"-----BEGIN") {
                    return Err(format!(" this is a PEM file, and {algorithm:?} takes a secret"));
                }
                check_secret(secret.len(), bytes_min, algorithm)?;
                DecodingKey::from_secret(secret)
            }
            Family::Rsa => DecodingKey::from_rsa_pem(bytes).map_err(is_no_pem)?,
            Family::Ec => DecodingKey::from_ec_pem(bytes).map_err(is_no_pem)?,
            Family::Ed => DecodingKey::from_ed_pem(bytes).map_err(is_no_pem)?,
        };
        check_modulus(&key)?;
        Ok(Self(vec![Key { id: None, key }]))
    }

    /// A JSON Web Key Set (RFC 7517). Keys for other algorithms are left out.
    pub fn from_set(bytes: &[u8], algorithm: JwtAlgorithm) -> Result<Self, String> {
        let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| format!("{}: {error}", error.line().max(1)))?;
        let mut keys = Vec::new();
        for jwk in set.keys.iter().filter(|jwk| fits(jwk, algorithm)) {
            let id = jwk.common.key_id.clone();
            let name = id.clone().unwrap_or_default();
            let key = DecodingKey::from_jwk(jwk).map_err(|error| format!(" key \"{name}\": {error}"))?;
            if let (Family::Hmac { bytes_min }, Ok(secret)) = (Family::of(algorithm), key.try_get_as_bytes()) {
                check_secret(secret.len(), bytes_min, algorithm)?;
            }
            check_modulus(&key).map_err(|why| format!(" key \"{name}\":{why}"))?;
            keys.push(Key { id, key });
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(format!(" there are {} keys for {algorithm:?}, and not 1 to {KEYS_MAX}", keys.len()));
        }
        Ok(Self(keys))
    }

    /// The keys that a token may be signed with: those of the name it gives, and those without a name.
    pub fn for_id<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a DecodingKey> {
        let is_meant = move |key: &&Key| match (&key.id, id) {
            (Some(own), Some(asked)) => own == asked,
            (None, _) | (_, None) => true,
        };
        self.0.iter().filter(is_meant).map(|key| &key.key)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({})", self.0.len())
    }
}

/// RFC 7518 section 3.2: a shorter secret is easier to guess than the hash.
fn check_secret(length: usize, bytes_min: usize, algorithm: JwtAlgorithm) -> Result<(), String> {
    if length < bytes_min {
        return Err(format!(" the secret has {length} bytes, and {algorithm:?} needs {bytes_min} or more"));
    }
    Ok(())
}

/// RFC 7518 section 3.3: an RSA key has 2048 bits or more; and no token is worth checking one of more than 8192.
fn check_modulus(key: &DecodingKey) -> Result<(), String> {
    let modulus = match key.kind() {
        _ if key.family() != AlgorithmFamily::Rsa => return Ok(()),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.as_slice(),
        DecodingKeyKind::SecretOrDer(der) => {
            let parsed = RSAPublicKey::from_der(der).map_err(|error| format!(" this is no RSA key: {error}"))?;
            parsed.1.modulus
        }
    };
    let bits = significant(modulus).len() * 8;
    if !(2048..=8192).contains(&bits) {
        return Err(format!(" the RSA key has {bits} bits, and not 2048 to 8192: make a new one"));
    }
    Ok(())
}

enum Family {
    Hmac { bytes_min: usize },
    Rsa,
    Ec,
    Ed,
}

impl Family {
    fn of(algorithm: JwtAlgorithm) -> Self {
        use JwtAlgorithm as A;
        match algorithm {
            A::HS256 => Self::Hmac { bytes_min: 32 },
            A::HS384 => Self::Hmac { bytes_min: 48 },
            A::HS512 => Self::Hmac { bytes_min: 64 },
            A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512 => Self::Rsa,
            A::ES256 | A::ES384 => Self::Ec,
            A::EdDSA => Self::Ed,
        }
    }
}

/// The same algorithm in the words of the crate.
pub(super) fn algorithm(setting: JwtAlgorithm) -> Algorithm {
    use JwtAlgorithm as A;
    match setting {
        A::HS256 => Algorithm::HS256,
        A::HS384 => Algorithm::HS384,
        A::HS512 => Algorithm::HS512,
        A::RS256 => Algorithm::RS256,
        A::RS384 => Algorithm::RS384,
        A::RS512 => Algorithm::RS512,
        A::PS256 => Algorithm::PS256,
        A::PS384 => Algorithm::PS384,
        A::PS512 => Algorithm::PS512,
        A::ES256 => Algorithm::ES256,
        A::ES384 => Algorithm::ES384,
        A::EdDSA => Algorithm::EdDSA,
    }
}

/// Whether a key of a set is for this algorithm and for signatures.
fn fits(jwk: &Jwk, setting: JwtAlgorithm) -> bool {
    let is_kind = matches!(
        (Family::of(setting), &jwk.algorithm),
        (Family::Hmac { .. }, AlgorithmParameters::OctetKey(_))
            | (Family::Rsa, AlgorithmParameters::RSA(_))
            | (Family::Ec, AlgorithmParameters::EllipticCurve(_))
            | (Family::Ed, AlgorithmParameters::OctetKeyPair(_))
    );
    let is_named = jwk.common.key_algorithm.is_none_or(|named| named.to_string() == format!("{setting:?}"));
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    is_kind && is_named && signs
}
