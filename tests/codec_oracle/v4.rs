//! Our packets in mqttbytes' words for 3.1.1.
use mqttbytes::v4 as theirs;
use mqttbytes::{Error, Protocol};
use vowmq::packet::*;
use vowmq::types::ReasonCode;

use super::{login, their_qos};

/// `None` for what mqttbytes cannot say; see the head of `main.rs`.
pub fn express(packet: &Packet) -> Option<theirs::Packet> {
    Some(match packet {
        Packet::Connect(connect) => theirs::Packet::Connect(express_connect(connect)?),
        Packet::ConnAck(connack) => {
            let code = return_code(connack.code)?;
            theirs::Packet::ConnAck(theirs::ConnAck { session_present: connack.session_present, code })
        }
        Packet::Publish(publish) => theirs::Packet::Publish(theirs::Publish {
            dup: publish.dup,
            qos: their_qos(publish.qos.level()),
            retain: publish.retain,
            topic: publish.topic.as_ref()?.to_string(),
            pkid: publish.qos.id().map_or(0, |id| id.value()),
            payload: publish.payload.clone(),
        }),
        Packet::PubAck(ack) => theirs::Packet::PubAck(theirs::PubAck { pkid: ack.id.value() }),
        Packet::PubRec(ack) => theirs::Packet::PubRec(theirs::PubRec { pkid: ack.id.value() }),
        Packet::PubRel(ack) => theirs::Packet::PubRel(theirs::PubRel { pkid: ack.id.value() }),
        Packet::PubComp(ack) => theirs::Packet::PubComp(theirs::PubComp { pkid: ack.id.value() }),
        Packet::Subscribe(subscribe) => {
            let filters = subscribe.filters.iter();
            let filters = filters.map(|filter| theirs::SubscribeFilter {
                path: filter.filter.as_str().to_owned(),
                qos: their_qos(filter.options.qos),
            });
            theirs::Packet::Subscribe(theirs::Subscribe { pkid: subscribe.id.value(), filters: filters.collect() })
        }
        Packet::SubAck(suback) => {
            let codes = suback.codes.iter().map(|code| (*code as u8).try_into().unwrap());
            theirs::Packet::SubAck(theirs::SubAck { pkid: suback.id.value(), return_codes: codes.collect() })
        }
        Packet::Unsubscribe(unsubscribe) => theirs::Packet::Unsubscribe(theirs::Unsubscribe {
            pkid: unsubscribe.id.value(),
            topics: unsubscribe.filters.iter().map(|filter| filter.as_str().to_owned()).collect(),
        }),
        Packet::UnsubAck(unsuback) => theirs::Packet::UnsubAck(theirs::UnsubAck { pkid: unsuback.id.value() }),
        Packet::PingReq => theirs::Packet::PingReq,
        Packet::PingResp => theirs::Packet::PingResp,
        Packet::Disconnect(_) => theirs::Packet::Disconnect,
        Packet::Auth(_) => return None,
    })
}

fn express_connect(connect: &Connect) -> Option<theirs::Connect> {
    let will = connect.will.as_ref().map(|will| theirs::LastWill {
        topic: will.topic.to_string(),
        message: will.payload.clone(),
        qos: their_qos(will.qos),
        retain: will.retain,
    });
    let login = login(connect)?.map(|(username, password)| theirs::Login { username, password });
    Some(theirs::Connect {
        protocol: Protocol::V4,
        keep_alive: connect.keep_alive_s,
        client_id: connect.client_id.to_string(),
        clean_session: connect.clean_start,
        last_will: will,
        login,
    })
}

fn return_code(code: ReasonCode) -> Option<theirs::ConnectReturnCode> {
    Some(match code as u8 {
        0x00 => theirs::ConnectReturnCode::Success,
        0x84 => theirs::ConnectReturnCode::RefusedProtocolVersion,
        0x85 => theirs::ConnectReturnCode::BadClientId,
        0x88 => theirs::ConnectReturnCode::ServiceUnavailable,
        0x86 => theirs::ConnectReturnCode::BadUserNamePassword,
        0x87 => theirs::ConnectReturnCode::NotAuthorized,
        _ => return None,
    })
}

pub fn write(packet: &theirs::Packet, out: &mut bytes::BytesMut) -> Result<usize, Error> {
    match packet {
        theirs::Packet::Connect(packet) => packet.write(out),
        theirs::Packet::ConnAck(packet) => packet.write(out),
        theirs::Packet::Publish(packet) => packet.write(out),
        theirs::Packet::PubAck(packet) => packet.write(out),
        theirs::Packet::PubRec(packet) => packet.write(out),
        theirs::Packet::PubRel(packet) => packet.write(out),
        theirs::Packet::PubComp(packet) => packet.write(out),
        theirs::Packet::Subscribe(packet) => packet.write(out),
        theirs::Packet::SubAck(packet) => packet.write(out),
        theirs::Packet::Unsubscribe(packet) => packet.write(out),
        theirs::Packet::UnsubAck(packet) => packet.write(out),
        theirs::Packet::PingReq => theirs::PingReq.write(out),
        theirs::Packet::PingResp => theirs::PingResp.write(out),
        theirs::Packet::Disconnect => theirs::Disconnect.write(out),
    }
}
