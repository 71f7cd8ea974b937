//! Topic filters with names of the client in them: `devices/%c/#`.
use super::Subject;
use crate::types::TopicFilter;

/// A topic filter with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    ClientId,
    User,
    Claim(String),
}

/// What a pattern comes to for one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filled {
    Filter(String),
    /// The client has no such name: the pattern does not speak of it.
    Missing,
    /// The client's name would change what the pattern means. `within` holds every topic it could have meant.
    Unusable {
        within: String,
    },
}

impl Pattern {
    /// Reads `%c`, `%u`, `%{claim.NAME}` and `%%`. The error says what is wrong and how to put it right.
    pub fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        const FIX: &str = "write %c, %u or %{claim.NAME}, or %% for a percent sign";
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('%') {
            push_text(&mut parts, before);
            rest = if let Some(after) = after.strip_prefix('c') {
                parts.push(Part::ClientId);
                after
            } else if let Some(after) = after.strip_prefix('u') {
                parts.push(Part::User);
                after
            } else if let Some(after) = after.strip_prefix('%') {
                push_text(&mut parts, "%");
                after
            } else if let Some((name, after)) = after.strip_prefix("{claim.").and_then(|rest| rest.split_once('}')) {
                if name.is_empty() {
                    return Err((format!("\"{text}\" names no claim"), FIX));
                }
                parts.push(Part::Claim(name.to_owned()));
                after
            } else {
                return Err((format!("\"{text}\" has a % that begins no placeholder"), FIX));
            };
        }
        push_text(&mut parts, rest);
        Self(parts).checked(text)
    }

    /// Reads a topic of Mosquitto's: only `%c` and `%u` are placeholders, and only where `has_names`.
    pub fn parse_mosquitto(text: &str, has_names: bool) -> Result<Self, (String, &'static str)> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find('%').filter(|_| has_names) {
            let (before, from) = rest.split_at(at);
            push_text(&mut parts, before);
            rest = if let Some(after) = from.strip_prefix("%c") {
                parts.push(Part::ClientId);
                after
            } else if let Some(after) = from.strip_prefix("%u") {
                parts.push(Part::User);
                after
            } else {
                push_text(&mut parts, "%");
                from.strip_prefix('%').unwrap_or_default()
            };
        }
        push_text(&mut parts, rest);
        Self(parts).checked(text)
    }

    fn checked(self, text: &str) -> Result<Self, (String, &'static str)> {
        // Any name that may be put in is a piece of one level.
        let sample = self.0.iter().map(|part| if let Part::Text(text) = part { text } else { "x" });
        match TopicFilter::try_from(sample.collect::<String>().as_str()) {
            Ok(filter) if filter.is_shared() => {
                let fix = "leave out $share and the name behind it: what is shared is judged by the filter in it";
                Err((format!("\"{text}\" is a shared subscription, and not a set of topics"), fix))
            }
            Ok(_) => Ok(self),
            Err(_) => Err((format!("\"{text}\" is no topic filter"), "write e.g. \"devices/%c/#\"")),
        }
    }

    /// Puts the client's names in.
    pub fn fill(&self, subject: Subject<'_>) -> Filled {
        let mut filter = String::new();
        for part in &self.0 {
            let name = match part {
                Part::Text(text) => {
                    filter.push_str(text);
                    continue;
                }
                Part::ClientId => Some(subject.client_id.as_str()),
                Part::User => subject.identity.user.as_ref().map(|user| user.as_str()),
                Part::Claim(name) => subject.identity.attributes().claims.get(name).map(String::as_str),
            };
            let Some(name) = name else { return Filled::Missing };
            // A name must not make a topic of the broker's own of what was none.
            if !is_usable(name) || (filter.is_empty() && name.starts_with('$')) {
                let level = filter.rfind('/').map_or(0, |slash| slash + 1);
                return Filled::Unusable { within: format!("{}#", filter.get(..level).unwrap_or_default()) };
            }
            filter.push_str(name);
        }
        Filled::Filter(filter)
    }
}

fn push_text(parts: &mut Vec<Part>, more: &str) {
    if more.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push_str(more),
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

/// Whether a name stays within one level and means only itself there.
pub(super) fn is_usable(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|letter| matches!(letter, '+' | '#' | '/') || letter.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::{client, identity};
    use crate::types::Attributes;

    fn fill(pattern: &str, user: &str, client_id: &str) -> Filled {
        let claims = [("tenant".to_owned(), "acme".to_owned())].into();
        let identity = identity(user).with(Attributes { claims, ..Attributes::default() });
        Pattern::parse(pattern).unwrap().fill(Subject { identity: &identity, client_id: &client(client_id) })
    }

    #[test]
    fn names_are_put_where_their_placeholders_stand() {
        for (pattern, expected) in [
            ("devices/%c/#", "devices/d1/#"),
            ("u/%u/+", "u/ann/+"),
            ("dev-%c/%u", "dev-d1/ann"),
            ("t/%{claim.tenant}/%c", "t/acme/d1"),
            ("load/100%%/%u", "load/100%/ann"),
        ] {
            assert_eq!(fill(pattern, "ann", "d1"), Filled::Filter(expected.into()), "{pattern}");
        }
        assert_eq!(fill("u/%u", "", "d1"), Filled::Missing);
        assert_eq!(fill("t/%{claim.other}", "ann", "d1"), Filled::Missing);
    }

    #[test]
    fn names_with_wildcards_slashes_or_control_characters_never_feed_a_pattern() {
        for name in ["#", "+", "a/b", "a#", "a+", "a\u{1}", "a\u{85}", "a\u{7f}", "/"] {
            let within = Filled::Unusable { within: "u/#".into() };
            assert_eq!(fill("u/%u/x", name, "d1"), within, "{name:?} as user");
            assert_eq!(fill("u/x-%c/x", "ann", name), within, "{name:?} as client identifier");
        }
        assert_eq!(fill("%u/#", "$SYS", "d1"), Filled::Unusable { within: "#".into() });
        assert_eq!(fill("u/%u", "$SYS", "d1"), Filled::Filter("u/$SYS".into()));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for text in ["", "a/%x", "a/%", "%{claim.}", "%{claim.a", "a#", "#/%c", "+%c", "$share/g/a"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
        assert!(Pattern::parse_mosquitto("50%/x%z", true).is_ok());
    }
}
