//! What is still to be written to one peer: small packets side by side, large payloads where they are.
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bytes in order. Payloads from [`HANDED_BYTES`] on are handed over instead of copied; a peer that takes nothing holds on
/// to the read buffers they came in, which are of 128 KiB at most, but for packets that are longer.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What comes before `tail`.
    handed: VecDeque<Bytes>,
    handed_bytes: usize,
    tail: BytesMut,
}

/// Payloads at least this long are not copied where the transport takes several pieces at once.
pub(super) const HANDED_BYTES: usize = 4 << 10;

/// Pieces of one write.
pub(super) const PIECES_MAX: usize = 64;

impl Outbox {
    pub fn len(&self) -> usize {
        self.handed_bytes + self.tail.len()
    }

    pub fn is_empty(&self) -> bool {
        self.handed.is_empty() && self.tail.is_empty()
    }

    /// The end, to append to.
    pub fn tail(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends bytes without a copy.
    pub fn hand_over(&mut self, bytes: Bytes) {
        let before = self.tail.split().freeze();
        for piece in [before, bytes] {
            if !piece.is_empty() {
                self.handed_bytes += piece.len();
                self.handed.push_back(piece);
            }
        }
    }

    /// The tail, if nothing comes before it.
    pub fn whole(&self) -> Option<&[u8]> {
        self.handed.is_empty().then_some(&self.tail)
    }

    /// Lists the first pieces; how many there are.
    pub fn pieces<'a>(&'a self, into: &mut [IoSlice<'a>; PIECES_MAX]) -> usize {
        let tail = Some(&*self.tail).filter(|tail| !tail.is_empty());
        let pieces = self.handed.iter().map(|piece| &**piece).chain(tail);
        let mut count = 0;
        for (place, piece) in into.iter_mut().zip(pieces) {
            *place = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// Forgets what has been written. An empty outbox holds no memory.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.handed.front_mut().filter(|_| written > 0) {
            let taken = written.min(first.len());
            first.advance(taken);
            written -= taken;
            self.handed_bytes -= taken;
            if first.is_empty() {
                self.handed.pop_front();
            }
        }
        self.tail.advance(written);
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(outbox: &Outbox) -> Vec<u8> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let count = outbox.pieces(&mut pieces);
        pieces[..count].iter().flat_map(|piece| piece.to_vec()).collect()
    }

    fn mixed() -> Outbox {
        let mut outbox = Outbox::default();
        outbox.tail().extend_from_slice(b"ab");
        outbox.hand_over(Bytes::from_static(b"CDE"));
        outbox.hand_over(Bytes::from_static(b"FG"));
        outbox.tail().extend_from_slice(b"hi");
        outbox
    }

    #[test]
    fn bytes_keep_their_order_however_many_are_written_at_once() {
        for step in 1..=9 {
            let (mut outbox, mut rest) = (mixed(), &b"abCDEFGhi"[..]);
            while !rest.is_empty() {
                assert_eq!((read(&outbox).as_slice(), outbox.len()), (rest, rest.len()));
                let written = step.min(rest.len());
                outbox.advance(written);
                rest = &rest[written..];
            }
            assert!(outbox.is_empty());
            assert_eq!(outbox.tail.capacity() + outbox.handed.capacity(), 0);
        }
    }

    #[test]
    fn what_is_handed_over_is_not_copied() {
        let payload = Bytes::from(vec![7; HANDED_BYTES]);
        let mut outbox = mixed();
        outbox.hand_over(payload.clone());
        assert!(outbox.handed.iter().any(|piece| piece.as_ptr() == payload.as_ptr()));
        assert_eq!(outbox.whole(), None);
    }

    #[test]
    fn more_pieces_than_one_write_takes_wait_for_the_next() {
        let mut outbox = Outbox::default();
        for number in 0..100 {
            outbox.hand_over(Bytes::from(vec![number]));
        }
        assert_eq!(read(&outbox), (0..64).collect::<Vec<u8>>());
        outbox.advance(64);
        assert_eq!(read(&outbox), (64..100).collect::<Vec<u8>>());
    }
}
