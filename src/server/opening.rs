//! From the first byte of a connection to its session, or to its refusal.
use super::Shared;
use super::connection::Connection;
use crate::broker::{Attachment, ConnectRequest, Step};
use crate::codec;
use crate::packet::{ConnAck, Connect, Packet, Version};
use crate::types::{ReasonCode, Text, Violation};
use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why no session was opened.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The peer went before it said who it is.
    Gone,
    /// No CONNECT, or no free session, within `limits.connect_timeout_ms`.
    TimedOut,
    /// CONNECT was no good; the version tells how to say so, if it is known.
    Refused(Violation, Option<Version>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Waits for CONNECT and for its session.
    pub(super) async fn open(&mut self, allow_anonymous: bool) -> Result<Box<Attachment>, Refusal> {
        let patience = self.shared.limits.connect_timeout;
        let opened = tokio::time::timeout(patience, async {
            let connect = self.read_connect().await?;
            let version = connect.version;
            let refuse = |violation| Refusal::Refused(violation, Some(version));
            // Without authentication nobody can prove who he is, so that only anonymous clients can be let in.
            if !allow_anonymous {
                let why = "this listener lets nobody in without authentication";
                return Err(refuse(Violation::new(ReasonCode::NotAuthorized, "MQTT-3.1.4-2", why)));
            }
            let request = self.shared.broker.admit(connect).map_err(refuse)?;
            Ok(attach(&self.shared, request).await)
        });
        opened.await.unwrap_or(Err(Refusal::TimedOut))
    }

    async fn read_connect(&mut self) -> Result<Connect, Refusal> {
        let limits = self.shared.decoding.clone();
        loop {
            let read = poll_fn(|context| self.link.poll_read(context)).await;
            let Ok(mut input) = read else { return Err(Refusal::Gone) };
            if input.is_empty() {
                return Err(Refusal::Gone);
            }
            let refuse = |violation, input: &[u8]| Refusal::Refused(violation, codec::connect_version_hint(input));
            match codec::frame_len(&input, None, &limits).map_err(|violation| refuse(violation, &input))? {
                Some(length) if length <= input.len() => {
                    let frame = input.split_to(length).freeze();
                    self.link.keep(input);
                    return decode_connect(frame, &limits);
                }
                Some(_) | None => self.link.keep(input),
            }
        }
    }

    /// Tells the peer why it is refused, where that is possible [MQTT-3.1.4-1].
    pub(super) fn refuse(&mut self, violation: &Violation, version: Option<Version>) {
        let Some(version) = version else { return };
        // 3.1.1 has return codes for five reasons only; a malformed CONNECT is closed without one.
        let is_tellable = version.is_v5()
            || !matches!(
                violation.reason,
                ReasonCode::MalformedPacket | ReasonCode::ProtocolError | ReasonCode::PacketTooLarge
            );
        if !is_tellable {
            return;
        }
        let mut connack = ConnAck::refusal(violation.reason);
        if version.is_v5() {
            connack.properties.diagnostics.reason_string = Some(Text::from_static(violation.why));
        }
        let mut out = BytesMut::new();
        if codec::encode(&Packet::ConnAck(Box::new(connack)), version, &mut out).is_ok() {
            self.link.out.extend_from_slice(&out);
        }
    }
}

fn decode_connect(frame: Bytes, limits: &codec::Limits) -> Result<Connect, Refusal> {
    let hint = codec::connect_version_hint(&frame);
    match codec::decode(frame, None, limits) {
        Ok(Packet::Connect(connect)) => Ok(*connect),
        Ok(_) => Err(Refusal::Refused(Violation::protocol("MQTT-3.1.0-1", "the first packet is not CONNECT"), hint)),
        Err(violation) => Err(Refusal::Refused(violation, hint)),
    }
}

/// Takes the session over from whoever has it.
async fn attach(shared: &Shared, mut request: ConnectRequest) -> Box<Attachment> {
    loop {
        match shared.broker.connect(request, shared.clock.now()) {
            Step::Attached(attachment) => return attachment,
            Step::Wait(waiting, slot) => {
                shared.broker.counters.takeovers.add(1);
                poll_fn(|context| slot.poll_vacated(context)).await;
                request = *waiting;
            }
        }
    }
}
