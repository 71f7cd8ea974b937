//! A client without a socket, and the broker it talks to.
use crate::packets::subscribe;
use bytes::BytesMut;
use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;
use vowmq::broker::{Attachment, Broker, Committer, MailboxLimits, QueueSettings, Settings, Step};
use vowmq::codec;
use vowmq::packet::{ConnAck, Connect, Packet, Version};
use vowmq::routing::Strategy;
use vowmq::session::{Authenticated, AuthenticationStep, Close, Features, Limits, Outgoing, Verdict};
use vowmq::types::{Identity, Now, QoS, ReasonCode, Violation};

/// One broker and its time.
pub struct World {
    pub broker: Arc<Broker>,
    pub committer: Arc<Committer>,
    now: Rc<Cell<Now>>,
}

pub fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        features: Features::default(),
        mailbox_limits: mailbox_limits(),
        queue: QueueSettings::default(),
        retained_messages_max: 100,
        retained_bytes_max: 100_000,
        retained_memory_bytes_max: usize::MAX,
        abuse: vowmq::broker::AbuseSettings::default(),
        memory_marks: vowmq::broker::Marks::default(),
        shared_strategy: Strategy::RoundRobin,
        seed: 7,
    }
}

pub fn mailbox_limits() -> MailboxLimits {
    MailboxLimits { messages_max: 1000, bytes_max: 1 << 20 }
}

/// A broker that keeps nothing on disk, with settings as the test wants them.
pub fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    World::new(change, Committer::memory())
}

pub fn world() -> World {
    world_with(|_| {})
}

impl World {
    pub fn new(change: impl FnOnce(&mut Settings), committer: Committer) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let committer = Arc::new(committer);
        let broker = Broker::new(settings, committer.clone());
        Self { broker, committer, now: Rc::new(Cell::new(Now::from_millis(1_000_000))) }
    }

    /// Opens a connection. CONNACK, if it has left, is in [`Peer::connack`].
    pub fn connect(&self, connect: Connect) -> Peer {
        match self.try_connect(connect).expect("the CONNECT is acceptable") {
            Step::Attached(attachment) => self.peer(attachment),
            Step::Wait(..) => panic!("another connection has this client identifier"),
        }
    }

    /// Opens a connection of a client that went through the method its CONNECT named.
    pub fn connect_authenticated(&self, connect: Connect, by: Authenticated, identity: Identity) -> Peer {
        let request = self.broker.admit(connect, Arc::new(identity)).expect("the CONNECT is acceptable");
        match self.broker.connect(request.authenticated_by(Some(by)), self.now.get()).expect("the session is its own") {
            Step::Attached(attachment) => self.peer(attachment),
            Step::Wait(..) => panic!("another connection has this client identifier"),
        }
    }

    pub fn try_connect(&self, connect: Connect) -> Result<Step, Violation> {
        self.try_connect_as(connect, Identity::default())
    }

    /// Opens a connection of a client that has proved who it is.
    pub fn connect_as(&self, connect: Connect, identity: Identity) -> Peer {
        match self.try_connect_as(connect, identity).expect("the CONNECT is acceptable") {
            Step::Attached(attachment) => self.peer(attachment),
            Step::Wait(..) => panic!("another connection has this client identifier"),
        }
    }

    pub fn try_connect_as(&self, connect: Connect, identity: Identity) -> Result<Step, Violation> {
        self.broker.connect(self.broker.admit(connect, Arc::new(identity))?, self.now.get())
    }

    /// Opens a connection with the Client Identifier of `old`, which is asked to leave and does.
    pub fn take_over(&self, mut old: Peer, connect: Connect) -> Peer {
        let Ok(Step::Wait(request, _)) = self.try_connect(connect) else { panic!("nobody had to leave") };
        old.expect_closed(ReasonCode::SessionTakenOver);
        old.lose();
        match self.broker.connect(*request, self.now.get()).expect("the session is its own") {
            Step::Attached(attachment) => self.peer(attachment),
            Step::Wait(..) => panic!("the session is still taken"),
        }
    }

    pub fn now(&self) -> Now {
        self.now.get()
    }

    /// Lets time pass, and what is due happen.
    pub fn pass_s(&self, seconds: u32) {
        self.now.set(self.now.get().plus_seconds(seconds));
        self.broker.handle_timeouts(self.now.get());
    }

    fn peer(&self, attachment: Box<Attachment>) -> Peer {
        let mut peer = Peer {
            version: attachment.version(),
            attachment,
            now: self.now.clone(),
            seen: VecDeque::new(),
            connack: None,
        };
        peer.take_connack();
        peer
    }
}

/// A client: what it sends is handled at once, what it gets it gets as its codec would read it.
pub struct Peer {
    attachment: Box<Attachment>,
    version: Version,
    now: Rc<Cell<Now>>,
    seen: VecDeque<Packet>,
    pub connack: Option<ConnAck>,
}

impl Peer {
    pub fn send(&mut self, packet: impl Into<Packet>) {
        self.send_all([packet.into()]);
    }

    /// Sends packets that the broker reads at once.
    pub fn send_all(&mut self, packets: impl IntoIterator<Item = Packet>) {
        let now = self.now.get();
        if let Err(violation) = self.attachment.handle_packets(packets.into_iter().map(Ok), now) {
            self.attachment.close(Close::Violation(violation));
        }
    }

    /// Whether others should have a turn before more is read from this client.
    pub fn should_give_way(&self) -> bool {
        self.attachment.should_give_way()
    }

    pub fn has_given_way(&mut self) {
        self.attachment.has_given_way();
    }

    pub fn hand_out_by(&mut self, receivers_max: u16) {
        self.attachment.hand_out_by(NonZeroU16::new(receivers_max).expect("one at least"));
    }

    pub fn has_more_to_hand_out(&self) -> bool {
        self.attachment.has_more_to_hand_out()
    }

    /// The step of a re-authentication that the broker wants to be checked.
    pub fn step(&mut self) -> Option<AuthenticationStep> {
        self.attachment.take_authentication()
    }

    pub fn judge(&mut self, verdict: Verdict) {
        self.attachment.handle_verdict(verdict);
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.send(subscribe(9, filter, qos));
        self.expect_packet("SUBACK");
    }

    pub fn expect(&mut self, packet: impl Into<Packet>) {
        self.collect();
        assert_eq!(self.seen.pop_front(), Some(packet.into()), "expected next");
    }

    /// The next packet, which must have this name.
    pub fn expect_packet(&mut self, name: &str) -> Packet {
        self.collect();
        let packet = self.seen.pop_front().unwrap_or_else(|| panic!("{name} expected, nothing came"));
        assert_eq!(packet.name(), name);
        packet
    }

    /// The next packet, if one is there.
    pub fn next(&mut self) -> Option<Packet> {
        self.collect();
        self.seen.pop_front()
    }

    pub fn has_next(&mut self) -> bool {
        self.collect();
        !self.seen.is_empty()
    }

    /// Whether this packet, or else nothing, comes next.
    pub fn comes(&mut self, packet: impl Into<Packet>) -> bool {
        self.collect();
        let next = self.seen.pop_front();
        assert!(next.is_none() || next == Some(packet.into()), "{next:?}");
        next.is_some()
    }

    pub fn expect_nothing(&mut self) {
        self.collect();
        assert_eq!(self.seen, [], "nothing was expected");
    }

    /// The broker wants to close the connection, for this reason.
    pub fn expect_closed(&mut self, code: ReasonCode) {
        self.collect();
        let close = self.attachment.closing().expect("the connection is to be closed");
        assert_eq!(close.code(), Some(code));
    }

    pub fn expect_open(&mut self) {
        self.collect();
        assert_eq!(self.attachment.closing(), None);
    }

    pub fn closing(&self) -> Option<Close> {
        self.attachment.closing()
    }

    /// The packet that goes with the close, and its length in bytes.
    pub fn farewell(&mut self) -> Option<(Packet, usize)> {
        self.collect();
        let packet = self.attachment.farewell(&self.attachment.closing()?)?;
        let mut bytes = BytesMut::new();
        codec::encode(&packet, self.version, &mut bytes).expect("the farewell can be written");
        Some((packet, bytes.len()))
    }

    /// Its deadline, if it has passed, takes effect.
    pub fn wake(&mut self) {
        let now = self.now.get();
        if self.attachment.next_timeout().is_some_and(|deadline| deadline <= now) {
            self.attachment.handle_timeout(now);
        }
    }

    /// The connection breaks, or ends as it was closed.
    pub fn lose(self) {
        let close = self.attachment.closing();
        self.attachment.end(close, self.now.get());
    }

    pub fn take_connack(&mut self) {
        self.collect();
        if let Some(Packet::ConnAck(connack)) = self.seen.pop_front_if(|packet| matches!(packet, Packet::ConnAck(_))) {
            self.connack = Some(*connack);
        }
    }

    fn collect(&mut self) {
        let now = self.now.get();
        self.attachment.handle_mailbox(true, now);
        while self.attachment.advance_scans(now) {}
        let outgoing = std::mem::take(self.attachment.output());
        self.seen.extend(outgoing.iter().map(|outgoing| as_read(outgoing, self.version)));
    }
}

/// What the client's codec makes of it.
fn as_read(outgoing: &Outgoing, version: Version) -> Packet {
    let mut bytes = BytesMut::new();
    match outgoing {
        Outgoing::Ack(ack_type, ack) => codec::encode_ack(*ack_type, ack, version, &mut bytes),
        Outgoing::Packet(packet) => codec::encode(packet, version, &mut bytes),
        Outgoing::Publish(publish) => codec::encode_publish(&publish.frame(), version, &mut bytes),
    }
    .expect("the broker sends what can be written");
    codec::decode(bytes.freeze(), Some(version), &codec::Limits::default()).expect("the broker sends what can be read")
}
