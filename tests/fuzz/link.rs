//! One connection without a socket: bytes go in as a server would pass them on, and what comes out is read.
use crate::decoder;
use crate::house::House;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeSet;
use std::sync::Arc;
use vowmq::broker::{Attachment, Step};
use vowmq::codec;
use vowmq::packet::{Connect, Packet, PublishQoS, Version};
use vowmq::session::{Close, Outgoing};
use vowmq::types::{Identity, PacketId, Violation};

pub struct Link {
    attachment: Box<Attachment>,
    /// What has come and was not handled.
    input: BytesMut,
    client: Client,
    /// Packets that the client took.
    pub taken: usize,
    /// The last of them, for clients that look at them.
    pub seen: Vec<Packet>,
}

/// What the broker has to mind of a client.
struct Client {
    version: Version,
    packet_bytes_max: usize,
    receive_max: usize,
    topic_aliases_max: u16,
    /// Packet Identifiers of deliveries that are not acknowledged.
    unacknowledged: BTreeSet<PacketId>,
}

/// Packets kept in [`Link::seen`].
const SEEN_MAX: usize = 64;

impl Link {
    /// Sends the first bytes of a connection: a CONNECT, or there will be none.
    pub fn open(bytes: &[u8], house: &mut House, others: &mut [Option<Link>]) -> Option<Self> {
        let limits = decoder::limits();
        let length = codec::frame_len(bytes, None, &limits).ok()??;
        let (frame, rest) = bytes.split_at_checked(length)?;
        let Packet::Connect(connect) = codec::decode(Bytes::copy_from_slice(frame), None, &limits).ok()? else {
            panic!("without a version there are only CONNECTs");
        };
        Self::connect(*connect, house, others)?.send(rest, house)
    }

    /// Opens a connection; one that has the session is asked to leave, and does.
    pub fn connect(connect: Connect, house: &mut House, others: &mut [Option<Link>]) -> Option<Self> {
        let client = Client {
            version: connect.version,
            packet_bytes_max: connect.properties.maximum_packet_bytes.map_or(usize::MAX, |bytes| bytes as usize),
            receive_max: connect.properties.receive_maximum.unwrap_or(u16::MAX).into(),
            topic_aliases_max: connect.properties.topic_alias_maximum.unwrap_or(0),
            unacknowledged: BTreeSet::new(),
        };
        let mut request = house.broker.admit(connect, Arc::new(Identity::default())).ok()?;
        for _ in 0..2 {
            match house.broker.connect(request, house.now).ok()? {
                Step::Attached(attachment) => {
                    house.connects += 1;
                    let (input, taken, seen) = (BytesMut::new(), 0, Vec::new());
                    return Self { attachment, input, client, taken, seen }.take(true, house);
                }
                Step::Wait(waiting, slot) => {
                    request = *waiting;
                    let owner = others.iter_mut().find_map(|other| {
                        other.take_if(|other| other.attachment.client_id() == slot.client_id.as_str())
                    });
                    let owner = owner.expect("whoever has the session is among the others");
                    assert!(owner.take(true, house).is_none(), "it was asked to leave");
                }
            }
        }
        panic!("the session is not given up");
    }

    /// The client sends bytes, of whole packets or not. `None` if the connection is over then.
    pub fn send(mut self, bytes: &[u8], house: &mut House) -> Option<Self> {
        self.input.extend_from_slice(bytes);
        self.handle_input(house);
        self.flush(house)
    }

    /// The client takes what is there, or the connection just looks.
    pub fn take(mut self, takes_deliveries: bool, house: &mut House) -> Option<Self> {
        self.attachment.handle_mailbox(takes_deliveries, house.now);
        self.handle_input(house);
        while takes_deliveries && self.attachment.closing().is_none() && self.attachment.advance_scans(house.now) {}
        self.flush(house)
    }

    /// What is due happens.
    pub fn wake(mut self, house: &mut House) -> Option<Self> {
        if self.attachment.next_timeout().is_some_and(|deadline| deadline <= house.now) {
            self.attachment.handle_timeout(house.now);
        }
        self.flush(house)
    }

    pub fn cut(self, house: &mut House) {
        self.attachment.end(None, house.now);
    }

    /// Whether something waits that the broker could do without the client.
    pub fn is_busy(&self) -> bool {
        !self.input.is_empty() && !self.attachment.wants_packets()
    }

    /// Sends one packet.
    pub fn send_packet(self, packet: &Packet, house: &mut House) -> Option<Self> {
        let mut bytes = BytesMut::new();
        codec::encode(packet, self.client.version, &mut bytes).expect("good clients send legal packets");
        self.send(&bytes, house)
    }

    /// Handles the packets that are whole, in one read, if the broker listens.
    fn handle_input(&mut self, house: &mut House) {
        if !self.attachment.wants_packets() || self.attachment.closing().is_some() {
            return;
        }
        let (limits, version) = (decoder::limits(), Some(self.client.version));
        let mut packets: Vec<Result<Packet, Violation>> = Vec::new();
        loop {
            let packet = match codec::frame_len(&self.input, version, &limits) {
                Ok(Some(length)) if length <= self.input.len() => {
                    codec::decode(self.input.split_to(length).freeze(), version, &limits)
                }
                Ok(_) => break,
                Err(violation) => Err(violation),
            };
            let is_over = packet.is_err();
            packets.extend(packet.as_ref().ok().map(|packet| self.client.note_sent(packet)).map(|()| packet.clone()));
            if is_over {
                packets.extend(packet.err().map(Err));
                break;
            }
        }
        if let Err(violation) = self.attachment.handle_packets(packets.into_iter(), house.now) {
            self.attachment.close(Close::Violation(violation));
        }
    }

    /// The client reads what the broker has put out. `None` if that was the end.
    fn flush(mut self, house: &mut House) -> Option<Self> {
        for outgoing in std::mem::take(self.attachment.output()) {
            self.read(&outgoing);
        }
        let Some(close) = self.attachment.closing() else { return Some(self) };
        if let Some(farewell) = self.attachment.farewell(&close) {
            self.read(&Outgoing::Packet(Box::new(farewell)));
        }
        self.attachment.end(Some(close), house.now);
        None
    }

    fn read(&mut self, outgoing: &Outgoing) {
        let version = self.client.version;
        let mut bytes = BytesMut::new();
        match outgoing {
            Outgoing::Ack(ack_type, ack) => codec::encode_ack(*ack_type, ack, version, &mut bytes),
            Outgoing::Packet(packet) => codec::encode(packet, version, &mut bytes),
            Outgoing::Publish(publish) => codec::encode_publish(&publish.frame(), version, &mut bytes),
        }
        .unwrap_or_else(|error| panic!("the broker sends what cannot be written, {error}: {outgoing:?}"));
        let length = bytes.len();
        let packet = codec::decode(bytes.freeze(), Some(version), &codec::Limits::default());
        let packet = packet.expect("the broker sends what can be read");
        // [MQTT-3.1.2-24]
        assert!(length <= self.client.packet_bytes_max, "{length} bytes are too many: {packet:?}");
        self.client.note_taken(&packet);
        self.taken += 1;
        if self.seen.len() < SEEN_MAX {
            self.seen.push(packet);
        }
    }
}

impl Client {
    fn note_sent(&mut self, packet: &Packet) {
        match packet {
            Packet::PubAck(ack) | Packet::PubComp(ack) => drop(self.unacknowledged.remove(&ack.id)),
            Packet::PubRec(ack) if ack.code.is_failure() => drop(self.unacknowledged.remove(&ack.id)),
            _ => {}
        }
    }

    fn note_taken(&mut self, packet: &Packet) {
        let Packet::Publish(publish) = packet else { return };
        if let PublishQoS::AtLeastOnce(id) | PublishQoS::ExactlyOnce(id) = publish.qos {
            // [MQTT-2.2.1-4], [MQTT-4.4.0-1]: the same identifier comes only once on a connection.
            assert!(self.unacknowledged.insert(id), "{id:?} is in use: {publish:?}");
            // [MQTT-3.3.4-9]
            assert!(self.unacknowledged.len() <= self.receive_max, "more than Receive Maximum");
        }
        // [MQTT-3.1.2-26]
        assert!(publish.topic_alias.is_none_or(|alias| (1..=self.topic_aliases_max).contains(&alias)), "{publish:?}");
    }
}
