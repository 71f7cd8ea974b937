//! Wire cases as text, for the tables in this directory's tests.
use super::{EncodeError, Limits, decode, encode, frame_len};
use crate::packet::{Packet, Version};
use crate::types::{ReasonCode, Violation};
use bytes::{Bytes, BytesMut};

/// Bytes from hexadecimal digits; blanks are for the reader.
pub(super) fn hex(digits: &str) -> Bytes {
    let digits: String = digits.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A whole packet around the body given.
pub(super) fn framed(first: u8, body: &str) -> Bytes {
    let body = hex(body);
    let mut frame = vec![first, u8::try_from(body.len()).unwrap()];
    assert!(body.len() < 128);
    frame.extend_from_slice(&body);
    Bytes::from(frame)
}

/// Both steps a connection takes: the fixed header, then the packet.
pub(super) fn read(frame: Bytes, version: Option<Version>) -> Result<Packet, Violation> {
    let len = frame_len(&frame, version, &Limits::default())?;
    assert_eq!(len, Some(frame.len()));
    decode(frame, version, &Limits::default())
}

pub(super) fn read_v5(frame: Bytes) -> Packet {
    read(frame, Some(Version::V5)).unwrap()
}

pub(super) fn read_v311(frame: Bytes) -> Packet {
    read(frame, Some(Version::V311)).unwrap()
}

pub(super) fn written(packet: &Packet, version: Version) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::from(&b"before"[..]);
    let result = encode(packet, version, &mut out);
    assert!(out.starts_with(b"before"));
    assert!(result.is_ok() || out.len() == 6, "a failure leaves the output alone");
    result.map(|()| out.freeze().slice(6..))
}

/// Each row is a first byte, a body, and the reason code and statement of its refusal.
pub(super) fn assert_refused(version: Option<Version>, rows: &[(u8, &str, u8, &str)]) {
    for (first, body, code, rule) in rows {
        let violation = match read(framed(*first, body), version) {
            Err(violation) => violation,
            Ok(packet) => panic!("{first:02x} {body} [{rule}] was taken for {packet:?}"),
        };
        let expected = (ReasonCode::from_byte(*code).unwrap(), *rule);
        assert_eq!((violation.reason, violation.rule), expected, "{first:02x} {body}: {violation}");
    }
}
