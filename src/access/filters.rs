//! Topic Filters as sets of topics: whether one holds all of another, and whether two have a topic in common.
//!
//! Filters are given without `$share/name/`. A wildcard in the first level matches no topic that begins with `$`
//! [MQTT-4.7.2-1], here as in routing.

const MANY: &[u8] = b"#";
const ONE: &[u8] = b"+";

fn levels(filter: &[u8]) -> impl Iterator<Item = &[u8]> {
    filter.split(|byte| *byte == b'/')
}

fn is_wildcard(level: Option<&[u8]>) -> bool {
    matches!(level, Some(MANY | ONE))
}

fn is_internal(level: Option<&[u8]>) -> bool {
    level.is_some_and(|level| level.first() == Some(&b'$'))
}

/// Whether every topic that `inner` matches is matched by `outer` as well.
pub fn covers(outer: &[u8], inner: &[u8]) -> bool {
    let (mut outer, mut inner) = (levels(outer).peekable(), levels(inner).peekable());
    if is_wildcard(outer.peek().copied()) && is_internal(inner.peek().copied()) {
        return false;
    }
    let mut depth = 0;
    loop {
        match (outer.next(), inner.next()) {
            // `a/#` matches `a` itself too.
            (Some(MANY), _) | (None, None) => return true,
            // Each topic has a first level, so that `+/#` is all that `#` is; further down it is not.
            (Some(ONE), Some(MANY)) => return depth == 0 && outer.next() == Some(MANY),
            (Some(_), Some(MANY) | None) | (None, Some(_)) => return false,
            (Some(ONE), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (Some(_), Some(_)) => return false,
        }
        depth += 1;
    }
}

/// Whether some topic is matched by both.
pub fn overlaps(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (levels(one).peekable(), levels(other).peekable());
    let (first, second) = (one.peek().copied(), other.peek().copied());
    if (is_wildcard(first) && is_internal(second)) || (is_internal(first) && is_wildcard(second)) {
        return false;
    }
    loop {
        match (one.next(), other.next()) {
            (Some(MANY), _) | (_, Some(MANY)) | (None, None) => return true,
            (Some(_), None) | (None, Some(_)) => return false,
            (Some(ONE), Some(_)) | (Some(_), Some(ONE)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{TopicFilter, TopicName};
    use proptest::prelude::*;

    /// Every topic of up to four levels over an alphabet with a letter that no filter names.
    fn topics() -> Vec<TopicName> {
        const LETTERS: [&str; 5] = ["a", "b", "z", "", "$s"];
        let mut all: Vec<String> = Vec::new();
        let mut longest: Vec<String> = LETTERS.map(str::to_owned).into();
        for _ in 0..4 {
            all.extend(longest.iter().cloned());
            longest =
                longest.iter().flat_map(|start| LETTERS.iter().map(move |level| format!("{start}/{level}"))).collect();
        }
        all.iter().filter_map(|topic| TopicName::try_from(topic.as_str()).ok()).collect()
    }

    fn a_filter() -> impl Strategy<Value = TopicFilter> {
        let level = prop::sample::select(vec!["a", "b", "+", "", "$s"]);
        (prop::collection::vec(level, 0..4), any::<bool>()).prop_filter_map("a filter", |(mut levels, is_open)| {
            if is_open {
                levels.push("#");
            }
            // `/#` also matches a topic without a name, which there is none of: covering need not know.
            TopicFilter::try_from(levels.join("/").as_str()).ok().filter(|filter| filter.as_str() != "/#")
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn covering_and_overlapping_are_what_trying_every_topic_says(one in a_filter(), other in a_filter()) {
            let (mut is_covered, mut is_overlapped) = (true, false);
            for topic in topics() {
                let (in_one, in_other) = (one.matches(&topic), other.matches(&topic));
                is_covered &= in_one || !in_other;
                is_overlapped |= in_one && in_other;
            }
            prop_assert_eq!(covers(one.inner(), other.inner()), is_covered, "{} covers {}", one, other);
            prop_assert_eq!(overlaps(one.inner(), other.inner()), is_overlapped, "{} overlaps {}", one, other);
        }
    }

    #[test]
    fn the_corners_of_covering() {
        for (outer, inner, expected) in [
            ("#", "#", true),
            ("+/#", "#", true),
            ("a/+/#", "a/#", false),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/#", "#", false),
            ("+", "#", false),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/broker/+", true),
            ("a/+", "a/#", false),
        ] {
            assert_eq!(covers(outer.as_bytes(), inner.as_bytes()), expected, "{outer} covers {inner}");
        }
    }
}
