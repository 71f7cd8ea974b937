//! CONNECT: finding, taking over or beginning the session of a Client Identifier.
use super::attachment::Attachment;
use super::inspect::{Notes, Visit};
use super::loads::Load;
use super::slot::Place;
use super::{Batch, Broker, Slot, Standing, Waypoint};
use crate::access::Subject;
use crate::packet::{Connect, Packet};
use crate::session::{Authenticated, Close, Parked, Session, requested_client_id, welcome};
use crate::store::Record;
use crate::types::{ClientId, Identity, Now, ReasonCode, Text, Violation};
use dashmap::mapref::entry::Entry;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A CONNECT that was found acceptable and waits for its session.
#[derive(Debug)]
pub struct ConnectRequest {
    connect: Connect,
    client_id: ClientId,
    is_assigned: bool,
    identity: Arc<Identity>,
    authenticated: Option<Authenticated>,
    listener: Option<Arc<str>>,
    address: Option<SocketAddr>,
    standing: Option<Standing>,
    /// When its connection came.
    since: Option<Now>,
}

impl ConnectRequest {
    /// The client went through the authentication method that its CONNECT named.
    #[must_use]
    pub fn authenticated_by(self, authenticated: Option<Authenticated>) -> Self {
        Self { authenticated, ..self }
    }

    /// The client may stay as long as this holds.
    #[must_use]
    pub fn while_it_holds(self, standing: Option<Standing>) -> Self {
        Self { standing, ..self }
    }

    /// Notes for operators where the client comes from, and since when it is there.
    #[must_use]
    pub fn via(self, listener: Arc<str>, address: Option<SocketAddr>, since: Now) -> Self {
        Self { listener: Some(listener), address, since: Some(since), ..self }
    }
}

/// How far a CONNECT has come.
#[derive(Debug)]
pub enum Step {
    /// The session is this connection's.
    Attached(Box<Attachment>),
    /// Another connection has been asked to leave; try again when it has ([`Slot::poll_vacated`]).
    Wait(Box<ConnectRequest>, Arc<Slot>),
}

/// What the registry holds for a Client Identifier, once nobody else is connected with it.
enum Found {
    /// A slot of its own, and what remains of the session before it.
    New(Arc<Slot>, Option<(Arc<Slot>, Box<Parked>)>),
    Resumed(Arc<Slot>, Box<Parked>),
    Occupied(Arc<Slot>),
    /// The session belongs to somebody else.
    Foreign,
}

impl Broker {
    /// Checks a CONNECT of a client that has proved who it is, before anything is looked up or created.
    pub fn admit(&self, connect: Connect, identity: Arc<Identity>) -> Result<ConnectRequest, Violation> {
        if let Some(refusal) = self.draining.refusal().or_else(|| self.refusal_for_memory()) {
            return Err(refusal);
        }
        let requested = requested_client_id(&connect, &self.limits.load(), &self.features.load())?;
        let is_assigned = requested.is_none();
        let client_id = requested.unwrap_or_else(|| self.new_client_id());
        let subject = Subject { identity: &identity, client_id: &client_id };
        if let Some(will) = &connect.will
            && !self.access.rights(subject).publish(&will.topic, will.qos, will.retain).is_allowed
        {
            self.counters.wills_denied.add(1);
            let why = "the client may not publish its will";
            return Err(Violation::new(ReasonCode::NotAuthorized, "MQTT-3.1.4-2", why));
        }
        Ok(ConnectRequest {
            connect,
            client_id,
            is_assigned,
            identity,
            authenticated: None,
            listener: None,
            address: None,
            standing: None,
            since: None,
        })
    }

    /// Refuses a client that connects too often; to be asked once for each CONNECT.
    pub fn check_connect_rate(&self, request: &ConnectRequest, now: Now) -> Result<(), Violation> {
        let Identity { user, address, .. } = &*request.identity;
        if self.abuse.may_attach(*address, user.as_ref(), &request.client_id, now) {
            return Ok(());
        }
        self.counters.connects_refused_rate.add(1);
        let why = "this client, or its user, connects too often";
        Err(Violation::new(ReasonCode::ConnectionRateExceeded, "MQTT-3.1.4-2", why))
    }

    /// Attaches the connection to its session, unless another connection has to leave it first. Fails if the session
    /// belongs to somebody else, who is not disturbed.
    pub fn connect(self: &Arc<Self>, request: ConnectRequest, now: Now) -> Result<Step, Violation> {
        self.check_welcome(&request)?;
        let is_durable = self.outlives_connection(&request.connect);
        Ok(match self.find(&request, is_durable, now) {
            Found::Occupied(slot) => Step::Wait(Box::new(request), slot),
            Found::Foreign => return Err(self.refuse_foreign(&request)),
            Found::New(slot, remains) => {
                if let Some((old, parked)) = remains {
                    self.discard(&old, parked, now);
                }
                Step::Attached(Box::new(self.attach(request, slot, None, now)))
            }
            Found::Resumed(slot, mut parked) => {
                self.timers.set(&slot, None);
                self.publish_due_will(&slot, &mut parked, now);
                Step::Attached(Box::new(self.attach(request, slot, Some(parked), now)))
            }
        })
    }

    /// A client that takes no packet as large as its CONNACK cannot be served [MQTT-3.1.2-24].
    fn check_welcome(&self, request: &ConnectRequest) -> Result<(), Violation> {
        let ConnectRequest { connect, client_id, is_assigned, authenticated, .. } = request;
        let Some(bytes_max) = connect.properties.maximum_packet_bytes else { return Ok(()) };
        let mut connack = welcome(connect, client_id, *is_assigned, &self.limits.load(), &self.features.load());
        if let Some(authenticated) = authenticated {
            authenticated.tell(&mut connack);
        }
        let length = crate::codec::packet_len(&Packet::ConnAck(Box::new(connack)), connect.version);
        if length.is_ok_and(|length| u32::try_from(length).is_ok_and(|length| length <= bytes_max)) {
            return Ok(());
        }
        let why = "the client takes no packet as large as its CONNACK";
        Err(Violation::new(ReasonCode::PacketTooLarge, "MQTT-3.1.2-24", why))
    }

    fn refuse_foreign(&self, request: &ConnectRequest) -> Violation {
        self.counters.connects_refused_owner.add(1);
        let user = request.identity.user.as_ref().map(|user| user.as_str());
        let client_id = request.client_id.as_str();
        tracing::warn!(client_id, user, "a client asked for the session of another user, and was refused");
        let why = "the session of this client identifier belongs to another user";
        Violation::new(ReasonCode::NotAuthorized, "MQTT-3.1.4-2", why)
    }

    fn find(&self, request: &ConnectRequest, is_durable: bool, now: Now) -> Found {
        let ConnectRequest { connect, client_id, identity, .. } = request;
        let owner = Some(identity.remembered());
        let mut entry = match self.registry.entry(client_id.clone()) {
            Entry::Vacant(entry) => {
                let slot = Slot::new(self.new_key(), client_id.clone(), is_durable, owner);
                entry.insert(slot.clone());
                return Found::New(slot, None);
            }
            Entry::Occupied(entry) => entry,
        };
        let old = entry.get().clone();
        let mut inbox = old.lock();
        // A session whose time has come is over, though nobody has noticed yet [MQTT-4.1.0-2].
        let is_there = match &inbox.place {
            Place::Live => true,
            Place::Parked(parked) => !parked.is_over(now),
            Place::Gone => false,
        };
        if is_there && old.owner().is_some_and(|owner| !owner.is_same_owner(identity)) {
            return Found::Foreign;
        }
        if matches!(inbox.place, Place::Live) {
            // [MQTT-3.1.4-3] (5.0), [MQTT-3.1.4-2] (3.1.1)
            inbox.ask_to_close(Close::TakenOver { clean_start: connect.clean_start });
            drop(inbox);
            return Found::Occupied(old);
        }
        let is_resumable = !connect.clean_start && is_there;
        let next = if is_resumable { Place::Live } else { Place::Gone };
        let parked = match std::mem::replace(&mut inbox.place, next) {
            Place::Parked(parked) => Some(parked),
            Place::Live | Place::Gone => None,
        };
        if is_resumable {
            old.set_live(&inbox, true);
            old.begin_visit(&inbox);
        }
        drop(inbox);
        match parked {
            Some(parked) if is_resumable => Found::Resumed(old, parked),
            // [MQTT-3.1.2-4]
            remains => {
                let slot = Slot::new(self.new_key(), client_id.clone(), is_durable, owner);
                entry.insert(slot.clone());
                Found::New(slot, remains.map(|parked| (old, parked)))
            }
        }
    }

    fn attach(
        self: &Arc<Self>,
        request: ConnectRequest,
        slot: Arc<Slot>,
        saved: Option<Box<Parked>>,
        now: Now,
    ) -> Attachment {
        let ConnectRequest { connect, client_id, is_assigned, identity, authenticated, .. } = request;
        let ConnectRequest { listener, address, standing, since, .. } = request;
        let visit = Visit {
            connected_at: now,
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive_s: connect.keep_alive_s,
            identity: identity.clone(),
            listener,
            port: address.and_then(|address| NonZeroU16::new(address.port())),
            standing: standing.map(Box::new),
        };
        self.counters.connections_opened.add(1);
        slot.lock().notes = Notes { visit: Some(Arc::new(visit)), left_at: None };
        if self.tracer.is_on() {
            self.tracer.note_client(&slot.client_id, Waypoint::Connected);
            if let Some(spans) = self.tracer.spans() {
                spans.note_connect(&slot.client_id, since.unwrap_or(now), now);
            }
        }
        let is_v5 = connect.version.is_v5();
        let mut batch = Batch::default();
        let is_recorded = slot.is_durable && self.committer.is_durable();
        if is_recorded {
            self.durable.insert(slot.key, slot.clone());
        }
        let owner = identity.remembered();
        let is_news = slot.set_owner(&owner);
        if is_recorded && saved.is_none() {
            batch.record(Record::SessionBegun { session: slot.key, client_id: client_id.clone(), is_v5 });
        }
        if is_recorded && (saved.is_none() || is_news) {
            batch.record(Record::SessionOwned { session: slot.key, owner });
        }
        let will = connect.will.clone().map(Box::new);
        let (limits, features) = (self.limits.load_full(), self.features.load_full());
        let mut opened = Session::open(connect, client_id, is_assigned, saved, &limits, &features, now);
        if let Some(authenticated) = authenticated {
            opened.session.authenticated_by(authenticated);
        }
        if is_recorded {
            let expiry_s = opened.session.expiry_s();
            batch.record(Record::SessionAttached { session: slot.key, expiry_s, will });
            // The first page of what waits comes as soon as the connection is durable.
            if let Some(from) = opened.session.ask_for_page() {
                batch.load(Load::for_connection(&slot, from));
            }
            let commit = self.committer.submit(batch, Some(&slot));
            // [MQTT-3.2.0-1]: CONNACK waits for the commit, and so does all that follows it.
            opened.session.hold_connack_until(commit);
        }
        let has_shared = opened.session.subscriptions().any(|(filter, _)| filter.is_shared());
        let mut attachment = Attachment::new(self.clone(), slot, opened.session, identity, now);
        if has_shared && opened.is_resumed {
            attachment.claim_shared();
        }
        attachment
    }

    fn outlives_connection(&self, connect: &Connect) -> bool {
        crate::session::requested_expiry_s(connect, &self.limits.load()) > 0
    }

    // [MQTT-3.1.3-6], [MQTT-3.2.2-16]
    fn new_client_id(&self) -> ClientId {
        loop {
            let number = self.next_session.fetch_add(1, Ordering::Relaxed);
            let name = format!("vowmq-{:016x}{number:x}", scramble(self.seed ^ number));
            let text = Text::try_from(name.as_str()).expect("letters and digits are legal text");
            let client_id = ClientId::new(&text).expect("the name is not empty");
            if !self.registry.contains_key(&client_id) {
                return client_id;
            }
        }
    }
}

/// Spreads a number over all 64 bits, so that assigned identifiers do not tell their order (splitmix64's finalizer).
fn scramble(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
