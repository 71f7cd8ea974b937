//! Payloads that say which message they are, and whose every byte can be checked.

/// The least payload: the stream and the number.
pub const BYTES_MIN: usize = 12;

/// A message among all that one run publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// Messages of one stream arrive in the order of their numbers.
    pub stream: u32,
    pub number: u64,
}

impl Number {
    /// Fills a payload. Beyond the number it looks random, so that no compression flatters the store.
    pub fn write(self, payload: &mut [u8]) {
        let (head, rest) = payload.split_at_mut(BYTES_MIN);
        head[..4].copy_from_slice(&self.stream.to_le_bytes());
        head[4..].copy_from_slice(&self.number.to_le_bytes());
        let mut state = (u64::from(self.stream) << 40) ^ self.number;
        for chunk in rest.chunks_mut(8) {
            chunk.copy_from_slice(&scrambled(&mut state).to_le_bytes()[..chunk.len()]);
        }
    }

    /// Reads a payload back; `None` if a byte is not as it was written.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_at_checked(BYTES_MIN)?;
        let stream = u32::from_le_bytes(head[..4].try_into().ok()?);
        let number = u64::from_le_bytes(head[4..].try_into().ok()?);
        let mut state = (u64::from(stream) << 40) ^ number;
        let is_whole = rest.chunks(8).all(|chunk| scrambled(&mut state).to_le_bytes()[..chunk.len()] == *chunk);
        is_whole.then_some(Self { stream, number })
    }
}

/// The next of a row of numbers that look random: a counter whose bits are mixed.
fn scrambled(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}
