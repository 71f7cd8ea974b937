//! How many groups the broker committed, and how large they were.
use super::broker::Broker;
use super::link::{Life, Link};
use super::probe::{directory_bytes, writes_of_thread};
use super::subscriber::subscribe;
use std::time::Duration;
use vowmq::packet::Packet;
use vowmq::types::QoS;

/// Counted since the broker's start, or between two counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Groups {
    pub count: u64,
    pub bytes: u64,
}

/// Where the counts come from.
pub enum Counter {
    /// The broker counts, below `$SYS`.
    Told(Box<Link>),
    /// It does not: each write call of the committer's thread is one group.
    Watched,
    /// Nothing is to be seen; the caller has to assume.
    Blind,
}

const COUNT: &str = "$SYS/broker/vow/groups";
/// Bytes of all groups so far.
const BYTES: &str = "$SYS/broker/vow/group/bytes";
/// The thread that writes the log.
const COMMITTER: &str = "committer";
/// When the committer has written all that nobody waited for, and has made room ahead.
const SETTLED_AFTER: Duration = Duration::from_millis(1500);
/// Room ahead is made in files of this size, by writes of this size; such writes are no groups.
const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENT_WRITE_BYTES: u64 = 1 << 20;

impl Counter {
    pub async fn find(broker: &Broker) -> Self {
        let (mut link, _) = Link::open(broker.address, "bench-groups", Life::Passing).await;
        link.put(&Packet::Subscribe(subscribe("$SYS/broker/#", QoS::AtMostOnce)));
        let (mut told, mut is_known) = (0, false);
        // One round of $SYS repeats `version` at its beginning.
        while told < 2 {
            if let Packet::Publish(publish) = link.next().await {
                let topic = publish.topic.as_ref().map(|topic| topic.as_str());
                told += u32::from(topic == Some("$SYS/broker/version") && !publish.retain);
                is_known |= topic == Some(COUNT);
            }
        }
        if is_known {
            Self::Told(Box::new(link))
        } else if writes_of_thread(broker.pid(), COMMITTER).is_some() {
            Self::Watched
        } else {
            Self::Blind
        }
    }

    /// What is counted once the broker has come to rest; `None` if nothing is to be seen.
    pub async fn read(&mut self, broker: &Broker) -> Option<Groups> {
        tokio::time::sleep(SETTLED_AFTER).await;
        match self {
            Self::Told(link) => Some(told(link).await),
            Self::Watched => {
                let (calls, bytes) = writes_of_thread(broker.pid(), COMMITTER)?;
                // Segments are made whole, so that their number tells what making them cost.
                let segments = directory_bytes(&broker.data_dir()) / SEGMENT_BYTES;
                let made = segments * (SEGMENT_BYTES / SEGMENT_WRITE_BYTES + 1);
                let made_bytes = segments * SEGMENT_BYTES;
                Some(Groups { count: calls.saturating_sub(made), bytes: bytes.saturating_sub(made_bytes) })
            }
            Self::Blind => None,
        }
    }

    pub fn describe(&self) -> &'static str {
        match self {
            Self::Told(_) => "groups as the broker counts them below $SYS/broker/vow",
            Self::Watched => {
                "groups counted from outside, as write calls of the committer's thread: the broker does not count them"
            }
            Self::Blind => "groups ASSUMED to hold all that is in flight: the broker does not count them",
        }
    }
}

impl Groups {
    pub fn since(self, earlier: Self) -> Self {
        Self { count: self.count.saturating_sub(earlier.count), bytes: self.bytes.saturating_sub(earlier.bytes) }
    }

    pub fn mean_bytes(self) -> u64 {
        self.bytes / self.count.max(1)
    }
}

/// Waits for counts that are published from now on.
async fn told(link: &mut Link) -> Groups {
    // What came meanwhile is old.
    link.put(&Packet::PingReq);
    while !matches!(link.next().await, Packet::PingResp) {}
    let (mut count, mut bytes) = (None, None);
    loop {
        if let (Some(count), Some(bytes)) = (count, bytes) {
            return Groups { count, bytes };
        }
        let Packet::Publish(publish) = link.next().await else { continue };
        let value = || std::str::from_utf8(&publish.payload).ok().and_then(|text| text.parse().ok());
        match publish.topic.as_ref().map(|topic| topic.as_str()) {
            Some(COUNT) => count = value(),
            Some(BYTES) => bytes = value(),
            _ => {}
        }
    }
}
