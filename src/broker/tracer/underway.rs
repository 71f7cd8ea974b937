//! What sampled messages have under way, within limits: publications, deliveries, and exchanges by Packet Identifier.
use super::ring::Exchange;
use super::spans::{Span, SpanKind};
use crate::types::{ClientId, Message, QoS, TopicName};
use std::collections::{HashMap, VecDeque};

/// Publications that steps may still refer to; the oldest are forgotten.
const PUBLICATIONS_MAX: usize = 4096;
/// Deliveries and exchanges that are not over.
const OPEN_MAX: usize = 10_000;
/// Age in microseconds from which they are given up when there is no room: their clients are away, most likely.
const OLD_US: u64 = 300_000_000;

#[derive(Debug, Default)]
pub(super) struct Underway {
    /// By fingerprint, in the order in which they came.
    publications: HashMap<u64, VecDeque<Publication>>,
    order: VecDeque<u64>,
    /// Deliveries that were routed and not sent.
    routed: HashMap<(u64, ClientId), VecDeque<Span>>,
    routed_count: usize,
    /// Spans that end with a packet.
    exchanges: HashMap<Exchange, Span>,
}

#[derive(Debug)]
struct Publication {
    trace_id: u128,
    span_id: u64,
    client_id: ClientId,
    exchange: Option<Exchange>,
    /// Durable receivers whose queues it has not reached yet, and since when it is on its way to them.
    unstored: usize,
    routed_at_us: u64,
    is_stored: bool,
}

/// What beginning one did to others.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// A publish of QoS 0 is over at once.
    pub over: Option<Span>,
    /// Fingerprints of what is not looked for any more.
    pub forgotten: Vec<u64>,
    /// Spans that will never be.
    pub lost: usize,
}

impl Underway {
    pub fn begin(&mut self, fingerprint: u64, span: Span, exchange: Option<Exchange>, now_us: u64) -> Begun {
        let mut begun = Begun::default();
        self.make_room(now_us, &mut begun);
        if self.order.len() >= PUBLICATIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
            begun.forgotten.push(oldest);
        }
        self.order.push_back(fingerprint);
        self.publications.entry(fingerprint).or_default().push_back(Publication {
            trace_id: span.trace_id,
            span_id: span.span_id,
            client_id: span.client_id.clone(),
            exchange,
            unstored: 0,
            routed_at_us: now_us,
            is_stored: false,
        });
        match exchange {
            None => begun.over = Some(span),
            Some(_) if self.is_full() => begun.lost += 1,
            Some(exchange) => begun.lost += usize::from(self.exchanges.insert(exchange, span).is_some()),
        }
        begun
    }

    /// The message is for a client; `None` if it has no spans, false if there is no room for this one.
    pub fn route(
        &mut self,
        fingerprint: u64,
        client_id: &ClientId,
        message: &Message,
        (qos, is_durable): (QoS, bool),
        span_id: u64,
        now_us: u64,
    ) -> Option<bool> {
        let is_full = self.is_full();
        let publication = self.publications.get_mut(&fingerprint)?.back_mut()?;
        if is_durable {
            publication.unstored += 1;
        }
        if is_full {
            return Some(false);
        }
        let topic = Some(message.topic.detached());
        let span = publication.child(SpanKind::Deliver, span_id, (now_us, now_us), client_id, topic, Some(qos));
        self.routed.entry((fingerprint, client_id.clone())).or_default().push_back(span);
        self.routed_count += 1;
        Some(true)
    }

    /// It is not taken from its publisher.
    pub fn refuse(&mut self, fingerprint: u64, code: String) {
        let last = self.publications.get(&fingerprint).and_then(VecDeque::back);
        if let Some(span) = last.and_then(|last| last.exchange).and_then(|exchange| self.exchanges.get_mut(&exchange)) {
            span.fault = Some(code).filter(|code| code != "NoMatchingSubscribers");
        }
    }

    /// It has reached a queue on disk; the first one tells when it was durable.
    pub fn store(&mut self, fingerprint: u64, message: &Message, span_id: u64, now_us: u64) -> Option<Span> {
        let waiting = self.publications.get_mut(&fingerprint)?;
        let publication = waiting.iter_mut().find(|publication| publication.unstored > 0)?;
        publication.unstored -= 1;
        if std::mem::replace(&mut publication.is_stored, true) {
            return None;
        }
        let (topic, took) = (Some(message.topic.detached()), (publication.routed_at_us, now_us));
        let client_id = publication.client_id.clone();
        Some(publication.child(SpanKind::Commit, span_id, took, &client_id, topic, None))
    }

    /// Its PUBLISH left for a client. `None` if nothing was known of this delivery, `Some(None)` if it goes on.
    pub fn send(
        &mut self,
        fingerprint: u64,
        client_id: &ClientId,
        exchange: Option<Exchange>,
        now_us: u64,
    ) -> Option<Option<Span>> {
        let mut span = self.take_routed(fingerprint, client_id)?;
        span.ended_us = now_us;
        let Some(exchange) = exchange else { return Some(Some(span)) };
        // An older one of the same identifier was never acknowledged: it ended when it was sent.
        Some(self.exchanges.insert(exchange, span))
    }

    /// A client does not get it. Tells whether it had been routed before.
    pub fn drop_delivery(
        &mut self,
        fingerprint: u64,
        client_id: &ClientId,
        message: &Message,
        (span_id, reason): (u64, &'static str),
        now_us: u64,
    ) -> (bool, Option<Span>) {
        let routed = self.take_routed(fingerprint, client_id);
        let was_routed = routed.is_some();
        let unrouted = || {
            let publication = self.publications.get(&fingerprint)?.back()?;
            let topic = Some(message.topic.detached());
            Some(publication.child(SpanKind::Deliver, span_id, (now_us, now_us), client_id, topic, Some(message.qos)))
        };
        let span = routed.or_else(unrouted);
        (was_routed, span.map(|span| Span { ended_us: now_us, fault: Some(reason.to_owned()), ..span }))
    }

    /// A packet named an exchange.
    pub fn end(&mut self, exchange: Exchange, is_over: bool, fault: Option<String>, now_us: u64) -> Option<Span> {
        if !is_over {
            return None;
        }
        let span = self.exchanges.remove(&exchange)?;
        Some(Span { ended_us: now_us, fault: fault.or_else(|| span.fault.clone()), ..span })
    }

    fn take_routed(&mut self, fingerprint: u64, client_id: &ClientId) -> Option<Span> {
        let key = (fingerprint, client_id.clone());
        let waiting = self.routed.get_mut(&key)?;
        let span = waiting.pop_front();
        if waiting.is_empty() {
            self.routed.remove(&key);
        }
        self.routed_count -= usize::from(span.is_some());
        span
    }

    fn is_full(&self) -> bool {
        self.routed_count + self.exchanges.len() >= OPEN_MAX
    }

    /// Gives up what is old, once there is no room for more.
    fn make_room(&mut self, now_us: u64, begun: &mut Begun) {
        if !self.is_full() {
            return;
        }
        let is_fresh = |span: &Span| now_us.saturating_sub(span.began_us) < OLD_US;
        let before = self.routed_count + self.exchanges.len();
        self.exchanges.retain(|_, span| is_fresh(span));
        self.routed.retain(|(fingerprint, _), spans| {
            let count = spans.len();
            spans.retain(is_fresh);
            begun.forgotten.extend(std::iter::repeat_n(*fingerprint, count - spans.len()));
            !spans.is_empty()
        });
        self.routed_count = self.routed.values().map(VecDeque::len).sum();
        begun.lost += before - self.routed_count - self.exchanges.len();
    }

    fn forget(&mut self, fingerprint: u64) {
        if let Some(waiting) = self.publications.get_mut(&fingerprint) {
            waiting.pop_front();
            if waiting.is_empty() {
                self.publications.remove(&fingerprint);
            }
        }
    }
}

impl Publication {
    fn child(
        &self,
        kind: SpanKind,
        span_id: u64,
        (began_us, ended_us): (u64, u64),
        client_id: &ClientId,
        topic: Option<TopicName>,
        qos: Option<QoS>,
    ) -> Span {
        Span {
            kind,
            trace_id: self.trace_id,
            span_id,
            parent: Some((self.span_id, false)),
            began_us,
            ended_us,
            client_id: client_id.clone(),
            topic,
            qos,
            fault: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{PacketId, SessionKey, Stamp, Text};
    use bytes::Bytes;

    fn client(name: &'static str) -> ClientId {
        ClientId::new(&Text::from_static(name)).unwrap()
    }

    fn message() -> Message {
        Message {
            topic: TopicName::try_from("a").unwrap(),
            payload: Bytes::new(),
            qos: QoS::AtLeastOnce,
            retain: false,
            forward: Bytes::new(),
            expires_at: None,
            received: Stamp::default(),
        }
    }

    fn span(began_us: u64) -> Span {
        Span {
            kind: SpanKind::Publish,
            trace_id: 1,
            span_id: 2,
            parent: None,
            began_us,
            ended_us: began_us,
            client_id: client("giver"),
            topic: None,
            qos: None,
            fault: None,
        }
    }

    #[test]
    fn what_is_under_way_is_bounded_and_what_is_old_makes_room() {
        let mut underway = Underway::default();
        let taker = client("away");
        underway.begin(7, span(0), None, 0);
        for place in 0..=OPEN_MAX {
            let is_room = underway.route(7, &taker, &message(), (QoS::AtLeastOnce, true), 3, 0);
            assert_eq!(is_room, Some(place < OPEN_MAX));
        }
        let exchange = Exchange { session: SessionKey(1), is_outbound: false, packet_id: PacketId::new(1).unwrap() };
        assert_eq!(underway.begin(8, span(1), Some(exchange), 1).lost, 1, "nothing is old enough yet");
        let begun = underway.begin(8, span(OLD_US), Some(exchange), OLD_US);
        assert_eq!((begun.lost, begun.forgotten.len()), (OPEN_MAX, OPEN_MAX));
        assert!(underway.end(exchange, true, None, OLD_US).is_some_and(|span| span.began_us == OLD_US));
        for fingerprint in 0..2 * PUBLICATIONS_MAX as u64 {
            underway.begin(fingerprint, span(OLD_US), None, OLD_US);
        }
        let kept: usize = underway.publications.values().map(VecDeque::len).sum();
        assert_eq!((kept, underway.order.len()), (PUBLICATIONS_MAX, PUBLICATIONS_MAX));
    }

    #[test]
    fn messages_that_are_alike_are_told_apart_by_their_order() {
        let mut underway = Underway::default();
        let taker = client("taker");
        for (trace_id, now_us) in [(10, 1), (20, 2)] {
            underway.begin(7, Span { trace_id, ..span(now_us) }, None, now_us);
            underway.route(7, &taker, &message(), (QoS::AtMostOnce, true), 3, now_us);
        }
        let mut sent = || underway.send(7, &taker, None, 5).flatten().map(|span| span.trace_id);
        assert_eq!([sent(), sent(), sent()], [Some(10), Some(20), None]);
        let mut stored = || underway.store(7, &message(), 4, 6).map(|span| span.trace_id);
        assert_eq!([stored(), stored(), stored()], [Some(10), Some(20), None]);
    }
}
