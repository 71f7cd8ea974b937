//! What a client shows of itself, and what is made of it.
use crate::types::{ReasonCode, Text};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// What a CONNECT and its transport say about who the client is. Holds a secret: its `Debug` leaves that out.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// `None` if none was given; an empty one says as little.
    pub user: Option<Text>,
    pub password: Option<Bytes>,
    pub client_id: Text,
    pub address: Option<IpAddr>,
    /// The name in the certificate that the TLS handshake proved.
    pub certificate: Option<Text>,
}

impl Proof {
    /// Whether the client claims to be somebody. A certificate alone does not, unless an authenticator takes it.
    pub fn is_given(&self) -> bool {
        self.user.is_some() || self.password.as_ref().is_some_and(|password| !password.is_empty())
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proof")
            .field("user", &self.user)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What a client has proved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proved {
    pub user: Option<Text>,
    pub groups: Vec<Text>,
    pub claims: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
    /// Whose word it was, where that can be taken back.
    pub voucher: Option<Voucher>,
}

/// Who vouches for a client as long as its user is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voucher {
    /// The authenticator of this name.
    PasswordFile(Arc<str>),
    /// Any that takes part in exchanges.
    Exchange,
}

impl Proved {
    pub fn user(user: &Text) -> Self {
        Self { user: Some(user.detached()), ..Self::default() }
    }
}

/// What one authenticator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    Proved(Proved),
    Denied(Denial),
    /// It does not know the user, or has nothing to say about this kind of proof.
    Unknown,
}

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It shows nothing, and the listener lets nobody in like that.
    NoProof,
    /// No authenticator knows it.
    UnknownUser,
    /// The user is known, and there is no password.
    NoPassword,
    WrongPassword,
    /// The user name holds control characters.
    UserName,
    /// The user name is not the one that the certificate or the token proves.
    OtherUser,
    /// The token is not signed by the right key, or is not for this broker.
    Token,
    /// The token is not valid any more, or not yet.
    TokenTime,
    /// The web service says no.
    Service,
    /// The web service does not answer, or not as it should.
    ServiceFailed,
    /// No authenticator of this listener has the method that CONNECT names.
    Method,
    /// A SCRAM exchange failed.
    Exchange,
    /// Too many logins wait already.
    Busy,
    /// Too many logins of this user from this address have failed.
    Banned,
}

impl Denial {
    pub const ALL: [Self; 14] = [
        Self::NoProof,
        Self::UnknownUser,
        Self::NoPassword,
        Self::WrongPassword,
        Self::UserName,
        Self::OtherUser,
        Self::Token,
        Self::TokenTime,
        Self::Service,
        Self::ServiceFailed,
        Self::Method,
        Self::Exchange,
        Self::Busy,
        Self::Banned,
    ];

    /// Its name in logs and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoProof => "no_proof",
            Self::UnknownUser => "unknown_user",
            Self::NoPassword => "no_password",
            Self::WrongPassword => "wrong_password",
            Self::UserName => "user_name",
            Self::OtherUser => "other_user",
            Self::Token => "token",
            Self::TokenTime => "token_time",
            Self::Service => "service",
            Self::ServiceFailed => "service_failed",
            Self::Method => "method",
            Self::Exchange => "exchange",
            Self::Busy => "busy",
            Self::Banned => "banned",
        }
    }

    /// Whether it may have been a try to guess: too many of them keep an address out.
    pub const fn is_guess(self) -> bool {
        match self {
            Self::UnknownUser
            | Self::NoPassword
            | Self::WrongPassword
            | Self::UserName
            | Self::OtherUser
            | Self::Token
            | Self::Service
            | Self::Exchange => true,
            Self::NoProof | Self::TokenTime | Self::ServiceFailed | Self::Method | Self::Busy | Self::Banned => false,
        }
    }

    /// How the client is told. What would help to find user names or passwords looks the same.
    pub const fn code(self) -> ReasonCode {
        match self {
            Self::UnknownUser
            | Self::NoPassword
            | Self::WrongPassword
            | Self::UserName
            | Self::Token
            | Self::TokenTime => ReasonCode::BadUserNameOrPassword,
            Self::NoProof | Self::OtherUser | Self::Service | Self::Exchange => ReasonCode::NotAuthorized,
            Self::ServiceFailed => ReasonCode::ServerUnavailable,
            Self::Method => ReasonCode::BadAuthenticationMethod,
            Self::Busy => ReasonCode::ServerBusy,
            Self::Banned => ReasonCode::Banned,
        }
    }

    /// What the client is told beside the code.
    pub const fn why(self) -> &'static str {
        match self {
            Self::NoProof => "this listener lets nobody in who does not prove who he is",
            Self::UnknownUser
            | Self::NoPassword
            | Self::WrongPassword
            | Self::UserName
            | Self::Token
            | Self::TokenTime => "the user name or the password is wrong",
            Self::OtherUser => "the user name is another than the one proved",
            Self::Service | Self::Exchange => "this proof is not accepted",
            Self::ServiceFailed => "logins cannot be checked at present",
            Self::Method => "no such authentication method",
            Self::Busy => "too many logins at once",
            Self::Banned => "too many logins have failed; try again later",
        }
    }
}

/// Whether this can be the name of a user: control characters would forge logs and terminals.
pub fn is_user_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_hold_no_control_characters() {
        for name in ["ann", "a+b", "plant/7", "#", "Jürgen", "温度"] {
            assert!(is_user_name(name), "{name}");
        }
        for name in ["", "a\nb", "a\u{7f}", "\u{1b}[2J", "a\u{85}b"] {
            assert!(!is_user_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_proof_can_be_shown_without_its_secret() {
        let password = Some(Bytes::from_static(b"hunter2"));
        let proof = Proof { user: Text::try_from("ann").ok(), password, ..Proof::default() };
        assert!(format!("{proof:?}").contains("ann") && !format!("{proof:?}").contains("hunter2"));
        assert!(!format!("{proof:?}").contains("104"), "nor as numbers");
    }

    #[test]
    fn every_denial_is_told_by_a_code_that_connack_may_have() {
        for denial in Denial::ALL {
            assert!(denial.code().is_failure(), "{}", denial.name());
        }
        let hidden = [Denial::UnknownUser, Denial::NoPassword, Denial::WrongPassword];
        assert!(hidden.iter().all(|denial| denial.code() == hidden[0].code() && denial.why() == hidden[0].why()));
    }
}
