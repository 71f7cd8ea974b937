//! A client's connection while it is being set up: one packet at a time, through the codec, blocking.
use super::problem::{Problem, Tried, Trying};
use bytes::BytesMut;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use vowmq::codec;
use vowmq::packet::{
    Connect, ConnectProperties, Packet, RetainHandling, Subscribe, SubscribeFilter, SubscriptionOptions, Version,
};
use vowmq::types::{PacketId, QoS, ReasonCode, Text, TopicFilter};

pub struct Link {
    pub stream: TcpStream,
    /// What has come and is not read yet.
    pub input: BytesMut,
    pub version: Version,
    /// Publishes above QoS 0 that the broker takes unacknowledged.
    pub receive_max: u16,
    limits: codec::Limits,
}

/// How long a broker may be silent while something is due.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 16 << 10;

/// How a client introduces itself.
#[derive(Debug, Clone)]
pub struct Hello {
    pub name: String,
    pub version: Version,
    /// Whether what is left of an earlier session is wanted.
    pub resumes: bool,
    /// Whether the session outlives the connection.
    pub durable: bool,
}

impl Hello {
    pub fn packet(&self) -> Packet {
        let is_v5 = self.version.is_v5();
        let client_id = Text::try_from(self.name.as_str()).expect("names of ours are legal");
        Packet::Connect(Box::new(Connect {
            version: self.version,
            // 3.1.1 has one flag for both.
            clean_start: if is_v5 { !self.resumes } else { !self.durable },
            keep_alive_s: 0,
            client_id,
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties {
                session_expiry_s: (is_v5 && self.durable).then_some(3600),
                ..ConnectProperties::default()
            },
        }))
    }
}

impl Link {
    /// Connects and is welcomed.
    pub fn open(address: SocketAddr, hello: &Hello) -> Tried<Self> {
        let stream = TcpStream::connect(address).trying(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let limits = codec::Limits { packet_bytes_max: 1 << 28, ..codec::Limits::default() };
        let mut link = Self { stream, input: BytesMut::new(), version: hello.version, receive_max: u16::MAX, limits };
        link.send(&hello.packet())?;
        match link.next()? {
            Packet::ConnAck(connack) if connack.code == ReasonCode::Success => {
                link.receive_max = connack.properties.receive_maximum.unwrap_or(u16::MAX);
                Ok(link)
            }
            other => Err(Problem::new(format!("instead of a welcome for {} comes {other:?}", hello.name))),
        }
    }

    /// Subscribes; messages that come before the SUBACK are left for later, at the end of what is read.
    pub fn subscribe(&mut self, filters: &[String], qos: QoS) -> Tried<()> {
        self.send(&subscribe(filters, qos))?;
        let mut before = BytesMut::new();
        loop {
            let frame = self.frame()?;
            if frame.first().is_some_and(|first| first & 0xf0 == super::wire::PUBLISH) {
                before.extend_from_slice(&frame);
                continue;
            }
            let packet = codec::decode(frame.freeze(), Some(self.version), &self.limits);
            match packet.trying(|| "reading the broker's packet".to_owned())? {
                Packet::SubAck(suback) if suback.codes.iter().all(|code| (*code as u8) < 0x80) => break,
                other => return Err(Problem::new(format!("instead of a SUBACK of success comes {other:?}"))),
            }
        }
        before.extend_from_slice(&self.input);
        self.input = before;
        Ok(())
    }

    pub fn send(&mut self, packet: &Packet) -> Tried<()> {
        let mut bytes = BytesMut::new();
        codec::encode(packet, self.version, &mut bytes).expect("packets of ours are legal");
        self.stream.write_all(&bytes).trying(|| format!("sending {}", packet.name()))
    }

    pub fn next(&mut self) -> Tried<Packet> {
        let frame = self.frame()?.freeze();
        codec::decode(frame, Some(self.version), &self.limits).trying(|| "reading the broker's packet".to_owned())
    }

    /// After a DISCONNECT: until the broker has let go of the session.
    pub fn wait_until_closed(mut self) {
        let mut bytes = [0; READ_BYTES];
        while matches!(self.stream.read(&mut bytes), Ok(1..)) {}
    }

    fn frame(&mut self) -> Tried<BytesMut> {
        loop {
            let length = codec::frame_len(&self.input, Some(self.version), &self.limits)
                .trying(|| "reading the broker's packet".to_owned())?;
            if let Some(length) = length.filter(|length| *length <= self.input.len()) {
                return Ok(self.input.split_to(length));
            }
            let mut bytes = [0; READ_BYTES];
            let read = self.stream.read(&mut bytes).trying(|| "waiting for the broker's packet".to_owned())?;
            if read == 0 {
                return Err(Problem::new("the broker closed the connection"));
            }
            self.input.extend_from_slice(&bytes[..read]);
        }
    }
}

pub fn subscribe(filters: &[String], qos: QoS) -> Packet {
    let filters = filters.iter().map(|filter| SubscribeFilter {
        filter: TopicFilter::try_from(filter.as_str()).expect("filters of ours are legal"),
        options: SubscriptionOptions { qos, retain_handling: RetainHandling::Always, ..SubscriptionOptions::default() },
    });
    let id = PacketId::new(1).expect("one is an identifier");
    Packet::Subscribe(Subscribe { id, subscription_id: None, user: Vec::new(), filters: filters.collect() })
}
