//! Who guesses passwords is kept out.
use crate::support::{Place, authenticator, connect, start};
use std::time::Duration;
use vowmq::packet::{Packet, Version};
use vowmq::types::ReasonCode;

const SETTINGS: &str = "[abuse]\nexempt = []\nfailed_logins_max = 3\nban_s = 2\n";

fn place() -> Place {
    let place = Place::new();
    place.users(&[("ann", "right"), ("bob", "right")]);
    place
}

#[test]
fn a_user_whose_logins_fail_is_kept_out_for_a_while_and_others_from_there_are_not() {
    let place = place();
    let settings = format!("{SETTINGS}{}", authenticator("people", "password_file", &place.path("users")));
    let broker = start(&place, "", &settings);
    for _ in 0..3 {
        assert_eq!(broker.login("ann", "wrong"), ReasonCode::BadUserNameOrPassword);
    }
    broker.wait_for_log("kept out");
    assert_eq!(broker.login("ann", "right"), ReasonCode::Banned, "even with the right one");
    assert_eq!(broker.login("bob", "right"), ReasonCode::Success);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while broker.login("ann", "right") != ReasonCode::Success {
        assert!(std::time::Instant::now() < deadline, "the ban ends");
        std::thread::yield_now();
    }
}

#[test]
fn an_address_whose_logins_fail_is_not_even_listened_to() {
    let place = place();
    let rule = "failed_logins_per_address_max = 4\n";
    let settings = format!("{SETTINGS}{rule}{}", authenticator("people", "password_file", &place.path("users")));
    let broker = start(&place, "", &settings);
    for user in ["ann", "bob", "eve", "mallory"] {
        assert_eq!(broker.login(user, "wrong"), ReasonCode::BadUserNameOrPassword);
    }
    broker.wait_for_log("kept out");
    let mut link = broker.link();
    let written = link.try_send(&Packet::Connect(Box::new(connect(Version::V5, Some("bob"), Some(b"right")))));
    assert!(!written || link.next().is_none(), "closed without a word");
}
