//! Mosquitto's `acl_file`, read as Mosquitto 2.0 reads it.
//!
//! Lines are `user NAME`, `topic [read|write|readwrite|deny] TOPIC` and `pattern [...] TOPIC`; those that begin with `#`
//! are comments. Topics before the first `user` line are for clients without a user name only. Order does not count
//! there: of what is for one user, denials come first; patterns are for everybody and come last, denials first.
use super::pattern::Pattern;
use super::rule::{Action, Effect, Rule};
use super::who::{Names, Who};
use super::{Fault, Place};
use crate::types::QoS;

const ACCESS: [(&str, Effect, Action); 4] = [
    ("read", Effect::Allow, Action::Subscribe),
    ("write", Effect::Allow, Action::Publish),
    ("readwrite", Effect::Allow, Action::All),
    ("deny", Effect::Deny, Action::All),
];

pub(super) fn parse(text: &str) -> Result<Vec<Rule>, Vec<Fault>> {
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    let mut user = None;
    for (index, line) in text.lines().enumerate() {
        let place = Place { rule: None, line: Some(index + 1) };
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (rest, is_pattern) = (rest.trim(), word == "pattern");
        let read = match word {
            "user" if rest.is_empty() => Err(("user: no name".to_owned(), "write e.g. user ann")),
            "user" => {
                user = Some(rest.to_owned());
                continue;
            }
            "topic" | "pattern" => rule(rest, is_pattern, user.as_deref(), place),
            _ => {
                let what = format!("\"{word}\" begins no line of such a file");
                Err((what, "begin it with user, topic, pattern or, for a comment, #"))
            }
        };
        match read {
            Ok(rule) => rules.push((order(is_pattern, &rule), rule)),
            Err((what, fix)) => faults.push(Fault::new(place, what, fix)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    // Stable: otherwise they stay as written.
    rules.sort_by_key(|(order, _)| *order);
    Ok(rules.into_iter().map(|(_, rule)| rule).collect())
}

fn order(is_pattern: bool, rule: &Rule) -> (bool, bool) {
    (is_pattern, rule.effect == Effect::Allow)
}

fn rule(rest: &str, is_pattern: bool, user: Option<&str>, place: Place) -> Result<Rule, (String, &'static str)> {
    let (effect, action, topic) = match rest.split_once(' ') {
        // One word is the topic, whatever it is.
        None => (Effect::Allow, Action::All, rest),
        Some((word, topic)) => {
            let known = ACCESS.into_iter().find(|(name, ..)| *name == word);
            let fix = "write read, write, readwrite or deny before the topic";
            let (_, effect, action) = known.ok_or_else(|| (format!("\"{word}\" is no kind of access"), fix))?;
            (effect, action, topic.trim())
        }
    };
    if topic.is_empty() {
        return Err(("no topic".to_owned(), "write e.g. topic read devices/#"));
    }
    let who = match (is_pattern, user) {
        (true, _) => Who { needs_plain_names: true, ..Who::default() },
        (false, Some(user)) => Who { user: Some(Names::exact(user)), ..Who::default() },
        (false, None) => Who { anonymous: Some(true), ..Who::default() },
    };
    let topics = vec![Pattern::parse_mosquitto(topic, is_pattern)?];
    Ok(Rule { place, effect, action, who, topics, qos_max: QoS::ExactlyOnce, retain: None })
}
