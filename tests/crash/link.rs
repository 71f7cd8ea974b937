//! A client's socket that speaks packets.
use bytes::BytesMut;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use vowmq::codec;
use vowmq::packet::{ConnAck, Connect, Packet, Version};
use vowmq::types::ReasonCode;

pub struct Connection {
    stream: TcpStream,
    version: Version,
    input: BytesMut,
    is_dead: bool,
}

/// How long a read waits before the other peer gets its turn.
const TURN: Duration = Duration::from_millis(1);

impl Connection {
    /// Connects, and returns what CONNACK says.
    pub fn open(address: SocketAddr, connect: Connect) -> (Self, ConnAck) {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket takes its options");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes its options");
        let version = connect.version;
        let mut connection = Self { stream, version, input: BytesMut::new(), is_dead: false };
        connection.send(&Packet::Connect(Box::new(connect)));
        let Some(Packet::ConnAck(connack)) = connection.next() else { panic!("no CONNACK comes") };
        assert_eq!(connack.code, ReasonCode::Success);
        connection.stream.set_read_timeout(Some(TURN)).expect("a socket takes its options");
        (connection, *connack)
    }

    /// Sends a packet; to a dead broker it is lost.
    pub fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        codec::encode(packet, self.version, &mut bytes).expect("a legal packet");
        self.is_dead |= self.stream.write_all(&bytes).is_err();
    }

    /// The next packet, if one comes within a turn.
    pub fn next(&mut self) -> Option<Packet> {
        let limits = codec::Limits::default();
        loop {
            let length = codec::frame_len(&self.input, Some(self.version), &limits).expect("the broker writes packets");
            if let Some(length) = length.filter(|length| *length <= self.input.len()) {
                let frame = self.input.split_to(length).freeze();
                return Some(
                    codec::decode(frame, Some(self.version), &limits).expect("the broker's packets are legal"),
                );
            }
            let mut chunk = [0; 16384];
            match self.stream.read(&mut chunk) {
                Ok(0) => self.is_dead = true,
                Ok(count) => self.input.extend_from_slice(chunk.get(..count).expect("what was read")),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(_) => self.is_dead = true,
            }
            if self.is_dead {
                return None;
            }
        }
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead
    }
}
