//! Whose a session is: nobody else resumes it, begins it anew or takes it over.
use crate::access::user;
use crate::durable::{commit, durable};
use crate::packets::*;
use crate::peer::{World, world};
use vowmq::broker::Step;
use vowmq::packet::Connect;
use vowmq::store::Record;
use vowmq::types::{Attributes, ClientId, Identity, QoS, ReasonCode, SessionKey};

/// An anonymous client that came with a certificate.
fn device(name: &str) -> Identity {
    Identity::default().with(Attributes { certificate: Some(text(name)), ..Attributes::default() })
}

fn is_refused(world: &World, connect: Connect, identity: Identity) -> bool {
    match world.try_connect_as(connect, identity) {
        Err(violation) => {
            assert_eq!(violation.reason, ReasonCode::NotAuthorized);
            true
        }
        Ok(step) => {
            if let Step::Attached(attachment) = step {
                attachment.end(None, world.now());
            }
            false
        }
    }
}

#[test]
fn a_takeover_by_another_user_is_refused_before_anybody_is_disturbed() {
    let world = world();
    let mut owner = world.connect_as(connect("c"), user("ann"));
    for other in [user("bob"), Identity::default(), device("c")] {
        assert!(is_refused(&world, connect("c"), other.clone()), "a Clean Start by {other:?}");
        assert!(is_refused(&world, resume("c"), other.clone()), "a resumption by {other:?}");
        assert!(is_refused(&world, connect_311("c", true), other.clone()), "an old client, {other:?}");
    }
    owner.expect_open();
    assert_eq!(world.broker.counters.connects_refused_owner.value(), 9);
    let elsewhere = Identity { address: Some("10.0.0.1".parse().unwrap()), ..user("ann") }
        .with(Attributes { groups: vec![text("g")], ..Attributes::default() });
    let Ok(Step::Wait(request, _)) = world.try_connect_as(resume("c"), elsewhere) else { panic!("ann may") };
    owner.expect_closed(ReasonCode::SessionTakenOver);
    owner.lose();
    assert!(world.broker.connect(*request, world.now()).is_ok());
}

#[test]
fn an_absent_clients_session_waits_for_its_owner() {
    let world = world();
    let mut owner = world.connect_as(connect("c"), user("ann"));
    owner.subscribe("a", QoS::AtLeastOnce);
    owner.lose();
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1));
    assert!(is_refused(&world, resume("c"), user("bob")) && is_refused(&world, connect("c"), user("bob")));
    let mut owner = world.connect_as(resume("c"), user("ann"));
    assert!(owner.connack.as_ref().unwrap().session_present);
    owner.expect(publish("a").qos1(1));
}

#[test]
fn what_belongs_to_nobody_in_particular_stays_with_those_who_prove_nothing() {
    let world = world();
    world.connect(connect("c")).lose();
    assert!(is_refused(&world, resume("c"), user("ann")) && is_refused(&world, resume("c"), device("d")));
    assert!(!is_refused(&world, resume("c"), Identity::default()));
    world.connect_as(connect("d"), device("d")).lose();
    assert!(is_refused(&world, resume("d"), Identity::default()) && is_refused(&world, resume("d"), device("e")));
    assert!(!is_refused(&world, resume("d"), device("d")));
}

#[test]
fn a_session_whose_time_has_come_is_no_longer_anybodys() {
    let world = world();
    world.connect_as(connect("c"), user("ann")).lose();
    world.pass_s(101);
    let newcomer = world.connect_as(resume("c"), user("bob"));
    assert!(!newcomer.connack.unwrap().session_present);
}

#[test]
fn the_owner_is_remembered_over_a_restart() {
    let world = durable();
    let attributes = Attributes {
        groups: vec![text("staff")],
        claims: [("tenant".to_owned(), "acme".to_owned())].into(),
        certificate: None,
        expires_at_ms: Some(1),
    };
    let owner = Identity { address: Some("2001:db8::1".parse().unwrap()), ..user("ann") }.with(attributes);
    let client = world.connect_as(connect("c"), owner.clone());
    let owned = Record::SessionOwned { session: SessionKey(1), owner: std::sync::Arc::new(owner).remembered() };
    assert!(commit(&world).contains(&owned));
    client.lose();
    commit(&world);
    let world = world.restart(|_| {});
    assert!(is_refused(&world, resume("c"), user("bob")) && is_refused(&world, connect("c"), Identity::default()));
    let again = world.connect_as(resume("c"), user("ann"));
    let now_known = Record::SessionOwned { session: SessionKey(1), owner: user("ann").into() };
    assert!(commit(&world).contains(&now_known), "groups and address are those of the last connection");
    again.lose();
    world.connect_as(resume("c"), user("ann")).lose();
    assert!(!commit(&world).contains(&now_known), "what is no news is not written");
}

#[test]
fn a_session_from_before_owners_were_kept_is_the_first_comers() {
    let world = durable();
    let (session, client_id) = (SessionKey(1), ClientId::new(&text("c")).unwrap());
    world.write(&[
        Record::SessionBegun { session, client_id, is_v5: true },
        Record::SessionAttached { session, expiry_s: 100, will: None },
        Record::SessionParked { session, expires_at: None, will_at: None, sent_below: 0 },
    ]);
    let world = world.restart(|_| {});
    let first = world.connect_as(resume("c"), user("ann"));
    commit(&world);
    first.lose();
    commit(&world);
    let world = world.restart(|_| {});
    assert!(is_refused(&world, resume("c"), user("bob")));
}
