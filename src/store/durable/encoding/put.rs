//! Parts of records as bytes. Fixed numbers are little-endian; texts and blobs carry their length.
use crate::packet::{RetainHandling, SubscriptionOptions, Will};
use crate::store::Target;
use crate::types::{Attributes, Identity, Message, Now, SessionKey, Text};
use std::net::IpAddr;

/// The beginning of most records.
pub fn head(out: &mut Vec<u8>, tag: u8, session: SessionKey) {
    out.push(tag);
    number(out, session.0);
}

/// A number that is small most of the time: seven bits a byte, the lowest first.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn count(out: &mut Vec<u8>, count: usize) {
    number(out, count as u64);
}

pub fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub fn option<T: ?Sized>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

pub fn time(out: &mut Vec<u8>, at: &Now) {
    number(out, at.as_millis());
}

pub fn options(out: &mut Vec<u8>, options: SubscriptionOptions) {
    let retain_handling = match options.retain_handling {
        RetainHandling::Always => 0,
        RetainHandling::IfNew => 1,
        RetainHandling::Never => 2,
    };
    let flags = [options.qos as u8, u8::from(options.no_local), u8::from(options.retain_as_published), retain_handling];
    out.extend_from_slice(&flags);
}

pub fn message(out: &mut Vec<u8>, message: &Message) {
    blob(out, message.topic.as_bytes());
    blob(out, &message.payload);
    out.extend_from_slice(&[message.qos as u8, u8::from(message.retain)]);
    blob(out, &message.forward);
    option(out, message.expires_at.as_ref(), time);
}

pub fn will(out: &mut Vec<u8>, will: &Will) {
    blob(out, will.topic.as_bytes());
    blob(out, &will.payload);
    out.extend_from_slice(&[will.qos as u8, u8::from(will.retain)]);
    out.extend_from_slice(&will.delay_s.to_le_bytes());
    option(out, will.properties.expiry_s.as_ref(), |out, expiry_s| out.extend_from_slice(&expiry_s.to_le_bytes()));
    blob(out, &will.properties.forward);
}

/// Who a client is, but for how long its proof holds.
pub fn identity(out: &mut Vec<u8>, identity: &Identity) {
    let text = |out: &mut Vec<u8>, text: &Text| blob(out, text.as_bytes());
    let Attributes { groups, claims, certificate, expires_at_ms: _ } = identity.attributes();
    option(out, identity.user.as_ref(), text);
    count(out, groups.len());
    groups.iter().for_each(|group| text(out, group));
    count(out, claims.len());
    for (claim, value) in claims {
        blob(out, claim.as_bytes());
        blob(out, value.as_bytes());
    }
    option(out, certificate.as_ref(), text);
    option(out, identity.address.as_ref(), |out, address| match address {
        IpAddr::V4(address) => blob(out, &address.octets()),
        IpAddr::V6(address) => blob(out, &address.octets()),
    });
}

/// A target without its session and position.
pub fn target(out: &mut Vec<u8>, target: &Target) {
    let ids = target.subscription_ids.as_slice();
    let flags = target.qos as u8
        | u8::from(target.retain) << 2
        | u8::from(!ids.is_empty()) << 3
        | u8::from(target.share.is_some()) << 4
        | u8::from(target.give_up_at.is_some()) << 5;
    out.push(flags);
    if !ids.is_empty() {
        count(out, ids.len());
        ids.iter().for_each(|id| number(out, u64::from(*id)));
    }
    if let Some(filter) = target.share.as_deref() {
        blob(out, filter.as_str().as_bytes());
    }
    if let Some(at) = target.give_up_at {
        number(out, at.as_millis());
    }
}
