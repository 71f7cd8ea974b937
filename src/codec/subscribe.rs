//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (sections 3.8 to 3.11).
use super::ack::{code, diagnostics};
use super::property::{self, DIAGNOSTICS};
use super::reader::Reader;
use super::writer::{self, EncodeError, Properties};
use crate::packet::{
    Diagnostics, Packet, RetainHandling, SubAck, Subscribe, SubscribeFilter, SubscriptionOptions, UnsubAck,
    Unsubscribe, Version,
};
use crate::types::{PacketId, QoS, ReasonCode, TopicFilter, Violation};
use bytes::{BufMut, BytesMut};

/// [MQTT-3.9.3-2]
const SUBACK_CODES: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
/// [MQTT-3.11.3-2]
const UNSUBACK_CODES: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];

pub(super) fn decode_subscribe(reader: &mut Reader<'_>, version: Version) -> Result<Packet, Violation> {
    let id = reader.packet_id()?;
    let (mut subscription_id, mut user) = (None, Vec::new());
    if version.is_v5() {
        let mut found = property::read(reader, &[property::SUBSCRIPTION_ID, property::USER_PROPERTY])?;
        subscription_id = found.u32(property::SUBSCRIPTION_ID);
        user = found.user();
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        // [MQTT-3.8.3-1]
        let filter = TopicFilter::parse(reader.text()?)?;
        let options = options(reader.u8()?, version)?;
        // [MQTT-3.8.3-4]
        if options.no_local && filter.is_shared() {
            return Err(Violation::protocol("MQTT-3.8.3-4", "No Local on a shared subscription"));
        }
        filters.push(SubscribeFilter { filter, options });
    }
    // [MQTT-3.8.3-2] (5.0), [MQTT-3.8.3-3] (3.1.1)
    if filters.is_empty() {
        return Err(Violation::protocol("MQTT-3.8.3-2", "a SUBSCRIBE without Topic Filters"));
    }
    Ok(Packet::Subscribe(Subscribe { id, subscription_id, user, filters }))
}

fn options(byte: u8, version: Version) -> Result<SubscriptionOptions, Violation> {
    let reserved = if version.is_v5() { 0xc0 } else { 0xfc };
    // [MQTT-3.8.3-5] (5.0), [MQTT-3-8.3-4] (3.1.1)
    if byte & reserved != 0 {
        return Err(Violation::malformed("MQTT-3.8.3-5", "reserved subscription option bits are set"));
    }
    // Section 3.8.3.1: 3 is a Protocol Error, for the QoS and for Retain Handling.
    let wrong = Violation::protocol("sec:3.8.3.1", "a subscription option of 3");
    let retain_handling = match byte >> 4 & 3 {
        0 => RetainHandling::Always,
        1 => RetainHandling::IfNew,
        2 => RetainHandling::Never,
        _ => return Err(wrong),
    };
    let qos = QoS::from_bits(byte & 3).ok_or(wrong)?;
    Ok(SubscriptionOptions { qos, no_local: byte & 4 != 0, retain_as_published: byte & 8 != 0, retain_handling })
}

pub(super) fn decode_unsubscribe(reader: &mut Reader<'_>, version: Version) -> Result<Packet, Violation> {
    let id = reader.packet_id()?;
    let user = if version.is_v5() { property::read(reader, &[property::USER_PROPERTY])?.user() } else { Vec::new() };
    let mut filters = Vec::new();
    while !reader.is_empty() {
        // [MQTT-3.10.3-1]
        filters.push(TopicFilter::parse(reader.text()?)?);
    }
    // [MQTT-3.10.3-2]
    if filters.is_empty() {
        return Err(Violation::protocol("MQTT-3.10.3-2", "an UNSUBSCRIBE without Topic Filters"));
    }
    Ok(Packet::Unsubscribe(Unsubscribe { id, user, filters }))
}

pub(super) fn decode_suback(reader: &mut Reader<'_>, version: Version) -> Result<Packet, Violation> {
    let (id, codes, diagnostics) = decode_codes(reader, version, SUBACK_CODES)?;
    Ok(Packet::SubAck(SubAck { id, codes, diagnostics }))
}

pub(super) fn decode_unsuback(reader: &mut Reader<'_>, version: Version) -> Result<Packet, Violation> {
    let (id, codes, diagnostics) = decode_codes(reader, version, UNSUBACK_CODES)?;
    Ok(Packet::UnsubAck(UnsubAck { id, codes, diagnostics }))
}

type Codes = (PacketId, Vec<ReasonCode>, Option<Box<Diagnostics>>);

fn decode_codes(reader: &mut Reader<'_>, version: Version, listed: &[u8]) -> Result<Codes, Violation> {
    let id = reader.packet_id()?;
    let mut diagnostics = Diagnostics::default();
    if version.is_v5() {
        diagnostics = property::read(reader, DIAGNOSTICS)?.diagnostics();
    }
    let codes: Result<Vec<_>, _> = reader.remaining().iter().map(|byte| code(*byte, listed)).collect();
    Ok((id, codes?, property::boxed(diagnostics)))
}

pub(super) fn encode_subscribe(subscribe: &Subscribe, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut properties = Properties::default();
    properties.varint(property::SUBSCRIPTION_ID, subscribe.subscription_id)?;
    properties.user(&subscribe.user)?;
    writer::packet(out, 0x82, |out| {
        out.put_u16(subscribe.id.value());
        if version.is_v5() {
            properties.put(out)?;
        }
        for SubscribeFilter { filter, options } in &subscribe.filters {
            writer::text(out, filter.as_text())?;
            out.put_u8(if version.is_v5() { option_bits(*options) } else { options.qos as u8 });
        }
        Ok(())
    })
}

fn option_bits(options: SubscriptionOptions) -> u8 {
    let retain_handling = match options.retain_handling {
        RetainHandling::Always => 0,
        RetainHandling::IfNew => 1,
        RetainHandling::Never => 2,
    };
    options.qos as u8
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | retain_handling << 4
}

pub(super) fn encode_unsubscribe(
    unsubscribe: &Unsubscribe,
    version: Version,
    out: &mut BytesMut,
) -> Result<(), EncodeError> {
    let mut properties = Properties::default();
    properties.user(&unsubscribe.user)?;
    writer::packet(out, 0xa2, |out| {
        out.put_u16(unsubscribe.id.value());
        if version.is_v5() {
            properties.put(out)?;
        }
        unsubscribe.filters.iter().try_for_each(|filter| writer::text(out, filter.as_text()))
    })
}

pub(super) fn encode_suback(suback: &SubAck, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut properties = Properties::default();
    diagnostics(&mut properties, suback.diagnostics.as_deref())?;
    writer::packet(out, 0x90, |out| {
        out.put_u16(suback.id.value());
        if version.is_v5() {
            properties.put(out)?;
        }
        for code in &suback.codes {
            // 3.1.1 has one code for all failures [MQTT-3.9.3-2].
            let is_told = version.is_v5() || !code.is_failure();
            out.put_u8(if is_told { *code as u8 } else { 0x80 });
        }
        Ok(())
    })
}

pub(super) fn encode_unsuback(unsuback: &UnsubAck, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut properties = Properties::default();
    diagnostics(&mut properties, unsuback.diagnostics.as_deref())?;
    writer::packet(out, 0xb0, |out| {
        out.put_u16(unsuback.id.value());
        if version.is_v5() {
            properties.put(out)?;
            out.extend(unsuback.codes.iter().map(|code| *code as u8));
        }
        Ok(())
    })
}
