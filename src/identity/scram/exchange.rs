//! One SCRAM-SHA-256 exchange as a state machine: messages in, messages out (RFC 5802 section 5, RFC 7677).
//!
//! It has two steps, so that no peer can keep it going. A user that nobody knows is led through all of it with a
//! credential that nothing matches.
use super::credential::{Credential, KEY_BYTES, hmac};
use super::message::{ClientFinal, ClientFirst};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// An exchange whose challenge is on its way to the client.
#[derive(Debug)]
pub struct Exchange {
    user: String,
    credential: Credential,
    is_known: bool,
    header: String,
    nonce: String,
    /// client-first-message-bare and server-first-message, with a comma behind each.
    signed: String,
}

/// The exchange has failed; more is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed;

impl Exchange {
    /// Takes the client's first message and answers with the challenge. `find` knows the user's credential and whether
    /// it is a real one; `own_nonce` is what nobody can guess.
    pub(super) fn begin(
        message: &[u8],
        own_nonce: &str,
        find: impl FnOnce(&str) -> (Credential, bool),
    ) -> Result<(Self, String), Failed> {
        let first = ClientFirst::parse(message).ok_or(Failed)?;
        let user = stringprep::saslprep(&first.user).map_err(|_| Failed)?.into_owned();
        let (credential, is_known) = find(&user);
        let nonce = format!("{}{own_nonce}", first.nonce);
        let challenge = format!("r={nonce},s={},i={}", STANDARD.encode(&credential.salt), credential.iterations);
        let signed = format!("{},{challenge},", first.bare);
        let header = first.header.to_owned();
        Ok((Self { user, credential, is_known, header, nonce, signed }, challenge))
    }

    /// The user that the client claims to be.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Takes the client's last message and answers with the signature that proves this side.
    pub fn finish(self, message: &[u8]) -> Result<String, Failed> {
        let last = ClientFinal::parse(message).ok_or(Failed)?;
        if last.binding != STANDARD.encode(&self.header) || last.nonce != self.nonce {
            return Err(Failed);
        }
        let proof: [u8; KEY_BYTES] = last.proof.try_into().map_err(|_| Failed)?;
        let signed = self.signed + last.without_proof;
        let signature = hmac(&self.credential.stored_key, signed.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(one, other)| one ^ other).collect();
        let is_right: bool = Sha256::digest(client_key).ct_eq(&self.credential.stored_key).into();
        if !(is_right && self.is_known) {
            return Err(Failed);
        }
        Ok(format!("v={}", STANDARD.encode(hmac(&self.credential.server_key, signed.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &[u8] =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn credential() -> Credential {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        Credential::derive("pencil", salt, 4096)
    }

    fn begin(is_known: bool) -> (Exchange, String) {
        Exchange::begin(FIRST, OWN_NONCE, |user| {
            assert_eq!(user, "user");
            (credential(), is_known)
        })
        .expect("a legal message")
    }

    /// RFC 7677 section 3.
    #[test]
    fn the_example_of_the_standard_is_played() {
        let (exchange, challenge) = begin(true);
        assert_eq!(challenge, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(exchange.user(), "user");
        assert_eq!(exchange.finish(LAST).as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn whatever_is_changed_in_the_last_message_it_fails() {
        for at in 0..LAST.len() {
            let mut message = LAST.to_vec();
            message[at] ^= 1;
            assert_eq!(begin(true).0.finish(&message), Err(Failed), "byte {at}");
        }
        assert_eq!(begin(true).0.finish(b""), Err(Failed));
    }

    #[test]
    fn a_right_proof_for_a_user_that_is_not_there_is_worth_nothing() {
        assert_eq!(begin(false).0.finish(LAST), Err(Failed));
    }

    #[test]
    fn a_client_may_say_that_it_could_bind_to_the_channel_but_must_say_it_again() {
        let message = b"y,,n=user,r=rOprNGfwEbeRWgbNEkqO";
        let (exchange, _) = Exchange::begin(message, OWN_NONCE, |_| (credential(), true)).expect("a legal message");
        // The proof is for another header.
        assert_eq!(exchange.finish(LAST), Err(Failed));
        let bound = Exchange::begin(b"p=tls-unique,,n=user,r=x", OWN_NONCE, |_| (credential(), true));
        assert!(bound.is_err());
    }
}
