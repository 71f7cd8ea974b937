//! A client's connection that speaks packets, in the broker's own codec (5.0).
use bytes::BytesMut;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vowmq::codec;
use vowmq::packet::{ConnAck, Connect, ConnectProperties, Disconnect, Packet, PublishFrame, Version};
use vowmq::types::{ReasonCode, Text};

pub struct Link {
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    limits: codec::Limits,
}

/// How long the broker may be silent while something is due.
const PATIENCE: Duration = Duration::from_secs(120);
const VERSION: Version = Version::V5;

/// Whether the session outlives its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Passing,
    Durable,
}

/// A CONNECT that takes as much at once as the standard allows.
pub fn connect(name: &str, life: Life) -> Connect {
    Connect {
        version: VERSION,
        clean_start: life == Life::Passing,
        keep_alive_s: 0,
        client_id: Text::try_from(name).expect("a legal name"),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties {
            session_expiry_s: (life == Life::Durable).then_some(u32::MAX),
            receive_maximum: Some(u16::MAX),
            ..ConnectProperties::default()
        },
    }
}

impl Link {
    /// Connects, and returns what CONNACK says.
    pub async fn open(address: SocketAddr, name: &str, life: Life) -> (Self, ConnAck) {
        let stream = TcpStream::connect(address).await.expect("the broker listens");
        stream.set_nodelay(true).expect("a socket takes its options");
        let (input, output) = (BytesMut::with_capacity(1 << 16), BytesMut::new());
        let mut link = Self { stream, input, output, limits: codec::Limits::default() };
        link.put(&Packet::Connect(Box::new(connect(name, life))));
        match link.next().await {
            Packet::ConnAck(connack) if connack.code == ReasonCode::Success => (link, *connack),
            other => panic!("instead of a CONNACK that welcomes {name} comes {other:?}"),
        }
    }

    /// Prepares a packet; [`Self::flush`] and [`Self::next`] send it.
    pub fn put(&mut self, packet: &Packet) {
        codec::encode(packet, VERSION, &mut self.output).expect("a legal packet");
    }

    pub fn put_publish(&mut self, frame: &PublishFrame<'_>) {
        codec::encode_publish(frame, VERSION, &mut self.output).expect("a legal packet");
    }

    pub async fn flush(&mut self) {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await.expect("the broker takes what is sent");
            self.output.clear();
        }
    }

    /// The next packet that is there already.
    pub fn take(&mut self) -> Option<Packet> {
        let length = codec::frame_len(&self.input, Some(VERSION), &self.limits).expect("the broker writes packets")?;
        if self.input.len() < length {
            return None;
        }
        let frame = self.input.split_to(length).freeze();
        Some(codec::decode(frame, Some(VERSION), &self.limits).expect("the broker's packets are legal"))
    }

    /// Waits for more bytes to come.
    pub async fn fill(&mut self) {
        assert!(self.read().await > 0, "the broker closed the connection");
    }

    /// Sends what is prepared, and waits for a packet.
    pub async fn next(&mut self) -> Packet {
        self.flush().await;
        loop {
            if let Some(packet) = self.take() {
                return packet;
            }
            self.fill().await;
        }
    }

    /// Takes leave, and waits until the broker has let go of the session.
    pub async fn close(mut self) {
        self.put(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        self.flush().await;
        while self.read().await > 0 {}
    }

    async fn read(&mut self) -> usize {
        self.input.reserve(1 << 16);
        let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await;
        read.unwrap_or_else(|_| panic!("the broker says nothing for {PATIENCE:?}")).expect("the connection holds")
    }
}
