use super::*;
use proptest::prelude::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text).unwrap()
}

fn topic(text: &str) -> TopicName {
    TopicName::try_from(text).unwrap()
}

fn retained_of<'a>(topics: impl IntoIterator<Item = &'a str>) -> Retained<usize> {
    let mut retained = Retained::new();
    for (message, text) in topics.into_iter().enumerate() {
        retained.insert(topic(text), message);
    }
    retained
}

fn matches(retained: &Retained<usize>, text: &str) -> Vec<String> {
    retained.matching(&filter(text), None, usize::MAX).into_iter().map(|(topic, _)| topic.to_string()).collect()
}

#[test]
fn the_last_message_of_a_topic_is_kept() {
    let mut retained = Retained::new();
    assert_eq!(retained.insert(topic("a"), 1), None);
    assert_eq!(retained.insert(topic("a"), 2), Some(1), "[MQTT-3.3.1-5]");
    assert_eq!((retained.get(&topic("a")), retained.get(&topic("b")), retained.len()), (Some(&2), None, 1));
    assert_eq!(retained.remove(&topic("b")), None);
    assert_eq!(retained.remove(&topic("a")), Some(2), "[MQTT-3.3.1-6]");
    assert!(retained.is_empty());
}

#[test]
fn filters_find_their_topics_in_topic_order() {
    let retained =
        retained_of(["a/b", "a", "a!", "a!/b", "a0/b", "b/b", "/", "//", "/b", "$SYS/b", "a//b", "a/b/c", "a/"]);
    for (filter, expected) in [
        ("a", &["a"] as &[_]),
        ("a/b", &["a/b"]),
        ("a/#", &["a", "a/", "a//b", "a/b", "a/b/c"]),
        ("+/b", &["/b", "a!/b", "a/b", "a0/b", "b/b"]),
        ("+", &["a", "a!"]),
        ("/#", &["/", "//", "/b"]),
        ("+/+", &["/", "/b", "a!/b", "a/", "a/b", "a0/b", "b/b"]),
        ("a/+/b", &["a//b"]),
        ("a/+/#", &["a/", "a//b", "a/b", "a/b/c"]),
        ("$SYS/#", &["$SYS/b"]),
        ("$SYS/+", &["$SYS/b"]),
        ("x/#", &[]),
    ] {
        assert_eq!(matches(&retained, filter), expected, "{filter} (section 4.7.1)");
    }
    assert!(matches(&retained, "#").iter().all(|topic| !topic.starts_with('$')), "[MQTT-4.7.2-1]");
    assert_eq!(matches(&retained, "#").len(), retained.len() - 1);
}

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    let names: Vec<String> = (0..100).map(|number| format!("a/{number}/x")).collect();
    let retained = retained_of(names.iter().map(String::as_str));
    let whole = retained.matching(&filter("a/+/x"), None, usize::MAX);
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = retained.matching(&filter("a/+/x"), after.as_ref(), 7);
        assert!(page.len() <= 7);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        pages.extend(page);
    }
    assert_eq!(pages, whole);
    assert_eq!(whole.len(), 100);
}

#[test]
fn a_page_starts_behind_a_topic_that_is_gone() {
    let retained = retained_of(["a/1", "a/3", "b"]);
    let page = retained.matching(&filter("a/+"), Some(&topic("a/2")), 9);
    assert_eq!(page, [(topic("a/3"), 1)]);
}

#[test]
fn a_page_ends_when_it_has_looked_enough() {
    let names: Vec<String> = (0..1_000).map(|number| format!("{number}/b/c")).collect();
    let retained = retained_of(names.iter().map(String::as_str).chain(["zz/x"]));
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = retained.page(&filter("+/x"), after.as_ref(), 10, 100);
        pages += 1;
        found.extend(page.found);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [(topic("zz/x"), 1_000)]);
    assert!((10..=30).contains(&pages), "{pages}");
}

#[test]
fn what_cannot_match_is_jumped_over() {
    let names: Vec<String> = (0..200).flat_map(|a| (0..100).map(move |b| format!("{a}/{b}/x"))).collect();
    let retained = retained_of(names.iter().map(String::as_str).chain(["$SYS/x", "7/x"]));
    let looks = |text: &str| {
        let (page, looks) = retained.scan(&filter(text), None, usize::MAX, usize::MAX);
        assert_eq!(page.next, None);
        (page.found.len(), looks)
    };
    assert_eq!(looks("7/#"), (101, 103), "a range, where it starts and where it ends");
    let (found, looked_at) = looks("+/x");
    assert!(found == 1 && looked_at < 200 * 4, "{looked_at} of 20,000");
    let (found, looked_at) = looks("+/50/x");
    assert!(found == 200 && looked_at < 200 * 5, "{looked_at} of 20,000");
    let (found, looked_at) = looks("150/50/x");
    assert!(found == 1 && looked_at <= 5, "{looked_at} of 20,000");
    let (found, looked_at) = looks("150/50/x/y/z");
    assert!(found == 0 && looked_at <= 6, "{looked_at} of 20,000");
    let (found, looked_at) = looks("+");
    assert!(found == 0 && looked_at < 200 * 3, "{looked_at} of 20,000");
}

#[test]
fn the_longest_topics_and_filters_are_compared() {
    let slashes = "/".repeat(65_535);
    let retained = retained_of([slashes.as_str(), "a", "/"]);
    assert_eq!(matches(&retained, &slashes), [slashes.as_str()]);
    assert_eq!(matches(&retained, &format!("{}#", "/".repeat(65_534))), [slashes.as_str()]);
    assert_eq!(matches(&retained, &format!("+{}", "/".repeat(65_534))), [""; 0]);
    assert_eq!(matches(&retained, &["+"; 32_768].join("/")), [""; 0]);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "a!", "a0", "$a", "ab"])
}

fn topics() -> impl Strategy<Value = TopicName> {
    let levels = prop::collection::vec(level(), 1..6).prop_map(|levels| levels.join("/"));
    levels.prop_filter_map("a topic is not empty", |text| TopicName::try_from(text.as_str()).ok())
}

fn filters() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof![3 => level(), 2 => Just("+")];
    let texts = (prop::collection::vec(level, 0..6), any::<bool>()).prop_map(|(mut levels, has_end)| {
        levels.extend((has_end || levels.is_empty()).then_some("#"));
        levels.join("/")
    });
    texts.prop_filter_map("a filter is not empty", |text| TopicFilter::try_from(text.as_str()).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// [MQTT-4.7.1-1] to [MQTT-4.7.2-1]
    #[test]
    fn matches_are_those_of_comparing_each_topic(
        topics in prop::collection::btree_set(topics(), 0..60),
        filter in filters(),
        after in topics(),
        at_most in 1..8_usize,
        looks_max in 1..8_usize,
    ) {
        let retained = retained_of(topics.iter().map(TopicName::as_str));
        let expected: Vec<_> = topics.iter().cloned().enumerate().map(|(at, topic)| (topic, at)).collect();
        let expected: Vec<_> = expected.into_iter().filter(|(topic, _)| filter.matches(topic)).collect();
        let (page, looks) = retained.scan(&filter, None, usize::MAX, usize::MAX);
        prop_assert_eq!(&page.found, &expected);
        prop_assert!(looks <= topics.len(), "no topic is looked at twice");
        let behind: Vec<_> = expected.iter().filter(|(topic, _)| *topic > after).take(at_most).cloned().collect();
        prop_assert_eq!(retained.matching(&filter, Some(&after), at_most), behind);
        let (mut paged, mut next) = (Vec::new(), None);
        loop {
            let page = retained.page(&filter, next.as_ref(), at_most, looks_max);
            prop_assert!(page.found.len() <= at_most);
            prop_assert!(page.next > next || page.next.is_none(), "each page goes on");
            paged.extend(page.found);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        prop_assert_eq!(paged, expected);
    }
}
