//! The loop of one connection: what comes in goes through the attachment, what it puts out is written.
use super::Shared;
use super::alarm::Alarm;
use super::link::{self, Link};
use super::opening::Refusal;
use super::outbox::{HANDED_BYTES, Outbox};
use super::peer::Peer;
use super::settings::LinkLimits;
use crate::broker::{Attachment, ByQoS, place};
use crate::codec::{self, EncodeError};
use crate::identity::Exchange;
use crate::packet::{Packet, Version};
use crate::session::{Close, Outgoing, OutgoingPublish};
use crate::types::{Now, ReasonCode, Violation};
use bytes::BytesMut;
use std::future::poll_fn;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) struct Connection<S> {
    pub(super) shared: Arc<Shared>,
    pub(super) link: Link<S>,
    pub(super) peer: Peer,
    /// Those of the moment when the peer came: what it was told of them holds as long as it is there.
    pub(super) limits: Arc<LinkLimits>,
    /// A re-authentication whose challenge is with the client.
    pub(super) exchange: Option<Box<Exchange>>,
    /// When the peer last took something, or when something was to be written again; at first, when it came. Means
    /// nothing while nothing is to be written.
    pub(super) last_write: Now,
}

/// The attachment of a connection: parked when dropped, even if the connection's task panics.
struct Held {
    attachment: Option<Box<Attachment>>,
    shared: Arc<Shared>,
}

impl Held {
    /// The connection is gone.
    fn end(mut self, close: Option<Close>) {
        self.end_by(close);
    }

    fn end_by(&mut self, close: Option<Close>) {
        if let Some(attachment) = self.attachment.take() {
            attachment.end(close, self.shared.clock.now());
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end_by(None);
    }
}

enum Event {
    Read(BytesMut),
    Mailbox,
    Timeout,
    /// The peer has gone.
    Ended,
    /// Retained messages wait, and there is room for them.
    Scan,
    /// Others should have a turn before more is read.
    GiveWay,
}

/// What comes after an event.
enum Next {
    Wait,
    /// Others have a turn first.
    GiveWay,
    /// The connection is to be closed.
    Leave,
    /// The peer has gone.
    Drop,
}

/// What has been handled since something was last written.
#[derive(Debug, Default)]
struct Gathered {
    mailbox: bool,
    read: bool,
    /// Others have had a turn.
    gave_way: bool,
}

impl Gathered {
    const fn is_empty(&self) -> bool {
        !self.mailbox && !self.read
    }
}

/// The peer takes nothing any more.
struct Gone;

/// Receivers that get a message before others have a turn: each takes 5 us or so, most of it for its socket, and who comes
/// in the middle of a wide fan-out should not wait for all of it.
const RECEIVERS_AT_ONCE: NonZeroU16 = NonZeroU16::new(16).expect("some at least");

/// How long a peer has to take the last words.
const FAREWELL: Duration = Duration::from_secs(2);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(shared: Arc<Shared>, stream: S, peer: Peer) -> Self {
        let (last_write, limits) = (shared.clock.now(), shared.limits.load_full());
        Self { shared, limits, link: Link::new(stream), peer, exchange: None, last_write }
    }

    /// Serves the client from CONNECT to the end.
    ///
    /// A connection spends its life in [`Self::run`]. What comes before and after is on the heap while it lasts, so that
    /// those who are there and idle take little memory: a block that is no `async fn` keeps one `self`, not two. `place`
    /// is what the connection takes of limits.
    pub fn serve<P>(self, place: P) -> impl Future<Output = ()> {
        let mut this = self;
        async move {
            let opened = Box::pin(this.open()).await;
            if let Ok(attachment) = opened.map_err(|refusal| this.turn_away(refusal)) {
                let mut held = Held { attachment: Some(attachment), shared: this.shared.clone() };
                let close = this.run(&mut held).await;
                this.part(held, close);
            }
            // The session is free already; only the socket is left.
            let _ = Box::pin(tokio::time::timeout(FAREWELL, this.link.finish())).await;
            drop(place);
        }
    }

    /// Counts and reports that no session was opened, and tells the peer.
    fn turn_away(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Gone => {}
            Refusal::TimedOut => {
                self.shared.broker.counters.connect_timeouts.add(1);
                tracing::debug!(address = %self.peer, "no CONNECT within limits.connect_timeout_ms");
            }
            Refusal::Refused(violation, answer) => {
                self.shared.broker.counters.connects_refused.add(1);
                tracing::info!(address = %self.peer, rule = violation.rule, "refused: {}", violation.why);
                self.refuse(&violation, answer);
            }
            Refusal::Login(failed, answer) => {
                self.report_login(&failed);
                self.refuse(&failed.violation(), Some(answer));
            }
        }
    }

    /// Runs the connection until it is to be closed, or has been (`None`). What it keeps while it waits is counted in
    /// bytes: hence no event that outlives its handling.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would keep its arguments twice")]
    fn run(&mut self, held: &mut Held) -> impl Future<Output = Option<Close>> {
        async move {
            let mut alarm = Alarm::default();
            let mut gathered = Gathered::default();
            let attachment = held.attachment.as_deref_mut()?;
            attachment.hand_out_by(RECEIVERS_AT_ONCE);
            let early = Event::Read(self.link.take_kept());
            let mut next = self.handle(early, attachment, &mut alarm);
            loop {
                match next {
                    Next::Wait => {}
                    Next::GiveWay => {
                        let_others_go_first().await;
                        attachment.has_given_way();
                    }
                    Next::Leave => return attachment.closing(),
                    Next::Drop => return None,
                }
                let event = poll_fn(|context| self.poll_event(attachment, &mut gathered, &mut alarm, context)).await;
                next = self.handle(event, attachment, &mut alarm);
            }
        }
    }

    /// Handles an event, and encodes what it puts out.
    fn handle(&mut self, event: Event, attachment: &mut Attachment, alarm: &mut Alarm) -> Next {
        let now = self.shared.clock.now();
        let mut gives_way = false;
        match event {
            Event::Read(input) => {
                let packets = self.handle_input(attachment, input, now);
                // Whom a lone message is for is served before it is acknowledged: its way is the longer one, and
                // writing an acknowledgement takes as long as all else that is done here.
                gives_way = packets == 1 && attachment.has_published();
            }
            Event::Mailbox => attachment.handle_mailbox(self.has_room(), now),
            Event::Scan => {}
            Event::GiveWay => gives_way = true,
            Event::Timeout if self.is_stalled(now) => attachment.close(Close::Stalled),
            Event::Timeout => attachment.handle_timeout(now),
            Event::Ended => return Next::Drop,
        }
        self.write_out(attachment, now);
        while self.has_room() && attachment.closing().is_none() && attachment.advance_scans(now) {
            self.write_out(attachment, now);
        }
        if attachment.closing().is_some() {
            return Next::Leave;
        }
        alarm.set(attachment.next_timeout(), now);
        attachment.rest();
        if gives_way { Next::GiveWay } else { Next::Wait }
    }

    /// Waits for what there is to do next, and writes in between. What the mailbox and the peer bring at once is written
    /// together: `gathered` says what has been brought since something was last written.
    fn poll_event(
        &mut self,
        attachment: &Attachment,
        gathered: &mut Gathered,
        alarm: &mut Alarm,
        context: &mut Context<'_>,
    ) -> Poll<Event> {
        loop {
            let has_room = self.has_room();
            if !gathered.mailbox && attachment.poll_mailbox(has_room, context).is_ready() {
                gathered.mailbox = true;
                return Poll::Ready(Event::Mailbox);
            }
            // A peer that takes nothing is given nothing more to answer.
            let reads = !gathered.read && has_room && attachment.wants_packets();
            let is_ahead = reads && !gathered.gave_way && attachment.should_give_way();
            let gives_way = is_ahead || attachment.has_more_to_hand_out();
            if reads && !gives_way {
                match self.link.poll_read(context) {
                    Poll::Ready(Ok(input)) if input.is_empty() => return Poll::Ready(Event::Ended),
                    Poll::Ready(Ok(input)) => {
                        gathered.read = true;
                        return Poll::Ready(Event::Read(input));
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(address = %self.peer, %error, "the connection broke");
                        return Poll::Ready(Event::Ended);
                    }
                    Poll::Pending => {}
                }
            }
            if self.poll_write_all(context).is_err() {
                return Poll::Ready(Event::Ended);
            }
            if !self.link.out.is_empty() {
                alarm.bring_forward(self.stall_deadline(), self.shared.clock.now());
            }
            if !has_room && self.has_room() {
                return Poll::Ready(Event::Scan);
            }
            if gives_way {
                // What came before it is written.
                *gathered = Gathered { gave_way: true, ..Gathered::default() };
                return Poll::Ready(Event::GiveWay);
            }
            // What was passed over has to be asked for again, now that everything before it is written.
            if std::mem::take(gathered).is_empty() {
                return alarm.poll(context).map(|()| Event::Timeout);
            }
        }
    }

    /// Writes as much as the peer takes.
    fn poll_write_all(&mut self, context: &mut Context<'_>) -> Result<(), Gone> {
        while !self.link.out.is_empty() {
            match self.link.poll_write(context) {
                Poll::Ready(Ok(0) | Err(_)) => return Err(Gone),
                // Only of what is left does anybody ask when some of it was last taken.
                Poll::Ready(Ok(_)) if self.link.out.is_empty() => {}
                Poll::Ready(Ok(_)) => self.last_write = self.shared.clock.now(),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Handles all whole packets of the input, and keeps the rest. Returns how many there were.
    fn handle_input(&mut self, attachment: &mut Attachment, input: BytesMut, now: Now) -> usize {
        let mut read = input.freeze();
        attachment.begin_read(link::held_bytes(read.len()));
        let mut packets = codec::Packets::of(&read, attachment.version(), &self.limits.decoding);
        let handled = attachment.handle_packets(&mut packets, now);
        let (count, bytes, is_broken) = (packets.given(), packets.bytes(), packets.is_broken());
        let traffic = &self.shared.broker.counters.traffic;
        traffic.packets_received.add(count as u64);
        traffic.bytes_received.add(bytes as u64);
        if bytes < read.len() && !is_broken {
            let length = read.len();
            self.link.keep(read.split_off(bytes), length);
        }
        if let Err(violation) = handled {
            self.report(attachment, &violation);
            attachment.close(Close::Violation(violation));
        }
        attachment.charge(bytes as u64, now);
        self.check_authentication(attachment);
        count
    }

    fn report(&self, attachment: &Attachment, violation: &Violation) {
        self.shared.broker.counters.violations.add(1);
        let (client_id, address) = (attachment.client_id(), &self.peer);
        tracing::info!(client_id, %address, rule = violation.rule, "closed: {}", violation.why);
    }

    /// Encodes what the attachment has put out.
    fn write_out(&mut self, attachment: &mut Attachment, now: Now) {
        let (version, opened) = (attachment.version(), attachment.opened());
        let output = attachment.output();
        if output.is_empty() {
            return;
        }
        if self.link.out.is_empty() {
            self.last_write = now;
        }
        let counters = &self.shared.broker.counters;
        let mut result = Ok(());
        let (mut deliveries, mut payload_bytes) = (ByQoS::default(), 0);
        let (packets, bytes_before) = (output.len() as u64, self.link.out.len());
        let handed_from = if self.link.takes_pieces() { HANDED_BYTES } else { usize::MAX };
        self.link.out.tail().reserve(output.iter().map(|outgoing| room_for(outgoing, handed_from)).sum());
        for outgoing in output.drain(..) {
            result = result.and(match &outgoing {
                Outgoing::Ack(ack_type, ack) => codec::encode_ack(*ack_type, ack, version, self.link.out.tail()),
                Outgoing::Packet(packet) => codec::encode(packet, version, self.link.out.tail()),
                Outgoing::Publish(publish) => {
                    if let Some(count) = deliveries.get_mut(place(publish.qos.level())) {
                        *count += 1;
                    }
                    payload_bytes += publish.message.payload.len() as u64;
                    // What is retained or sent again has waited for its receiver.
                    if !publish.retain && !publish.dup {
                        counters.deliveries.observe(publish.message.received, opened);
                    }
                    write_publish(publish, version, &mut self.link.out, handed_from)
                }
            });
        }
        let traffic = &counters.traffic;
        traffic.packets_sent.add(packets);
        traffic.bytes_sent.add((self.link.out.len() - bytes_before) as u64);
        attachment.count_sent(deliveries, payload_bytes);
        if let Err(error) = result {
            tracing::warn!(client_id = attachment.client_id(), %error, "a packet cannot be written");
            attachment.close(Close::Administrative(ReasonCode::ImplementationSpecificError));
        }
    }

    /// Frees the session, then puts the last words into the buffer.
    fn part(&mut self, held: Held, close: Option<Close>) {
        let counters = &self.shared.broker.counters;
        match close {
            Some(Close::KeepAlive) => counters.keep_alive_timeouts.add(1),
            Some(Close::Stalled) => counters.write_stalls.add(1),
            Some(Close::ProofExpired) => counters.logins_expired.add(1),
            Some(Close::ProofWithdrawn) => counters.logins_withdrawn.add(1),
            _ => {}
        }
        if let Some(attachment) = held.attachment.as_ref() {
            let farewell = close.as_ref().and_then(|close| attachment.farewell(close));
            self.say(farewell, attachment);
            if let Some(Close::TakenOver { .. }) = close {
                let (client_id, address) = (attachment.client_id(), &self.peer);
                tracing::info!(client_id, %address, "another connection took the client identifier");
            }
            if let Some(Close::ProofWithdrawn) = close {
                let (client_id, address) = (attachment.client_id(), &self.peer);
                tracing::info!(client_id, %address, "closed: the user was removed, or the certificate revoked");
            }
        }
        held.end(close);
    }

    fn say(&mut self, farewell: Option<Packet>, attachment: &Attachment) {
        if let Some(packet) = farewell
            && let Err(error) = codec::encode(&packet, attachment.version(), self.link.out.tail())
        {
            tracing::warn!(%error, "DISCONNECT cannot be written");
        }
    }

    fn has_room(&self) -> bool {
        self.link.out.len() < self.limits.write_buffer_bytes_max
    }

    fn is_stalled(&self, now: Now) -> bool {
        !self.link.out.is_empty() && self.stall_deadline() <= now
    }

    fn stall_deadline(&self) -> Now {
        let patience = self.limits.write_stall_timeout.as_millis();
        self.last_write.plus_millis(u64::try_from(patience).unwrap_or(u64::MAX))
    }
}

/// Returns when the tasks that were woken last have run, and those that waited before.
async fn let_others_go_first() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Encodes a PUBLISH; a payload of at least `handed_from` bytes is handed over.
fn write_publish(
    publish: &OutgoingPublish,
    version: Version,
    out: &mut Outbox,
    handed_from: usize,
) -> Result<(), EncodeError> {
    if publish.message.payload.len() < handed_from {
        return codec::encode_publish(&publish.frame(), version, out.tail());
    }
    codec::encode_publish_head(&publish.frame(), version, out.tail())?;
    out.hand_over(publish.message.payload.clone());
    Ok(())
}

/// About as many bytes as a packet takes, so that most often the buffer grows once for all of a turn.
fn room_for(outgoing: &Outgoing, handed_from: usize) -> usize {
    const HEADERS: usize = 16;
    match outgoing {
        Outgoing::Ack(..) => 4,
        Outgoing::Packet(_) => 64,
        Outgoing::Publish(publish) => {
            let message = &publish.message;
            let payload_bytes = Some(message.payload.len()).filter(|bytes| *bytes < handed_from).unwrap_or_default();
            HEADERS + message.topic.as_bytes().len() + message.forward.len() + payload_bytes
        }
    }
}
