//! How a log is laid out, and what goes together.
use super::LogError;
use super::frame::FRAME_HEADER_BYTES;
use super::segment::{SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES};

/// How a log is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The size of new segments; a multiple of 512. Those that exist keep theirs.
    pub segment_bytes: u64,
    /// How many empty segments are kept ready behind the current one, and how many released files for them.
    pub spare_segments: usize,
    /// The largest group, with its 32 bytes of frame header and 8 for each record. Whatever bounds the packets must
    /// stay below it. At most what a segment holds.
    pub frame_bytes_max: u64,
    /// A random number for a new log (an existing one keeps its own): no peer can guess it, so no payload can be made
    /// to look like a frame.
    pub salt: u64,
}

impl Options {
    /// Segments of 64 MiB, one spare, groups of at most 16 MiB.
    pub fn new(salt: u64) -> Self {
        Self { segment_bytes: 64 << 20, spare_segments: 1, frame_bytes_max: 16 << 20, salt }
    }

    pub(super) fn check(&self) -> Result<(), LogError> {
        if !self.segment_bytes.is_multiple_of(512) || self.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(LogError::Options("segment_bytes must be a multiple of 512, and at least 1,024"));
        }
        if self.segment_bytes > u64::from(u32::MAX) {
            return Err(LogError::Options("segment_bytes must be below 4 GiB"));
        }
        if self.frame_bytes_max > self.segment_bytes - SEGMENT_HEADER_BYTES - FRAME_HEADER_BYTES {
            return Err(LogError::Options("frame_bytes_max must be at least 544 below segment_bytes"));
        }
        Ok(())
    }
}
