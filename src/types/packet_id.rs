//! Packet Identifiers (section 2.2.1): never zero.
use std::num::NonZeroU16;

/// Names one unfinished exchange between two peers. Each direction has its own space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    pub const fn value(self) -> u16 {
        self.0.get()
    }

    /// The identifier of a queue position: the same after any restart, so that it needs no record.
    ///
    /// Positions that are 65,535 or more apart may share an identifier; the session never sends such two at once.
    pub fn of_position(position: u64) -> Self {
        let value = u16::try_from(position % 65_535).expect("a remainder below 65,535") + 1;
        Self(NonZeroU16::new(value).expect("one or more"))
    }
}
