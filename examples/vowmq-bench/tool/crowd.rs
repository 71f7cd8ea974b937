//! Many connections: how fast they are made, what memory each takes, how fast clients may come and go.
use super::link::{self, Hello};
use super::problem::{Problem, Tried, Trying};
use super::secure::Secure;
use super::wire::{CONNACK, SUBACK};
use super::work::{Outcome, Scene};
use bytes::BytesMut;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use vowmq::codec;
use vowmq::packet::Version;
use vowmq::types::QoS;

/// Connections that stay and do nothing.
#[derive(Debug, Clone, clap::Args)]
pub struct Idle {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// With TLS
    #[arg(long)]
    pub tls: bool,
}

/// Clients that come and go.
#[derive(Debug, Clone, clap::Args)]
pub struct Churn {
    /// Connections that are being made at the same time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub at_once: u32,
}

const AT_ONCE: u32 = 64;
const EVENTS_MAX: usize = 256;
const PATIENCE: Duration = Duration::from_secs(20);
/// Addresses to connect from, so that there are ports enough.
const SOURCES: u32 = 16;
const DISCONNECT: [u8; 2] = [0xe0, 0];

impl Idle {
    /// Connects per second, and bytes for one that has subscribed and is idle.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        raise_file_limit()?;
        if self.tls {
            return self.play_with_tls(scene);
        }
        let broker = scene.fresh()?;
        let before = broker.usage().resident_mib();
        let mut crowd = Crowd::new(broker.address, scene)?;
        let begun = Instant::now();
        crowd.connect(self.connections, AT_ONCE, |_, _| true)?;
        let seconds = begun.elapsed().as_secs_f64();
        crowd.subscribe()?;
        let bytes = (broker.usage().resident_mib() - before) * f64::from(1 << 20);
        let count = f64::from(self.connections);
        Ok(Outcome::plain(vec![count / seconds, bytes / count]))
    }
}

impl Idle {
    fn play_with_tls(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let secure = Secure::new()?;
        let broker = scene.fresh_with(&secure)?;
        // One to learn what the first costs.
        let hello = |name: String| Hello { name, version: scene.version(), resumes: false, durable: false };
        let mut clients = vec![secure.connect(&hello(format!("{}-first", scene.tag)))?];
        let before = broker.usage().resident_mib();
        let begun = Instant::now();
        for number in 0..self.connections {
            clients.push(secure.connect(&hello(format!("{}-{number}", scene.tag)))?);
        }
        let seconds = begun.elapsed().as_secs_f64();
        for (number, client) in clients.iter_mut().enumerate().skip(1) {
            is_granted(&client.ask(&subscribe(&scene.tag, number, scene.version()))?)?;
        }
        let bytes = (broker.usage().resident_mib() - before) * f64::from(1 << 20);
        let count = f64::from(self.connections);
        Ok(Outcome::plain(vec![count / seconds, bytes / count]))
    }
}

/// A SUBSCRIBE to a topic of its own.
fn subscribe(tag: &str, number: usize, version: Version) -> BytesMut {
    let packet = link::subscribe(&[format!("bench/{tag}/{number}")], QoS::AtLeastOnce);
    let mut bytes = BytesMut::new();
    codec::encode(&packet, version, &mut bytes).expect("packets of ours are legal");
    bytes
}

fn is_granted(answer: &[u8]) -> Tried<()> {
    match answer {
        [SUBACK, .., code] if *code <= 2 => Ok(()),
        _ => Err(Problem::new(format!("instead of SUBACK comes {answer:02x?}"))),
    }
}

impl Churn {
    /// Connects per second.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        raise_file_limit()?;
        let broker = scene.fresh()?;
        let mut crowd = Crowd::new(broker.address, scene)?;
        let begun = Instant::now();
        let deadline = begun + scene.measured;
        let count = crowd.connect(u32::MAX, self.at_once, |crowd, index| {
            crowd.send_off(index);
            Instant::now() < deadline
        })?;
        Ok(Outcome::plain(vec![f64::from(count) / begun.elapsed().as_secs_f64()]))
    }
}

/// Connections on their way, and those that are there.
struct Crowd {
    address: SocketAddr,
    version: Version,
    tag: String,
    poll: Poll,
    sockets: Vec<Option<TcpStream>>,
    welcomed: u32,
}

impl Crowd {
    fn new(address: SocketAddr, scene: &Scene<'_>) -> Tried<Self> {
        let (version, tag) = (scene.version(), scene.tag.clone());
        Ok(Self { address, version, tag, poll: Poll::new()?, sockets: Vec::new(), welcomed: 0 })
    }

    /// Keeps `at_once` connections on their way until `count` are welcomed, or until `goes_on`, which is called with
    /// each that is welcomed, says that it is enough. How many there were.
    fn connect(&mut self, count: u32, at_once: u32, goes_on: impl Fn(&mut Self, usize) -> bool) -> Tried<u32> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        for _ in 0..at_once.min(count) {
            self.begin()?;
        }
        while self.welcomed < count {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(Problem::new(format!("{} connections, and no more for {PATIENCE:?}", self.welcomed)));
            }
            for event in &events {
                let Token(index) = event.token();
                if !matches!(self.sockets.get(index), Some(Some(_))) {
                    continue;
                }
                if event.is_error() || event.is_read_closed() {
                    return Err(Problem::new(format!("a connection fails after {} others", self.welcomed)));
                }
                if event.is_readable() && self.is_welcome(index)? {
                    self.welcomed += 1;
                    if !goes_on(self, index) {
                        return Ok(self.welcomed);
                    }
                    if self.sockets.len() < count as usize {
                        self.begin()?;
                    }
                } else if event.is_writable() {
                    self.greet(index)?;
                }
            }
        }
        Ok(self.welcomed)
    }

    /// Subscribes each to a topic of its own.
    fn subscribe(&mut self) -> Tried<()> {
        for (number, stream) in self.sockets.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            stream.write_all(&subscribe(&self.tag, number, self.version))?;
        }
        for stream in self.sockets.iter_mut().flatten() {
            let mut answer = [0; 256];
            let deadline = Instant::now() + PATIENCE;
            let read = loop {
                match stream.read(&mut answer) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                        std::thread::yield_now();
                    }
                    result => break result.trying(|| "waiting for SUBACK".to_owned())?,
                }
            };
            is_granted(answer.get(..read).unwrap_or_default())?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Tried<()> {
        let index = self.sockets.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let source = 1 + u8::try_from(index as u32 % SOURCES).expect("few sources");
        let trying = || format!("connecting to {}", self.address);
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0)).into()).trying(trying)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&self.address.into()) {
            Err(error) if error.kind() != ErrorKind::WouldBlock && !is_in_progress(&error) => {
                return Err(error).trying(trying);
            }
            Ok(()) | Err(_) => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        self.sockets.push(Some(stream));
        Ok(())
    }

    /// Sends CONNECT once the connection is there.
    fn greet(&mut self, index: usize) -> Tried<()> {
        let name = format!("{}-{index}", self.tag);
        let hello = Hello { name, version: self.version, resumes: false, durable: false };
        let mut bytes = BytesMut::new();
        codec::encode(&hello.packet(), self.version, &mut bytes).expect("packets of ours are legal");
        if let Some(Some(stream)) = self.sockets.get_mut(index) {
            stream.write_all(&bytes).trying(|| "sending CONNECT".to_owned())?;
            self.poll.registry().reregister(stream, Token(index), Interest::READABLE)?;
        }
        Ok(())
    }

    fn is_welcome(&mut self, index: usize) -> Tried<bool> {
        let mut answer = [0; 256];
        let Some(Some(stream)) = self.sockets.get_mut(index) else { return Ok(false) };
        match stream.read(&mut answer) {
            Ok(read) if read >= 4 && answer[0] == CONNACK && answer[3] == 0 => Ok(true),
            Ok(read) => Err(Problem::new(format!("instead of a welcome comes {:02x?}", &answer[..read]))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes leave of one and closes it.
    fn send_off(&mut self, index: usize) {
        if let Some(mut stream) = self.sockets.get_mut(index).and_then(Option::take) {
            // It goes either way. A process that is being started may hold the socket a moment longer, so that closing it
            // does not always end its events.
            let _ = stream.write_all(&DISCONNECT);
            let _ = self.poll.registry().deregister(&mut stream);
        }
    }
}

fn is_in_progress(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// As many files as this process may have; brokers it starts get the same.
fn raise_file_limit() -> Tried<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).trying(|| "raising the limit on files".to_owned())
}
