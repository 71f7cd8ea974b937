//! A client's socket that speaks packets: written by the test, read by a thread that tells everything to one inbox.
use bytes::BytesMut;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::Sender;
use std::time::Duration;
use vowmq::codec;
use vowmq::packet::{Packet, Version};

/// Whose link it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Publisher(usize),
    Subscriber(usize),
    Owner(usize),
    Inspector,
}

/// What a link has to tell.
pub struct Event {
    pub who: Who,
    pub what: What,
}

pub enum What {
    Packet(Packet),
    /// Bytes that are no legal packet; nothing but the end follows.
    Illegal(String),
    /// The last event of every link.
    Closed,
}

/// Where clients find the broker and report what they were told.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub inbox: Sender<Event>,
}

pub struct Link {
    stream: TcpStream,
    version: Version,
    output: BytesMut,
}

const WRITE_WITHIN: Duration = Duration::from_secs(20);

impl Link {
    pub fn open(door: &Door, who: Who, version: Version) -> io::Result<Self> {
        let stream = TcpStream::connect(door.address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_WITHIN))?;
        let (readable, inbox) = (stream.try_clone()?, door.inbox.clone());
        std::thread::spawn(move || read_all(readable, version, |what| inbox.send(Event { who, what }).is_ok()));
        Ok(Self { stream, version, output: BytesMut::new() })
    }

    /// Puts a packet to those that the next [`Link::flush`] sends.
    pub fn send(&mut self, packet: &Packet) {
        codec::encode(packet, self.version, &mut self.output).expect("a legal packet");
    }

    /// To a broker that is gone it is lost; the reader tells of its end.
    pub fn flush(&mut self) {
        if !self.output.is_empty() {
            let _ = self.stream.write_all(&self.output);
            self.output.clear();
        }
    }

    /// Ends the connection without a word; `What::Closed` follows.
    pub fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn read_all(mut stream: TcpStream, version: Version, tell: impl Fn(What) -> bool) {
    let limits = codec::Limits::default();
    let (mut input, mut chunk) = (BytesMut::new(), [0; 16384]);
    'open: while let Ok(count @ 1..) = stream.read(&mut chunk) {
        input.extend_from_slice(chunk.get(..count).expect("what was read"));
        loop {
            let packet = match codec::frame_len(&input, Some(version), &limits) {
                Ok(Some(length)) if length <= input.len() => {
                    codec::decode(input.split_to(length).freeze(), Some(version), &limits)
                }
                Ok(_) => break,
                Err(violation) => Err(violation),
            };
            let (what, is_legal) = match packet {
                Ok(packet) => (What::Packet(packet), true),
                Err(violation) => (What::Illegal(format!("{violation:?}")), false),
            };
            if !tell(what) || !is_legal {
                break 'open;
            }
        }
    }
    tell(What::Closed);
}
