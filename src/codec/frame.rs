//! The fixed header (section 2.1): packet type, flags and Remaining Length.
use super::Limits;
use crate::packet::Version;
use crate::types::{ReasonCode, Violation};

/// MQTT Control Packet types (section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flag bits the standard fixes for this type (section 2.1.3); PUBLISH has flags of its own.
    const fn fixed_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            Self::Connect
            | Self::ConnAck
            | Self::Publish
            | Self::PubAck
            | Self::PubRec
            | Self::PubComp
            | Self::SubAck
            | Self::UnsubAck
            | Self::PingReq
            | Self::PingResp
            | Self::Disconnect
            | Self::Auth => 0,
        }
    }

    /// The first byte of a packet of this type that is no PUBLISH.
    pub(super) const fn first_byte(self) -> u8 {
        ((self as u8) << 4) | self.fixed_flags()
    }

    /// The statement that fixes the flags of this type.
    const fn flags_rule(self) -> &'static str {
        match self {
            Self::PubRel => "MQTT-3.6.1-1",
            Self::Subscribe => "MQTT-3.8.1-1",
            Self::Unsubscribe => "MQTT-3.10.1-1",
            Self::Disconnect => "MQTT-3.14.1-1",
            Self::Auth => "MQTT-3.15.1-1",
            Self::Connect
            | Self::ConnAck
            | Self::Publish
            | Self::PubAck
            | Self::PubRec
            | Self::PubComp
            | Self::SubAck
            | Self::UnsubAck
            | Self::PingReq
            | Self::PingResp => "MQTT-2.1.3-1",
        }
    }
}

/// A fixed header, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct FixedHeader {
    pub(super) packet_type: PacketType,
    /// The low four bits of the first byte.
    pub(super) flags: u8,
    /// Where the Variable Header starts.
    pub(super) body_at: usize,
    pub(super) remaining_len: usize,
}

impl FixedHeader {
    /// Whether the Remaining Length takes no more bytes than it needs.
    // [MQTT-1.5.5-1] (5.0); 3.1.1 does not ask for it.
    pub(super) const fn is_minimal(&self) -> bool {
        self.body_at == 1 + crate::packet::varint_len(self.remaining_len)
    }

    /// Bytes of the whole packet.
    pub(super) const fn frame_len(&self) -> usize {
        self.body_at + self.remaining_len
    }
}

/// Bytes of the next packet, its fixed header included; `None` while the fixed header is incomplete.
///
/// Looks at the fixed header only, so that a packet that will be refused is refused before it is buffered. Without a
/// `version` only a CONNECT may come.
pub fn frame_len(input: &[u8], version: Option<Version>, limits: &Limits) -> Result<Option<usize>, Violation> {
    checked_header(input, version, limits).map(|header| header.map(|header| header.frame_len()))
}

/// The header at the beginning of `input`, within the limits.
pub(super) fn checked_header(
    input: &[u8],
    version: Option<Version>,
    limits: &Limits,
) -> Result<Option<FixedHeader>, Violation> {
    let Some(header) = fixed_header(input, version)? else {
        return Ok(None);
    };
    let len = header.frame_len();
    let too_large = |rule| Err(Violation::new(ReasonCode::PacketTooLarge, rule, "the packet is too large"));
    if version.is_none() && len > limits.connect_bytes_max {
        return too_large("limits.connect_bytes_max");
    }
    // [MQTT-3.2.2-15] (5.0)
    if len > limits.packet_bytes_max {
        return too_large("limits.packet_bytes_max");
    }
    Ok(Some(header))
}

/// The header of a frame that is whole.
pub(super) fn whole_header(frame: &[u8], version: Option<Version>) -> Result<FixedHeader, Violation> {
    match fixed_header(frame, version)? {
        Some(header) if header.frame_len() == frame.len() => Ok(header),
        Some(_) | None => Err(Violation::malformed("sec:2.1.4", "the Remaining Length is not the packet's length")),
    }
}

fn fixed_header(input: &[u8], version: Option<Version>) -> Result<Option<FixedHeader>, Violation> {
    let Some((first, rest)) = input.split_first() else {
        return Ok(None);
    };
    let packet_type = check_first_byte(*first, version)?;
    let Some((remaining_len, bytes)) = read_varint(rest)? else {
        return Ok(None);
    };
    let header = FixedHeader { packet_type, flags: first & 0x0f, body_at: 1 + bytes, remaining_len };
    // [MQTT-1.5.5-1]; a CONNECT tells its version only later and is checked there.
    if version.is_some_and(Version::is_v5) && !header.is_minimal() {
        return Err(Violation::malformed("MQTT-1.5.5-1", "the Remaining Length is longer than it needs to be"));
    }
    Ok(Some(header))
}

fn check_first_byte(first: u8, version: Option<Version>) -> Result<PacketType, Violation> {
    let Some(packet_type) = PacketType::from_nibble(first >> 4) else {
        return Err(Violation::malformed("sec:2.1.2", "packet type 0 is reserved"));
    };
    let Some(version) = version else {
        return check_first_packet(packet_type, first);
    };
    if packet_type == PacketType::Auth && !version.is_v5() {
        return Err(Violation::malformed("sec:2.2.1", "packet type 15 is reserved before 5.0"));
    }
    check_flags(packet_type, first & 0x0f)?;
    Ok(packet_type)
}

fn check_first_packet(packet_type: PacketType, first: u8) -> Result<PacketType, Violation> {
    // [MQTT-3.1.0-1]
    if packet_type != PacketType::Connect {
        return Err(Violation::protocol("MQTT-3.1.0-1", "the first packet is no CONNECT"));
    }
    check_flags(packet_type, first & 0x0f)?;
    Ok(packet_type)
}

fn check_flags(packet_type: PacketType, flags: u8) -> Result<(), Violation> {
    if packet_type == PacketType::Publish {
        return check_publish_flags(flags);
    }
    // [MQTT-2.1.3-1] (5.0), [MQTT-2.2.2-1], [MQTT-2.2.2-2] (3.1.1)
    if flags != packet_type.fixed_flags() {
        return Err(Violation::malformed(packet_type.flags_rule(), "the flags of the fixed header are wrong"));
    }
    Ok(())
}

fn check_publish_flags(flags: u8) -> Result<(), Violation> {
    match (flags >> 1) & 0b11 {
        // [MQTT-3.3.1-4]
        3 => Err(Violation::malformed("MQTT-3.3.1-4", "a PUBLISH has QoS 3")),
        // [MQTT-3.3.1-2]
        0 if flags & 0b1000 != 0 => Err(Violation::malformed("MQTT-3.3.1-2", "a PUBLISH has DUP set at QoS 0")),
        _ => Ok(()),
    }
}

/// A Variable Byte Integer (section 1.5.5) and how many bytes it takes; `None` while its end is missing.
///
/// Takes encodings that are longer than need be; callers that know the version refuse them.
pub(super) fn read_varint(input: &[u8]) -> Result<Option<(usize, usize)>, Violation> {
    const BYTES_MAX: usize = 4;
    let mut value = 0;
    for (at, byte) in input.iter().take(BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if input.len() >= BYTES_MAX {
        return Err(Violation::malformed("MQTT-1.5.5-1", "a Variable Byte Integer is longer than four bytes"));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    fn len_of(bytes: &str, version: Option<Version>) -> Result<Option<usize>, Violation> {
        frame_len(&hex(bytes), version, &Limits::default())
    }

    #[test]
    fn the_length_is_known_once_the_fixed_header_is_there() {
        let v5 = Some(Version::V5);
        assert_eq!(len_of("", v5), Ok(None));
        assert_eq!(len_of("30", v5), Ok(None));
        assert_eq!(len_of("3080", v5), Ok(None));
        assert_eq!(len_of("308001", v5), Ok(Some(131)));
        assert_eq!(len_of("300a 0000", v5), Ok(Some(12)), "a part of the body is enough");
        let limits = Limits { packet_bytes_max: usize::MAX, ..Limits::default() };
        assert_eq!(frame_len(&hex("30 ffffff7f"), v5, &limits), Ok(Some(268_435_460)));
    }

    #[test]
    fn every_first_byte_is_allowed_or_refused_as_the_flag_tables_say() {
        for first in 0..=u8::MAX {
            let (nibble, flags) = (first >> 4, first & 0x0f);
            let legal = match nibble {
                0 => false,
                3 => !matches!(flags, 6 | 7 | 14 | 15 | 8 | 9),
                6 | 8 | 10 => flags == 2,
                _ => flags == 0,
            };
            let v5 = frame_len(&[first], Some(Version::V5), &Limits::default());
            assert_eq!(v5.is_ok(), legal, "{first:02x} [MQTT-2.1.3-1]");
            let v311 = frame_len(&[first], Some(Version::V311), &Limits::default());
            assert_eq!(v311.is_ok(), legal && nibble != 15, "{first:02x} [MQTT-2.2.2-2]");
            let new = frame_len(&[first], None, &Limits::default());
            assert_eq!(new.is_ok(), first == 0x10, "{first:02x} [MQTT-3.1.0-1]");
        }
    }

    #[test]
    fn long_encodings_of_the_length_are_for_5_0_to_refuse() {
        for (bytes, version, is_ok) in [
            ("c08000", Some(Version::V5), false),
            ("c0808000", Some(Version::V5), false),
            ("c08000", Some(Version::V311), true),
            ("10 8080 00", None, true),
            ("10 ffffffff", None, false),
            ("c0 80808080", Some(Version::V311), false),
        ] {
            assert_eq!(len_of(bytes, version).is_ok(), is_ok, "{bytes} {version:?} [MQTT-1.5.5-1]");
        }
    }

    #[test]
    fn a_long_encoding_of_a_5_0_connects_length_is_found_once_the_version_is() {
        let connect = hex("10 9300 0004 4d515454 05 02 003c 00 0006 616161616161");
        let violation = super::super::decode(connect, None, &Limits::default()).unwrap_err();
        assert_eq!(violation.rule, "MQTT-1.5.5-1");
    }

    #[test]
    fn too_large_packets_are_refused_on_their_header() {
        let limits = Limits { packet_bytes_max: 100, connect_bytes_max: 50, ..Limits::default() };
        let reason =
            |bytes: &str, version| frame_len(&hex(bytes), version, &limits).map_err(|fault| (fault.reason, fault.rule));
        let too_large = |rule| Err((ReasonCode::PacketTooLarge, rule));
        assert_eq!(reason("30 62", Some(Version::V5)), Ok(Some(100)), "the fixed header counts");
        assert_eq!(reason("30 63", Some(Version::V5)), too_large("limits.packet_bytes_max"));
        assert_eq!(reason("30 63", Some(Version::V311)), too_large("limits.packet_bytes_max"));
        assert_eq!(reason("10 30", None), Ok(Some(50)));
        assert_eq!(reason("10 31", None), too_large("limits.connect_bytes_max"));
    }
}
