//! Users who are taken away while they are connected.
use crate::support::{Broker, Link, Place, authenticator, connect, start};
use vowmq::packet::{Connect, ConnectProperties, Packet, Version};
use vowmq::types::ReasonCode;

fn log_in(broker: &Broker, version: Version, user: &str) -> Link {
    let mut link = broker.link();
    link.send_connect(connect(version, Some(user), Some(b"right")));
    assert_eq!(link.code(), ReasonCode::Success);
    link
}

fn is_served(link: &mut Link) -> bool {
    link.try_send(&Packet::PingReq) && matches!(link.next(), Some(Packet::PingResp))
}

fn place() -> Place {
    let place = Place::new();
    place.users(&[("ann", "right"), ("bob", "right")]);
    place
}

#[test]
fn a_user_who_is_removed_is_disconnected_and_nobody_else_is() {
    let place = place();
    let settings = authenticator("people", "password_file", &place.path("users"));
    let broker = start(&place, "allow_anonymous = true", &settings);
    let (mut ann, mut old_ann) = (log_in(&broker, Version::V5, "ann"), log_in(&broker, Version::V311, "ann"));
    let mut bob = log_in(&broker, Version::V5, "bob");
    let mut nobody = broker.link();
    nobody.send_connect(connect(Version::V5, None, None));
    assert_eq!(nobody.code(), ReasonCode::Success);
    // A new password is no reason to go.
    place.users(&[("bob", "new")]);
    assert!(place.passwd(&["users", "remove", "ann"], "").status.success());
    broker.hang_up();
    assert_eq!(ann.code(), ReasonCode::NotAuthorized);
    assert!(ann.next().is_none() && old_ann.next().is_none(), "3.1.1 clients are cut without a word");
    assert!(is_served(&mut bob) && is_served(&mut nobody));
    assert_eq!(broker.login("ann", "right"), ReasonCode::BadUserNameOrPassword);
    assert_eq!(broker.log().matches("the user was removed").count(), 2);
}

#[test]
fn a_session_waits_for_its_user_who_was_removed_and_came_back() {
    let place = place();
    let broker = start(&place, "", &authenticator("people", "password_file", &place.path("users")));
    let kept = || {
        let properties = ConnectProperties { session_expiry_s: Some(600), ..ConnectProperties::default() };
        let client_id = vowmq::types::Text::try_from("pump").unwrap();
        Connect { clean_start: false, client_id, properties, ..connect(Version::V5, Some("ann"), Some(b"right")) }
    };
    let mut ann = broker.link();
    ann.send_connect(kept());
    assert_eq!(ann.code(), ReasonCode::Success);
    assert!(place.passwd(&["users", "remove", "ann"], "").status.success());
    broker.hang_up();
    assert_eq!(ann.code(), ReasonCode::NotAuthorized);
    place.users(&[("ann", "right")]);
    broker.hang_up();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let mut link = broker.link();
        link.send_connect(kept());
        match link.next() {
            Some(Packet::ConnAck(connack)) if connack.code == ReasonCode::Success => {
                return assert!(connack.session_present);
            }
            _ => assert!(std::time::Instant::now() < deadline, "ann is never let in again"),
        }
    }
}

#[test]
fn a_file_that_cannot_be_taken_over_disconnects_nobody() {
    let place = place();
    let broker = start(&place, "", &authenticator("people", "password_file", &place.path("users")));
    let mut ann = log_in(&broker, Version::V5, "ann");
    place.write("users", "no user at all");
    broker.hang_up();
    broker.wait_for_log("stays in force");
    assert!(is_served(&mut ann));
}

#[test]
fn who_is_removed_may_be_left_alone() {
    let place = place();
    let file = authenticator("people", "password_file", &place.path("users"));
    let broker = start(&place, "", &format!("{file}[authentication]\ndisconnect_removed = false\n"));
    let mut ann = log_in(&broker, Version::V5, "ann");
    assert!(place.passwd(&["users", "remove", "ann"], "").status.success());
    broker.hang_up();
    broker.wait_for_log("read again: users and keys");
    assert!(is_served(&mut ann));
    assert_eq!(broker.login("ann", "right"), ReasonCode::BadUserNameOrPassword, "but not let in again");
}
