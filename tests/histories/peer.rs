//! What all clients have in common: a session that outlives its connections, and what they know about it.
use super::fault::{Fault, Faults};
use super::link::{Door, Link, Who};
use vowmq::packet::{ConnAck, Connect, ConnectProperties, Packet, Version, Will};
use vowmq::types::{ReasonCode, Text};

/// What a client knows of its session at the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knowledge {
    /// It never asked for one.
    None,
    /// It asked, and the broker died before the answer.
    Asked,
    /// A CONNACK told of it.
    Known,
}

pub struct Peer {
    pub who: Who,
    pub name: String,
    pub version: Version,
    /// Seconds; `None` is a session that ends with its connection.
    pub session_expiry_s: Option<u32>,
    /// The client's, when 5.0.
    pub receive_maximum: Option<u16>,
    pub will: Option<Will>,
    /// The broker's Receive Maximum.
    pub send_maximum: u64,
    link: Option<Link>,
    is_accepted: bool,
    /// This client ends the connection itself.
    is_closing: bool,
    /// Connections that the broker closed.
    pub cuts: u64,
    session: Knowledge,
}

impl Peer {
    pub fn new(who: Who, name: String, version: Version) -> Self {
        Self {
            who,
            name,
            version,
            session_expiry_s: Some(3600),
            receive_maximum: None,
            will: None,
            send_maximum: 65_535,
            link: None,
            is_accepted: false,
            is_closing: false,
            cuts: 0,
            session: Knowledge::None,
        }
    }

    pub fn connect(&mut self, door: &Door) {
        let is_v5 = self.version.is_v5();
        let properties = ConnectProperties {
            session_expiry_s: self.session_expiry_s.filter(|_| is_v5),
            receive_maximum: self.receive_maximum.filter(|_| is_v5),
            ..ConnectProperties::default()
        };
        let connect = Connect {
            version: self.version,
            clean_start: self.session_expiry_s.is_none(),
            keep_alive_s: 0,
            client_id: Text::try_from(self.name.as_str()).expect("a legal name"),
            will: self.will.clone(),
            user_name: None,
            password: None,
            properties,
        };
        // A broker that refuses connections is found out by its driver.
        let Ok(mut link) = Link::open(door, self.who, self.version) else { return };
        link.send(&Packet::Connect(Box::new(connect)));
        link.flush();
        self.link = Some(link);
        self.is_accepted = false;
        self.is_closing = false;
        if self.session == Knowledge::None {
            self.session = Knowledge::Asked;
        }
    }

    /// Takes the CONNACK. True if the session goes on; with false, the client must forget its own part of it.
    pub fn accept(&mut self, connack: &ConnAck, faults: &mut Faults) -> bool {
        if connack.code != ReasonCode::Success {
            faults.note(Fault::ConnectionCut, || format!("{}: CONNACK {:?}", self.name, connack.code));
            return false;
        }
        self.is_accepted = true;
        if self.version.is_v5() {
            self.send_maximum = connack.properties.receive_maximum.map_or(65_535, u64::from);
        }
        let before = std::mem::replace(&mut self.session, Knowledge::Known);
        if before == Knowledge::Known && !connack.session_present && self.session_expiry_s.is_some() {
            faults.note(Fault::SessionLost, || self.name.clone());
        }
        if before == Knowledge::None && connack.session_present {
            faults.note(Fault::SessionInvented, || self.name.clone());
        }
        connack.session_present
    }

    /// Whether a CONNACK has ever told of the session.
    pub fn has_session(&self) -> bool {
        self.session == Knowledge::Known
    }

    pub fn is_accepted(&self) -> bool {
        self.is_accepted
    }

    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    pub fn send(&mut self, packet: &Packet) {
        if let Some(link) = &mut self.link {
            link.send(packet);
        }
    }

    pub fn flush(&mut self) {
        if let Some(link) = &mut self.link {
            link.flush();
        }
    }

    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    pub fn close(&mut self) {
        self.is_closing = true;
        if let Some(link) = &self.link {
            link.close();
        }
    }

    pub fn handle_closed(&mut self) {
        self.link = None;
        self.is_accepted = false;
    }
}
