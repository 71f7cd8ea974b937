//! Bounds on what a peer may send, below what the standard allows.

/// What the decoder takes at most. The defaults suit a broker with default settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet, its fixed header included; the broker announces it as Maximum Packet Size (5.0 section
    /// 3.2.2.3.6).
    pub packet_bytes_max: usize,
    /// The largest packet while there is no CONNECT yet, so that strangers cannot make the broker buffer much.
    pub connect_bytes_max: usize,
    /// User Properties in one block of properties.
    pub user_properties_max: usize,
    /// Bytes of a Topic Name to publish to, a Will Topic included.
    pub topic_bytes_max: usize,
    /// Levels of a Topic Name: one more than it has slashes.
    pub topic_levels_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            // One field of the greatest length, 65,535 bytes, still fits.
            connect_bytes_max: 65 << 10,
            user_properties_max: 128,
            topic_bytes_max: 65_535,
            topic_levels_max: 128,
        }
    }
}
