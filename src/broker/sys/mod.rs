//! `$SYS`: what goes on in the broker, as retained messages.
mod averages;
mod values;

use super::{Broker, Census, Origin};
use crate::types::{Message, Now, QoS, Stamp, TopicName};
use averages::Average;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the broker itself does not know.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// When it was started.
    pub started: Now,
    /// Bytes of the process in main memory; 0 if nobody can tell.
    pub resident_bytes: u64,
}

/// What has to be remembered from one publication to the next.
#[derive(Debug, Default)]
pub(super) struct History {
    last: Option<Now>,
    clients_maximum: u64,
    heap_maximum: u64,
    averages: BTreeMap<&'static str, Average>,
}

impl History {
    fn look(&mut self, census: &Census, around: &Surroundings) {
        self.clients_maximum = self.clients_maximum.max(census.connected);
        self.heap_maximum = self.heap_maximum.max(around.resident_bytes);
        self.last.get_or_insert(around.started);
    }

    fn minutes_since_last(&mut self, now: Now) -> f64 {
        let last = self.last.replace(now).unwrap_or(now);
        // Twice in one moment would be a load without end.
        last.millis_until(now).max(1) as f64 / 60_000.0
    }
}

impl Broker {
    /// Publishes every counter, size and average below `$SYS/broker/`.
    pub fn publish_sys(&self, around: Surroundings, now: Now) {
        let values = self.sys_values(&around, &mut self.history.lock(), now);
        let retain = self.features.load().retain;
        self.in_house(|broker, house, batch| {
            for (name, value) in values {
                let topic =
                    TopicName::try_from(format!("$SYS/broker/{name}").as_str()).expect("names of ours are legal");
                let message = Message {
                    topic,
                    payload: Bytes::from(value),
                    qos: QoS::AtMostOnce,
                    retain,
                    forward: Bytes::new(),
                    expires_at: None,
                    received: Stamp::default(),
                };
                house.publish(broker, Arc::new(message), Origin::House, batch, now);
            }
        });
    }
}
