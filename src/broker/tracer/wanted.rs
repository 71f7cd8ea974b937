//! What a trace follows.
use crate::codec::ForwardProperties;
use crate::types::{ClientId, Message, TopicFilter};
use bytes::Bytes;

/// Everything that is given must hold; nothing given follows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Steps of this client: what it publishes, and what is for it.
    pub client_id: Option<ClientId>,
    pub topic: Option<TopicFilter>,
    /// A User Property of the message, name and value.
    pub property: Option<(String, String)>,
    pub correlation: Option<Bytes>,
}

impl Wanted {
    pub(super) fn is_for_client(&self, client_id: &ClientId) -> bool {
        self.client_id.as_ref().is_none_or(|wanted| wanted == client_id)
    }

    /// Whether nothing but a client is asked for.
    pub(super) fn is_of_any_message(&self) -> bool {
        self.topic.is_none() && self.property.is_none() && self.correlation.is_none()
    }

    pub(super) fn is_message(&self, message: &Message) -> bool {
        self.topic.as_ref().is_none_or(|filter| filter.matches(&message.topic)) && self.has_properties(message)
    }

    fn has_properties(&self, message: &Message) -> bool {
        if self.property.is_none() && self.correlation.is_none() {
            return true;
        }
        let Ok(properties) = ForwardProperties::parse(&message.forward) else { return false };
        let has_property = self.property.as_ref().is_none_or(|(name, value)| {
            properties.user.iter().any(|(found, held)| found.as_str() == name && held.as_str() == value)
        });
        let has_correlation =
            self.correlation.as_ref().is_none_or(|wanted| properties.correlation_data.as_ref() == Some(wanted));
        has_property && has_correlation
    }
}
