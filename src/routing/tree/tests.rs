use super::*;
use crate::packet::{RetainHandling, SubscriptionOptions};
use crate::types::QoS;
use proptest::prelude::*;
use std::num::NonZeroU32;

/// A subscriber that is its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Peer(u64);

impl Subscriber for Peer {
    fn key(&self) -> SessionKey {
        SessionKey(self.0)
    }
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text).unwrap()
}

fn topic(text: &str) -> TopicName {
    TopicName::try_from(text).unwrap()
}

fn options(qos: QoS) -> SubscriptionOptions {
    SubscriptionOptions { qos, ..SubscriptionOptions::default() }
}

fn plain(peer: u64) -> Subscription<Peer> {
    Subscription { subscriber: Peer(peer), options: options(QoS::AtMostOnce), id: None }
}

fn tree_of(subscriptions: &[(&str, u64)]) -> Tree<Peer> {
    let mut tree = Tree::new();
    for (text, peer) in subscriptions {
        assert_eq!(tree.subscribe(&filter(text), plain(*peer)), Added::New, "{text}");
    }
    tree
}

fn receivers(tree: &Tree<Peer>, text: &str) -> Vec<u64> {
    tree.route(&topic(text), None).targets.iter().map(|target| target.subscriber.0).collect()
}

#[test]
fn targets_come_in_the_order_of_their_sessions() {
    let tree = tree_of(&[("a/b", 5), ("a/+", 3), ("#", 9), ("+/b", 1), ("a/#", 7), ("b", 2), ("a/b", 4)]);
    assert_eq!(receivers(&tree, "a/b"), [1, 3, 4, 5, 7, 9]);
    assert_eq!(receivers(&tree, "a"), [7, 9], "a/# matches its parent (section 4.7.1.2)");
    assert_eq!(receivers(&tree, "b"), [2, 9]);
}

#[test]
fn internal_topics_are_hidden_from_leading_wildcards() {
    let tree = tree_of(&[("#", 1), ("+/x", 2), ("$SYS/#", 3), ("$SYS/+", 4), ("+/+", 5), ("$SYS/x", 6)]);
    assert_eq!(receivers(&tree, "$SYS/x"), [3, 4, 6], "[MQTT-4.7.2-1]");
    assert_eq!(receivers(&tree, "a/$x"), [1, 5], "[MQTT-4.7.2-1] is about a topic's first byte");
}

#[test]
fn overlapping_subscriptions_merge_to_the_highest_qos_and_all_identifiers() {
    let mut tree = Tree::new();
    for (text, qos, id, retain_as_published) in [
        ("a/b", QoS::AtLeastOnce, Some(9), false),
        ("a/+", QoS::ExactlyOnce, None, true),
        ("#", QoS::AtMostOnce, Some(2), false),
        ("a/#", QoS::AtMostOnce, Some(2), false),
        ("c", QoS::ExactlyOnce, Some(4), true),
    ] {
        let options = SubscriptionOptions { retain_as_published, ..options(qos) };
        tree.subscribe(&filter(text), Subscription { subscriber: Peer(1), options, id: id.and_then(NonZeroU32::new) });
    }
    let route = tree.route(&topic("a/b"), None);
    let [target] = route.targets.as_slice() else { panic!("one copy per session: {route:?}") };
    assert_eq!(target.qos, QoS::ExactlyOnce, "[MQTT-3.3.4-2]");
    assert_eq!(target.ids(), [2, 2, 9], "[MQTT-3.3.4-3]");
    assert!(target.retain_as_published);
    let route = tree.route(&topic("z"), None);
    assert!(route.targets.iter().all(|target| target.qos == QoS::AtMostOnce && !target.retain_as_published));
}

#[test]
fn targets_without_identifiers_allocate_none_and_equal_lists_are_shared() {
    let mut tree = tree_of(&[("a", 1)]);
    for peer in [2, 3] {
        tree.subscribe(&filter("a"), Subscription { id: NonZeroU32::new(7), ..plain(peer) });
    }
    let route = tree.route(&topic("a"), None);
    let [none, first, second] = route.targets.as_slice() else { panic!("{route:?}") };
    assert!(none.subscription_ids.is_empty() && !first.subscription_ids.is_empty());
    assert!(first.subscription_ids.is_shared_with(&second.subscription_ids));
}

#[test]
fn no_local_leaves_out_the_publisher_only() {
    let mut tree = Tree::new();
    for peer in [1, 2] {
        let options = SubscriptionOptions { no_local: true, ..options(QoS::AtLeastOnce) };
        tree.subscribe(&filter("a/+"), Subscription { options, ..plain(peer) });
    }
    let to = |tree: &Tree<Peer>, publisher| {
        let route = tree.route(&topic("a/b"), publisher);
        route.targets.iter().map(|target| (target.subscriber.0, target.qos)).collect::<Vec<_>>()
    };
    assert_eq!(to(&tree, Some(SessionKey(1))), [(2, QoS::AtLeastOnce)], "[MQTT-3.8.3-3]");
    assert_eq!(to(&tree, None).len(), 2);
    tree.subscribe(&filter("#"), plain(1));
    let expected = [(1, QoS::AtMostOnce), (2, QoS::AtLeastOnce)];
    assert_eq!(to(&tree, Some(SessionKey(1))), expected, "[MQTT-3.8.3-3] holds per subscription");
}

#[test]
fn a_subscription_to_the_same_filter_replaces_the_first() {
    for text in ["a/b", "a/+", "$share/g/a/b", "$share/g/a/+"] {
        let mut tree = Tree::new();
        let qos1 = Subscription { options: options(QoS::AtLeastOnce), id: NonZeroU32::new(1), ..plain(1) };
        let qos2 = Subscription { options: options(QoS::ExactlyOnce), id: None, ..plain(1) };
        assert_eq!(tree.subscribe(&filter(text), qos1), Added::New);
        assert_eq!(tree.subscribe(&filter(text), qos2), Added::Replaced, "{text} [MQTT-3.8.4-3]");
        assert_eq!(tree.len(), 1);
        let route = tree.route(&topic("a/b"), None);
        let plain = route.targets.iter().map(|target| (target.qos, target.ids().to_vec()));
        let shared = route.groups.iter().flat_map(|group| group.members());
        let shared = shared.map(|member| (member.options.qos, member.id.into_iter().map(NonZeroU32::get).collect()));
        assert_eq!(plain.chain(shared).collect::<Vec<_>>(), [(QoS::ExactlyOnce, vec![])], "{text} [MQTT-3.8.4-3]");
    }
}

#[test]
fn the_generation_rises_when_routes_may_change_and_only_then() {
    for text in ["a", "a/#", "$share/g/a", "$share/g/+"] {
        let mut tree = Tree::new();
        let step = |tree: &mut Tree<Peer>, change: &dyn Fn(&mut Tree<Peer>)| {
            let before = tree.generation();
            change(tree);
            tree.generation() - before
        };
        let quiet = SubscriptionOptions { retain_handling: RetainHandling::Never, ..options(QoS::AtMostOnce) };
        let quiet = Subscription { options: quiet, ..plain(1) };
        let louder = Subscription { options: options(QoS::AtLeastOnce), ..plain(1) };
        let numbered = Subscription { id: NonZeroU32::new(3), ..louder.clone() };
        let add = |subscription: &Subscription<Peer>| {
            let subscription = subscription.clone();
            move |tree: &mut Tree<Peer>| {
                tree.subscribe(&filter(text), subscription.clone());
            }
        };
        assert_eq!(step(&mut tree, &add(&plain(1))), 1, "{text}: new");
        assert_eq!(step(&mut tree, &add(&plain(1))), 0, "{text}: the same again");
        assert_eq!(step(&mut tree, &add(&quiet)), 0, "{text}: retain handling routes nothing");
        assert_eq!(step(&mut tree, &add(&louder)), 1, "{text}: another QoS");
        assert_eq!(step(&mut tree, &add(&numbered)), 1, "{text}: another identifier");
        let leave = |key| {
            move |tree: &mut Tree<Peer>| {
                tree.unsubscribe(&filter(text), SessionKey(key));
            }
        };
        assert_eq!(step(&mut tree, &leave(2)), 0, "{text}: never subscribed");
        assert_eq!(step(&mut tree, &leave(1)), 1, "{text}: left");
        assert_eq!(step(&mut tree, &leave(1)), 0, "{text}: left already");
    }
}

#[test]
fn groups_are_told_apart_by_name_and_filter() {
    let tree = tree_of(&[
        ("$share/g/a/b", 1),
        ("$share/g/a/b", 2),
        ("$share/h/a/b", 1),
        ("$share/g/a/+", 3),
        ("$share/g/c", 4),
        ("a/b", 1),
    ]);
    let route = tree.route(&topic("a/b"), None);
    let groups: Vec<_> = route.groups.iter().map(|group| (group.filter().as_str(), group.members().len())).collect();
    assert_eq!(groups, [("$share/g/a/+", 1), ("$share/g/a/b", 2), ("$share/h/a/b", 1)], "(section 4.8.2)");
    assert_eq!(receivers(&tree, "a/b"), [1], "a session's own subscription stands beside its share");
    let group = tree.group(&filter("$share/g/a/b")).unwrap();
    assert_eq!((group.name().as_str(), group.has(SessionKey(2)), group.has(SessionKey(3))), ("g", true, false));
    for absent in ["$share/i/a/b", "$share/g/a", "a/b", "$share/g/#"] {
        assert!(tree.group(&filter(absent)).is_none(), "{absent}");
    }
}

#[test]
fn a_route_handed_out_keeps_its_groups_as_they_were() {
    let mut tree = tree_of(&[("$share/g/a", 1)]);
    let cached = tree.route(&topic("a"), None);
    tree.subscribe(&filter("$share/g/a"), plain(2));
    assert_eq!(cached.groups[0].members().len(), 1);
    assert_eq!(tree.route(&topic("a"), None).groups[0].members().len(), 2);
}

#[test]
fn internal_topics_are_hidden_from_shared_leading_wildcards_too() {
    let tree = tree_of(&[("$share/g/#", 1), ("$share/g/+/x", 2)]);
    assert!(tree.route(&topic("$SYS/x"), None).is_empty(), "[MQTT-4.7.2-1]");
    assert_eq!(tree.route(&topic("a/x"), None).groups.len(), 2);
}

#[test]
fn unsubscribing_everything_leaves_no_node() {
    let mut tree = Tree::new();
    let mut subscribed = Vec::new();
    for a in ["", "a", "b", "+"] {
        for b in 0..12 {
            for tail in ["", "/", "/#", "/+/x", "/+/x/y", "//", "/x/y/z"] {
                for share in ["", "$share/g/", "$share/h/"] {
                    subscribed.push((filter(&format!("{share}{a}/{b}{tail}")), b % 5));
                }
            }
        }
    }
    for (filter, peer) in &subscribed {
        tree.subscribe(filter, plain(*peer));
    }
    assert_eq!(tree.len(), subscribed.len());
    let filters = subscribed.len() / 3;
    assert!(tree.nodes() < filters * 2, "{} nodes for {filters} filters", tree.nodes());
    // An order that mixes parents and children, the same in each run.
    subscribed.sort_by_key(|(filter, _)| filter.as_str().bytes().rev().collect::<Vec<_>>());
    for (filter, peer) in &subscribed {
        assert!(tree.unsubscribe(filter, SessionKey(*peer)), "{filter}");
    }
    assert_eq!((tree.len(), tree.nodes()), (0, 0));
}

#[test]
fn a_broadcast_filter_takes_many_subscribers() {
    let mut tree = Tree::new();
    for peer in (0..20_000).rev() {
        tree.subscribe(&filter("all/#"), plain(peer));
    }
    assert!(receivers(&tree, "all/x").into_iter().eq(0..20_000));
    for peer in 0..20_000 {
        assert!(tree.unsubscribe(&filter("all/#"), SessionKey(peer)));
    }
    assert_eq!(tree.nodes(), 0);
}

#[test]
fn a_wildcard_bomb_costs_no_more_nodes_than_it_subscribed() {
    // All 2^10 ways to write + or a in ten levels, and a topic that matches each of them.
    let mut tree = Tree::new();
    for mask in 0..1024_u64 {
        let levels: Vec<_> = (0..10).map(|bit| if mask >> bit & 1 == 1 { "+" } else { "a" }).collect();
        tree.subscribe(&filter(&levels.join("/")), plain(mask));
    }
    let name = topic(&["a"; 10].join("/"));
    let mut matched = 0;
    let looked_at = tree.wildcards.walk(&name, |_| matched += 1);
    assert_eq!(matched, 1023, "all but the one without a wildcard");
    assert!(looked_at <= tree.wildcards.nodes(), "{looked_at} of {} nodes", tree.wildcards.nodes());
    assert_eq!(tree.route(&name, None).targets.len(), 1024);
}

#[test]
fn a_single_filter_of_plusses_is_looked_at_once() {
    let tree = tree_of(&[(&["+"; 30_000].join("/"), 1), (&format!("{}/#", ["+"; 20_000].join("/")), 2)]);
    let name = topic(&["a"; 30_000].join("/"));
    let looked_at = tree.wildcards.walk(&name, |_| {});
    assert!(looked_at <= 3, "{looked_at} nodes");
    assert_eq!(receivers(&tree, &"/".repeat(29_999)), [1, 2]);
    assert_eq!(receivers(&tree, &"/".repeat(29_998)), [2]);
}

#[test]
fn siblings_that_do_not_match_are_not_looked_at() {
    let mut tree = Tree::new();
    for device in 0..10_000 {
        tree.subscribe(&filter(&format!("site/{device}/+/state")), plain(device));
    }
    let name = topic("site/77/door/state");
    assert!(tree.wildcards.walk(&name, |_| {}) <= 2);
    assert_eq!(receivers(&tree, "site/77/door/state"), [77]);
}

#[test]
fn the_longest_topics_and_filters_neither_recurse_nor_need_a_node_per_level() {
    let slashes = "/".repeat(65_535);
    let mut tree = tree_of(&[(&slashes, 1), (&format!("{}+", "/".repeat(65_534)), 2)]);
    assert_eq!(receivers(&tree, &slashes), [1]);
    assert_eq!(receivers(&tree, &"/".repeat(65_534)), [2]);
    tree.subscribe(&filter(&format!("{}#", "/".repeat(65_534))), plain(3));
    tree.subscribe(&filter(&format!("+{}", "/".repeat(65_534))), plain(4));
    assert_eq!(receivers(&tree, &slashes), [1, 3]);
    assert_eq!(receivers(&tree, &"/".repeat(65_534)), [2, 3, 4]);
    assert!(tree.nodes() <= 7, "{} nodes", tree.nodes());
}

#[test]
fn a_trie_of_great_depth_is_walked_and_dropped_without_recursion() {
    let mut tree = Tree::new();
    let deepest = 20_000;
    for depth in (1..=deepest).step_by(2) {
        tree.subscribe(&filter(&format!("{}#", "/".repeat(depth))), plain(1));
    }
    assert_eq!(receivers(&tree, &"/".repeat(deepest)), [1]);
    assert!(tree.nodes() > 10_000);
    std::thread::Builder::new().stack_size(64 << 10).spawn(move || drop(tree)).unwrap().join().unwrap();
}

/// Few and odd levels, so that filters and topics meet: empty ones, siblings around the slash's byte, `$`.
fn level() -> impl proptest::strategy::Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "a!", "a0", "$a"])
}

fn topics() -> impl proptest::strategy::Strategy<Value = TopicName> {
    let levels = prop::collection::vec(level(), 1..6).prop_map(|levels| levels.join("/"));
    levels.prop_filter_map("a topic is not empty", |text| TopicName::try_from(text.as_str()).ok())
}

fn filters() -> impl proptest::strategy::Strategy<Value = TopicFilter> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    let share = prop::sample::select(vec!["", "", "", "$share/g/", "$share/h/"]);
    let end = prop::sample::select(vec!["", "", "/#"]);
    let texts = (share, prop::collection::vec(level, 0..6), end).prop_map(|(share, levels, end)| {
        let inner = format!("{}{end}", levels.join("/"));
        format!("{share}{}", if levels.is_empty() { "#" } else { &inner })
    });
    texts.prop_filter_map("a filter is not empty", |text| TopicFilter::try_from(text.as_str()).ok())
}

fn subscriptions() -> impl proptest::strategy::Strategy<Value = Subscription<Peer>> {
    let qos = prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    (0..6_u64, qos, any::<bool>(), any::<bool>(), prop::option::of(1..4_u32)).prop_map(
        |(peer, qos, no_local, retain_as_published, id)| {
            let options = SubscriptionOptions { no_local, retain_as_published, ..options(qos) };
            Subscription { subscriber: Peer(peer), options, id: id.and_then(NonZeroU32::new) }
        },
    )
}

/// The reference: a list of subscriptions, each compared with the topic.
type Model = BTreeMap<(TopicFilter, u64), Subscription<Peer>>;

type Targets = Vec<(u64, QoS, bool, Vec<u32>)>;
type Groups = Vec<(String, Vec<(u64, QoS)>)>;

fn expected(model: &Model, topic: &TopicName, publisher: u64) -> (Targets, Groups) {
    let (mut targets, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for ((filter, peer), subscription) in model.iter().filter(|((filter, _), _)| filter.matches(topic)) {
        let options = subscription.options;
        if let Some(name) = filter.share_name() {
            let members: &mut Vec<_> = groups.entry((name, filter.clone())).or_default();
            members.push((*peer, options.qos));
        } else if !(options.no_local && *peer == publisher) {
            let (qos, retain_as_published, ids) = targets.entry(*peer).or_insert((QoS::AtMostOnce, false, Vec::new()));
            *qos = (*qos).max(options.qos);
            *retain_as_published |= options.retain_as_published;
            ids.extend(subscription.id.map(NonZeroU32::get));
            ids.sort_unstable();
        }
    }
    let targets = targets.into_iter().map(|(peer, (qos, retain, ids))| (peer, qos, retain, ids)).collect();
    let groups = groups.into_iter().map(|((_, filter), members)| (filter.to_string(), members)).collect();
    (targets, groups)
}

fn actual(tree: &Tree<Peer>, topic: &TopicName, publisher: u64) -> (Targets, Groups) {
    let route = tree.route(topic, Some(SessionKey(publisher)));
    let targets = route.targets.iter();
    let targets =
        targets.map(|target| (target.subscriber.0, target.qos, target.retain_as_published, target.ids().to_vec()));
    let groups = route.groups.iter().map(|group| {
        let members = group.members().iter().map(|member| (member.subscriber.0, member.options.qos));
        (group.filter().to_string(), members.collect())
    });
    (targets.collect(), groups.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// [MQTT-4.7.1-1] to [MQTT-4.7.2-1], [MQTT-3.8.3-3], [MQTT-3.8.4-3], [MQTT-3.3.4-2], [MQTT-3.3.4-3]
    #[test]
    fn routes_are_those_of_comparing_each_filter(
        changes in prop::collection::vec((filters(), subscriptions(), prop::bool::weighted(0.7)), 1..60),
        topics in prop::collection::vec(topics(), 1..12),
        publisher in 0..6_u64,
    ) {
        let (mut tree, mut model) = (Tree::new(), Model::new());
        let mut routes: Vec<_> = topics.iter().map(|topic| expected(&model, topic, publisher)).collect();
        for (filter, subscription, is_added) in changes {
            let before = tree.generation();
            let place = (filter.clone(), subscription.subscriber.0);
            if is_added {
                let known = model.insert(place, subscription.clone()).is_some();
                let added = tree.subscribe(&filter, subscription);
                prop_assert_eq!(added, if known { Added::Replaced } else { Added::New });
            } else {
                let known = model.remove(&place).is_some();
                prop_assert_eq!(tree.unsubscribe(&filter, subscription.key()), known);
            }
            prop_assert_eq!(tree.len(), model.len());
            let shared = model.keys().map(|(filter, _)| filter).filter(|filter| filter.is_shared());
            let shared: std::collections::BTreeSet<_> = shared.collect();
            prop_assert_eq!(tree.shared_filters(None).map(|(filter, _)| filter).collect::<Vec<_>>(), Vec::from_iter(shared));
            for (topic, route) in topics.iter().zip(&mut routes) {
                let now = actual(&tree, topic, publisher);
                prop_assert_eq!(&now, &expected(&model, topic, publisher), "{:?}", topic);
                prop_assert!(now == *route || tree.generation() > before, "a route changed, the generation did not");
                *route = now;
            }
            let filters = model.keys().map(|(filter, _)| filter.inner()).collect::<std::collections::BTreeSet<_>>();
            prop_assert!(tree.nodes() <= filters.len() * 2);
        }
        for ((filter, peer), _) in model {
            prop_assert!(tree.unsubscribe(&filter, SessionKey(peer)));
        }
        prop_assert_eq!((tree.len(), tree.nodes()), (0, 0), "nothing is left behind");
    }

    /// Two filters, whose labels split and join at every place there is.
    #[test]
    fn subscribing_and_unsubscribing_one_filter_leaves_the_other(kept in filters(), passing in filters(), name in topics()) {
        prop_assume!(kept != passing);
        let mut tree = Tree::new();
        tree.subscribe(&kept, plain(1));
        let (nodes, route) = (tree.nodes(), actual(&tree, &name, 0));
        tree.subscribe(&passing, plain(2));
        tree.unsubscribe(&passing, SessionKey(2));
        prop_assert_eq!((tree.nodes(), actual(&tree, &name, 0)), (nodes, route));
    }
}
