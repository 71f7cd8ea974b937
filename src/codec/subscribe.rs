//! SUBSCRIBE and UNSUBSCRIBE on the wire (sections 3.8 and 3.10).
use super::frame::PacketType;
use super::property::{self, Properties};
use super::reader::Reader;
use super::writer::{EncodeError, Writer, Written};
use crate::packet::{RetainHandling, Subscribe, SubscribeFilter, SubscriptionOptions, Unsubscribe, Version};
use crate::types::{QoS, TopicFilter, UserProperties, Violation};

const QOS: u8 = 0b0000_0011;
const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING: u8 = 0b0011_0000;
const RESERVED: u8 = 0b1100_0000;

pub(super) fn decode_subscribe(reader: &mut Reader<'_>, version: Version) -> Result<Subscribe, Violation> {
    let id = reader.packet_id()?;
    let (subscription_id, user) = if version.is_v5() { decode_properties(reader)? } else { Default::default() };
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(decode_filter(reader, version)?);
    }
    // [MQTT-3.8.3-2] (5.0), [MQTT-3.8.3-3] (3.1.1)
    if filters.is_empty() {
        return Err(Violation::protocol("MQTT-3.8.3-2", "a SUBSCRIBE has no Topic Filter"));
    }
    Ok(Subscribe { id, subscription_id, user, filters })
}

fn decode_properties(reader: &mut Reader<'_>) -> Result<(Option<u32>, UserProperties), Violation> {
    let mut block = Properties::open(reader)?;
    let mut subscription_id = None;
    let mut user = UserProperties::new();
    while let Some(id) = block.next_id()? {
        match id {
            property::SUBSCRIPTION_IDENTIFIER => subscription_id = Some(block.subscription_id()?),
            property::USER_PROPERTY => block.reader.user_property(&mut user)?,
            _ => return Err(property::misplaced()),
        }
    }
    Ok((subscription_id, user))
}

fn decode_filter(reader: &mut Reader<'_>, version: Version) -> Result<SubscribeFilter, Violation> {
    // [MQTT-3.8.3-1]
    let filter = TopicFilter::parse(&reader.text()?)?;
    let options = decode_options(reader.u8()?, version)?;
    // [MQTT-3.8.3-4] (5.0)
    if options.no_local && filter.is_shared() {
        return Err(Violation::protocol("MQTT-3.8.3-4", "a Shared Subscription asks for No Local"));
    }
    Ok(SubscribeFilter { filter, options })
}

fn decode_options(byte: u8, version: Version) -> Result<SubscriptionOptions, Violation> {
    // [MQTT-3.8.3-5] (5.0), [MQTT-3.8.3-4] (3.1.1)
    let reserved = if version.is_v5() { RESERVED } else { !QOS };
    if byte & reserved != 0 {
        return Err(Violation::malformed("MQTT-3.8.3-5", "a reserved bit of the Subscription Options is set"));
    }
    let qos = QoS::from_bits(byte & QOS).ok_or(Violation::protocol("sec:3.8.3.1", "a Topic Filter asks for QoS 3"))?;
    let retain_handling = match (byte & RETAIN_HANDLING) >> 4 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(Violation::protocol("sec:3.8.3.1", "the Retain Handling is 3")),
    };
    let (no_local, retain_as_published) = (byte & NO_LOCAL != 0, byte & RETAIN_AS_PUBLISHED != 0);
    Ok(SubscriptionOptions { qos, no_local, retain_as_published, retain_handling })
}

pub(super) fn decode_unsubscribe(reader: &mut Reader<'_>, version: Version) -> Result<Unsubscribe, Violation> {
    let id = reader.packet_id()?;
    let mut user = UserProperties::new();
    if version.is_v5() {
        let mut block = Properties::open(reader)?;
        while let Some(id) = block.next_id()? {
            match id {
                property::USER_PROPERTY => block.reader.user_property(&mut user)?,
                _ => return Err(property::misplaced()),
            }
        }
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        // [MQTT-3.10.3-1]
        filters.push(TopicFilter::parse(&reader.text()?)?);
    }
    // [MQTT-3.10.3-2]
    if filters.is_empty() {
        return Err(Violation::protocol("MQTT-3.10.3-2", "an UNSUBSCRIBE has no Topic Filter"));
    }
    Ok(Unsubscribe { id, user, filters })
}

pub(super) fn encode_subscribe(subscribe: &Subscribe, version: Version, writer: &mut Writer<'_>) -> Written {
    // [MQTT-3.8.3-2] (5.0), [MQTT-3.8.3-3] (3.1.1)
    if subscribe.filters.is_empty() {
        return Err(EncodeError::NotAllowed("a SUBSCRIBE without a Topic Filter"));
    }
    writer.packet(PacketType::Subscribe, |writer| {
        writer.u16(subscribe.id.value());
        if version.is_v5() {
            writer.properties(|writer| {
                subscribe.subscription_id.map_or(Ok(()), |id| writer.subscription_id(id))?;
                writer.user_properties(&subscribe.user);
                Ok(())
            })?;
        }
        subscribe.filters.iter().try_for_each(|filter| encode_filter(filter, version, writer))
    })
}

fn encode_filter(filter: &SubscribeFilter, version: Version, writer: &mut Writer<'_>) -> Written {
    let options = filter.options;
    writer.string(filter.filter.as_str());
    if !version.is_v5() {
        writer.u8(options.qos as u8);
        return Ok(());
    }
    // [MQTT-3.8.3-4] (5.0)
    if options.no_local && filter.filter.is_shared() {
        return Err(EncodeError::NotAllowed("No Local on a Shared Subscription"));
    }
    let retain_handling = match options.retain_handling {
        RetainHandling::Always => 0,
        RetainHandling::IfNew => 1 << 4,
        RetainHandling::Never => 2 << 4,
    };
    let no_local = if options.no_local { NO_LOCAL } else { 0 };
    let retain_as_published = if options.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
    writer.u8(options.qos as u8 | no_local | retain_as_published | retain_handling);
    Ok(())
}

pub(super) fn encode_unsubscribe(unsubscribe: &Unsubscribe, version: Version, writer: &mut Writer<'_>) -> Written {
    // [MQTT-3.10.3-2]
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::NotAllowed("an UNSUBSCRIBE without a Topic Filter"));
    }
    writer.packet(PacketType::Unsubscribe, |writer| {
        writer.u16(unsubscribe.id.value());
        if version.is_v5() {
            writer.properties(|writer| {
                writer.user_properties(&unsubscribe.user);
                Ok(())
            })?;
        }
        unsubscribe.filters.iter().for_each(|filter| writer.string(filter.as_str()));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, read_v5, read_v311, written};
    use super::*;
    use crate::packet::Packet;
    use crate::types::PacketId;

    #[test]
    fn options_are_read_and_written() {
        let body = "0007 02 0b05 0001 61 2d 0001 23 00";
        let Packet::Subscribe(subscribe) = read_v5(framed(0x82, body)) else { panic!("no SUBSCRIBE") };
        assert_eq!(subscribe.subscription_id, Some(5));
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::Never,
        };
        assert_eq!(subscribe.filters[0].options, options);
        assert_eq!(subscribe.filters[1].options, SubscriptionOptions::default());
        let packet = Packet::Subscribe(subscribe);
        assert_eq!(written(&packet, Version::V5), Ok(framed(0x82, body)));
        assert_eq!(written(&packet, Version::V311), Ok(framed(0x82, "0007 0001 61 01 0001 23 00")));
    }

    #[test]
    fn unsubscribe_lists_filters_only() {
        let packet = read_v311(framed(0xa2, "0007 0001 61 0001 23"));
        assert_eq!(written(&packet, Version::V5), Ok(framed(0xa2, "0007 00 0001 61 0001 23")));
    }

    #[test]
    fn illegal_subscribes_name_their_fault() {
        let rows = [
            (0x82, "0000 00 0001 61 00", 0x82, "MQTT-2.2.1-3"),
            (0x82, "0007 00", 0x82, "MQTT-3.8.3-2"),
            (0x82, "0007", 0x81, "MQTT-4.13.1-1"),
            (0x82, "0007 00 0001 61", 0x81, "MQTT-4.13.1-1"),
            (0x82, "0007 00 0001 61 40", 0x81, "MQTT-3.8.3-5"),
            (0x82, "0007 00 0001 61 80", 0x81, "MQTT-3.8.3-5"),
            (0x82, "0007 00 0001 61 03", 0x82, "sec:3.8.3.1"),
            (0x82, "0007 00 0001 61 30", 0x82, "sec:3.8.3.1"),
            (0x82, "0007 00 000a 2473686172652f672f61 04", 0x82, "MQTT-3.8.3-4"),
            (0x82, "0007 02 0b00 0001 61 00", 0x82, "sec:3.8.2.1.2"),
            (0x82, "0007 04 0b010b01 0001 61 00", 0x82, "sec:2.2.2.2"),
            (0x82, "0007 00 0000 00", 0x82, "MQTT-4.7.3-1"),
            (0x82, "0007 00 0002 6123 00", 0x8f, "MQTT-4.7.1-1"),
            (0xa2, "0007 00", 0x82, "MQTT-3.10.3-2"),
            (0xa2, "0007 02 0b01 0001 61", 0x81, "sec:2.2.2.2"),
            (0xa2, "0007 00 0002 612b", 0x8f, "MQTT-4.7.1-2"),
        ];
        assert_refused(Some(Version::V5), &rows);
        for options in ["04", "08", "10", "40", "80"] {
            let body = format!("0007 0001 61 {options}");
            assert_refused(Some(Version::V311), &[(0x82, &body, 0x81, "MQTT-3.8.3-5")]);
        }
    }

    #[test]
    fn a_packet_without_filters_cannot_be_sent() {
        let id = PacketId::new(7).unwrap();
        let subscribe = Subscribe { id, subscription_id: None, user: Vec::new(), filters: Vec::new() };
        assert!(written(&Packet::Subscribe(subscribe), Version::V5).is_err(), "[MQTT-3.8.3-2]");
        let unsubscribe = Unsubscribe { id, user: Vec::new(), filters: Vec::new() };
        assert!(written(&Packet::Unsubscribe(unsubscribe), Version::V311).is_err(), "[MQTT-3.10.3-2]");
    }
}
