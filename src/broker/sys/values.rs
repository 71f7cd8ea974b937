//! The values below `$SYS/broker/`: those that other brokers have too under their names, and VowMQ's own.
use super::averages::NAMES;
use super::{History, Surroundings};
use crate::broker::{Broker, Census};
use crate::types::Now;

/// Name below `$SYS/broker/`, and value.
pub(super) type Value = (String, String);

impl Broker {
    pub(super) fn sys_values(&self, around: &Surroundings, history: &mut History, now: Now) -> Vec<Value> {
        let census = self.census();
        history.look(&census, around);
        let mut values = self.known_values(&census, around, history, now);
        values.extend(self.loads(history, now));
        values.extend(self.own_values(&census, around, now));
        values
    }

    /// Those that monitors of Mosquitto ask for. Where it counts packets ("messages"), so does this.
    fn known_values(&self, census: &Census, around: &Surroundings, history: &History, now: Now) -> Vec<Value> {
        let (counters, traffic) = (&self.counters, &self.counters.traffic);
        let (retained, retained_bytes) = self.retained.size();
        let away = census.sessions - census.connected;
        let stored = census.queued_messages + retained as u64;
        let texts = [
            ("version", concat!("vowmq version ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("uptime", format!("{} seconds", around.started.millis_until(now) / 1000)),
        ];
        let numbers = [
            ("clients/total", census.sessions),
            ("clients/connected", census.connected),
            ("clients/active", census.connected),
            ("clients/disconnected", away),
            ("clients/inactive", away),
            ("clients/maximum", history.clients_maximum),
            ("clients/expired", counters.sessions_expired.value()),
            ("subscriptions/count", self.subscriptions() as u64),
            ("shared_subscriptions/count", self.groups() as u64),
            ("retained messages/count", retained as u64),
            ("messages/stored", stored),
            ("messages/received", traffic.packets_received.value()),
            ("messages/sent", traffic.packets_sent.value()),
            ("store/messages/count", stored),
            ("store/messages/bytes", census.queued_bytes + retained_bytes as u64),
            ("publish/messages/received", counters.publishes_received.value()),
            ("publish/messages/sent", counters.deliveries_sent.value()),
            ("publish/messages/dropped", counters.dropped_in_all()),
            ("publish/bytes/received", traffic.payload_bytes_received.value()),
            ("publish/bytes/sent", traffic.payload_bytes_sent.value()),
            ("bytes/received", traffic.bytes_received.value()),
            ("bytes/sent", traffic.bytes_sent.value()),
            ("heap/current", around.resident_bytes),
            ("heap/maximum", history.heap_maximum),
        ];
        let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text));
        texts.chain(numbers.map(|(name, number)| (name.to_owned(), number.to_string()))).collect()
    }

    /// Events a minute, smoothed.
    fn loads(&self, history: &mut History, now: Now) -> Vec<Value> {
        let (counters, traffic) = (&self.counters, &self.counters.traffic);
        let events = [
            ("messages/received", traffic.packets_received.value()),
            ("messages/sent", traffic.packets_sent.value()),
            ("publish/received", counters.publishes_received.value()),
            ("publish/sent", counters.deliveries_sent.value()),
            ("publish/dropped", counters.dropped_in_all()),
            ("bytes/received", traffic.bytes_received.value()),
            ("bytes/sent", traffic.bytes_sent.value()),
            ("sockets", counters.connections_accepted.value()),
            ("connections", counters.connections_opened.value()),
        ];
        let minutes = history.minutes_since_last(now);
        let mut values = Vec::new();
        for (name, value) in events {
            let averages = history.averages.entry(name).or_default().update(value, minutes);
            let named = NAMES.iter().zip(averages);
            values.extend(named.map(|(span, average)| (format!("load/{name}/{span}"), format!("{average:.2}"))));
        }
        values
    }

    /// Sizes and times that only this broker has, and every counter.
    fn own_values(&self, census: &Census, around: &Surroundings, now: Now) -> Vec<Value> {
        let (retained, retained_bytes) = self.retained.size();
        let (lag, commits) = (self.lag(), &self.counters.commits);
        let (commit, wait) = (commits.commit_us.distribution(), commits.wait_us.distribution());
        let delivery = self.counters.deliveries.delivery_us.distribution();
        let durability = self.features.load().durability.unwrap_or(if self.is_durable() { "fsync" } else { "memory" });
        let numbers = [
            ("uptime_s", around.started.millis_until(now) / 1000),
            ("sessions/count", census.sessions),
            ("retained/count", retained as u64),
            ("retained/bytes", retained_bytes as u64),
            ("vow/commit/latency_us/p50", commit.quantile(0.5).unwrap_or(0)),
            ("vow/commit/latency_us/p99", commit.quantile(0.99).unwrap_or(0)),
            ("vow/commit/wait_us/p50", wait.quantile(0.5).unwrap_or(0)),
            ("vow/commit/wait_us/p99", wait.quantile(0.99).unwrap_or(0)),
            ("vow/delivery/latency_us/p50", delivery.quantile(0.5).unwrap_or(0)),
            ("vow/delivery/latency_us/p99", delivery.quantile(0.99).unwrap_or(0)),
            ("vow/lag/submissions", lag.submissions),
            ("vow/lag/bytes", lag.bytes),
            ("vow/lag/oldest_us", lag.oldest_us),
            ("vow/in_doubt", census.under_way.total()),
            ("vow/queued/messages", census.queued_messages),
            ("vow/queued/bytes", census.queued_bytes),
            ("vow/queued/longest", census.longest_queue),
        ];
        let numbers = numbers.into_iter().chain(self.counters.all());
        let mut values: Vec<_> = numbers.map(|(name, number)| (name.to_owned(), number.to_string())).collect();
        values.push(("vow/durability".to_owned(), durability.to_owned()));
        values
    }
}
