//! The PUBLISH properties that are passed on, as values, for those who make or read messages.
use super::property::{self, Found};
use super::reader::Reader;
use super::writer::{EncodeError, Properties};
use super::{Limits, writer};
use crate::types::{Text, UserProperties, Violation};
use bytes::{Bytes, BytesMut};

/// What stays encoded while a message crosses the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forward {
    pub payload_format: Option<u8>,
    pub content_type: Option<Text>,
    pub response_topic: Option<Text>,
    pub correlation_data: Option<Bytes>,
    pub user: UserProperties,
}

const ALLOWED: &[u8] = &[
    property::PAYLOAD_FORMAT,
    property::CONTENT_TYPE,
    property::RESPONSE_TOPIC,
    property::CORRELATION_DATA,
    property::USER_PROPERTY,
];

impl Forward {
    /// Reads what [`Self::encode`] or a PUBLISH left encoded.
    pub fn parse(encoded: &Bytes) -> Result<Self, Violation> {
        let limits = Limits { user_properties_max: usize::MAX, ..Limits::default() };
        let mut framed = BytesMut::new();
        writer::varint(&mut framed, encoded.len())
            .map_err(|_| Violation::malformed("sec:2.2.2", "properties longer than a packet"))?;
        framed.extend_from_slice(encoded);
        let mut found = property::read(&mut Reader::new(framed.freeze(), &limits), ALLOWED)?;
        Ok(Self::from_found(&mut found))
    }

    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut properties = Properties::default();
        properties.u8(property::PAYLOAD_FORMAT, self.payload_format);
        properties.text(property::CONTENT_TYPE, self.content_type.as_ref())?;
        properties.text(property::RESPONSE_TOPIC, self.response_topic.as_ref())?;
        properties.binary(property::CORRELATION_DATA, self.correlation_data.as_deref())?;
        properties.user(&self.user)?;
        Ok(properties.into_encoded().freeze())
    }

    pub(super) fn from_found(found: &mut Found) -> Self {
        Self {
            payload_format: found.u8(property::PAYLOAD_FORMAT),
            content_type: found.text(property::CONTENT_TYPE),
            response_topic: found.text(property::RESPONSE_TOPIC),
            correlation_data: found.binary(property::CORRELATION_DATA),
            user: found.user(),
        }
    }
}
