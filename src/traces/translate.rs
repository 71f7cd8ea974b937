//! From the broker's spans to OpenTelemetry's, by the names of its conventions for messaging.
use crate::broker::{Span, SpanKind};
use crate::types::TopicName;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind as Kind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::time::{Duration, UNIX_EPOCH};

pub(super) fn translate(span: Span) -> SpanData {
    let (name, span_kind) = match span.kind {
        SpanKind::Connect => ("connect", Kind::Server),
        SpanKind::Publish => ("publish", Kind::Server),
        SpanKind::Commit => ("commit", Kind::Internal),
        SpanKind::Deliver => ("deliver", Kind::Producer),
    };
    let trace_id = TraceId::from_bytes(span.trace_id.to_be_bytes());
    let id = |id: u64| SpanId::from_bytes(id.to_be_bytes());
    let time = |us: u64| UNIX_EPOCH + Duration::from_micros(us);
    let (parent_span_id, parent_span_is_remote) =
        span.parent.map_or((SpanId::INVALID, false), |(parent, is_remote)| (id(parent), is_remote));
    SpanData {
        span_context: SpanContext::new(trace_id, id(span.span_id), TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id,
        parent_span_is_remote,
        span_kind,
        name: name.into(),
        start_time: time(span.began_us),
        end_time: time(span.ended_us),
        attributes: attributes(&span, name),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.fault.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("vowmq").with_version(env!("CARGO_PKG_VERSION")).build(),
    }
}

fn attributes(span: &Span, name: &'static str) -> Vec<KeyValue> {
    let topic = span.topic.as_ref().map(TopicName::as_str).map(|topic| text("messaging.destination.name", topic));
    let qos = span.qos.map(|qos| KeyValue::new("mqtt.qos", i64::from(qos as u8)));
    let fault = span.fault.as_ref().map(|fault| text("error.type", fault));
    let all = [
        Some(KeyValue::new("messaging.system", "mqtt")),
        Some(KeyValue::new("messaging.operation.name", name)),
        Some(text("messaging.client.id", span.client_id.as_str())),
        topic,
        qos,
        fault,
    ];
    all.into_iter().flatten().collect()
}

fn text(name: &'static str, value: &str) -> KeyValue {
    KeyValue::new(name, value.to_owned())
}
