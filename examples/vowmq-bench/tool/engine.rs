//! The loop that drives all clients of a run: one thread, one epoll, whatever is ready in one go.
use super::clock::Clock;
use super::connection::Connection;
use super::ledger::Ledger;
use super::link::Link;
use super::problem::{Problem, Tried, Trying};
use super::publisher::Publisher;
use super::subscriber::Subscriber;
use super::wire::{DISCONNECT, Frame, PINGRESP, SUBACK};
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::time::Duration;

pub struct Engine {
    poll: Poll,
    events: Events,
    peers: Vec<Peer>,
    pub ledger: Ledger,
    scratch: Vec<u8>,
    /// Peers to read from, each once.
    ready: Vec<usize>,
    /// Peers that may have something to send, each once.
    dirty: Vec<usize>,
    /// Room that takes turns with the two above.
    spare_ready: Vec<usize>,
    spare_dirty: Vec<usize>,
    /// Whether any publisher keeps a schedule.
    is_scheduled: bool,
    /// The peer that publishes each stream.
    publisher_of: Vec<Option<usize>>,
    woken: Vec<u32>,
    /// Messages published while it was measured.
    published: u64,
    is_publishing: bool,
    acknowledged_ns: u64,
}

struct Peer {
    connection: Connection,
    role: Role,
    is_dirty: bool,
    is_ready: bool,
}

enum Role {
    Publisher(Publisher),
    Subscriber(Subscriber),
}

const EVENTS_MAX: usize = 1024;
const SCRATCH_BYTES: usize = 256 << 10;
/// A wait without events ends after this, so that the phases of a run come in time.
const WAIT_MAX: Duration = Duration::from_millis(10);

impl Engine {
    pub fn new(ledger: Ledger, payload_bytes: usize) -> Tried<Self> {
        let streams = ledger.streams.len();
        Ok(Self {
            poll: Poll::new().trying(|| "making an epoll".to_owned())?,
            events: Events::with_capacity(EVENTS_MAX),
            peers: Vec::new(),
            ledger,
            scratch: vec![0; SCRATCH_BYTES.max(4 * payload_bytes)],
            ready: Vec::new(),
            dirty: Vec::new(),
            spare_ready: Vec::new(),
            spare_dirty: Vec::new(),
            is_scheduled: false,
            publisher_of: vec![None; streams],
            woken: Vec::new(),
            published: 0,
            is_publishing: true,
            acknowledged_ns: 0,
        })
    }

    pub fn add_publisher(&mut self, link: Link, publisher: Publisher) -> Tried<()> {
        self.publisher_of[publisher.stream as usize] = Some(self.peers.len());
        self.is_scheduled |= publisher.due_ns().is_some();
        self.add(link, Role::Publisher(publisher))
    }

    pub fn add_subscriber(&mut self, link: Link, subscriber: Subscriber) -> Tried<()> {
        self.add(link, Role::Subscriber(subscriber))
    }

    fn add(&mut self, link: Link, role: Role) -> Tried<()> {
        let mut connection = Connection::new(link)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let index = self.peers.len();
        self.poll.registry().register(&mut connection.socket, Token(index), interest)?;
        self.peers.push(Peer { connection, role, is_dirty: false, is_ready: false });
        self.mark_dirty(index);
        // What came while it was set up is waiting in its buffer.
        self.mark_ready(index);
        Ok(())
    }

    /// Publishers' schedules begin now.
    pub fn begin(&mut self, now_ns: u64) {
        for peer in &mut self.peers {
            if let Role::Publisher(publisher) = &mut peer.role {
                publisher.begin(now_ns);
            }
        }
        self.acknowledged_ns = now_ns;
        self.ledger.last_arrival_ns = now_ns;
    }

    /// Does all that there is to do now, and waits a little if that is nothing.
    pub fn turn(&mut self, clock: Clock, spins: bool) -> Tried<()> {
        self.send(clock.now_ns())?;
        let wait = if spins || !self.ready.is_empty() || !self.dirty.is_empty() { Duration::ZERO } else { WAIT_MAX };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result.trying(|| "waiting for events".to_owned())?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(index) = event.token();
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.mark_ready(index);
            }
            if event.is_writable() {
                self.peers[index].connection.is_blocked = false;
                self.mark_dirty(index);
            }
        }
        self.events = events;
        self.receive(clock)
    }

    fn mark_ready(&mut self, index: usize) {
        if !std::mem::replace(&mut self.peers[index].is_ready, true) {
            self.ready.push(index);
        }
    }

    fn mark_dirty(&mut self, index: usize) {
        if !std::mem::replace(&mut self.peers[index].is_dirty, true) {
            self.dirty.push(index);
        }
    }

    /// Reads once from each peer that has something.
    fn receive(&mut self, clock: Clock) -> Tried<()> {
        let mut ready = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare_ready));
        for index in ready.drain(..) {
            self.peers[index].is_ready = false;
            let (length, has_more) = self.peers[index].connection.read(&mut self.scratch)?;
            // One time for all that one read brings.
            self.take(index, length, clock.now_ns())?;
            if has_more {
                self.mark_ready(index);
            }
        }
        self.spare_ready = ready;
        let mut woken = std::mem::take(&mut self.woken);
        self.ledger.take_woken(&mut woken);
        for stream in &woken {
            if let Some(index) = self.publisher_of[*stream as usize] {
                self.mark_dirty(index);
            }
        }
        self.woken = woken;
        Ok(())
    }

    fn take(&mut self, index: usize, length: usize, now_ns: u64) -> Tried<()> {
        let Self { peers, scratch, ledger, acknowledged_ns, .. } = self;
        let Peer { connection, role, .. } = &mut peers[index];
        let mut input = &scratch[..length];
        while let Some(frame) = Frame::cut(input) {
            let body = &input[frame.body_at..frame.end];
            let is_taken = match role {
                Role::Publisher(publisher) => {
                    *acknowledged_ns = now_ns;
                    publisher.take(frame.first, body, &mut connection.output)
                }
                Role::Subscriber(subscriber) => {
                    subscriber.take(frame.first, body, now_ns, ledger, &mut connection.output)
                }
            };
            if !is_taken && !matches!(frame.first, SUBACK | PINGRESP) {
                return Err(unexpected(frame.first, body));
            }
            input = &input[frame.end..];
        }
        connection.leftover.extend_from_slice(input);
        if matches!(role, Role::Publisher(_)) || connection.unsent() > 0 {
            self.mark_dirty(index);
        }
        Ok(())
    }

    /// Prepares what publishers may send, and writes once to each peer that has something.
    fn send(&mut self, now_ns: u64) -> Tried<()> {
        if self.is_scheduled && self.is_publishing {
            self.mark_due(now_ns);
        }
        let is_measured = self.ledger.measured.contains(&now_ns);
        let mut dirty = std::mem::replace(&mut self.dirty, std::mem::take(&mut self.spare_dirty));
        for index in dirty.drain(..) {
            let Peer { connection, role, is_dirty, .. } = &mut self.peers[index];
            *is_dirty = false;
            let Role::Publisher(publisher) = role else {
                connection.flush()?;
                continue;
            };
            if !self.is_publishing {
                connection.flush()?;
                continue;
            }
            let stream = &mut self.ledger.streams[publisher.stream as usize];
            let unsent = connection.unsent();
            let produced = publisher.produce(&mut connection.output, unsent, now_ns, stream.delivered);
            stream.sent = publisher.sent;
            self.published += if is_measured { u64::from(produced) } else { 0 };
            connection.flush()?;
            if !connection.is_blocked && publisher.wants_more(connection.unsent(), stream.delivered) {
                self.mark_dirty(index);
            }
        }
        self.spare_dirty = dirty;
        Ok(())
    }

    fn mark_due(&mut self, now_ns: u64) {
        for index in 0..self.peers.len() {
            if let Role::Publisher(publisher) = &self.peers[index].role
                && publisher.due_ns().is_some_and(|due| due <= now_ns)
            {
                self.mark_dirty(index);
            }
        }
    }

    /// No more is published; what is under way may still come.
    pub fn stop_publishing(&mut self) {
        self.is_publishing = false;
    }

    /// Lets publishers go on that wait for messages that do not come.
    pub fn forgive(&mut self) {
        for index in 0..self.peers.len() {
            if let Role::Publisher(publisher) = &mut self.peers[index].role {
                publisher.forgive(self.ledger.streams[publisher.stream as usize].delivered);
                self.mark_dirty(index);
            }
        }
    }

    /// Whether every publisher has sent all it may, and all is acknowledged.
    pub fn is_settled(&self) -> bool {
        self.publishers().all(|publisher| publisher.is_settled() && (publisher.remaining == 0 || !self.is_publishing))
    }

    pub fn refused(&self) -> u64 {
        self.publishers().map(|publisher| publisher.refused).sum()
    }

    pub fn published(&self) -> u64 {
        self.published
    }

    /// When something last came that tells of progress.
    pub fn last_progress_ns(&self) -> u64 {
        self.ledger.last_arrival_ns.max(self.acknowledged_ns)
    }

    fn publishers(&self) -> impl Iterator<Item = &Publisher> {
        self.peers.iter().filter_map(|peer| match &peer.role {
            Role::Publisher(publisher) => Some(publisher),
            Role::Subscriber(_) => None,
        })
    }
}

fn unexpected(first: u8, body: &[u8]) -> Problem {
    let what = if first == DISCONNECT { "DISCONNECT" } else { "a packet nobody asked for" };
    let body = &body[..body.len().min(16)];
    Problem::new(format!("the broker sent {what}: first byte {first:#04x}, then {body:02x?}"))
}
