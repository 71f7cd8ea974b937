//! Which Reason Codes a packet may carry (5.0, the tables in chapter 3).
use super::frame::PacketType;
use crate::types::{ReasonCode, Violation};

/// The code for a byte, if the table of that packet type lists it.
pub(super) fn parse(byte: u8, packet_type: PacketType) -> Result<ReasonCode, Violation> {
    ReasonCode::from_byte(byte)
        .filter(|code| is_listed(*code, packet_type))
        .ok_or(Violation::protocol(rule(packet_type), "the packet may not carry this Reason Code"))
}

/// The statement that binds a packet type to its table.
const fn rule(packet_type: PacketType) -> &'static str {
    match packet_type {
        PacketType::ConnAck => "MQTT-3.2.2-8",
        PacketType::PubAck => "MQTT-3.4.2-1",
        PacketType::PubRec => "MQTT-3.5.2-1",
        PacketType::PubRel => "MQTT-3.6.2-1",
        PacketType::PubComp => "MQTT-3.7.2-1",
        PacketType::SubAck => "MQTT-3.9.3-2",
        PacketType::UnsubAck => "MQTT-3.11.3-2",
        PacketType::Disconnect => "MQTT-3.14.2-1",
        PacketType::Auth => "MQTT-3.15.2-1",
        PacketType::Connect
        | PacketType::Publish
        | PacketType::Subscribe
        | PacketType::Unsubscribe
        | PacketType::PingReq
        | PacketType::PingResp => "sec:2.4",
    }
}

pub(super) fn is_listed(code: ReasonCode, packet_type: PacketType) -> bool {
    let byte = code as u8;
    match packet_type {
        PacketType::ConnAck => {
            matches!(byte, 0x00 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99..=0x9d | 0x9f)
        }
        PacketType::PubAck | PacketType::PubRec => {
            matches!(byte, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
        }
        PacketType::PubRel | PacketType::PubComp => matches!(byte, 0x00 | 0x92),
        PacketType::SubAck => {
            matches!(byte, 0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2)
        }
        PacketType::UnsubAck => matches!(byte, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91),
        // 0x8C is missing in the packet's own table, but section 2.4 gives it to DISCONNECT.
        PacketType::Disconnect => matches!(
            byte,
            0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b..=0x90 | 0x93..=0xa2
        ),
        PacketType::Auth => matches!(byte, 0x00 | 0x18 | 0x19),
        PacketType::Connect
        | PacketType::Publish
        | PacketType::Subscribe
        | PacketType::Unsubscribe
        | PacketType::PingReq
        | PacketType::PingResp => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many codes each table of the standard lists; that each listed one is taken is tested by round trips.
    #[test]
    fn the_tables_are_as_long_as_the_standards() {
        for (packet_type, count) in [
            (PacketType::ConnAck, 22),
            (PacketType::PubAck, 9),
            (PacketType::PubRec, 9),
            (PacketType::PubRel, 2),
            (PacketType::PubComp, 2),
            (PacketType::SubAck, 12),
            (PacketType::UnsubAck, 7),
            (PacketType::Disconnect, 30),
            (PacketType::Auth, 3),
        ] {
            let listed = (0..=u8::MAX).filter(|byte| parse(*byte, packet_type).is_ok()).count();
            assert_eq!(listed, count, "{packet_type:?}");
        }
    }
}
