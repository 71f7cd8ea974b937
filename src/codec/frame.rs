//! The fixed header (section 2.1): where a packet ends, known before any of it is buffered.
use super::Limits;
use crate::packet::Version;
use crate::types::{ReasonCode, Violation};

pub(super) const CONNECT: u8 = 1;

/// Length of the packet at the start of `input`, its fixed header included; `None` if more bytes are needed to tell.
///
/// Fails on a packet type that does not exist, on wrong flags, on a length that is no Variable Byte Integer, and on a
/// packet larger than the limits. Without a version only the limits for CONNECT apply.
pub fn frame_len(input: &[u8], version: Option<Version>, limits: &Limits) -> Result<Option<usize>, Violation> {
    let Some((first, rest)) = input.split_first() else { return Ok(None) };
    check_first(*first, version)?;
    let Some((remaining, size)) = varint(rest, version)? else { return Ok(None) };
    let whole = 1 + size + remaining;
    let bytes_max = if version.is_some() { limits.packet_bytes_max } else { limits.connect_bytes_max };
    // [MQTT-3.2.2-15]
    if whole > bytes_max {
        let why = "a packet is larger than this broker takes";
        return Err(Violation::new(ReasonCode::PacketTooLarge, "MQTT-3.2.2-15", why));
    }
    Ok(Some(whole))
}

fn check_first(first: u8, version: Option<Version>) -> Result<(), Violation> {
    let (packet_type, flags) = (first >> 4, first & 0x0f);
    // [MQTT-3.1.0-1]
    if version.is_none() && packet_type != CONNECT {
        return Err(Violation::protocol("MQTT-3.1.0-1", "the first packet is not CONNECT"));
    }
    let expected = match packet_type {
        // PUBLISH has flags of its own.
        3 => flags,
        6 | 8 | 10 => 2,
        _ => 0,
    };
    // [MQTT-2.1.3-1] (5.0), [MQTT-2.2.2-2] (3.1.1)
    if packet_type == 0 || flags != expected {
        return Err(Violation::malformed("MQTT-2.1.3-1", "a fixed header with a wrong packet type or flags"));
    }
    Ok(())
}

/// A Variable Byte Integer and its size; `None` if it is not whole.
pub(super) fn varint(input: &[u8], version: Option<Version>) -> Result<Option<(usize, usize)>, Violation> {
    let mut value = 0;
    for (index, byte) in input.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            // [MQTT-1.5.5-1]; 3.1.1 does not ask for the shortest form.
            if index > 0 && *byte == 0 && version.is_some_and(Version::is_v5) {
                return Err(Violation::malformed("MQTT-1.5.5-1", "a Variable Byte Integer is longer than it need be"));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if input.len() >= 4 {
        return Err(Violation::malformed("MQTT-1.5.5-1", "a Variable Byte Integer is longer than four bytes"));
    }
    Ok(None)
}
