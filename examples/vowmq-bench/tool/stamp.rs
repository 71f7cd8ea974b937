//! What each payload begins with, and what the rest of it is: enough to check every byte and to tell its age.

/// The least payload: the stamp alone.
pub const BYTES_MIN: usize = 16;
/// The largest payload the tool makes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Which message of which publisher this is, and when it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub stream: u32,
    pub sequence: u32,
    /// Nanoseconds since the tool's clock began.
    pub at_ns: u64,
}

impl Stamp {
    pub fn write(self, place: &mut [u8]) {
        place[..4].copy_from_slice(&self.stream.to_le_bytes());
        place[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        place[8..16].copy_from_slice(&self.at_ns.to_le_bytes());
    }

    pub fn read(payload: &[u8]) -> Option<Self> {
        let (stream, rest) = payload.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let at = rest.first_chunk()?;
        Some(Self {
            stream: u32::from_le_bytes(*stream),
            sequence: u32::from_le_bytes(*sequence),
            at_ns: u64::from_le_bytes(*at),
        })
    }
}

/// What follows the stamp in every payload of a size. It looks random, so that no compression flatters anybody.
pub fn filler(payload_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    next.take(payload_bytes.saturating_sub(BYTES_MIN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { stream: 7, sequence: 1 << 20, at_ns: u64::MAX - 1 };
        let mut payload = [0; BYTES_MIN];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..BYTES_MIN - 1]), None);
    }

    #[test]
    fn filler_fills_what_the_stamp_leaves() {
        assert_eq!(filler(BYTES_MIN).len(), 0);
        assert_eq!(filler(64).len(), 48);
        assert_eq!(filler(64)[..], filler(128)[..48]);
    }
}
