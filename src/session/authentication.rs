//! Enhanced authentication (5.0 section 4.12) as far as the session cares: which AUTH may come when.
//!
//! Who checks what is in them is not known here. A step goes out with the turn, and its verdict comes back.
use super::{Close, Session, Turn};
use crate::packet::{Auth, ConnAck, Packet};
use crate::types::{ReasonCode, Text, Violation};
use bytes::Bytes;

/// The authentication method that CONNECT named, if it did. Few do.
#[derive(Debug, Default)]
pub(super) struct Authentication(Option<Box<Enhanced>>);

#[derive(Debug)]
struct Enhanced {
    method: Text,
    /// How far a re-authentication has come.
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    Done,
    /// A step of the client is being checked.
    Checked,
    /// The client has to answer.
    Challenged,
}

/// What an AUTH of the client brings, to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticationStep {
    pub method: Text,
    /// Whether it begins a re-authentication.
    pub is_first: bool,
    pub data: Bytes,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The client has to answer this.
    Challenge(Bytes),
    /// The client has proved again who it is; this goes with the last AUTH.
    Proved(Bytes),
    Refused,
}

/// A method that CONNECT named and that was gone through, and what CONNACK tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    pub method: Text,
    pub data: Bytes,
}

impl Authenticated {
    /// Adds to CONNACK what the client has to know of it.
    pub fn tell(&self, connack: &mut ConnAck) {
        connack.properties.authentication_method = Some(self.method.clone());
        connack.properties.authentication_data = (!self.data.is_empty()).then(|| self.data.clone());
    }
}

impl Authentication {
    pub fn handle(&mut self, auth: Auth) -> Result<AuthenticationStep, Violation> {
        let Some(Enhanced { method, progress }) = self.0.as_deref_mut() else {
            // [MQTT-4.12.0-7]
            return Err(Violation::protocol("MQTT-4.12.0-7", "AUTH without an authentication method in CONNECT"));
        };
        // [MQTT-4.12.1-1], [MQTT-4.12.0-5]
        if auth.method.as_ref() != Some(method) {
            return Err(Violation::protocol("MQTT-4.12.1-1", "AUTH with another method than CONNECT"));
        }
        let is_first = match (*progress, auth.code) {
            (Progress::Done, ReasonCode::Reauthenticate) => true,
            (Progress::Challenged, ReasonCode::ContinueAuthentication) => false,
            // [MQTT-4.12.0-3]
            (Progress::Done | Progress::Checked | Progress::Challenged, _) => {
                return Err(Violation::protocol("MQTT-4.12.0-3", "an AUTH whose reason code has no place here"));
            }
        };
        *progress = Progress::Checked;
        Ok(AuthenticationStep { method: method.clone(), is_first, data: auth.data.unwrap_or_default() })
    }
}

impl Session {
    /// CONNECT named a method, and the client went through it: CONNACK repeats it [MQTT-4.12.0-5]. For a session whose
    /// CONNACK has not left.
    pub fn authenticated_by(&mut self, authenticated: Authenticated) {
        if let Some(connack) = self.gate.connack() {
            authenticated.tell(connack);
        }
        let enhanced = Enhanced { method: authenticated.method, progress: Progress::Done };
        self.authentication = Authentication(Some(Box::new(enhanced)));
    }

    /// Handles what became of the step that went out last.
    pub fn handle_verdict(&mut self, verdict: Verdict, turn: &mut Turn) {
        let packet_bytes_max = self.packet_bytes_max();
        let Some(Enhanced { method, progress }) = self.authentication.0.as_deref_mut() else { return };
        let (next, code, data) = match verdict {
            // [MQTT-4.12.0-2]
            Verdict::Challenge(data) => (Progress::Challenged, ReasonCode::ContinueAuthentication, data),
            Verdict::Proved(data) => (Progress::Done, ReasonCode::Success, data),
            // [MQTT-4.12.1-2]
            Verdict::Refused => {
                let violation =
                    Violation::new(ReasonCode::NotAuthorized, "MQTT-4.12.1-2", "this proof is not accepted");
                return turn.close(Close::Violation(violation));
            }
        };
        *progress = next;
        // [MQTT-3.1.2-24]: without this AUTH the client could not go on.
        if AUTH_OVERHEAD_BYTES + method.len() + data.len() > packet_bytes_max {
            let why = "the client takes no packet as large as the next AUTH";
            return turn.close(Close::Violation(Violation::new(ReasonCode::PacketTooLarge, "MQTT-3.1.2-24", why)));
        }
        let data = (!data.is_empty()).then_some(data);
        turn.packet(Packet::Auth(Auth { code, method: Some(method.clone()), data, diagnostics: None }));
    }
}

/// Fixed header, code, property length, and identifier and length of two properties, each at its longest.
const AUTH_OVERHEAD_BYTES: usize = 16;
