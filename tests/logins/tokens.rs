//! JSON Web Tokens as passwords.
use crate::support::{Place, connect, start};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;
use vowmq::packet::Version;
use vowmq::types::ReasonCode;

const KEY: &[u8] = include_bytes!("../data/keys/ec.pem");
const PUBLIC_KEY: &[u8] = include_bytes!("../data/keys/ec.pub.pem");

pub fn settings(place: &Place) -> String {
    let key = place.write("jwt.pem", PUBLIC_KEY);
    format!(
        "[[authenticator]]\nname = \"devices\"\nkind = \"jwt\"\nalgorithm = \"ES256\"\nkey_file = \"{}\"\nleeway_s = 0\n",
        key.display()
    )
}

/// A token of this user for so many seconds.
pub fn token(user: &str, seconds: u64) -> String {
    let claims = json!({"sub": user, "exp": get_current_timestamp() + seconds});
    let key = EncodingKey::from_ec_pem(KEY).unwrap();
    encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap()
}

#[test]
fn the_bearer_of_a_token_gets_in_until_it_ends() {
    let place = Place::new();
    let broker = start(&place, "", &settings(&place));
    let mut link = broker.link();
    let short = token("pump-7", 4);
    link.send_connect(connect(Version::V5, Some("pump-7"), Some(short.as_bytes())));
    assert_eq!(link.code(), ReasonCode::Success);
    assert_eq!(broker.login("pump-8", &token("pump-7", 60)), ReasonCode::NotAuthorized);
    assert_eq!(broker.login("pump-7", "no token"), ReasonCode::BadUserNameOrPassword);
    let without_user = token("pump-7", 60);
    assert_eq!(broker.answer(connect(Version::V5, None, Some(without_user.as_bytes()))), ReasonCode::Success);
    // Nothing is sent: the connection ends with the token.
    assert_eq!(link.code(), ReasonCode::MaximumConnectTime);
    assert!(link.next().is_none());
    assert_eq!(broker.login("pump-7", &short), ReasonCode::BadUserNameOrPassword);
    broker.wait_for_log("token_time");
    for part in short.split('.').chain(without_user.split('.')) {
        assert!(!broker.log().contains(part), "a part of a token is in the log");
    }
}
