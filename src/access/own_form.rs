//! VowMQ's own form of a rules file: TOML, one `[[rule]]` after the other (docs/ACCESS.md).
use super::pattern::Pattern;
use super::rule::{Action, Effect, Rule};
use super::who::{Name, Names, Who};
use super::{Fault, Place};
use crate::types::QoS;
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<toml::Table>>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    allow: Option<Action>,
    deny: Option<Action>,
    user: Option<OneOrMany>,
    group: Option<OneOrMany>,
    client_id: Option<OneOrMany>,
    certificate: Option<OneOrMany>,
    address: Option<OneOrMany>,
    #[serde(default)]
    claim: BTreeMap<String, OneOrMany>,
    anonymous: Option<bool>,
    topics: Option<OneOrMany>,
    qos_max: Option<u8>,
    retain: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// What is wrong with a rule, and how to put it right.
type Mistake = (String, String);

/// Reads a whole file. Every faulty rule is told, with its first mistake.
pub(super) fn parse(text: &str) -> Result<Vec<Rule>, Vec<Fault>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let fix = "write one [[rule]] after the other, each with allow or deny, and topics; see docs/ACCESS.md";
        vec![Fault::new(Place { rule: None, line }, error.message(), fix)]
    })?;
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for (index, table) in file.rules.into_iter().enumerate() {
        let line = line_of(text, table.span().start);
        let place = Place { rule: Some(index + 1), line: Some(line) };
        match read(table.into_inner()).and_then(|written| rule(&written, place)) {
            Ok(rule) => rules.push(rule),
            Err((what, fix)) => faults.push(Fault::new(place, what, fix)),
        }
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn read(table: toml::Table) -> Result<Written, Mistake> {
    // Tried key by key, so that the message names the key.
    for (key, value) in &table {
        let alone = toml::Table::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = alone.try_into::<Written>() {
            return Err((format!("{key}: {}", error.message()), fix_for(key).to_owned()));
        }
    }
    let whole = table.try_into::<Written>();
    whole.map_err(|error| (error.message().to_owned(), "see docs/ACCESS.md".to_owned()))
}

fn fix_for(key: &str) -> &'static str {
    match key {
        "allow" | "deny" => "write \"publish\", \"subscribe\" or \"all\"",
        "user" | "group" | "client_id" | "certificate" => "write e.g. \"sensor-*\" or [\"ann\", \"bob\"]",
        "address" => "write e.g. \"10.0.0.0/8\"",
        "claim" => "write e.g. claim.tenant = \"acme\"",
        "topics" => "write e.g. topics = [\"devices/%c/#\"]",
        "qos_max" => "write 0, 1 or 2",
        "anonymous" | "retain" => "write true or false",
        _ => {
            "choose among allow, deny, user, group, client_id, certificate, address, claim, anonymous, topics, qos_max, \
             retain"
        }
    }
}

fn rule(written: &Written, place: Place) -> Result<Rule, Mistake> {
    let mistake = |what: &str, fix: &str| Err((what.to_owned(), fix.to_owned()));
    let (effect, action) = match (written.allow, written.deny) {
        (Some(action), None) => (Effect::Allow, action),
        (None, Some(action)) => (Effect::Deny, action),
        (Some(_), Some(_)) => return mistake("it both allows and denies", "make two rules of it; the first decides"),
        (None, None) => return mistake("it neither allows nor denies", "write e.g. allow = \"publish\""),
    };
    if written.qos_max.is_some() && effect == Effect::Deny {
        return mistake("qos_max: it limits what a rule allows, and this one denies", "leave qos_max out");
    }
    if written.retain.is_some() && action == Action::Subscribe {
        return mistake("retain: it is about publishes, and this rule is not", "leave retain out");
    }
    if written.anonymous == Some(true) && (written.user.is_some() || written.group.is_some()) {
        return mistake("anonymous: such a client has no user and no groups", "leave anonymous, or the others, out");
    }
    let topics = written.topics.as_ref().map_or(&[][..], OneOrMany::texts);
    if topics.is_empty() {
        return mistake(
            "topics: there are none",
            "write e.g. topics = [\"devices/%c/#\"]; all are [\"#\", \"$SYS/#\"]",
        );
    }
    let topics = topics
        .iter()
        .map(|topic| Pattern::parse(topic).map_err(|(what, fix)| (format!("topics: {what}"), fix.to_owned())));
    let qos_max = match QoS::from_bits(written.qos_max.unwrap_or(2)) {
        Some(qos_max) => qos_max,
        None => return mistake("qos_max: there is no such QoS", "write 0, 1 or 2"),
    };
    Ok(Rule {
        place,
        effect,
        action,
        who: who(written)?,
        topics: topics.collect::<Result<_, _>>()?,
        qos_max,
        retain: written.retain,
    })
}

fn who(written: &Written) -> Result<Who, Mistake> {
    let claims = written.claim.iter().map(|(claim, values)| Ok((claim.clone(), names(claim, values)?)));
    let named = |key: &str, texts: &Option<OneOrMany>| texts.as_ref().map(|texts| names(key, texts)).transpose();
    let networks = written.address.as_ref().map(|texts| texts.texts().iter().map(|text| network(text)).collect());
    Ok(Who {
        user: named("user", &written.user)?,
        group: named("group", &written.group)?,
        client_id: named("client_id", &written.client_id)?,
        certificate: named("certificate", &written.certificate)?,
        address: networks.transpose()?,
        claims: claims.collect::<Result<_, Mistake>>()?,
        anonymous: written.anonymous,
        needs_plain_names: false,
    })
}

fn names(key: &str, texts: &OneOrMany) -> Result<Names, Mistake> {
    let texts = texts.texts();
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        let fix = "name at least one, or leave it out; for clients without a user write anonymous = true";
        return Err((format!("{key}: an empty name or list"), fix.to_owned()));
    }
    Ok(Names(texts.iter().map(|text| Name::glob(text)).collect()))
}

fn network(text: &str) -> Result<IpNet, Mistake> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or(alone).map_err(|_| {
        (format!("address: \"{text}\" is no address and no network"), "write e.g. \"10.0.0.0/8\"".to_owned())
    })
}
