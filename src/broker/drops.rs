//! Deliveries that were given up, gathered to be told: once a minute in the log, and one by one as dead letters.
//!
//! Everything here is bounded, so that a flood of drops costs no more than a flood of anything else; what is beyond a
//! bound is still counted.
use crate::session::Dropped;
use crate::types::{ClientId, Message, QoS, TopicName};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Sessions and reasons told apart within one minute.
const ENTRIES_MAX: usize = 1024;
/// Dropped messages that wait to become dead letters.
const WAITING_MAX: usize = 10_000;
const WAITING_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Default)]
pub struct Drops {
    keeps_messages: bool,
    /// Users: whoever drops something (to note it), the house (to take all). Held for a few map operations.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    gathered: Gathered,
    waiting: VecDeque<Lost>,
    waiting_bytes: usize,
    waker: Option<Waker>,
}

/// A message that one client will not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub client_id: ClientId,
    pub reason: &'static str,
    pub message: Arc<Message>,
}

/// What happened to the messages of one session for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropLine {
    pub reason: &'static str,
    pub client_id: ClientId,
    pub messages: u64,
    /// The topic of the first one.
    pub example: TopicName,
}

/// The drops of one minute, by reason and session.
#[derive(Debug, Default)]
pub struct Gathered {
    lines: HashMap<(&'static str, ClientId), (u64, TopicName), foldhash::fast::RandomState>,
    /// Drops of sessions for which there was no line left.
    others: u64,
}

impl Drops {
    /// `keeps_messages` if dropped messages are to become dead letters.
    pub fn new(keeps_messages: bool) -> Self {
        Self { keeps_messages, inner: Mutex::default() }
    }

    /// Notes the sessions that one message did not reach. Dead letters are the caller's matter.
    pub fn note_each<'c>(&self, missed: impl Iterator<Item = (&'static str, &'c ClientId)>, topic: &TopicName) {
        let mut inner = self.inner.lock();
        missed.for_each(|(reason, client_id)| inner.gathered.note(reason, client_id, topic));
    }

    /// Notes what a session gave up, and keeps the messages for their dead letters; returns how many there was no room
    /// for. QoS 0 promises nothing, and is not told of.
    pub fn note_all(&self, client_id: &ClientId, dropped: Vec<Dropped>) -> u64 {
        let mut too_many = 0;
        let mut inner = self.inner.lock();
        for Dropped { reason, message, .. } in dropped.into_iter().filter(|dropped| dropped.qos != QoS::AtMostOnce) {
            inner.gathered.note(reason.name(), client_id, &message.topic);
            if self.keeps_messages && !inner.keep(Lost { client_id: client_id.clone(), reason: reason.name(), message })
            {
                too_many += 1;
            }
        }
        let waker = if inner.waiting.is_empty() { None } else { inner.waker.take() };
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        too_many
    }

    /// What was noted since the last call.
    pub fn take_gathered(&self) -> Gathered {
        std::mem::take(&mut self.inner.lock().gathered)
    }

    /// Some of the messages that wait to become dead letters.
    pub fn take_lost(&self, at_most: usize) -> Vec<Lost> {
        let mut inner = self.inner.lock();
        let count = at_most.min(inner.waiting.len());
        let lost: Vec<_> = inner.waiting.drain(..count).collect();
        inner.waiting_bytes -= lost.iter().map(|lost| lost.message.cost_bytes()).sum::<usize>();
        lost
    }

    /// Waits until there are messages to become dead letters.
    pub fn poll_lost(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        if !inner.waiting.is_empty() {
            return Poll::Ready(());
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Inner {
    fn keep(&mut self, lost: Lost) -> bool {
        let bytes = self.waiting_bytes + lost.message.cost_bytes();
        let has_room = self.waiting.len() < WAITING_MAX && bytes <= WAITING_BYTES_MAX;
        if has_room {
            self.waiting_bytes = bytes;
            self.waiting.push_back(lost);
        }
        has_room
    }
}

impl Gathered {
    fn note(&mut self, reason: &'static str, client_id: &ClientId, topic: &TopicName) {
        let key = (reason, client_id.clone());
        if let Some((messages, _)) = self.lines.get_mut(&key) {
            *messages += 1;
        } else if self.lines.len() < ENTRIES_MAX {
            self.lines.insert(key, (1, topic.detached()));
        } else {
            self.others += 1;
        }
    }

    /// One line per reason and session, in their order.
    pub fn lines(&self) -> Vec<DropLine> {
        let lines = self.lines.iter().map(|((reason, client_id), (messages, example))| DropLine {
            reason,
            client_id: client_id.clone(),
            messages: *messages,
            example: example.clone(),
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort_by(|a, b| (a.reason, a.client_id.as_str()).cmp(&(b.reason, b.client_id.as_str())));
        lines
    }

    /// Drops of sessions for which there was no line left.
    pub fn others(&self) -> u64 {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::DropReason;
    use crate::types::{Stamp, Text};
    use bytes::Bytes;

    fn client(name: &str) -> ClientId {
        ClientId::new(&Text::try_from(name).unwrap()).unwrap()
    }

    fn dropped(reason: DropReason, topic: &str, qos: QoS) -> Dropped {
        let message = Message {
            topic: TopicName::try_from(topic).unwrap(),
            payload: Bytes::new(),
            qos,
            retain: false,
            forward: Bytes::new(),
            expires_at: None,
            received: Stamp::default(),
        };
        Dropped { reason, qos, message: Arc::new(message) }
    }

    #[test]
    fn a_minute_has_one_line_for_each_reason_and_session_with_the_first_topic() {
        let drops = Drops::default();
        for topic in ["a", "b"] {
            drops.note_all(&client("c"), vec![dropped(DropReason::Aged, topic, QoS::AtLeastOnce)]);
        }
        drops.note_all(&client("c"), vec![dropped(DropReason::Expired, "e", QoS::ExactlyOnce)]);
        drops.note_each([("aged", &client("b"))].into_iter(), &TopicName::try_from("d").unwrap());
        let told: Vec<_> = drops.take_gathered().lines().iter().map(told).collect();
        assert_eq!(told, ["aged b 1 d", "aged c 2 a", "expired c 1 e"]);
        assert_eq!(drops.take_gathered().lines(), []);
    }

    fn told(line: &DropLine) -> String {
        format!("{} {} {} {}", line.reason, line.client_id.as_str(), line.messages, line.example)
    }

    #[test]
    fn qos_0_is_not_told_of() {
        let drops = Drops::new(true);
        drops.note_all(&client("c"), vec![dropped(DropReason::Expired, "a", QoS::AtMostOnce)]);
        assert_eq!(drops.take_gathered().lines(), []);
        assert_eq!(drops.take_lost(1), []);
    }

    #[test]
    fn sessions_beyond_the_bound_are_summed_up() {
        let drops = Drops::default();
        let topic = TopicName::try_from("a").unwrap();
        for number in 0..ENTRIES_MAX + 3 {
            drops.note_each([("aged", &client(&number.to_string()))].into_iter(), &topic);
        }
        drops.note_each([("aged", &client("0"))].into_iter(), &topic);
        let gathered = drops.take_gathered();
        assert_eq!((gathered.lines().len(), gathered.others()), (ENTRIES_MAX, 3));
        let first = gathered.lines().into_iter().find(|line| line.client_id.as_str() == "0").unwrap();
        assert_eq!(first.messages, 2);
    }

    #[test]
    fn messages_for_dead_letters_are_kept_up_to_a_bound() {
        let drops = Drops::new(true);
        let many = vec![dropped(DropReason::Aged, "a", QoS::AtLeastOnce); WAITING_MAX + 2];
        assert_eq!(drops.note_all(&client("c"), many), 2);
        assert_eq!(drops.take_lost(WAITING_MAX - 1).len(), WAITING_MAX - 1);
        assert_eq!(drops.take_lost(WAITING_MAX).len(), 1);
        assert_eq!(drops.note_all(&client("c"), vec![dropped(DropReason::Aged, "a", QoS::AtLeastOnce)]), 0);
    }
}
