//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).
use super::gate::Response;
use super::publishing::granted;
use super::state::Subscribed;
use super::{Ask, Requested, Session, Subscribing, Turn};
use crate::packet::{Subscribe, SubscribeFilter, Unsubscribe, varint_len};
use crate::types::{QoS, ReasonCode, TopicFilter, Violation};
use std::num::NonZeroU32;

impl Session {
    pub(super) fn handle_subscribe(&mut self, subscribe: Subscribe, turn: &mut Turn) -> Result<(), Violation> {
        self.check_features(&subscribe)?;
        self.check_answer(subscribe.filters.len())?;
        let subscription_id = subscribe.subscription_id.and_then(NonZeroU32::new);
        let mut filters = Vec::with_capacity(subscribe.filters.len());
        let mut codes = Vec::with_capacity(subscribe.filters.len());
        for SubscribeFilter { filter, options } in subscribe.filters {
            // [MQTT-3.8.4-3]: the same filter again replaces the subscription.
            let is_new = !self.state.subscriptions.contains_key(&filter);
            // [MQTT-3.8.4-7]
            let code = self.refusal(&filter, is_new).unwrap_or(granted(options.qos));
            if !code.is_failure() {
                let subscribed = Subscribed { options, id: subscription_id };
                self.state.subscriptions.insert(filter.clone(), subscribed);
            }
            codes.push(code);
            filters.push(Requested { filter, options, is_new, code });
        }
        // [MQTT-3.8.4-1], [MQTT-3.8.4-6]
        self.gate.hold_for(turn.asks.len(), Response::SubAck(subscribe.id, codes));
        turn.asks.push(Ask::Subscribe(Subscribing { subscription_id, filters }));
        Ok(())
    }

    /// Takes a subscription back that the broker refused.
    pub fn refuse_subscription(&mut self, filter: &TopicFilter) {
        self.state.subscriptions.remove(filter);
    }

    /// Grants a subscription with a lower QoS than was asked for [MQTT-3.8.4-7].
    pub fn limit_subscription(&mut self, filter: &TopicFilter, qos: QoS) {
        if let Some(subscribed) = self.state.subscriptions.get_mut(filter) {
            subscribed.options.qos = subscribed.options.qos.min(qos);
        }
    }

    pub(super) fn handle_unsubscribe(&mut self, unsubscribe: Unsubscribe, turn: &mut Turn) -> Result<(), Violation> {
        self.check_answer(unsubscribe.filters.len())?;
        let mut removed = Vec::new();
        let mut codes = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            // [MQTT-3.10.4-1], [MQTT-3.10.4-5]
            if self.state.subscriptions.remove(&filter).is_some() {
                codes.push(ReasonCode::Success);
                removed.push(filter);
            } else {
                codes.push(ReasonCode::NoSubscriptionExisted);
            }
        }
        // [MQTT-3.10.4-4], [MQTT-3.11.3-1]
        self.gate.hold_for(turn.asks.len(), Response::UnsubAck(unsubscribe.id, codes));
        turn.asks.push(Ask::Unsubscribe(removed));
        Ok(())
    }

    /// Whether the client takes a SUBACK or UNSUBACK of so many codes. There is no other way to answer, and a packet
    /// that may not be answered is not carried out [MQTT-3.1.2-24].
    fn check_answer(&self, codes: usize) -> Result<(), Violation> {
        /// Packet identifier, and the length of no properties.
        const VARIABLE_HEADER_BYTES: usize = 3;
        let remaining = VARIABLE_HEADER_BYTES + codes;
        if 1 + varint_len(remaining) + remaining > self.packet_bytes_max() {
            let why = "the client takes no packet as large as the answer to so many filters";
            return Err(Violation::new(ReasonCode::PacketTooLarge, "MQTT-3.1.2-24", why));
        }
        Ok(())
    }

    /// What was announced as unavailable may not be used at all (5.0 section 3.2.2.3).
    fn check_features(&self, subscribe: &Subscribe) -> Result<(), Violation> {
        if !self.version.is_v5() {
            return Ok(());
        }
        let off = |reason, why| Err(Violation::new(reason, "sec:3.2.2.3", why));
        if subscribe.subscription_id.is_some() && !self.features.subscription_identifiers {
            return off(ReasonCode::SubscriptionIdentifiersNotSupported, "Subscription Identifiers are switched off");
        }
        for SubscribeFilter { filter, .. } in &subscribe.filters {
            if filter.is_shared() && !self.features.shared_subscriptions {
                return off(ReasonCode::SharedSubscriptionsNotSupported, "shared subscriptions are switched off");
            }
            if filter.has_wildcard() && !self.features.wildcard_subscriptions {
                return off(ReasonCode::WildcardSubscriptionsNotSupported, "wildcard subscriptions are switched off");
            }
        }
        Ok(())
    }

    /// Why a filter is not taken, if it is not.
    fn refusal(&self, filter: &TopicFilter, is_new: bool) -> Option<ReasonCode> {
        let limits = &self.state.limits;
        let levels = filter.inner().split(|byte| *byte == b'/').count();
        if filter.as_str().len() > limits.topic_bytes_max || levels > limits.topic_levels_max {
            return Some(ReasonCode::TopicFilterInvalid);
        }
        // 3.1.1 clients were told of nothing, so that they get a refusal for what 5.0 clients may not even ask.
        if filter.is_shared() && !self.features.shared_subscriptions {
            return Some(ReasonCode::SharedSubscriptionsNotSupported);
        }
        if filter.has_wildcard() && !self.features.wildcard_subscriptions {
            return Some(ReasonCode::WildcardSubscriptionsNotSupported);
        }
        (is_new && self.state.subscriptions.len() >= limits.subscriptions_max).then_some(ReasonCode::QuotaExceeded)
    }
}
