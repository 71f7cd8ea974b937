//! Rights on the paths beside publish and subscribe, and what holds when files cannot be read.
use crate::common::broker::Broker;
use crate::peer::{House, Peer, by, connect, counter, eventually, kept, publish, will};
use std::process::Command;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

const OPEN: &str = "[[rule]]\nallow = \"all\"\ntopics = [\"#\"]\n";
/// Ann may do everything; bob has what is below open/ alone.
const PARTED: &str = "[[rule]]\nallow = \"all\"\nuser = \"ann\"\ntopics = [\"#\"]\n\
                      [[rule]]\nallow = \"all\"\nuser = \"bob\"\ntopics = [\"open/#\"]\n";
/// Others see the counters.
const ANN_ALONE: &str = "[[rule]]\nallow = \"all\"\nuser = \"ann\"\ntopics = [\"#\"]\n\
                         [[rule]]\nallow = \"subscribe\"\ntopics = [\"$SYS/#\"]\n";

fn put_in_force(broker: &Broker, house: &House, rules: &str) {
    let before = broker.log().matches("read again: access rules").count();
    house.rules(rules);
    broker.signal("HUP");
    eventually("new rules", || broker.log().matches("read again: access rules").count() > before);
}

#[test]
fn no_form_of_a_shared_filter_gets_round_the_rules() {
    let house = House::new(PARTED);
    let broker = Broker::start(&house.settings());
    let mut ann = Peer::connect(house.port, by("ann", "a", connect("ann")));
    let mut bob = Peer::connect(house.port, by("bob", "b", connect("bob")));
    for filter in [
        "secret",
        "#",
        "+/x",
        "$share/g/#",
        "$share/g/secret",
        "$share/g//secret",
        "$share/open/secret",
        "$share/open/+/#",
    ] {
        assert_eq!(bob.subscribe(filter, QoS::AtMostOnce), ReasonCode::NotAuthorized, "{filter}");
    }
    assert_eq!(bob.subscribe("$share/g/open/+", QoS::AtMostOnce), ReasonCode::Success);
    ann.send(&Packet::Publish(publish("secret", PublishQoS::AtMostOnce, b"x")));
    ann.send(&Packet::Publish(publish("open/1", PublishQoS::AtMostOnce, b"for bob")));
    assert_eq!(&bob.expect_publish().payload[..], b"for bob", "and nothing before it");
    drop(broker);
}

#[test]
fn retained_and_queued_messages_stay_where_rights_were_taken() {
    let house = House::new(OPEN);
    let broker = Broker::start(&house.settings());
    let mut ann = Peer::connect(house.port, by("ann", "a", connect("ann")));
    let mut bob = Peer::connect(house.port, by("bob", "b", kept("bob")));
    assert_eq!(bob.subscribe("secret/#", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
    assert_eq!(bob.subscribe("open/#", QoS::AtLeastOnce), ReasonCode::GrantedQoS1);
    drop(bob);
    assert_eq!(ann.publish("secret/kept", true, b"retained"), ReasonCode::Success);
    assert_eq!(ann.publish("secret/queued", false, b"queued"), ReasonCode::Success);
    assert_eq!(ann.publish("open/queued", false, b"allowed"), ReasonCode::Success);
    put_in_force(&broker, &house, PARTED);
    let mut bob = Peer::connect(house.port, by("bob", "b", kept("bob")));
    assert_eq!(&bob.expect_publish().payload[..], b"allowed", "nothing of what was queued as secret");
    assert_eq!(bob.subscribe("secret/#", QoS::AtLeastOnce), ReasonCode::NotAuthorized);
    assert!(bob.before_pong().is_empty());
    // And where the subscription stays but is live: bob, connected, loses it at the reload.
    assert_eq!(bob.publish("secret/mine", true, b"x"), ReasonCode::NotAuthorized);
}

#[test]
fn a_will_is_judged_at_connect_and_when_it_is_due() {
    let house = House::new(PARTED);
    let broker = Broker::start(&(house.settings() + "[sys]\ninterval_s = 1\n"));
    let mut ann = Peer::connect(house.port, by("ann", "a", connect("ann")));
    ann.subscribe("#", QoS::AtMostOnce);
    let mut bad = by("bob", "b", connect("bob"));
    bad.will = Some(will("secret"));
    assert_eq!(Peer::ask(house.port, bad).1, ReasonCode::NotAuthorized);
    let mut good = by("bob", "b", connect("bob"));
    good.will = Some(will("open/will"));
    let bob = Peer::connect(house.port, good);
    put_in_force(&broker, &house, ANN_ALONE);
    drop(bob);
    // Once at CONNECT, and once now.
    eventually("the will is refused", || counter(&broker, "publish/wills_denied") == 2);
    // It would have come first.
    ann.send(&Packet::Publish(publish("mark", PublishQoS::AtMostOnce, b"mark")));
    assert_eq!(&ann.expect_publish().payload[..], b"mark");
}

#[test]
fn an_empty_file_of_rules_allows_nothing() {
    let house = House::new("");
    let _broker = Broker::start(&house.settings());
    let mut ann = Peer::connect(house.port, by("ann", "a", connect("ann")));
    assert_eq!(ann.subscribe("a", QoS::AtMostOnce), ReasonCode::NotAuthorized);
    assert_eq!(ann.publish("a", true, b"x"), ReasonCode::NotAuthorized);
    let mut with_will = by("ann", "a", connect("ann-2"));
    with_will.will = Some(will("a"));
    assert_eq!(Peer::ask(house.port, with_will).1, ReasonCode::NotAuthorized);
}

#[test]
fn a_reload_without_file_descriptors_changes_nothing_and_opens_nothing() {
    let house = House::new(PARTED);
    let broker = Broker::start(&house.settings());
    let mut bob = Peer::connect(house.port, by("bob", "b", connect("bob")));
    let limit = |count: &str| {
        let pid = broker.pid().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={count}:")]).status();
        assert!(set.expect("prlimit is installed").success());
    };
    limit("3");
    house.rules(OPEN);
    broker.signal("HUP");
    eventually("the reload fails", || broker.log().contains("stays in force"));
    assert_eq!(bob.subscribe("secret", QoS::AtMostOnce), ReasonCode::NotAuthorized);
    limit("1024");
    eventually("logins are served again", || {
        let (_, code) = Peer::ask(house.port, by("bob", "wrong", connect("other")));
        code == ReasonCode::BadUserNameOrPassword
    });
    let (_, code) = Peer::ask(house.port, connect("nobody"));
    assert_eq!(code, ReasonCode::NotAuthorized, "nobody gets in without a proof");
}
