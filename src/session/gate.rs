//! Acknowledgements that may not leave before what they promise is durable, in the order their packets came.
use super::{Outcome, Turn};
use crate::packet::{Ack, AckType, ConnAck, Packet, SubAck, UnsubAck};
use crate::types::{CommitSeq, PacketId, Rare, ReasonCode};
use std::collections::VecDeque;

/// First in, first out; an entry leaves when its commit, and every entry before it, has left.
#[derive(Debug, Default)]
pub(super) struct Gate {
    held: Rare<VecDeque<Held>>,
    committed: CommitSeq,
}

#[derive(Debug)]
struct Held {
    response: Response,
    wait: Wait,
}

/// What will be sent.
#[derive(Debug)]
pub(super) enum Response {
    PubAck(PacketId, ReasonCode),
    PubRec(PacketId, ReasonCode),
    PubRel(PacketId, ReasonCode),
    PubComp(PacketId, ReasonCode),
    SubAck(PacketId, Vec<ReasonCode>),
    UnsubAck(PacketId, Vec<ReasonCode>),
    ConnAck(Box<ConnAck>),
    /// Refused without a word: 3.1.1 has no code to tell it.
    Withheld,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// This turn has not been submitted yet. The number is the ask's place in the turn, if an ask decides the response.
    Turn(Option<usize>),
    Commit(CommitSeq),
}

impl Response {
    /// Whether what it answers is followed by silence as a rule, and not by more of the same.
    fn is_for_long(&self) -> bool {
        matches!(self, Self::ConnAck(_) | Self::SubAck(..) | Self::UnsubAck(..))
    }
}

impl Gate {
    /// Holds a response that depends on a change of this turn.
    pub fn hold(&mut self, response: Response) {
        self.held.edit().push_back(Held { response, wait: Wait::Turn(None) });
    }

    /// Holds a response that the outcome of an ask will complete; `ask` is the ask's place in the turn.
    pub fn hold_for(&mut self, ask: usize, response: Response) {
        self.held.edit().push_back(Held { response, wait: Wait::Turn(Some(ask)) });
    }

    /// Holds a response until everything up to `seq` is durable.
    pub fn hold_until(&mut self, seq: CommitSeq, response: Response) {
        self.held.edit().push_back(Held { response, wait: Wait::Commit(seq) });
    }

    /// Makes the last held response wait for `seq`.
    pub fn postpone(&mut self, seq: CommitSeq) {
        if let Some(last) = self.held.get_mut().and_then(VecDeque::back_mut) {
            last.wait = Wait::Commit(seq);
        }
    }

    /// The CONNACK, if it has not left.
    pub fn connack(&mut self) -> Option<&mut ConnAck> {
        let Response::ConnAck(connack) = &mut self.held.get_mut()?.front_mut()?.response else { return None };
        Some(connack)
    }

    /// Whether CONNACK has left, or is gone: it is before everything else.
    pub fn has_sent_connack(&self) -> bool {
        !matches!(self.held.get().and_then(VecDeque::front), Some(Held { response: Response::ConnAck(_), .. }))
    }

    /// Sends a response that depends on nothing new, but not ahead of those before it.
    pub fn follow(&mut self, response: Response, turn: &mut Turn) {
        if self.len() == 0 {
            send(response, turn);
        } else {
            self.held.edit().push_back(Held { response, wait: Wait::Turn(None) });
        }
    }

    /// The turn was carried out: `complete` fills each outcome in, and the responses wait for `commit`, or for nothing.
    pub fn submitted(
        &mut self,
        outcomes: &[Outcome],
        commit: Option<CommitSeq>,
        turn: &mut Turn,
        mut complete: impl FnMut(&mut Response, &Outcome),
    ) {
        // What waits for this turn stands at the end: nothing else was held since.
        for held in self.held.get_mut().into_iter().flat_map(|held| held.iter_mut().rev()) {
            let Wait::Turn(ask) = held.wait else { break };
            if let Some(outcome) = ask.and_then(|ask| outcomes.get(ask)) {
                complete(&mut held.response, outcome);
            }
            held.wait = Wait::Commit(commit.unwrap_or_default());
        }
        self.release(turn);
    }

    /// Everything up to `upto` is durable.
    pub fn commit(&mut self, upto: CommitSeq, turn: &mut Turn) {
        self.committed = self.committed.max(upto);
        self.release(turn);
    }

    pub fn committed(&self) -> CommitSeq {
        self.committed
    }

    /// Responses held back.
    pub fn len(&self) -> usize {
        self.held.get().map_or(0, VecDeque::len)
    }

    fn release(&mut self, turn: &mut Turn) {
        let committed = self.committed;
        let may_leave = |held: &mut Held| matches!(held.wait, Wait::Commit(seq) if seq <= committed);
        let mut was_for_long = false;
        let Some(all) = self.held.get_mut() else { return };
        while let Some(held) = all.pop_front_if(may_leave) {
            was_for_long |= held.response.is_for_long();
            send(held.response, turn);
        }
        // A client that has subscribed may be idle for months.
        if was_for_long && all.is_empty() {
            self.held.clear();
        }
    }
}

fn send(response: Response, turn: &mut Turn) {
    match response {
        Response::PubAck(id, code) => turn.ack(AckType::PubAck, Ack::new(id, code)),
        Response::PubRec(id, code) => turn.ack(AckType::PubRec, Ack::new(id, code)),
        Response::PubRel(id, code) => turn.ack(AckType::PubRel, Ack::new(id, code)),
        Response::PubComp(id, code) => turn.ack(AckType::PubComp, Ack::new(id, code)),
        Response::SubAck(id, codes) => turn.packet(Packet::SubAck(SubAck { id, codes, diagnostics: None })),
        Response::UnsubAck(id, codes) => turn.packet(Packet::UnsubAck(UnsubAck { id, codes, diagnostics: None })),
        Response::ConnAck(connack) => turn.packet(Packet::ConnAck(connack)),
        Response::Withheld => {}
    }
}
