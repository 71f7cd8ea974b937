//! Does a received packet match what the case wants, given the values seen so far?

use std::collections::BTreeMap;

use super::packet::{Packet, to_hex};
use super::script::{Check, Number};

/// What `$x` stands for: 4 hex digits of a packet identifier, or a property's bytes.
pub type Seen = BTreeMap<String, String>;

/// `Ok` adds what the packet lets us see to `seen`; a packet that does not match adds nothing.
pub fn matches(packet: &Packet, checks: &[Check], seen: &mut Seen) -> Result<(), String> {
    if packet.malformed {
        return Err(format!("malformed: {}", packet.brief()));
    }
    let mut now_seen = seen.clone();
    for check in checks {
        if !holds(packet, check, &mut now_seen) {
            return Err(format!("not {check:?}: {}", packet.brief()));
        }
    }
    *seen = now_seen;
    Ok(())
}

fn holds(packet: &Packet, check: &Check, seen: &mut Seen) -> bool {
    match check {
        Check::Id(Number::Fixed(id)) => packet.id == Some(*id),
        Check::Id(Number::Named(name)) => packet.id.is_some_and(|id| {
            let id = format!("{id:04x}");
            *seen.entry(name.clone()).or_insert_with(|| id.clone()) == id
        }),
        Check::Codes(codes) => packet.codes == *codes,
        Check::CodeAmong(codes) => packet.codes.first().is_some_and(|code| codes.contains(code)),
        Check::SessionPresent(flag) => packet.session_present == Some(*flag),
        Check::QoS(qos) => packet.qos == Some(*qos),
        Check::Retain(flag) => packet.retain == Some(*flag),
        Check::Dup(flag) => packet.dup == Some(*flag),
        Check::Topic(topic) => packet.topic.as_ref() == Some(topic),
        Check::TopicLength(length) => packet.topic.as_ref().is_some_and(|topic| topic.len() == *length),
        Check::TopicOrAlias(topic) => packet.topic.as_ref().is_some_and(|got| got.is_empty() || got == topic),
        Check::Payload(payload) => packet.payload.as_ref() == Some(payload),
        Check::Raw(raw) => packet.raw == *raw,
        Check::HasProperty(id) => packet.has_property(*id),
        Check::LacksProperty(id) => !packet.has_property(*id),
        Check::Property { id, values, unordered } => {
            let (mut got, mut want) = (packet.property(*id), values.clone());
            if *unordered {
                got.sort();
                want.sort();
            }
            got == want
        }
        Check::PropertyAtMost { id, value } => packet.property(*id).first().is_none_or(|got| got <= value),
        Check::PropertyStored { id, name } => match packet.properties.iter().find(|(key, _)| key == id) {
            Some((_, value)) => {
                seen.insert(name.clone(), to_hex(value));
                true
            }
            None => false,
        },
        Check::Differ(one, other) => seen.contains_key(one) && seen.get(one) != seen.get(other),
    }
}
