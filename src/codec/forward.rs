//! The PUBLISH and Will properties that travel with a message unchanged: Payload Format Indicator, Content Type,
//! Response Topic, Correlation Data and User Properties (5.0 section 3.3.2.3). They are kept as encoded.
use super::property::{self, Properties};
use super::writer::{EncodeError, Writer};
use super::{Limits, reader::Reader};
use crate::types::{Text, TopicName, UserProperties, Violation};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// What [`crate::types::PublishProperties::forward`] holds in encoded form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForwardProperties {
    /// Payload Format Indicator: whether the payload is UTF-8, or unspecified bytes.
    pub payload_is_utf8: Option<bool>,
    pub content_type: Option<Text>,
    pub response_topic: Option<TopicName>,
    pub correlation_data: Option<Bytes>,
    pub user: UserProperties,
}

impl ForwardProperties {
    /// Reads what [`Self::encode`] or the decoder of a PUBLISH has made.
    pub fn parse(forward: &Bytes) -> Result<Self, Violation> {
        let limits = Limits { user_properties_max: usize::MAX, ..Limits::default() };
        let mut block = Properties::over(Reader::new(forward, 0, forward.len(), &limits));
        let mut properties = Self::default();
        while let Some(id) = block.next_id()? {
            if !properties.read(id, &mut block)? {
                return Err(property::misplaced());
            }
        }
        Ok(properties)
    }

    /// Takes the value if the property is one of those passed on.
    fn read(&mut self, id: u8, block: &mut Properties<'_>) -> Result<bool, Violation> {
        match id {
            property::PAYLOAD_FORMAT_INDICATOR => self.payload_is_utf8 = Some(payload_format(block)?),
            property::CONTENT_TYPE => self.content_type = Some(block.reader.text()?),
            property::RESPONSE_TOPIC => self.response_topic = Some(response_topic(block)?),
            property::CORRELATION_DATA => self.correlation_data = Some(block.reader.binary()?),
            property::USER_PROPERTY => block.reader.user_property(&mut self.user)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The properties as they stand in a PUBLISH, for `PublishProperties::forward`.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out);
        writer.flag_property(property::PAYLOAD_FORMAT_INDICATOR, self.payload_is_utf8);
        writer.text_property(property::CONTENT_TYPE, self.content_type.as_ref());
        writer.text_property(property::RESPONSE_TOPIC, self.response_topic.as_ref().map(TopicName::as_text));
        let data = self.correlation_data.as_ref();
        writer.binary_property(property::CORRELATION_DATA, "Correlation Data", data)?;
        writer.user_properties(&self.user);
        Ok(out.freeze())
    }
}

/// Checks the value of a property that is to be passed on; any other does not belong there.
pub(super) fn check(id: u8, block: &mut Properties<'_>, kept: &mut Kept<'_>) -> Result<(), Violation> {
    match id {
        property::PAYLOAD_FORMAT_INDICATOR => payload_format(block).map(drop),
        // [MQTT-3.3.2-19]
        property::CONTENT_TYPE => block.reader.text().map(drop),
        property::RESPONSE_TOPIC => response_topic(block).map(drop),
        property::CORRELATION_DATA => block.reader.binary().map(drop),
        property::USER_PROPERTY => {
            kept.user_properties += 1;
            block.reader.check_user_properties(kept.user_properties)?;
            block.reader.text_pair().map(drop)
        }
        _ => Err(property::misplaced()),
    }
}

fn payload_format(block: &mut Properties<'_>) -> Result<bool, Violation> {
    block.flag("the Payload Format Indicator is neither 0 nor 1")
}

fn response_topic(block: &mut Properties<'_>) -> Result<TopicName, Violation> {
    // [MQTT-3.3.2-13]
    let text = block.reader.text()?;
    // [MQTT-3.3.2-14]
    TopicName::parse(text)
        .map_err(|_| Violation::protocol("MQTT-3.3.2-14", "a Response Topic is empty or holds a wildcard"))
}

/// Gathers the stretches of a frame that hold properties to be passed on: one slice if they follow each other, which
/// is the usual case, else a copy that joins them.
pub(super) struct Kept<'a> {
    frame: &'a Bytes,
    stretch: Range<usize>,
    /// All earlier stretches.
    joined: BytesMut,
    user_properties: usize,
}

impl<'a> Kept<'a> {
    pub(super) fn of(frame: &'a Bytes) -> Self {
        Self { frame, stretch: 0..0, joined: BytesMut::new(), user_properties: 0 }
    }

    /// Adds a stretch that lies behind all earlier ones.
    pub(super) fn keep(&mut self, stretch: Range<usize>) {
        if self.stretch.end == stretch.start {
            self.stretch.end = stretch.end;
            return;
        }
        self.joined.extend_from_slice(self.frame.get(self.stretch.clone()).unwrap_or_default());
        self.stretch = stretch;
    }

    pub(super) fn into_bytes(mut self) -> Bytes {
        if self.joined.is_empty() {
            return self.frame.slice(self.stretch);
        }
        self.joined.extend_from_slice(self.frame.get(self.stretch).unwrap_or_default());
        self.joined.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    #[test]
    fn what_is_built_reads_the_same() {
        let properties = ForwardProperties {
            payload_is_utf8: Some(true),
            content_type: Some(Text::from_static("c")),
            response_topic: Some(TopicName::try_from("r").unwrap()),
            correlation_data: Some(Bytes::from_static(b"\x00")),
            user: vec![(Text::from_static("k"), Text::from_static("v"))],
        };
        let bytes = properties.encode().unwrap();
        assert_eq!(bytes, hex("0101 03000163 08000172 09000100 2600016b000176"));
        assert_eq!(ForwardProperties::parse(&bytes), Ok(properties));
        assert_eq!(ForwardProperties::parse(&Bytes::new()), Ok(ForwardProperties::default()));
    }

    #[test]
    fn only_what_is_passed_on_belongs_there() {
        for bytes in ["0200000001", "0101 0101", "0102", "08000123", "01", "230001"] {
            assert!(ForwardProperties::parse(&hex(bytes)).is_err(), "{bytes}");
        }
    }

    #[test]
    fn data_beyond_its_length_field_cannot_be_written() {
        let data = Some(Bytes::from(vec![0; 65_536]));
        let properties = ForwardProperties { correlation_data: data, ..ForwardProperties::default() };
        assert_eq!(properties.encode(), Err(EncodeError::TooLong("Correlation Data")));
    }

    #[test]
    fn a_message_with_many_user_properties_can_still_be_read() {
        let user = vec![(Text::default(), Text::default()); 1000];
        let properties = ForwardProperties { user, ..ForwardProperties::default() };
        assert_eq!(ForwardProperties::parse(&properties.encode().unwrap()), Ok(properties));
    }
}
