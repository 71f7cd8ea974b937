//! Dead letters: copies of dropped messages, for whoever wants to know what somebody missed.
//!
//! A message that a full queue did not take is copied in the turn that published it, so that the copy is stored with
//! what others got of it. What a session gives up later waits in [`Drops`](super::Drops) for the house.
use super::{Batch, Broker, Lost, Origin, Publisher};
use crate::codec::ForwardProperties;
use crate::types::{Message, Now, Stamp, Text, TopicName};
use std::sync::Arc;

/// Copies made in one turn of the house.
const TURN_MAX: usize = 256;

impl Broker {
    /// Publishes the copies of what sessions gave up.
    pub fn publish_dead_letters(&self, now: Now) {
        loop {
            let lost = self.counters.drops.take_lost(TURN_MAX);
            if lost.is_empty() {
                return;
            }
            self.in_house(|broker, house, batch| {
                for lost in &lost {
                    house.dead_letter(broker, lost, batch, now);
                }
            });
        }
    }
}

impl Publisher {
    /// Publishes the copy of a message that somebody missed, if anybody subscribed to it. A copy that is dropped in its
    /// turn has no copy.
    pub(super) fn dead_letter(&mut self, broker: &Broker, lost: &Lost, batch: &mut Batch, now: Now) {
        let Some(prefix) = &broker.queue.dead_letter_topic else { return };
        if is_below(&lost.message.topic, prefix) {
            return;
        }
        let topic = TopicName::try_from(format!("{prefix}/{}", lost.message.topic).as_str());
        // Only a topic that would be too long cannot be written.
        let Ok(topic) = topic else { return broker.counters.dead_letters_left_out.add(1) };
        if self.reaches_anybody(broker, &topic) {
            broker.counters.dead_letters.add(1);
            self.publish(broker, Arc::new(copy(lost, topic)), Origin::House, batch, now);
        }
    }
}

fn is_below(topic: &TopicName, prefix: &TopicName) -> bool {
    let rest = topic.as_bytes().strip_prefix(prefix.as_bytes().as_ref());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// The message as it was published, but for its topic and that it does not expire, with who missed it and why.
fn copy(lost: &Lost, topic: TopicName) -> Message {
    let user = vec![
        (Text::from_static("vowmq-reason"), Text::from_static(lost.reason)),
        (Text::from_static("vowmq-client"), lost.client_id.to_text()),
    ];
    let added = ForwardProperties { user, ..ForwardProperties::default() }.encode();
    let added = added.expect("both are texts, which are short enough to be written");
    let message = &lost.message;
    Message {
        topic,
        payload: message.payload.clone(),
        qos: message.qos,
        retain: false,
        // User Properties may come again and stand anywhere.
        forward: [message.forward.clone(), added].concat().into(),
        expires_at: None,
        received: Stamp::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClientId, QoS, Stamp};
    use bytes::Bytes;
    use std::sync::Arc;

    fn topic(name: &str) -> TopicName {
        TopicName::try_from(name).unwrap()
    }

    #[test]
    fn only_what_is_below_the_topic_is_a_dead_letter() {
        let prefix = topic("$dead");
        for (name, expected) in [("$dead", true), ("$dead/a", true), ("$deads/a", false), ("a/$dead", false)] {
            assert_eq!(is_below(&topic(name), &prefix), expected, "{name}");
        }
    }

    #[test]
    fn a_copy_is_the_message_with_who_missed_it_and_why() {
        let own = ForwardProperties {
            content_type: Some(Text::from_static("text")),
            user: vec![(Text::from_static("k"), Text::from_static("v"))],
            ..ForwardProperties::default()
        };
        let message = Message {
            topic: topic("a"),
            payload: Bytes::from_static(b"p"),
            qos: QoS::ExactlyOnce,
            retain: true,
            forward: own.encode().unwrap(),
            expires_at: Some(Now::from_millis(5)),
            received: Stamp::default(),
        };
        let client_id = ClientId::new(&Text::from_static("c")).unwrap();
        let lost = Lost { client_id, reason: "expired", message: Arc::new(message) };
        let copy = copy(&lost, topic("$dead/a"));
        assert_eq!(
            (copy.topic.as_str(), copy.qos, copy.retain, copy.expires_at),
            ("$dead/a", QoS::ExactlyOnce, false, None)
        );
        assert_eq!(copy.payload, lost.message.payload);
        let properties = ForwardProperties::parse(&copy.forward).unwrap();
        assert_eq!(properties.content_type, own.content_type);
        let user: Vec<_> = properties.user.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(user, [("k", "v"), ("vowmq-reason", "expired"), ("vowmq-client", "c")]);
    }
}
