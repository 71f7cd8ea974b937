use super::*;
use crate::types::{Attributes, QoS, Text, TopicFilter, TopicName};
use proptest::prelude::*;

/// An anonymous client for the empty name.
pub(super) fn identity(user: &str) -> Identity {
    let user = (!user.is_empty()).then(|| Text::try_from(user).unwrap());
    Identity { user, ..Identity::default() }
}

pub(super) fn client(name: &str) -> ClientId {
    ClientId::new(&Text::try_from(name).unwrap()).unwrap()
}

fn topic(name: &str) -> TopicName {
    TopicName::try_from(name).unwrap()
}

fn filter(name: &str) -> TopicFilter {
    TopicFilter::try_from(name).unwrap()
}

fn rights_of(rules: &Rules, identity: &Identity, client_id: &str) -> Rights {
    rules.rights(Subject { identity, client_id: &client(client_id) })
}

fn rights(text: &str, user: &str, client_id: &str) -> Rights {
    rights_of(&Rules::parse(text).unwrap(), &identity(user), client_id)
}

fn may_publish(rights: &Rights, name: &str) -> bool {
    rights.publish(&topic(name), QoS::AtMostOnce, false).is_allowed
}

fn may_subscribe(rights: &Rights, name: &str) -> bool {
    rights.subscribe(&filter(name)).is_allowed
}

fn place(rule: usize, line: usize) -> Place {
    Place { rule: Some(rule), line: Some(line) }
}

#[test]
fn without_rules_everything_but_writing_to_internal_topics_is_allowed() {
    let rights = rights_of(&Rules::open(), &identity(""), "c");
    assert!(may_publish(&rights, "a") && may_subscribe(&rights, "#") && may_subscribe(&rights, "$SYS/#"));
    assert!(!may_publish(&rights, "$SYS/a") && !may_publish(&rights, "$other"));
}

#[test]
fn an_empty_file_denies_everything() {
    for rules in [Rules::parse("").unwrap(), Rules::parse_mosquitto("# nothing\n").unwrap()] {
        let rights = rights_of(&rules, &identity("ann"), "c");
        assert!(!may_publish(&rights, "a") && !may_subscribe(&rights, "a") && !may_subscribe(&rights, "#"));
        assert_eq!(rights.subscribe(&filter("a")).decided, Decided::ByNone);
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let text = "[[rule]]\ndeny = \"all\"\ntopics = [\"a/secret\"]\n\n[[rule]]\nallow = \"all\"\ntopics = \"a/#\"\n\n\
                [[rule]]\ndeny = \"publish\"\ntopics = [\"a/b\"]\n";
    let rights = rights(text, "ann", "c");
    assert!(may_publish(&rights, "a/b") && !may_publish(&rights, "a/secret") && !may_publish(&rights, "b"));
    let decided = |name: &str| rights.publish(&topic(name), QoS::AtMostOnce, false).decided;
    assert_eq!(decided("a/secret"), Decided::By(place(1, 1)));
    assert_eq!(decided("a/b"), Decided::By(place(2, 5)));
    assert_eq!(decided("b"), Decided::ByNone);
}

#[test]
fn a_filter_must_lie_wholly_within_what_is_allowed() {
    let text =
        "[[rule]]\ndeny = \"all\"\ntopics = [\"a/secret\"]\n[[rule]]\nallow = \"subscribe\"\ntopics = [\"a/#\"]\n";
    let rights = rights(text, "ann", "c");
    assert!(may_subscribe(&rights, "a/b") && may_subscribe(&rights, "a/b/#") && may_subscribe(&rights, "a"));
    assert!(!may_subscribe(&rights, "a/#") && !may_subscribe(&rights, "a/+") && !may_subscribe(&rights, "#"));
    assert!(!may_subscribe(&rights, "$share/g/a/#") && may_subscribe(&rights, "$share/g/a/b"));
    assert_eq!(rights.subscribe(&filter("a/+")).decided, Decided::ByPartOf(place(1, 1)));
    assert!(rights.may_read(&topic("a/b")) && !rights.may_read(&topic("a/secret")));
}

#[test]
fn internal_topics_have_to_be_named_and_sys_is_for_reading_only() {
    let text = "[[rule]]\nallow = \"all\"\ntopics = [\"#\", \"+/x\"]\n";
    let all = rights(text, "ann", "c");
    assert!(!may_subscribe(&all, "$SYS/#") && !may_publish(&all, "$app/x") && !may_subscribe(&all, "$app/x"));
    let named = rights("[[rule]]\nallow = \"all\"\ntopics = [\"$SYS/#\", \"$app/#\"]\n", "ann", "c");
    assert!(may_subscribe(&named, "$SYS/broker/#") && may_publish(&named, "$app/x"));
    assert!(!may_publish(&named, "$SYS/broker/x") && !may_publish(&named, "$SYS"));
    let own = rights("[[rule]]\nallow = \"all\"\ntopics = [\"%u/#\"]\n", "$SYS", "c");
    assert!(!may_subscribe(&own, "$SYS/#"), "a name makes no internal topic of a pattern");
}

#[test]
fn qos_and_retain_are_part_of_what_a_rule_allows() {
    let text = "[[rule]]\nallow = \"all\"\ntopics = [\"a\"]\nqos_max = 1\nretain = false\n";
    let rights = rights(text, "ann", "c");
    let publishing = rights.publishing(&topic("a"));
    assert!(publishing.allows(QoS::AtLeastOnce, false) && !publishing.allows(QoS::ExactlyOnce, false));
    assert!(!publishing.allows(QoS::AtMostOnce, true));
    assert_eq!(rights.subscribe(&filter("a")).qos_max, QoS::AtLeastOnce);
}

#[test]
fn a_rule_speaks_of_those_for_whom_all_its_conditions_hold() {
    let text = "[[rule]]\nallow = \"publish\"\nuser = [\"ann\", \"sensor-*\"]\naddress = [\"10.0.0.0/8\", \"::1\"]\n\
                group = \"staff\"\nclient_id = \"c?\"\nclaim.tenant = \"ac*\"\ncertificate = \"*.example\"\ntopics = [\"a\"]\n";
    let rules = Rules::parse(text).unwrap();
    let attributes = Attributes {
        groups: vec![Text::from_static("other"), Text::from_static("staff")],
        claims: [("tenant".to_owned(), "acme".to_owned())].into(),
        certificate: Some(Text::from_static("d1.example")),
        expires_at_ms: None,
    };
    let whole =
        Identity { address: Some("10.2.3.4".parse().unwrap()), ..identity("sensor-7") }.with(attributes.clone());
    let with = |attributes| whole.clone().with(attributes);
    let may = |identity: &Identity, client_id: &str| may_publish(&rights_of(&rules, identity, client_id), "a");
    assert!(may(&whole, "c1"));
    assert!(may(&Identity { address: Some("::ffff:10.2.3.4".parse().unwrap()), ..whole.clone() }, "c1"));
    assert!(may(&Identity { address: Some("::1".parse().unwrap()), ..whole.clone() }, "c1"));
    for (other, client_id) in [
        (whole.clone(), "c12"),
        (Identity { user: None, ..whole.clone() }, "c1"),
        (Identity { user: Some(Text::from_static("bob")), ..whole.clone() }, "c1"),
        (with(Attributes { groups: Vec::new(), ..attributes.clone() }), "c1"),
        (with(Attributes { claims: Default::default(), ..attributes.clone() }), "c1"),
        (with(Attributes { certificate: None, ..attributes.clone() }), "c1"),
        (Identity { address: None, ..whole.clone() }, "c1"),
        (Identity { address: Some("11.0.0.1".parse().unwrap()), ..whole.clone() }, "c1"),
    ] {
        assert!(!may(&other, client_id), "{other:?} {client_id}");
    }
}

#[test]
fn rules_of_named_users_and_of_everybody_keep_their_order() {
    let text = "[[rule]]\ndeny = \"all\"\nuser = \"a*\"\ntopics = [\"x\"]\n[[rule]]\nallow = \"all\"\nuser = [\"ann\", \"bob\"]\n\
                topics = [\"x\"]\n[[rule]]\nallow = \"all\"\nanonymous = true\ntopics = [\"x\"]\n";
    assert!(!may_publish(&rights(text, "ann", "c"), "x"));
    assert!(may_publish(&rights(text, "bob", "c"), "x"));
    assert!(may_publish(&rights(text, "", "c"), "x"));
    assert!(!may_publish(&rights(text, "eve", "c"), "x"));
}

#[test]
fn a_name_that_cannot_be_put_in_allows_nothing_and_leads_around_no_denial() {
    let text = "[[rule]]\ndeny = \"publish\"\ntopics = [\"u/%u/private\"]\n[[rule]]\nallow = \"publish\"\n\
                topics = [\"u/#\"]\n[[rule]]\nallow = \"subscribe\"\ntopics = [\"d/%u/#\"]\n";
    let plain = rights(text, "ann", "c");
    assert!(!may_publish(&plain, "u/ann/private") && may_publish(&plain, "u/bob/private"));
    assert_eq!(plain.left_out(), []);
    for name in ["a/b", "#", "+"] {
        let odd = rights(text, name, "c");
        assert!(!may_publish(&odd, "u/a/b/private") && !may_publish(&odd, "u/x"), "{name}");
        assert!(!may_subscribe(&odd, "d/x/#") && !may_subscribe(&odd, "d/a/b/c"), "{name}");
        assert_eq!(odd.left_out().len(), 2);
    }
    assert!(may_publish(&rights(text, "", "c"), "u/x"), "who has no name is not meant");
}

#[test]
fn faults_are_told_with_their_rule_their_line_and_the_way_out() {
    for (rule, expected) in [
        ("topics = [\"a\"]", "rule 2 (line 5): it neither allows nor denies; write e.g. allow = \"publish\""),
        ("allow = \"all\"\ndeny = \"all\"\ntopics = [\"a\"]", "rule 2 (line 5): it both allows and denies"),
        ("allow = \"read\"\ntopics = [\"a\"]", "rule 2 (line 5): allow: unknown variant `read`"),
        ("allow = \"all\"", "rule 2 (line 5): topics: there are none"),
        ("allow = \"all\"\ntopics = [\"a#\"]", "rule 2 (line 5): topics: \"a#\" is no topic filter"),
        ("allow = \"all\"\ntopics = [\"a/%x\"]", "rule 2 (line 5): topics: \"a/%x\" has a %"),
        ("allow = \"all\"\ntopic = [\"a\"]", "rule 2 (line 5): topic: unknown field `topic`"),
        ("allow = \"all\"\ntopics = 3", "rule 2 (line 5): topics: a text, or a list of texts; write e.g."),
        ("allow = \"all\"\nqos_max = 3\ntopics = [\"a\"]", "rule 2 (line 5): qos_max: there is no such QoS"),
        ("deny = \"all\"\nqos_max = 1\ntopics = [\"a\"]", "rule 2 (line 5): qos_max: it limits what a rule allows"),
        ("allow = \"subscribe\"\nretain = false\ntopics = [\"a\"]", "rule 2 (line 5): retain: it is about publishes"),
        ("allow = \"all\"\naddress = \"10.0.0\"\ntopics = [\"a\"]", "rule 2 (line 5): address: \"10.0.0\" is no"),
        ("allow = \"all\"\nuser = \"\"\ntopics = [\"a\"]", "rule 2 (line 5): user: an empty name or list"),
        ("allow = ", "line 6: "),
    ] {
        let text = format!("[[rule]]\nallow = \"all\"\ntopics = [\"a\"]\n\n[[rule]]\n{rule}\n");
        let faults = Rules::parse(&text).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].to_string().starts_with(expected), "{} for {rule}", faults[0]);
    }
    let fault = &Rules::parse("[rules]\n").unwrap_err()[0];
    assert!(fault.to_string().starts_with("line 1: unknown field `rules`"), "{fault}");
}

#[test]
fn mosquitto_files_mean_what_they_mean_there() {
    let text = "# comment\ntopic read public/#\n\nuser ann\ntopic readwrite ann/#\ntopic deny ann/secret\ntopic a topic\n\
                topic one\nuser bob\ntopic write bob/in\n\npattern write devices/%c/out\npattern read u/%u/#\n\
                pattern deny u/%u/no\npattern read $SYS/broker/uptime\n";
    let text = text.replace("topic a topic\n", "topic write a topic\n");
    let rules = Rules::parse_mosquitto(&text).unwrap();
    let of = |user: &str, client_id: &str| rights_of(&rules, &identity(user), client_id);
    let (ann, bob, nobody) = (of("ann", "d1"), of("bob", "d2"), of("", "d3"));
    assert!(may_subscribe(&nobody, "public/x") && !may_subscribe(&ann, "public/x"));
    assert!(may_publish(&ann, "ann/x") && may_subscribe(&ann, "ann/x"));
    assert!(!may_publish(&ann, "ann/secret") && !may_subscribe(&ann, "ann/secret"), "denials come first");
    assert!(may_publish(&ann, "a topic") && !may_subscribe(&ann, "a topic"));
    assert!(may_publish(&ann, "one") && may_subscribe(&ann, "one") && !may_publish(&bob, "one"));
    assert!(may_publish(&bob, "bob/in") && !may_subscribe(&bob, "bob/in"));
    assert!(may_publish(&bob, "devices/d2/out") && !may_publish(&bob, "devices/d1/out"));
    assert!(may_subscribe(&bob, "u/bob/x") && !may_subscribe(&bob, "u/bob/no") && !may_subscribe(&nobody, "u/x/y"));
    assert!(may_subscribe(&bob, "$SYS/broker/uptime") && !may_subscribe(&bob, "$SYS/broker/clients"));
    let odd = of("#", "d4");
    assert!(!may_publish(&odd, "devices/d4/out") && !may_subscribe(&odd, "$SYS/broker/uptime"));
}

#[test]
fn faulty_mosquitto_lines_are_told() {
    let text = "user\ntopic\ntopic read\nuser ann\ntopic reed a\npattern read a#\nacl x\n  topic a\n";
    let told: Vec<_> = Rules::parse_mosquitto(text).unwrap_err().iter().map(ToString::to_string).collect();
    let begins = [
        "line 1: user: no name",
        "line 2: no topic",
        "line 5: \"reed\"",
        "line 6: \"a#\"",
        "line 7: \"acl\"",
        "line 8",
    ];
    assert_eq!(told.len(), begins.len(), "{told:?}");
    for (told, begin) in told.iter().zip(begins) {
        assert!(told.starts_with(begin), "{told}");
    }
}

fn some_filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "+", "$s"]);
    (prop::collection::vec(level, 0..3), any::<bool>()).prop_filter_map("a filter", |(mut levels, is_open)| {
        if is_open {
            levels.push("#");
        }
        let text = levels.join("/");
        TopicFilter::try_from(text.as_str()).ok().map(|_| text)
    })
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let action = prop::sample::select(vec!["publish", "subscribe", "all"]);
    let rule = (any::<bool>(), action, some_filter(), 0..3u8, prop::option::of(any::<bool>()));
    prop::collection::vec(rule, 0..5).prop_map(|rules| {
        let rules = rules.into_iter().map(|(allows, action, filter, qos, retain)| {
            let effect = if allows { "allow" } else { "deny" };
            let qos = if allows { format!("qos_max = {qos}\n") } else { String::new() };
            let retain = retain.filter(|_| action != "subscribe").map(|retain| format!("retain = {retain}\n"));
            let retain = retain.unwrap_or_default();
            format!("[[rule]]\n{effect} = \"{action}\"\n{qos}{retain}topics = [\"{filter}\"]\n")
        });
        Rules::parse(&rules.collect::<String>()).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn whatever_a_granted_filter_matches_may_be_read(rules in some_rules(), asked in some_filter()) {
        let rights = rights_of(&rules, &identity("ann"), "c");
        if rights.subscribe(&filter(&asked)).is_allowed {
            const LEVELS: [&str; 4] = ["a", "b", "z", "$s"];
            let mut topics: Vec<String> = LEVELS.map(str::to_owned).into();
            for _ in 0..3 {
                topics = topics.iter().flat_map(|start| {
                    LEVELS.iter().map(move |level| format!("{start}/{level}")).chain([start.clone()])
                }).collect();
            }
            for name in topics.iter().map(|name| topic(name)).filter(|name| filter(&asked).matches(name)) {
                prop_assert!(rights.may_read(&name), "{asked} was granted, and {name} is not to be read");
            }
        }
    }

    #[test]
    fn all_ways_to_publish_are_decided_as_each_by_itself(rules in some_rules(), name in "[$]?[ab](/[abs])?") {
        let (rights, topic) = (rights_of(&rules, &identity("ann"), "c"), topic(&name));
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for retain in [false, true] {
                let alone = rights.publish(&topic, qos, retain).is_allowed;
                prop_assert_eq!(rights.publishing(&topic).allows(qos, retain), alone);
            }
        }
    }

    #[test]
    fn no_name_makes_a_pattern_match_beside_its_own_level(name in "[a-z+#/$%\u{1}]{1,4}", asked in some_filter()) {
        let rules = Rules::parse_mosquitto("pattern readwrite own/%u/x\npattern readwrite c-%c/#\n").unwrap();
        let rights = rights_of(&rules, &identity(&name), &name);
        if rights.subscribe(&filter(&asked)).is_allowed {
            let is_own = asked.starts_with(&format!("own/{name}/x")) || asked.starts_with(&format!("c-{name}"));
            prop_assert!(is_own, "{asked} is granted to {name:?}");
        }
        prop_assert!(!may_publish(&rights, "own/other/x") && !may_publish(&rights, "c-other/y"));
    }
}
