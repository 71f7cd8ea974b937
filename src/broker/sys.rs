//! `$SYS`: the broker's counters as retained messages.
use super::{Broker, Origin};
use crate::types::{Message, Now, QoS, TopicName};
use bytes::Bytes;

impl Broker {
    /// Publishes every counter and size below `$SYS/broker/`; `started` is when the broker was.
    pub fn publish_sys(&self, started: Now, now: Now) {
        let (retained, retained_bytes) = self.retained.size();
        let sizes = [
            ("uptime_s", started.millis_until(now) / 1000),
            ("sessions/count", self.sessions() as u64),
            ("subscriptions/count", self.subscriptions() as u64),
            ("retained/count", retained as u64),
            ("retained/bytes", retained_bytes as u64),
        ];
        let values: Vec<_> = sizes.into_iter().chain(self.counters.all()).collect();
        let version = concat!("vowmq ", env!("CARGO_PKG_VERSION"));
        let durability = self.features.durability.unwrap_or("memory");
        self.in_house(|broker, house, batch| {
            let mut publish = |name: &str, payload: Bytes| {
                let topic =
                    TopicName::try_from(format!("$SYS/broker/{name}").as_str()).expect("names of ours are legal");
                let message = Message {
                    topic,
                    payload,
                    qos: QoS::AtMostOnce,
                    retain: broker.features.retain,
                    forward: Bytes::new(),
                    expires_at: None,
                };
                house.publish(broker, message, Origin::House, batch, now);
            };
            publish("version", Bytes::from_static(version.as_bytes()));
            publish("vow/durability", Bytes::from_static(durability.as_bytes()));
            for (name, value) in values {
                publish(name, Bytes::from(value.to_string()));
            }
        });
    }
}
