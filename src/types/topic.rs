//! Topic Names and Topic Filters (section 4.7), shared ones included (5.0 section 4.8.2).
use super::{ReasonCode, Text, Violation};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// A topic to publish to: not empty, no wildcard, no U+0000.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Text);

impl TopicName {
    pub fn parse(text: Text) -> Result<Self, Violation> {
        // [MQTT-4.7.3-1]
        if text.is_empty() {
            return Err(Violation::new(ReasonCode::ProtocolError, "MQTT-4.7.3-1", "a Topic Name is empty"));
        }
        // [MQTT-3.3.2-2], [MQTT-4.7.0-1] (5.0), [MQTT-4.7.1-1] (3.1.1)
        if text.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#')) {
            return Err(Violation::new(ReasonCode::ProtocolError, "MQTT-3.3.2-2", "a Topic Name holds a wildcard"));
        }
        Ok(Self(text))
    }

    pub fn as_text(&self) -> &Text {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// Topics that begin with `$` are hidden from filters that begin with a wildcard [MQTT-4.7.2-1].
    pub fn is_internal(&self) -> bool {
        self.as_bytes().first() == Some(&b'$')
    }

    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }
}

impl TryFrom<&str> for TopicName {
    type Error = Violation;
    fn try_from(text: &str) -> Result<Self, Violation> {
        Self::parse(Text::try_from(text)?)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

/// The name of a group of subscribers that share their messages (5.0 section 4.8.2).
pub type ShareName = Text;

/// The two parts of `$share/name/filter`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    pub name: ShareName,
    /// The filter that topics are matched against.
    pub filter: TopicFilter,
}

/// What a subscription matches: the whole of it as the client sent it, a share included. Its bytes are its own, and all
/// copies share them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Arc<str>);

/// What a shared filter begins with; the name follows, and a slash.
const SHARE: &str = "$share/";

impl TopicFilter {
    pub fn parse(text: &Text) -> Result<Self, Violation> {
        // [MQTT-4.7.3-1]
        if text.is_empty() {
            return Err(Violation::protocol("MQTT-4.7.3-1", "a Topic Filter is empty"));
        }
        if let Some(rest) = text.as_str().strip_prefix(SHARE) {
            check_share(rest)?;
        }
        let filter = Self(text.as_str().into());
        check_wildcards(filter.inner())?;
        Ok(filter)
    }

    /// The whole filter as the client sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its bytes, shared.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        self.0.clone().into()
    }

    /// The name and the filter proper, if subscribers share this filter's messages.
    fn parts(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix(SHARE)?.split_once('/')
    }

    /// The bytes that topics are matched against: without `$share/name/`.
    pub fn inner(&self) -> &[u8] {
        self.parts().map_or(self.as_str(), |(_, inner)| inner).as_bytes()
    }

    /// The group's name, if subscribers share this filter's messages.
    pub fn share_name(&self) -> Option<ShareName> {
        let (name, _) = self.parts()?;
        Some(Text::try_from(name).expect("a part of legal text"))
    }

    pub fn share(&self) -> Option<Share> {
        let (_, inner) = self.parts()?;
        Some(Share { name: self.share_name()?, filter: Self(inner.into()) })
    }

    pub fn is_shared(&self) -> bool {
        self.0.starts_with(SHARE)
    }

    pub fn has_wildcard(&self) -> bool {
        self.inner().iter().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Whether a topic matches this filter (sections 4.7.1 and 4.7.2); the reference that the tree is tested against.
    pub fn matches(&self, topic: &TopicName) -> bool {
        let mut filter = self.inner().split(|byte| *byte == b'/');
        let mut name = topic.as_bytes().split(|byte| *byte == b'/');
        let mut is_first = true;
        loop {
            let level = filter.next();
            // [MQTT-4.7.2-1]
            if is_first && topic.is_internal() && matches!(level, Some(b"+" | b"#")) {
                return false;
            }
            is_first = false;
            match (level, name.next()) {
                (Some(b"#"), _) => return true,
                (Some(b"+"), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                (None, None) => return true,
                (Some(_), _) | (None, Some(_)) => return false,
            }
        }
    }
}

/// Checks what follows `$share/`.
fn check_share(rest: &str) -> Result<(), Violation> {
    let wrong = |rule, why| Err(Violation::new(ReasonCode::TopicFilterInvalid, rule, why));
    let Some((name, filter)) = rest.split_once('/') else {
        // [MQTT-4.8.2-2]
        return wrong("MQTT-4.8.2-2", "a shared subscription names no Topic Filter");
    };
    // [MQTT-4.8.2-1]
    if name.is_empty() {
        return wrong("MQTT-4.8.2-1", "a share name is empty");
    }
    // [MQTT-4.8.2-2]
    if name.contains(['+', '#']) || filter.is_empty() {
        return wrong("MQTT-4.8.2-2", "a share name holds a wildcard, or its Topic Filter is empty");
    }
    Ok(())
}

fn check_wildcards(filter: &[u8]) -> Result<(), Violation> {
    let wrong = |rule, why| Err(Violation::new(ReasonCode::TopicFilterInvalid, rule, why));
    let mut levels = filter.split(|byte| *byte == b'/').peekable();
    while let Some(level) = levels.next() {
        // [MQTT-4.7.1-1] (5.0), [MQTT-4.7.1-2] (3.1.1)
        if level.contains(&b'#') && (level.len() > 1 || levels.peek().is_some()) {
            return wrong("MQTT-4.7.1-1", "# must be alone in the last level of a Topic Filter");
        }
        // [MQTT-4.7.1-2] (5.0), [MQTT-4.7.1-3] (3.1.1)
        if level.contains(&b'+') && level.len() > 1 {
            return wrong("MQTT-4.7.1-2", "+ must fill a whole level of a Topic Filter");
        }
    }
    Ok(())
}

impl TryFrom<&str> for TopicFilter {
    type Error = Violation;
    fn try_from(text: &str) -> Result<Self, Violation> {
        Self::parse(&Text::try_from(text)?)
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, formatter)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_section_4_7_says() {
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("#", "a/b", true),
            ("+", "finance", true),
            ("+", "/finance", false),
            ("/+", "/finance", true),
            ("+/+", "/finance", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("sport/+/player1", "sport/a/player1", true),
            ("sport/+/player1", "sport/a/b/player1", false),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("a", "a/", false),
            ("$share/g/a/+", "a/b", true),
            ("$share/g/#", "$SYS/x", false),
        ] {
            let matches = TopicFilter::try_from(filter).unwrap().matches(&TopicName::try_from(topic).unwrap());
            assert_eq!(matches, expected, "{filter} against {topic} [MQTT-4.7.1-2] [MQTT-4.7.2-1]");
        }
    }

    #[test]
    fn illegal_filters_are_refused() {
        for filter in [
            "",
            "a#",
            "#/a",
            "a/#/b",
            "a+",
            "+a/b",
            "a/b+",
            "$share/",
            "$share/g",
            "$share//a",
            "$share/g/",
            "$share/+/a",
            "$share/g/a#",
        ] {
            assert!(TopicFilter::try_from(filter).is_err(), "{filter} [MQTT-4.7.1-1] [MQTT-4.8.2-1] [MQTT-4.8.2-2]");
        }
    }

    #[test]
    fn a_shared_filter_has_a_name_and_an_inner_filter() {
        let share = TopicFilter::try_from("$share/group/a/#").unwrap().share().unwrap();
        assert_eq!((share.name.as_str(), share.filter.as_str()), ("group", "a/#"));
        assert_eq!(TopicFilter::try_from("$shared/a/b").unwrap().share(), None);
    }

    #[test]
    fn topic_names_hold_no_wildcard() {
        for topic in ["", "a/+", "#", "a#b"] {
            assert!(TopicName::try_from(topic).is_err(), "{topic} [MQTT-3.3.2-2] [MQTT-4.7.3-1]");
        }
    }
}
