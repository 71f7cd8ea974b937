//! One subscribing client: checks what arrives, and acknowledges it.
use super::checker::Order;
use super::ledger::Ledger;
use super::wire::{Arrival, PUBACK, PUBCOMP, PUBREC, PUBREL, put_ack, u16_at};
use std::ops::Range;
use vowmq::packet::Version;

pub struct Subscriber {
    version: Version,
    /// The streams that it may be sent messages of.
    streams: Range<u32>,
    /// Where the tallies of these streams begin in the ledger; members of a shared group have the same.
    tallies_at: usize,
    /// How far each stream has come; empty if order means nothing.
    orders: Vec<Order>,
}

impl Subscriber {
    pub fn new(version: Version, streams: Range<u32>, tallies_at: usize, is_ordered: bool) -> Self {
        let orders = if is_ordered { vec![Order::default(); streams.len()] } else { Vec::new() };
        Self { version, streams, tallies_at, orders }
    }

    /// Takes a packet; false if it is none that a subscriber should be sent.
    #[inline]
    pub fn take(&mut self, first: u8, body: &[u8], now_ns: u64, ledger: &mut Ledger, out: &mut Vec<u8>) -> bool {
        match first {
            0x30..=0x3f => {
                let Some(arrival) = Arrival::read(first, body, self.version) else { return false };
                match arrival.qos {
                    0 => {}
                    1 => put_ack(out, PUBACK, arrival.id),
                    _ => put_ack(out, PUBREC, arrival.id),
                }
                self.note(arrival.payload, now_ns, ledger);
                true
            }
            PUBREL => {
                put_ack(out, PUBCOMP, u16_at(body, 0).unwrap_or(0));
                true
            }
            _ => false,
        }
    }

    #[inline]
    fn note(&mut self, payload: &[u8], now_ns: u64, ledger: &mut Ledger) {
        let Some(stamp) = ledger.read(payload).filter(|stamp| self.streams.contains(&stamp.stream)) else {
            ledger.faults.damaged += 1;
            return;
        };
        let stream = (stamp.stream - self.streams.start) as usize;
        let is_in_order = self.orders.get_mut(stream).is_none_or(|order| order.note(stamp.sequence));
        ledger.note(self.tallies_at + stream, stamp, is_in_order, now_ns);
    }
}
