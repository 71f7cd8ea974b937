//! How many groups the broker committed, and how large they were.
use super::broker::Broker;
use super::link::{Life, Link};
use super::probe::wait_until_at_rest;
use super::subscriber::subscribe;
use vowmq::packet::Packet;
use vowmq::store::log::{DiskFiles, inspect};
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
    /// It does not: the frames of its log are counted.
    Read,
    /// Nothing is to be seen; the caller has to assume.
    Blind,
}

const COUNT: &str = "$SYS/broker/vow/groups";
/// Bytes of all groups so far.
const BYTES: &str = "$SYS/broker/vow/group/bytes";

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
        } else if in_log(broker).is_some() {
            Self::Read
        } else {
            Self::Blind
        }
    }

    /// What is counted once the broker has come to rest; `None` if nothing is to be seen.
    pub async fn read(&mut self, broker: &Broker) -> Option<Groups> {
        wait_until_at_rest(broker.pid()).await;
        match self {
            Self::Told(link) => Some(told(link).await),
            Self::Read => in_log(broker),
            Self::Blind => None,
        }
    }

    pub fn describe(&self) -> &'static str {
        match self {
            Self::Told(_) => "groups as the broker counts them below $SYS/broker/vow",
            Self::Read => "groups counted as frames of the log: the broker does not tell them",
            Self::Blind => "groups ASSUMED to hold all that is in flight: the broker does not tell them",
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

/// Frames of the log so far. Only right while no part of the log is released.
fn in_log(broker: &Broker) -> Option<Groups> {
    let report = inspect(&DiskFiles::existing(&broker.data_dir()).ok()?).ok()?;
    let count = report.segments.iter().map(|segment| segment.frames).sum();
    (count > 0).then_some(Groups { count, bytes: report.end.value() })
}
