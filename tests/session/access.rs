//! Access rules at work: at CONNECT, SUBSCRIBE and PUBLISH, and on what waits when they change.
use crate::durable::{commit, durable};
use crate::packets::*;
use crate::peer::{Peer, World, world, world_with};
use vowmq::access::Rules;
use vowmq::broker::{AccessFile, AccessRules};
use vowmq::packet::{Connect, Packet};
use vowmq::session::Denied311;
use vowmq::types::{Attributes, Identity, QoS, ReasonCode};

pub fn user(name: &str) -> Identity {
    Identity { user: Some(text(name)), ..Identity::default() }
}

/// What the rules of these tests allow everybody: all below `a`, but not `a/secret`.
const OPEN: &str = "[[rule]]\ndeny = \"all\"\ntopics = [\"a/secret\"]\n[[rule]]\nallow = \"all\"\ntopics = [\"a/#\"]\n";
/// The same, and `b` for ann.
const ANN: &str = "[[rule]]\ndeny = \"all\"\ntopics = [\"a/secret\"]\n[[rule]]\nallow = \"all\"\ntopics = [\"a/#\"]\n\
                   [[rule]]\nallow = \"all\"\nuser = \"ann\"\ntopics = [\"b/#\"]\n";

fn rules(text: &str) -> Rules {
    Rules::parse(text).expect("tests write legal rules")
}

fn under(text: &str) -> World {
    let world = world();
    world.broker.set_rules(rules(text));
    world
}

/// A subscriber that was there before any rules, so that it hears everything.
fn listener(world: &World) -> Peer {
    world.broker.set_rules(Rules::open());
    let mut listener = world.connect(connect("listener"));
    listener.subscribe("#", QoS::ExactlyOnce);
    listener
}

fn denied(value: u16) -> Packet {
    puback_code(value, ReasonCode::NotAuthorized)
}

#[test]
fn a_denied_publish_reaches_nobody_and_is_answered_alike_whoever_listens() {
    let world = world();
    let mut listener = world.connect(connect("listener"));
    listener.subscribe("b", QoS::AtMostOnce);
    world.broker.set_rules(rules("[[rule]]\nallow = \"subscribe\"\ntopics = [\"#\"]\n"));
    let mut client = world.connect(connect("c"));
    for name in ["b", "nobody/listens/here"] {
        client.send(publish(name).qos1(1));
        client.expect(denied(1));
        client.send(publish(name).qos2(2).retain());
        client.expect(pubrec_code(2, ReasonCode::NotAuthorized));
        client.send(publish(name));
        client.expect_nothing();
    }
    client.expect_open();
    listener.expect_nothing();
    let mut late = world.connect(connect("late"));
    late.subscribe("b", QoS::AtMostOnce);
    late.expect_nothing();
    assert_eq!(world.broker.counters.publishes_denied.value(), 6);
    let lines = world.broker.counters.drops.take_gathered().lines();
    assert_eq!(lines.iter().map(|line| (line.reason, line.messages)).collect::<Vec<_>>(), [("denied", 6)]);
}

#[test]
fn an_old_client_is_acknowledged_and_its_message_dropped_or_it_is_cut_off() {
    // [MQTT-3.3.5-2] (3.1.1)
    let acknowledging = under("");
    let mut client = acknowledging.connect(connect_311("c", true));
    client.send(publish("b").qos1(1));
    client.expect(puback(1));
    client.send(publish("b").qos2(2));
    client.expect(pubrec(2));
    client.send(pubrel(2));
    client.expect(pubcomp(2));
    client.expect_open();
    for message in [publish("b").qos1(1), publish("b").qos2(1), publish("b")] {
        let cutting = world_with(|settings| settings.limits.denied_311 = Denied311::Disconnect);
        cutting.broker.set_rules(rules(""));
        let mut client = cutting.connect(connect_311("c", true));
        client.send(message);
        client.expect_nothing();
        client.expect_closed(ReasonCode::NotAuthorized);
        let mut modern = cutting.connect(connect("m"));
        modern.send(publish("b").qos1(1));
        modern.expect(denied(1));
        modern.expect_open();
    }
}

#[test]
fn nobody_writes_to_sys_whatever_the_rules_say() {
    let world = under("[[rule]]\nallow = \"all\"\ntopics = [\"#\", \"$SYS/#\", \"$app/#\"]\n");
    let mut client = world.connect(connect("c"));
    client.send(publish("$SYS/broker/uptime_s").qos1(1));
    client.expect(denied(1));
    client.send(publish("$app/x").qos1(2));
    client.expect(puback_code(2, ReasonCode::NoMatchingSubscribers));
}

#[test]
fn a_filter_that_is_not_wholly_allowed_is_refused_shared_or_not() {
    let world = under(OPEN);
    let mut client = world.connect(connect("c"));
    for name in ["#", "a/#", "a/+", "a/secret", "b", "$share/g/#", "$share/g/a/secret", "$SYS/#", "$share/g/$SYS/#"] {
        client.send(subscribe(1, name, QoS::AtMostOnce));
        client.expect(suback(1, ReasonCode::NotAuthorized));
    }
    client.send(subscribe(1, "$share/g/a/b/#", QoS::ExactlyOnce));
    client.expect(suback(1, ReasonCode::GrantedQoS2));
    assert_eq!(world.broker.counters.subscriptions_denied.value(), 9);
    assert_eq!(world.broker.subscriptions(), 1);
    client.lose();
    let mut old = world.connect(connect_311("old", true));
    old.send(subscribe(1, "b", QoS::AtMostOnce));
    old.expect(suback(1, ReasonCode::UnspecifiedError));
}

#[test]
fn a_subscription_is_granted_the_qos_its_rule_allows() {
    let world = under("[[rule]]\nallow = \"all\"\ntopics = [\"a\"]\nqos_max = 1\n");
    let mut client = world.connect(connect("c"));
    client.send(subscribe(1, "a", QoS::ExactlyOnce));
    client.expect(suback(1, ReasonCode::GrantedQoS1));
    client.send(publish("a").qos2(1));
    client.expect(pubrec_code(1, ReasonCode::NotAuthorized));
    client.send(publish("a").qos1(1));
    client.expect(puback(1));
    client.expect(publish("a").qos1(1));
}

#[test]
fn names_that_would_widen_a_pattern_are_let_in_and_allowed_nothing_by_it() {
    let world = under("[[rule]]\nallow = \"all\"\ntopics = [\"u/%u/#\", \"c/%c/#\"]\n");
    for name in ["#", "+", "ann/bob", "a\u{1}b"] {
        let mut client = world.connect_as(connect(name), user(name));
        for filter in ["u/#", "u/+/x", "c/#", "u/ann/bob/#", "u/bob/#"] {
            client.send(subscribe(1, filter, QoS::AtMostOnce));
            client.expect(suback(1, ReasonCode::NotAuthorized));
        }
        client.send(publish("u/bob/x").qos1(1));
        client.expect(denied(1));
    }
    let mut client = world.connect_as(connect("c1"), user("ann"));
    client.subscribe("u/ann/#", QoS::AtMostOnce);
    client.subscribe("c/c1/#", QoS::AtMostOnce);
}

fn with_will(topic: &str) -> Connect {
    Connect { will: Some(will(topic, 10)), ..connect("c") }
}

#[test]
fn a_will_that_may_not_be_published_is_refused_at_connect() {
    let world = under(ANN);
    let violation = world.try_connect(with_will("b/x")).unwrap_err();
    assert_eq!(violation.reason, ReasonCode::NotAuthorized);
    assert_eq!(world.broker.sessions(), 0, "nothing was begun for it");
    world.connect_as(with_will("b/x"), user("ann"));
}

#[test]
fn a_will_is_judged_again_when_it_is_due_as_the_will_of_the_user_who_left_it() {
    for (then, comes) in [(ANN, true), (OPEN, false)] {
        let world = world();
        let mut listener = listener(&world);
        world.connect_as(with_will("b/x"), user("ann")).lose();
        world.broker.set_rules(rules(&format!("[[rule]]\nallow = \"subscribe\"\ntopics = [\"#\"]\n{then}")));
        world.pass_s(10);
        assert_eq!(listener.comes(publish("b/x").payload("gone")), comes);
        assert_eq!(world.broker.counters.wills_denied.value(), u64::from(!comes));
    }
}

#[test]
fn a_will_is_judged_as_its_users_after_a_restart_too() {
    for (then, comes) in [(ANN, true), (OPEN, false)] {
        let world = durable();
        world.connect_as(with_will("b/x"), user("ann")).lose();
        commit(&world);
        let all = "[[rule]]\nallow = \"subscribe\"\ntopics = [\"#\"]\n";
        let world = world.restart_under(|_| {}, rules(&format!("{all}{then}")));
        let mut listener = world.connect(connect("listener"));
        commit(&world);
        listener.take_connack();
        listener.send(subscribe(1, "#", QoS::AtMostOnce));
        commit(&world);
        listener.expect_packet("SUBACK");
        world.pass_s(10);
        commit(&world);
        assert_eq!(listener.comes(publish("b/x").payload("gone")), comes);
    }
}

#[test]
fn a_change_of_the_rules_is_felt_by_the_next_publish_of_a_running_session() {
    let world = under(ANN);
    let mut client = world.connect_as(connect("c"), user("ann"));
    let ok = puback_code(1, ReasonCode::NoMatchingSubscribers);
    for (text, answer) in [(ANN, ok.clone()), (OPEN, denied(1)), (ANN, ok)] {
        world.broker.set_rules(rules(text));
        client.send(publish("b/x").qos1(1));
        client.expect(answer);
    }
}

#[test]
fn a_revoked_subscription_of_a_connected_client_ends_with_all_that_is_on_its_way() {
    let world = under(ANN);
    let mut reader = world.connect_as(connect("r"), user("ann"));
    reader.subscribe("b/#", QoS::ExactlyOnce);
    reader.subscribe("a/x", QoS::ExactlyOnce);
    let mut writer = world.connect_as(connect("w"), user("ann"));
    for name in ["b/1", "a/x"] {
        writer.send(publish(name).qos1(1));
        writer.send(publish(name));
    }
    // Routed, and not yet collected.
    world.broker.set_rules(rules(OPEN));
    reader.expect(publish("a/x").qos1(2));
    reader.expect(publish("a/x"));
    reader.expect_nothing();
    reader.send(puback(2));
    assert_eq!(world.broker.counters.subscriptions_revoked.value(), 1);
    assert_eq!(world.broker.counters.dropped_forbidden.value(), 2);
    world.broker.set_rules(rules(ANN));
    writer.send(publish("b/2").qos1(1));
    reader.expect_nothing();
    reader.subscribe("b/#", QoS::AtMostOnce);
    writer.send(publish("b/3"));
    reader.expect(publish("b/3"));
}

#[test]
fn retained_messages_are_not_delivered_after_rights_were_taken() {
    let world = under(ANN);
    let mut writer = world.connect_as(connect("w"), user("ann"));
    writer.send(publish("b/1").qos1(1).retain());
    let mut reader = world.connect_as(connect("r"), user("ann"));
    let mut late = world.connect_as(connect("late"), user("ann"));
    late.send(subscribe(1, "b/#", QoS::AtLeastOnce));
    world.broker.set_rules(rules(OPEN));
    reader.send(subscribe(1, "b/#", QoS::AtLeastOnce));
    reader.expect(suback(1, ReasonCode::NotAuthorized));
    reader.expect_nothing();
    late.expect(suback(1, ReasonCode::GrantedQoS1));
    late.expect_nothing();
}

#[test]
fn what_waits_for_an_absent_client_is_dropped_if_it_may_not_read_it_when_it_is_back() {
    let world = under(ANN);
    let mut reader = world.connect_as(connect("r"), user("ann"));
    reader.subscribe("b/#", QoS::AtLeastOnce);
    reader.subscribe("a/x", QoS::AtLeastOnce);
    reader.lose();
    let mut writer = world.connect_as(connect("w"), user("ann"));
    for name in ["b/1", "a/x", "b/2"] {
        writer.send(publish(name).qos1(1));
    }
    world.broker.set_rules(rules(OPEN));
    assert_eq!(world.broker.counters.subscriptions_revoked.value(), 1, "at once");
    world.broker.set_rules(rules(ANN));
    writer.send(publish("b/3").qos1(1));
    world.broker.set_rules(rules(OPEN));
    let mut reader = world.connect_as(resume("r"), user("ann"));
    reader.expect(publish("a/x").qos1(2));
    reader.expect_nothing();
    assert_eq!(world.broker.counters.dropped_forbidden.value(), 2, "b/3 was not queued at all");
}

#[test]
fn a_durable_subscription_revoked_while_the_broker_was_down_is_gone_with_what_it_brought() {
    let world = durable();
    let mut reader = world.connect_as(connect("r"), user("ann"));
    let mut writer = world.connect(connect("w"));
    commit(&world);
    reader.take_connack();
    for filter in ["b/#", "a/x"] {
        reader.send(subscribe(1, filter, QoS::AtLeastOnce));
        commit(&world);
        reader.expect_packet("SUBACK");
    }
    reader.lose();
    for name in ["b/1", "a/x", "b/2"] {
        writer.send(publish(name).qos1(1));
    }
    commit(&world);
    let world = world.restart_under(|_| {}, rules(OPEN));
    assert_eq!(world.broker.counters.subscriptions_revoked.value(), 1);
    let mut reader = world.connect_as(resume("r"), user("ann"));
    commit(&world);
    reader.take_connack();
    commit(&world);
    reader.expect(publish("a/x").qos1(2));
    reader.expect_nothing();
    assert_eq!(world.broker.counters.dropped_forbidden.value(), 2);
    reader.send(puback(2));
    commit(&world);
    reader.lose();
    commit(&world);
    // Neither the subscription nor its messages come back with the rights.
    let world = world.restart_under(|_| {}, rules(ANN));
    let mut reader = world.connect_as(resume("r"), user("ann"));
    commit(&world);
    reader.take_connack();
    commit(&world);
    reader.expect_nothing();
    assert_eq!(world.broker.subscriptions(), 1);
}

#[test]
fn rights_are_those_of_the_identity_that_comes_back() {
    let world = under("[[rule]]\nallow = \"all\"\ngroup = \"staff\"\ntopics = [\"#\"]\n");
    let staff = user("ann").with(Attributes { groups: vec![text("staff")], ..Attributes::default() });
    let mut reader = world.connect_as(connect("r"), staff.clone());
    reader.subscribe("b", QoS::AtLeastOnce);
    reader.lose();
    world.connect_as(connect("w"), staff).send(publish("b").qos1(1));
    let mut reader = world.connect_as(resume("r"), user("ann"));
    reader.expect_nothing();
    assert_eq!(world.broker.counters.subscriptions_revoked.value(), 1);
    assert_eq!(world.broker.counters.dropped_forbidden.value(), 1);
}

#[test]
fn qos_2_that_was_begun_is_finished_without_its_message_once_rights_were_taken() {
    let world = under(ANN);
    let mut reader = world.connect_as(connect("r"), user("ann"));
    reader.subscribe("b/#", QoS::ExactlyOnce);
    let mut writer = world.connect_as(connect("w"), user("ann"));
    writer.send(publish("b/1").qos2(7));
    writer.expect(pubrec(7));
    reader.expect(publish("b/1").qos2(1));
    // Its PUBREC is lost with the connection, as is the writer's PUBREL.
    reader.lose();
    writer.lose();
    world.broker.set_rules(rules(OPEN));
    let mut reader = world.connect_as(resume("r"), user("ann"));
    reader.expect(pubrel(1));
    reader.send(pubcomp(1));
    // A message goes on its way when it comes, and not at PUBREL, so that nothing is left to be released.
    let mut writer = world.connect_as(resume("w"), user("ann"));
    writer.send(publish("b/1").qos2(7).dup());
    writer.expect(pubrec(7));
    writer.send(pubrel(7));
    writer.expect(pubcomp(7));
    writer.send(publish("b/1").qos2(7));
    writer.expect(pubrec_code(7, ReasonCode::NotAuthorized));
    reader.expect_nothing();
}

#[test]
fn shared_messages_that_one_member_may_not_read_any_more_go_to_another() {
    let text =
        |second: &str| format!("[[rule]]\nallow = \"all\"\nuser = [\"bob\", \"w\"{second}]\ntopics = [\"b/#\"]\n");
    let world = under(&text(", \"ann\""));
    let mut ann = world.connect_as(connect("ann"), user("ann"));
    let mut bob = world.connect_as(connect("bob"), user("bob"));
    ann.subscribe("$share/g/b/#", QoS::AtLeastOnce);
    bob.subscribe("$share/g/b/#", QoS::AtLeastOnce);
    let mut writer = world.connect_as(connect("w"), user("w"));
    for number in 1..5 {
        writer.send(publish("b/x").qos1(number));
    }
    world.broker.set_rules(rules(&text("")));
    ann.expect_nothing();
    for number in 1..5 {
        bob.expect(publish("b/x").qos1(number));
    }
    assert_eq!(world.broker.counters.dropped_forbidden.value(), 0);
}

#[test]
fn a_faulty_new_file_keeps_the_old_rules_and_says_why() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("acl.toml");
    let write = |text: &str| std::fs::write(&path, text).expect("the file can be written");
    write(ANN);
    let world = world();
    world.broker.open_access(AccessFile::Own(path.clone())).expect("the rules are sound");
    let mut client = world.connect_as(connect("c"), user("ann"));
    let mut may_publish = || {
        client.send(publish("b/x").qos1(1));
        client.expect_packet("PUBACK") != denied(1)
    };
    let access = AccessRules(world.broker.clone());
    assert_eq!((access.reload(), access.files()), (Ok(false), vec![path.clone()]));
    write("[[rule]]\nallow = \"read\"\ntopics = [\"#\"]\n");
    let why = world.broker.reload_access().unwrap_err();
    assert!(why.contains("acl.toml: rule 1 (line 1): allow: unknown variant `read`"), "{why}");
    assert!(may_publish());
    std::fs::remove_file(&path).expect("the file can be removed");
    assert!(world.broker.reload_access().is_err() && may_publish());
    write(OPEN);
    assert_eq!(world.broker.reload_access(), Ok(true));
    assert!(!may_publish());
    write("");
    assert_eq!(world.broker.reload_access(), Ok(true));
    client.send(subscribe(1, "a/x", QoS::AtMostOnce));
    client.expect(suback(1, ReasonCode::NotAuthorized));
}
