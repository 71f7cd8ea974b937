//! How the signatures of tokens are checked: with the cryptography that TLS has brought along.
//!
//! Tokens are only read here, so that nothing can be signed, and no key is turned into another form.
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

/// Makes all of this process check signatures this way. Again changes nothing.
pub(super) fn install() {
    let _was_installed_before = PROVIDER.install_default().is_err();
}

/// A number without the zeros before it. Some issuers write one along as the sign, against RFC 7518 section 6.3.1.1; it is
/// the same key.
pub(super) fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

struct Check {
    algorithm: Algorithm,
    how: How,
    key: DecodingKey,
}

#[derive(Clone, Copy)]
enum How {
    Hmac(hmac::Algorithm),
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

impl How {
    fn of(algorithm: Algorithm) -> Option<Self> {
        use signature as s;
        Some(match algorithm {
            Algorithm::HS256 => Self::Hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => Self::Hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => Self::Hmac(hmac::HMAC_SHA512),
            Algorithm::RS256 => Self::Rsa(&s::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => Self::Rsa(&s::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => Self::Rsa(&s::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => Self::Rsa(&s::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => Self::Rsa(&s::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => Self::Rsa(&s::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => Self::Curve(&s::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => Self::Curve(&s::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => Self::Curve(&s::ED25519),
            _ => return None,
        })
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, text: &[u8], mark: &Vec<u8>) -> std::result::Result<(), Error> {
        let is_good = match (self.how, self.key.kind()) {
            (How::Hmac(algorithm), DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(algorithm, secret), text, mark).is_ok()
            }
            (How::Rsa(parameters), DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(parameters, der).verify(text, mark).is_ok()
            }
            (How::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = RsaPublicKeyComponents { n: significant(n), e: significant(e) };
                key.verify(parameters, text, mark).is_ok()
            }
            (How::Curve(algorithm), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(algorithm, point).verify(text, mark).is_ok()
            }
            (How::Hmac(_) | How::Curve(_), DecodingKeyKind::RsaModulusExponent { .. }) => false,
        };
        is_good.then_some(()).ok_or_else(Error::new)
    }
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let how = How::of(*algorithm).ok_or(ErrorKind::InvalidAlgorithm)?;
    let is_kind = match how {
        How::Hmac(_) => key.family() == AlgorithmFamily::Hmac,
        How::Rsa(_) => key.family() == AlgorithmFamily::Rsa,
        How::Curve(_) => matches!(key.family(), AlgorithmFamily::Ec | AlgorithmFamily::Ed),
    };
    if !is_kind {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(Check { algorithm: *algorithm, how, key: key.clone() }))
}

#[cfg(not(test))]
fn signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

/// Tests sign with another library than the one that checks.
#[cfg(test)]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    (jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.signer_factory)(algorithm, key)
}
