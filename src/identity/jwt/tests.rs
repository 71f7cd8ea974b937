use super::*;
use crate::config::JwtAlgorithm;
use bytes::Bytes;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::json;

const SECRET: &[u8] = b"a secret of more than sixty-four bytes, which is enough for all three of them";

const RSA: &[u8] = include_bytes!("../../../tests/data/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../../../tests/data/keys/rsa.pub.pem");
const EC: &[u8] = include_bytes!("../../../tests/data/keys/ec.pem");
const EC_PUBLIC: &[u8] = include_bytes!("../../../tests/data/keys/ec.pub.pem");
const EC384: &[u8] = include_bytes!("../../../tests/data/keys/ec384.pem");
const EC384_PUBLIC: &[u8] = include_bytes!("../../../tests/data/keys/ec384.pub.pem");
const ED: &[u8] = include_bytes!("../../../tests/data/keys/ed.pem");
const ED_PUBLIC: &[u8] = include_bytes!("../../../tests/data/keys/ed.pub.pem");

fn settings(algorithm: JwtAlgorithm) -> config::Jwt {
    config::Jwt { algorithm, leeway_s: 5, ..config::Jwt::default() }
}

fn hs256() -> config::Jwt {
    settings(JwtAlgorithm::HS256)
}

fn keys() -> Keys {
    Keys::from_file(SECRET, JwtAlgorithm::HS256).expect("a secret that is long enough")
}

fn in_s(seconds: i64) -> i64 {
    i64::try_from(get_current_timestamp()).expect("the clock is right") + seconds
}

fn good() -> Value {
    json!({"sub": "ann", "exp": in_s(60)})
}

fn signed(claims: &Value) -> String {
    signed_with(&Header::default(), claims, &EncodingKey::from_secret(SECRET))
}

fn signed_with(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    signatures::install();
    encode(header, claims, key).expect("a token can be made")
}

/// What the whole authenticator says, without its threads.
fn judge(settings: &config::Jwt, keys: &Keys, token: &str, user: Option<&str>) -> Judgement {
    let rules = Rules { settings: settings.clone(), validation: validation(settings) };
    let user = user.map(|user| Text::try_from(user).expect("legal text"));
    let proof = Proof { user, password: Some(Bytes::copy_from_slice(token.as_bytes())), ..Proof::default() };
    if rules.is_ours(token.as_bytes()) { rules.judge(keys, &proof) } else { Judgement::Unknown }
}

fn proved(settings: &config::Jwt, claims: &Value) -> Option<Proved> {
    match judge(settings, &keys(), &signed(claims), None) {
        Judgement::Proved(proved) => Some(proved),
        Judgement::Denied(_) | Judgement::Unknown => None,
    }
}

fn denied(settings: &config::Jwt, claims: &Value) -> Option<Denial> {
    match judge(settings, &keys(), &signed(claims), None) {
        Judgement::Denied(denial) => Some(denial),
        Judgement::Proved(_) | Judgement::Unknown => None,
    }
}

#[test]
fn tokens_of_every_algorithm_are_taken_with_the_right_key_only() {
    use JwtAlgorithm as A;
    let rsa = EncodingKey::from_rsa_pem(RSA).expect("a key");
    let (ec, ec384) = (EncodingKey::from_ec_pem(EC).expect("a key"), EncodingKey::from_ec_pem(EC384).expect("a key"));
    let ed = EncodingKey::from_ed_pem(ED).expect("a key");
    let secret = EncodingKey::from_secret(SECRET);
    let rows = [
        (A::HS256, &secret, SECRET),
        (A::HS384, &secret, SECRET),
        (A::HS512, &secret, SECRET),
        (A::RS256, &rsa, RSA_PUBLIC),
        (A::RS384, &rsa, RSA_PUBLIC),
        (A::RS512, &rsa, RSA_PUBLIC),
        (A::PS256, &rsa, RSA_PUBLIC),
        (A::PS384, &rsa, RSA_PUBLIC),
        (A::PS512, &rsa, RSA_PUBLIC),
        (A::ES256, &ec, EC_PUBLIC),
        (A::ES384, &ec384, EC384_PUBLIC),
        (A::EdDSA, &ed, ED_PUBLIC),
    ];
    for (algorithm, key, file) in rows {
        let keys = Keys::from_file(file, algorithm).expect("a key");
        let token = signed_with(&Header::new(keys::algorithm(algorithm)), &good(), key);
        let judgement = judge(&settings(algorithm), &keys, &token, None);
        assert!(matches!(judgement, Judgement::Proved(_)), "{algorithm:?}: {judgement:?}");
        let mut forged = token.clone().into_bytes();
        let last = forged.len() - 6;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        assert_eq!(
            judge(&settings(algorithm), &keys, &forged, None),
            Judgement::Denied(Denial::Token),
            "{algorithm:?}"
        );
    }
}

#[test]
fn a_token_cannot_choose_how_it_is_checked() {
    let keys = Keys::from_file(RSA_PUBLIC, JwtAlgorithm::RS256).expect("a key");
    let settings = settings(JwtAlgorithm::RS256);
    // The public key as a secret: what a broker that believes the header would check it with.
    let confused = signed_with(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(RSA_PUBLIC));
    assert_eq!(judge(&settings, &keys, &confused, None), Judgement::Unknown);
    let claims = confused.split('.').nth(1).expect("three parts");
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None","typ":"JWT"}"#, r#"{"typ":"JWT"}"#, r#"{"alg":"RS256"}"#] {
        let header = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header);
        let judgement = judge(&settings, &keys, &format!("{header}.{claims}."), None);
        assert!(matches!(judgement, Judgement::Unknown | Judgement::Denied(Denial::Token)), "{judgement:?}");
    }
    let other = signed_with(&Header::new(Algorithm::RS384), &good(), &EncodingKey::from_rsa_pem(RSA).expect("a key"));
    assert_eq!(judge(&settings, &keys, &other, None), Judgement::Unknown, "only the algorithm of the setting");
}

#[test]
fn what_is_no_token_is_for_others() {
    for text in ["", "secret", "a.b.c", "..", "eyJhbGciOiJIUzI1NiJ9", "\u{ff}.\u{ff}.\u{ff}"] {
        assert_eq!(judge(&hs256(), &keys(), text, Some("ann")), Judgement::Unknown, "{text}");
    }
}

#[test]
fn times_count_with_their_leeway() {
    let with_exp = |seconds| json!({"sub": "ann", "exp": in_s(seconds)});
    assert!(proved(&hs256(), &with_exp(-2)).is_some());
    assert_eq!(denied(&hs256(), &with_exp(-20)), Some(Denial::TokenTime));
    let with_nbf = |seconds| json!({"sub": "ann", "exp": in_s(60), "nbf": in_s(seconds)});
    assert!(proved(&hs256(), &with_nbf(2)).is_some());
    assert_eq!(denied(&hs256(), &with_nbf(20)), Some(Denial::TokenTime));
}

#[test]
fn a_token_ends_its_connection_after_the_leeway() {
    let exp = in_s(60);
    let ends = proved(&hs256(), &json!({"sub": "ann", "exp": exp})).expect("a good token").expires_at_ms;
    assert_eq!(ends, u64::try_from((exp + 5) * 1000).ok());
    let stays = config::Jwt { disconnect_at_expiry: false, ..hs256() };
    assert_eq!(proved(&stays, &good()).expect("a good token").expires_at_ms, None);
    assert_eq!(milliseconds(1.5, 0), 1500);
    assert_eq!((milliseconds(-1.0, 1), milliseconds(1e300, 1)), (1000, u64::MAX));
}

#[test]
fn a_token_without_an_end_is_refused_unless_that_is_allowed() {
    let endless = json!({"sub": "ann"});
    assert_eq!(denied(&hs256(), &endless), Some(Denial::Token));
    let lenient = config::Jwt { expiry_required: false, ..hs256() };
    assert_eq!(proved(&lenient, &endless).expect("a good token").expires_at_ms, None);
    assert_eq!(denied(&lenient, &json!({"sub": "ann", "exp": in_s(-20)})), Some(Denial::TokenTime));
    assert_eq!(denied(&lenient, &json!({"sub": "ann", "exp": "soon"})), Some(Denial::Token));
}

#[test]
fn issuer_and_audience_are_those_of_the_settings() {
    let strict = config::Jwt { issuers: vec!["us".into()], audiences: vec!["mqtt".into()], ..hs256() };
    let with = |issuer: Value, audience: Value| json!({"sub": "ann", "exp": in_s(60), "iss": issuer, "aud": audience});
    assert!(proved(&strict, &with(json!("us"), json!("mqtt"))).is_some());
    assert!(proved(&strict, &with(json!("us"), json!(["web", "mqtt"]))).is_some());
    assert_eq!(denied(&strict, &with(json!("us"), json!("web"))), Some(Denial::Token));
    assert_eq!(denied(&strict, &json!({"sub": "ann", "exp": in_s(60), "iss": "us"})), Some(Denial::Token));
    // A token of somebody else is for another authenticator.
    assert_eq!(judge(&strict, &keys(), &signed(&with(json!("them"), json!("mqtt"))), None), Judgement::Unknown);
    assert_eq!(judge(&strict, &keys(), &signed(&good()), None), Judgement::Unknown);
    // Without settings any will do.
    assert!(proved(&hs256(), &with(json!("them"), json!("web"))).is_some());
}

#[test]
fn the_user_is_a_claim_and_must_be_the_user_name_if_there_is_one() {
    let token = signed(&good());
    let judged = |user| judge(&hs256(), &keys(), &token, user);
    assert!(matches!(judged(None), Judgement::Proved(proved) if proved.user == Text::try_from("ann").ok()));
    assert!(matches!(judged(Some("ann")), Judgement::Proved(_)));
    assert_eq!(judged(Some("bob")), Judgement::Denied(Denial::OtherUser));
    for user in [json!(7), json!(""), json!("a\nb"), json!(null), json!(["ann"])] {
        assert_eq!(denied(&hs256(), &json!({"sub": user, "exp": in_s(60)})), Some(Denial::Token), "{user}");
    }
    let by_mail = config::Jwt { user_claim: "mail".into(), ..hs256() };
    let claims = json!({"sub": "7", "mail": "ann@example.com", "exp": in_s(60)});
    assert_eq!(proved(&by_mail, &claims).and_then(|proved| proved.user), Text::try_from("ann@example.com").ok());
}

#[test]
fn groups_and_chosen_claims_are_kept() {
    let choosy = config::Jwt { claims: vec!["site".into(), "floor".into(), "tree".into(), "none".into()], ..hs256() };
    let claims = json!({
        "sub": "ann", "exp": in_s(60), "groups": ["staff", "night"], "site": "north", "floor": 3, "tree": {}, "age": 9
    });
    let proved_here = proved(&choosy, &claims).expect("a good token");
    assert_eq!(proved_here.groups, ["staff", "night"].map(|name| Text::try_from(name).expect("legal text")));
    let kept: Vec<_> = proved_here.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(kept, [("floor", "3"), ("site", "north")]);
    let one = json!({"sub": "ann", "exp": in_s(60), "groups": "staff"});
    assert_eq!(proved(&hs256(), &one).expect("a good token").groups.len(), 1);
    let wrong = json!({"sub": "ann", "exp": in_s(60), "groups": {"staff": true}});
    assert_eq!(denied(&hs256(), &wrong), Some(Denial::Token), "groups that are not understood are not left out");
}

/// A key set with the two public halves of one secret under two names.
#[test]
fn keys_of_a_set_are_found_by_their_name() {
    let encoded = |secret: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, secret);
    let other = b"another secret, and as long as it has to be to count";
    let set = json!({"keys": [
        {"kty": "oct", "kid": "old", "alg": "HS256", "k": encoded(other)},
        {"kty": "oct", "kid": "new", "alg": "HS256", "k": encoded(SECRET)},
        {"kty": "oct", "kid": "for others", "alg": "HS384", "k": encoded(SECRET)},
    ]});
    let keys = Keys::from_set(set.to_string().as_bytes(), JwtAlgorithm::HS256).expect("a legal set");
    let judged = |id: Option<&str>, secret: &[u8]| {
        let header = Header { kid: id.map(str::to_owned), ..Header::default() };
        let token = signed_with(&header, &good(), &EncodingKey::from_secret(secret));
        matches!(judge(&hs256(), &keys, &token, None), Judgement::Proved(_))
    };
    assert!(judged(Some("new"), SECRET) && judged(Some("old"), other));
    assert!(!judged(Some("new"), other) && !judged(Some("for others"), SECRET) && !judged(Some("x"), SECRET));
    assert!(judged(None, SECRET) && judged(None, other), "without a name every key is tried");
}

#[test]
fn files_without_a_fitting_key_are_refused() {
    let short = |algorithm| Keys::from_file(b"too short\n", algorithm).expect_err("it is too short");
    assert!(short(JwtAlgorithm::HS256).contains("9 bytes"), "{}", short(JwtAlgorithm::HS256));
    assert!(Keys::from_file(RSA_PUBLIC, JwtAlgorithm::HS256).is_err(), "a public key is no secret");
    assert!(Keys::from_file(EC_PUBLIC, JwtAlgorithm::RS256).is_err());
    assert!(Keys::from_file(RSA_PUBLIC, JwtAlgorithm::ES256).is_err());
    assert!(Keys::from_file(b"", JwtAlgorithm::EdDSA).is_err());
    for set in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"QUFBQQ"}]}"#, r#"{"keys":[{"kty":"x"}]}"#] {
        assert!(Keys::from_set(set.as_bytes(), JwtAlgorithm::HS256).is_err(), "{set}");
    }
}

/// RFC 7518 section 3.3.
#[test]
fn rsa_keys_that_are_too_short_are_refused_when_they_are_read() {
    let encoded = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    let set =
        |bytes: usize| json!({"keys": [{"kty": "RSA", "n": encoded(&vec![0xc5; bytes]), "e": "AQAB"}]}).to_string();
    let short = Keys::from_set(set(128).as_bytes(), JwtAlgorithm::RS256).expect_err("1024 bits");
    assert!(short.contains("1024 bits"), "{short}");
    assert!(Keys::from_set(set(2048).as_bytes(), JwtAlgorithm::RS256).is_err(), "16384 bits");
    assert!(Keys::from_set(set(256).as_bytes(), JwtAlgorithm::RS256).is_ok(), "2048 bits");
}

/// Some issuers write the sign of the number along, against RFC 7518 section 6.3.1.1.
#[test]
fn a_modulus_with_a_zero_before_it_is_the_same_key() {
    use x509_parser::prelude::FromDer;
    let encoded = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(RSA_PUBLIC).expect("a key");
    let der = key.try_get_as_bytes().expect("PKCS#1");
    let public = x509_parser::public_key::RSAPublicKey::from_der(der).expect("a public key").1;
    assert_eq!(public.modulus.first(), Some(&0));
    let token = signed_with(&Header::new(Algorithm::RS256), &good(), &EncodingKey::from_rsa_pem(RSA).expect("a key"));
    for modulus in [public.modulus, public.modulus.strip_prefix(&[0]).expect("a zero")] {
        let set = json!({"keys": [{"kty": "RSA", "n": encoded(modulus), "e": encoded(public.exponent)}]});
        let keys = Keys::from_set(set.to_string().as_bytes(), JwtAlgorithm::RS256).expect("a legal set");
        let judgement = judge(&settings(JwtAlgorithm::RS256), &keys, &token, None);
        assert!(matches!(judgement, Judgement::Proved(_)), "{judgement:?}");
    }
}
