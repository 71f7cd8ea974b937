//! A broker without sockets, a clock or a disk, and clients that send what the script says.
//!
//! What must hold whatever they send: nothing panics; what the broker sends can be read, is no larger than the client
//! takes and never more than it takes at once; once everything has come to rest, no response is held back and what is
//! reserved in a queue is what is in it; two good clients are served; and once all have gone and their time has come,
//! nothing is left of them.
use crate::house::{House, QUEUED_BYTES_MAX};
use crate::link::Link;
use crate::script::{CLIENTS, Kind, Script, Step};
use vowmq::broker::{Inspecting, Inspection, Order, Slot};
use vowmq::session::Span;

/// Rounds in which everything comes to rest.
const ROUNDS_MAX: usize = 2000;
/// Sessions of one script.
const SESSIONS_MAX: usize = 10_000;
/// All that may be left of a session after its connection, seconds.
pub const EXPIRY_S_MAX: u32 = 3600;

pub fn run(input: &[u8]) {
    let mut play = Play::of(input);
    play.check();
    crate::canary::sing(&mut play.house, &mut play.links);
    play.end();
}

/// The broker as a script leaves it, with its clients still there.
pub fn play(input: &[u8]) -> House {
    Play::of(input).house
}

struct Play {
    house: House,
    links: [Option<Link>; CLIENTS],
}

impl Play {
    /// Plays a script, and lets everything come to rest.
    fn of(input: &[u8]) -> Self {
        let script = Script::read(input);
        let mut play = Self { house: House::new(script.broker), links: Default::default() };
        script.steps.iter().for_each(|step| play.step(step));
        play.rest();
        play
    }

    fn step(&mut self, step: &Step) {
        let Self { house, links } = self;
        match step.kind {
            Kind::Send => {
                let link = match links[step.client].take() {
                    Some(link) => link.send(&step.bytes, house),
                    None => Link::open(&step.bytes, house, links),
                };
                links[step.client] = link;
            }
            Kind::Take => links[step.client] = links[step.client].take().and_then(|link| link.take(true, house)),
            Kind::Glance => links[step.client] = links[step.client].take().and_then(|link| link.take(false, house)),
            Kind::Cut => {
                if let Some(link) = links[step.client].take() {
                    link.cut(house);
                }
            }
            Kind::Pass => {
                house.pass_s(step.length.into());
                for link in links.iter_mut() {
                    *link = link.take().and_then(|link| link.wake(house));
                }
            }
            Kind::Commit => drop(house.commit()),
            Kind::Checkpoint => house.checkpoint(),
            Kind::Restart if house.is_durable() => {
                links.iter_mut().for_each(|link| drop(link.take()));
                house.restart();
            }
            Kind::Restart => {}
        }
    }

    /// Lets everything go on that can.
    fn rest(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut is_busy = self.house.commit();
            for link in &mut self.links {
                let sent = link.as_ref().map_or(0, |link| link.taken);
                *link = link.take().and_then(|link| link.take(true, &mut self.house));
                is_busy |= link.as_ref().is_some_and(|link| link.taken != sent || link.is_busy());
            }
            if !is_busy {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    fn check(&mut self) {
        let slots = self.house.broker.list(Order::ClientId, None, SESSIONS_MAX, |_| true);
        assert!(slots.len() <= self.house.connects, "{} sessions after {} CONNECTs", slots.len(), self.house.connects);
        for (_, slot) in slots {
            let Some(inspection) = self.inspect(&slot) else { panic!("{:?} cannot be looked at", slot.client_id) };
            let (look, backlog) = (&inspection.look, slot.backlog());
            assert_eq!(look.held_responses, 0, "responses wait for a commit that will not come");
            // What a client has no place for keeps its place in the queue.
            let queued = (look.queued_messages, look.queued_bytes);
            assert_eq!((backlog.messages, backlog.bytes), queued, "{:?} has reserved and holds", slot.client_id);
            assert!(backlog.bytes <= 4 * QUEUED_BYTES_MAX, "{:?} holds {} bytes", slot.client_id, backlog.bytes);
            assert!(look.in_flight <= look.queued_messages && look.sent_below <= look.end, "{look:?}");
            if let Some(live) = &inspection.connection {
                assert!(look.in_flight <= live.window.into(), "{} in flight", look.in_flight);
            }
        }
    }

    fn inspect(&mut self, slot: &Slot) -> Option<Inspection> {
        match slot.inspect(Span { from: 0, at_most: 100 }) {
            Inspecting::Now(inspection) => Some(*inspection),
            Inspecting::Later(mut answer) => {
                for link in &mut self.links {
                    *link = link.take().and_then(|link| link.take(true, &mut self.house));
                }
                answer.try_recv().ok().map(|inspection| *inspection)
            }
            Inspecting::Busy | Inspecting::Gone => None,
        }
    }

    /// Everybody goes, and time goes by.
    fn end(mut self) {
        for link in &mut self.links {
            if let Some(link) = link.take() {
                link.cut(&mut self.house);
            }
        }
        for _ in 0..4 {
            self.rest();
            self.house.pass_s(EXPIRY_S_MAX);
        }
        self.rest();
        let broker = &self.house.broker;
        assert_eq!(broker.sessions(), 0, "sessions whose time has come");
        assert_eq!(broker.subscriptions(), 0, "subscriptions of nobody");
        assert_eq!(broker.held_bytes(), 0, "bytes held for nobody");
        let census = broker.census();
        assert_eq!((census.queued_messages, census.connected), (0, 0));
        self.house.end();
    }
}
