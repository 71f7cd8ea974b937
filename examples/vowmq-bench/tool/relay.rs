//! The machine's limit: a process that hands on whole packets and looks at nothing else in them.
//!
//! A publisher's first PUBLISH decides where all its bytes go. Where one subscriber has one publisher, the subscriber's
//! acknowledgements go back to it unread; otherwise the relay answers QoS 1 by itself.
use super::connection::Connection;
use super::problem::{Problem, Tried, Trying};
use super::wire::{CONNACK, Frame, PUBACK, PUBLISH, put_ack, u16_at};
use bytes::Bytes;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::net::SocketAddr;
use vowmq::codec;
use vowmq::packet::{Packet, SubAck, Version};
use vowmq::types::ReasonCode;

struct Relay {
    poll: Poll,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    scratch: Vec<u8>,
    ready: Vec<usize>,
    dirty: Vec<usize>,
    /// Publishers that wait until their subscribers have taken what there is.
    paused: Vec<usize>,
}

struct Peer {
    connection: Connection,
    /// None until its CONNECT.
    version: Option<Version>,
    filter: Option<String>,
    /// Where a publisher's packets go.
    to: Vec<usize>,
    /// Where a subscriber's packets go, if it has but one publisher.
    back: Option<usize>,
    /// How many publishers send to this subscriber.
    publishers: u32,
}

const LISTENER: Token = Token(usize::MAX);
const SCRATCH_BYTES: usize = 256 << 10;
const UNSENT_BYTES_MAX: usize = 128 << 10;
const EVENTS_MAX: usize = 1024;
const SHARE: &str = "$share/bench/";

/// Relays for ever.
pub fn serve(address: SocketAddr) -> Tried<()> {
    let mut listener = TcpListener::bind(address).trying(|| format!("listening on {address}"))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let scratch = vec![0; SCRATCH_BYTES];
    let mut relay =
        Relay { poll, listener, peers: Vec::new(), scratch, ready: Vec::new(), dirty: Vec::new(), paused: Vec::new() };
    let mut events = Events::with_capacity(EVENTS_MAX);
    loop {
        relay.turn(&mut events)?;
    }
}

impl Relay {
    fn turn(&mut self, events: &mut Events) -> Tried<()> {
        let wait = (!self.ready.is_empty()).then_some(std::time::Duration::ZERO);
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &*events {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            let Token(index) = event.token();
            if event.is_writable()
                && let Some(Some(peer)) = self.peers.get_mut(index)
            {
                peer.connection.is_blocked = false;
                self.dirty.push(index);
            }
            if event.is_readable() || event.is_read_closed() {
                self.ready.push(index);
            }
        }
        for index in std::mem::take(&mut self.ready) {
            self.receive(index);
        }
        for index in std::mem::take(&mut self.dirty) {
            if let Some(Some(peer)) = self.peers.get_mut(index)
                && peer.connection.flush().is_err()
            {
                self.forget(index);
            }
        }
        for index in std::mem::take(&mut self.paused) {
            let place = if self.is_ahead(index) { &mut self.paused } else { &mut self.ready };
            place.push(index);
        }
        Ok(())
    }

    /// Whether a subscriber of this publisher has much to take yet.
    fn is_ahead(&self, index: usize) -> bool {
        let peer = |index: usize| self.peers.get(index).and_then(Option::as_ref);
        let is_full = |to: &usize| peer(*to).is_some_and(|peer| peer.connection.unsent() > UNSENT_BYTES_MAX);
        peer(index).is_some_and(|peer| peer.to.iter().any(is_full))
    }

    fn accept(&mut self) -> Tried<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            socket.set_nodelay(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(self.peers.len()), interest)?;
            let connection = Connection::of(socket);
            let to = Vec::new();
            self.peers.push(Some(Peer { connection, version: None, filter: None, to, back: None, publishers: 0 }));
        }
    }

    /// Its socket closes; others no longer send to it.
    fn forget(&mut self, index: usize) {
        self.peers[index] = None;
        for peer in self.peers.iter_mut().flatten() {
            peer.to.retain(|to| *to != index);
        }
    }

    fn receive(&mut self, index: usize) {
        if self.is_ahead(index) {
            self.paused.push(index);
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let is_well = match self.peers.get_mut(index) {
            Some(Some(peer)) => match peer.connection.read(&mut scratch) {
                Ok((length, has_more)) => {
                    if has_more {
                        self.ready.push(index);
                    }
                    self.take(index, &scratch[..length]).is_ok()
                }
                Err(_) => false,
            },
            Some(None) | None => true,
        };
        self.scratch = scratch;
        if !is_well {
            self.forget(index);
        }
    }

    fn peer(&mut self, index: usize) -> Tried<&mut Peer> {
        self.peers.get_mut(index).and_then(Option::as_mut).ok_or_else(|| Problem::new("it is gone"))
    }

    fn take(&mut self, index: usize, mut input: &[u8]) -> Tried<()> {
        while self.peer(index)?.version.is_none()
            || (self.peer(index)?.to.is_empty() && self.peer(index)?.back.is_none())
        {
            let Some(frame) = Frame::cut(input) else { break };
            let is_of_stream = self.open(index, &input[..frame.end], frame)?;
            if is_of_stream {
                break;
            }
            input = &input[frame.end..];
        }
        let whole = self.hand_on(index, input)?;
        self.peer(index)?.connection.leftover.extend_from_slice(&input[whole..]);
        Ok(())
    }

    /// Packets before the stream begins; true if this one is of the stream.
    fn open(&mut self, index: usize, packet: &[u8], frame: Frame) -> Tried<bool> {
        if frame.first & 0xf0 == PUBLISH {
            self.route(index, &packet[frame.body_at..])?;
            return Ok(true);
        }
        let version = self.peer(index)?.version;
        let limits = codec::Limits { packet_bytes_max: 1 << 28, ..codec::Limits::default() };
        let packet = codec::decode(Bytes::copy_from_slice(packet), version, &limits);
        match packet.trying(|| "reading".to_owned())? {
            Packet::Connect(connect) => {
                let welcome: &[u8] = if connect.version.is_v5() { &[CONNACK, 3, 0, 0, 0] } else { &[CONNACK, 2, 0, 0] };
                let peer = self.peer(index)?;
                peer.version = Some(connect.version);
                peer.connection.output.extend_from_slice(welcome);
            }
            Packet::Subscribe(subscribe) => {
                let codes = vec![ReasonCode::Success; subscribe.filters.len()];
                let suback = Packet::SubAck(SubAck { id: subscribe.id, codes, diagnostics: None });
                let mut answer = bytes::BytesMut::new();
                codec::encode(&suback, version.unwrap_or(Version::V5), &mut answer).trying(|| "writing".to_owned())?;
                let peer = self.peer(index)?;
                peer.filter = subscribe.filters.first().map(|filter| filter.filter.as_str().to_owned());
                peer.connection.output.extend_from_slice(&answer);
            }
            _ => {}
        }
        self.dirty.push(index);
        Ok(false)
    }

    /// Finds the subscribers of a publisher's topic.
    fn route(&mut self, index: usize, body: &[u8]) -> Tried<()> {
        let length = usize::from(u16_at(body, 0).unwrap_or(0));
        let topic = body.get(2..2 + length).and_then(|topic| str::from_utf8(topic).ok()).unwrap_or_default();
        let above = topic.rsplit_once('/').map_or("", |(above, _)| above);
        let gets = |filter: &str| filter == topic || filter.strip_suffix("/+") == Some(above);
        let filters = self.peers.iter().enumerate();
        let filters = filters.filter_map(|(at, peer)| Some((at, peer.as_ref()?, peer.as_ref()?.filter.as_deref()?)));
        let mut to: Vec<usize> = Vec::new();
        let mut member: Option<(u32, usize)> = None;
        for (at, peer, filter) in filters {
            match filter.strip_prefix(SHARE) {
                Some(shared) if gets(shared) => {
                    let candidate = (peer.publishers, at);
                    member = Some(member.map_or(candidate, |member| member.min(candidate)));
                }
                None if gets(filter) => to.push(at),
                Some(_) | None => {}
            }
        }
        to.extend(member.map(|(_, at)| at));
        for at in &to {
            self.peer(*at)?.publishers += 1;
        }
        if let Some(first) = to.first() {
            // With a second publisher nobody can tell whose an acknowledgement is.
            let peer = self.peer(*first)?;
            peer.back = (peer.publishers == 1).then_some(index);
        }
        self.peer(index)?.to = to;
        Ok(())
    }

    /// Hands whole packets on; how many bytes they are.
    fn hand_on(&mut self, index: usize, input: &[u8]) -> Tried<usize> {
        let to = std::mem::take(&mut self.peer(index)?.to);
        let back = self.peer(index)?.back;
        let answers = match to.first() {
            Some(first) => self.peer(*first)?.publishers > 1 || to.len() > 1,
            None => false,
        };
        let mut whole = 0;
        while let Some(frame) = Frame::cut(&input[whole..]) {
            let body = &input[whole + frame.body_at..whole + frame.end];
            if answers && frame.first & 0xf6 == PUBLISH | 2 {
                let topic = usize::from(u16_at(body, 0).unwrap_or(0));
                let id = u16_at(body, 2 + topic).unwrap_or(0);
                put_ack(&mut self.peer(index)?.connection.output, PUBACK, id);
            }
            whole += frame.end;
        }
        for at in &to {
            if self.peer(*at)?.connection.send(&input[..whole]).is_err() {
                self.forget(*at);
            }
        }
        self.dirty.extend(&to);
        if answers {
            self.dirty.push(index);
        } else if to.is_empty()
            && let Some(back) = back
        {
            let peer = self.peer(back)?;
            if peer.to.len() == 1 {
                peer.connection.output.extend_from_slice(&input[..whole]);
                self.dirty.push(back);
            }
        }
        self.peer(index)?.to = to;
        Ok(whole)
    }
}
