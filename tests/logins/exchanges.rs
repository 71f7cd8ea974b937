//! SCRAM-SHA-256 over MQTT 5: before CONNACK, and again while the connection runs.
use crate::support::{Broker, Link, Place, authenticator, connect, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use vowmq::packet::{Auth, ConnAck, Packet, Version};
use vowmq::types::{ReasonCode, Text};

const METHOD: &str = "SCRAM-SHA-256";
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

/// The client's side, written once more from RFC 5802.
struct Scram {
    password: &'static str,
    header: &'static str,
    bare: String,
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl Scram {
    fn new(header: &'static str, user: &str, password: &'static str) -> Self {
        Self { password, header, bare: format!("n={user},r={NONCE}") }
    }

    fn first(&self) -> Bytes {
        Bytes::from(format!("{}{}", self.header, self.bare))
    }

    /// The last message, and the signature that the broker has to give.
    fn last(&self, challenge: &[u8]) -> (Bytes, String) {
        let challenge = std::str::from_utf8(challenge).unwrap();
        let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        assert!(part("r=").starts_with(NONCE) && part("r=").len() >= NONCE.len() + 20);
        let salt = STANDARD.decode(part("s=")).unwrap();
        let rounds = part("i=").parse().unwrap();
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(self.password.as_bytes(), &salt, rounds);
        let client_key = hmac(&salted, b"Client Key");
        let stored_key = Sha256::digest(client_key);
        let without_proof = format!("c={},r={}", STANDARD.encode(self.header), part("r="));
        let signed = format!("{},{challenge},{without_proof}", self.bare);
        let signature = hmac(&stored_key, signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(one, other)| one ^ other).collect();
        let expected = format!("v={}", STANDARD.encode(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes())));
        (Bytes::from(format!("{without_proof},p={}", STANDARD.encode(proof))), expected)
    }
}

fn auth(code: ReasonCode, data: Bytes) -> Packet {
    Packet::Auth(Auth { code, method: Text::try_from(METHOD).ok(), data: Some(data), diagnostics: None })
}

fn challenge(link: &mut Link) -> Bytes {
    match link.next() {
        Some(Packet::Auth(Auth { code: ReasonCode::ContinueAuthentication, method, data: Some(data), .. })) => {
            assert_eq!(method, Text::try_from(METHOD).ok(), "[MQTT-4.12.0-5]");
            data
        }
        other => panic!("a challenge was expected [MQTT-4.12.0-2], and not {other:?}"),
    }
}

fn begin(link: &mut Link, scram: &Scram, user_name: Option<&str>) {
    let mut packet = connect(Version::V5, user_name, None);
    packet.properties.authentication_method = Text::try_from(METHOD).ok();
    packet.properties.authentication_data = Some(scram.first());
    link.send_connect(packet);
}

/// Logs in, and returns CONNACK with the signature that should be in it.
fn log_in(link: &mut Link, scram: &Scram, user_name: Option<&str>) -> (ConnAck, String) {
    begin(link, scram, user_name);
    let challenge = challenge(link);
    let (last, signature) = scram.last(&challenge);
    link.send(&auth(ReasonCode::ContinueAuthentication, last));
    match link.next() {
        Some(Packet::ConnAck(connack)) => (*connack, signature),
        other => panic!("CONNACK was expected, and not {other:?}"),
    }
}

fn broker(place: &Place) -> Broker {
    for (user, password) in [("ann", "pencil\n"), ("bob", "paper\n")] {
        let arguments = ["scram", "add", user, "--scram", "--scram-iterations", "4096"];
        assert!(place.passwd(&arguments, password).status.success());
    }
    start(place, "", &authenticator("strong", "scram", &place.path("scram")))
}

fn refused(broker: &Broker, scram: &Scram, user_name: Option<&str>) -> ReasonCode {
    let mut link = broker.link();
    let code = log_in(&mut link, scram, user_name).0.code;
    assert!(link.next().is_none(), "[MQTT-4.12.0-4]");
    code
}

#[test]
fn who_knows_the_password_gets_in_and_sees_that_the_broker_knows_it_too() {
    let place = Place::new();
    let broker = broker(&place);
    for (header, user_name) in [("n,,", None), ("y,,", Some("ann"))] {
        let mut link = broker.link();
        let (connack, signature) = log_in(&mut link, &Scram::new(header, "ann", "pencil"), user_name);
        assert_eq!(connack.code, ReasonCode::Success);
        assert_eq!(connack.properties.authentication_method, Text::try_from(METHOD).ok(), "[MQTT-4.12.0-5]");
        assert_eq!(connack.properties.authentication_data, Some(Bytes::from(signature)));
    }
    assert_eq!(refused(&broker, &Scram::new("n,,", "ann", "paper"), None), ReasonCode::NotAuthorized);
    assert_eq!(refused(&broker, &Scram::new("n,,", "eve", "pencil"), None), ReasonCode::NotAuthorized);
    broker.wait_for_log("\"eve\"");
    assert!(!broker.log().contains("pencil") && !broker.log().contains("paper"));
}

#[test]
fn first_messages_that_cannot_be_accepted_are_refused_at_once() {
    let place = Place::new();
    let broker = broker(&place);
    for (scram, user_name) in [
        // Channel binding is not offered.
        (Scram::new("p=tls-unique,,", "ann", "pencil"), None),
        (Scram::new("n,a=bob,", "ann", "pencil"), None),
        (Scram::new("n,,", "ann", "pencil"), Some("bob")),
        (Scram::new("n,,", "", "pencil"), None),
    ] {
        let mut link = broker.link();
        begin(&mut link, &scram, user_name);
        assert_eq!(link.code(), ReasonCode::NotAuthorized);
        assert!(link.next().is_none(), "[MQTT-4.12.0-4]");
    }
}

#[test]
fn a_method_that_nobody_knows_is_refused() {
    // [MQTT-4.12.0-1]
    let place = Place::new();
    let broker = broker(&place);
    let other = Place::new();
    let without = start(&other, "allow_anonymous = true", "");
    for (broker, method) in [(&broker, "SCRAM-SHA-1"), (&broker, "scram-sha-256"), (&without, METHOD)] {
        let mut packet = connect(Version::V5, None, None);
        packet.properties.authentication_method = Text::try_from(method).ok();
        assert_eq!(broker.answer(packet), ReasonCode::BadAuthenticationMethod, "{method}");
    }
    // Without a method SCRAM has nothing to say.
    assert_eq!(broker.login("ann", "pencil"), ReasonCode::BadUserNameOrPassword);
}

#[test]
fn a_client_that_does_not_answer_the_challenge_is_cut() {
    let place = Place::new();
    drop(broker(&place));
    let file = authenticator("strong", "scram", &place.path("scram"));
    let broker = start(&place, "", &format!("{file}[limits]\nconnect_timeout_ms = 300\n"));
    let mut link = broker.link();
    begin(&mut link, &Scram::new("n,,", "ann", "pencil"), None);
    challenge(&mut link);
    assert!(link.next().is_none());
}

#[test]
fn a_connected_client_can_prove_again_who_it_is() {
    // [MQTT-4.12.1-1]
    let place = Place::new();
    let broker = broker(&place);
    let mut link = broker.link();
    let scram = Scram::new("n,,", "ann", "pencil");
    assert_eq!(log_in(&mut link, &scram, None).0.code, ReasonCode::Success);
    for _ in 0..2 {
        link.send(&auth(ReasonCode::Reauthenticate, scram.first()));
        let (last, signature) = scram.last(&challenge(&mut link));
        link.send(&Packet::PingReq);
        assert_eq!(link.next(), Some(Packet::PingResp));
        link.send(&auth(ReasonCode::ContinueAuthentication, last));
        assert_eq!(link.next(), Some(auth(ReasonCode::Success, Bytes::from(signature))));
    }
}

#[test]
fn a_re_authentication_that_fails_ends_the_connection() {
    // [MQTT-4.12.1-2]
    let place = Place::new();
    let broker = broker(&place);
    let ann = Scram::new("n,,", "ann", "pencil");
    // A wrong password, and somebody else with the right one.
    for (again, is_challenged) in
        [(Scram::new("n,,", "ann", "paper"), true), (Scram::new("n,,", "bob", "paper"), false)]
    {
        let mut link = broker.link();
        assert_eq!(log_in(&mut link, &ann, None).0.code, ReasonCode::Success);
        link.send(&auth(ReasonCode::Reauthenticate, again.first()));
        if is_challenged {
            let (last, _) = again.last(&challenge(&mut link));
            link.send(&auth(ReasonCode::ContinueAuthentication, last));
        }
        assert_eq!(link.code(), ReasonCode::NotAuthorized);
        assert!(link.next().is_none());
    }
    broker.wait_for_log("other_user");
}
