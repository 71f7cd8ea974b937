//! From the first byte of a connection to its session, or to its refusal.
use super::Shared;
use super::connection::Connection;
use super::proving::FailedLogin;
use crate::broker::{Attachment, ConnectRequest, Step};
use crate::codec;
use crate::packet::{ConnAck, Connect, Packet, Version};
use crate::session::Close;
use crate::types::{ReasonCode, Text, Violation};
use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Why no session was opened.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The peer went before it said who it is.
    Gone,
    /// No CONNECT, or no free session, within `limits.connect_timeout_ms`.
    TimedOut,
    /// CONNECT was no good; the last part tells how to say so, if it is known.
    Refused(Violation, Option<Answer>),
    /// The client did not prove who it is.
    Login(FailedLogin, Answer),
}

/// How to tell a client that it is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub version: Version,
    /// The client's Maximum Packet Size, bytes.
    pub packet_bytes_max: u32,
}

impl Answer {
    fn to(connect: &Connect) -> Self {
        let packet_bytes_max = connect.properties.maximum_packet_bytes.unwrap_or(u32::MAX);
        Self { version: connect.version, packet_bytes_max }
    }

    /// For a CONNECT that could not be read to its end.
    fn by_hint(packet: &[u8]) -> Option<Self> {
        codec::connect_version_hint(packet).map(|version| Self { version, packet_bytes_max: u32::MAX })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Waits for CONNECT and for its session.
    pub(super) async fn open(&mut self) -> Result<Box<Attachment>, Refusal> {
        let patience = self.limits.connect_timeout;
        let opened = tokio::time::timeout(patience, async {
            let mut connect = self.read_connect().await?;
            let answer = Answer::to(&connect);
            let (proved, authenticated) = self.prove(&mut connect, answer).await?;
            let vouched = proved.voucher.clone().zip(proved.user.clone());
            let standing = self.peer.standing(vouched).filter(|_| self.limits.disconnect_removed);
            let identity = self.identity(proved);
            let refuse = |violation| Refusal::Refused(violation, Some(answer));
            let request = self.shared.broker.admit(connect, Arc::new(identity)).map_err(refuse)?;
            self.shared.broker.check_connect_rate(&request, self.shared.clock.now()).map_err(refuse)?;
            let request = request.via(self.peer.entrance.name.clone(), self.peer.address, self.last_write);
            let request = request.authenticated_by(authenticated).while_it_holds(standing.clone());
            let mut attachment = attach(&self.shared, request).await.map_err(refuse)?;
            // What changed while the client was on its way in was not asked of it.
            if standing.is_some_and(|standing| !standing.holds()) {
                attachment.close(Close::ProofWithdrawn);
            }
            Ok(attachment)
        });
        opened.await.unwrap_or(Err(Refusal::TimedOut))
    }

    async fn read_connect(&mut self) -> Result<Connect, Refusal> {
        let limits = self.limits.decoding.clone();
        let frame = self.read_packet(None, &limits).await?;
        decode_connect(frame, &limits)
    }

    /// Waits for one packet of a client that has no session yet.
    pub(super) async fn read_packet(
        &mut self,
        version: Option<Version>,
        limits: &codec::Limits,
    ) -> Result<Bytes, Refusal> {
        let mut input = self.link.take_kept();
        loop {
            let refuse = |violation, input: &[u8]| Refusal::Refused(violation, Answer::by_hint(input));
            match codec::frame_len(&input, version, limits).map_err(|violation| refuse(violation, &input))? {
                Some(length) if length <= input.len() => {
                    let frame = input.split_to(length).freeze();
                    let length = length + input.len();
                    self.link.keep(input.freeze(), length);
                    return Ok(frame);
                }
                Some(_) | None => {
                    let length = input.len();
                    self.link.keep(input.freeze(), length);
                }
            }
            let read = poll_fn(|context| self.link.poll_read(context)).await;
            input = read.map_err(|_| Refusal::Gone)?;
            if input.is_empty() {
                return Err(Refusal::Gone);
            }
        }
    }

    /// Tells the peer why it is refused, where that is possible [MQTT-3.1.4-1].
    pub(super) fn refuse(&mut self, violation: &Violation, answer: Option<Answer>) {
        let Some(Answer { version, packet_bytes_max }) = answer else { return };
        let mut connack = ConnAck::refusal(violation.reason);
        // [MQTT-3.2.2-6] (3.1.1): there are return codes for five reasons only; otherwise closing says it all.
        let is_untellable = matches!(
            violation.reason,
            ReasonCode::MalformedPacket | ReasonCode::ProtocolError | ReasonCode::PacketTooLarge
        );
        if !version.is_v5() && is_untellable {
            return;
        }
        connack.properties.diagnostics.reason_string = Some(Text::from_static(violation.why));
        // Where to go instead, while this broker is being drained.
        let drain = self.shared.broker.draining.drain().filter(|drain| drain.code() == violation.reason);
        connack.properties.server_reference = drain.and_then(|drain| drain.server_reference.clone());
        if !self.say_connack(connack.clone(), version, packet_bytes_max) {
            // [MQTT-3.2.2-19]
            connack.properties.diagnostics.reason_string = None;
            self.say_connack(connack, version, packet_bytes_max);
        }
    }

    fn say_connack(&mut self, connack: ConnAck, version: Version, packet_bytes_max: u32) -> bool {
        self.say_early(&Packet::ConnAck(Box::new(connack)), version, packet_bytes_max)
    }

    /// Puts a packet into the buffer if the client takes its size.
    pub(super) fn say_early(&mut self, packet: &Packet, version: Version, packet_bytes_max: u32) -> bool {
        let mut out = BytesMut::new();
        let is_encoded = codec::encode(packet, version, &mut out).is_ok();
        let fits = u32::try_from(out.len()).is_ok_and(|length| length <= packet_bytes_max);
        if is_encoded && fits {
            self.link.out.tail().extend_from_slice(&out);
        }
        is_encoded && fits
    }
}

fn decode_connect(frame: Bytes, limits: &codec::Limits) -> Result<Connect, Refusal> {
    let hint = Answer::by_hint(&frame);
    match codec::decode(frame, None, limits) {
        Ok(Packet::Connect(connect)) => Ok(*connect),
        Ok(_) => Err(Refusal::Refused(Violation::protocol("MQTT-3.1.0-1", "the first packet is not CONNECT"), hint)),
        Err(violation) => Err(Refusal::Refused(violation, hint)),
    }
}

/// Takes the session over from whoever has it.
async fn attach(shared: &Shared, mut request: ConnectRequest) -> Result<Box<Attachment>, Violation> {
    loop {
        match shared.broker.connect(request, shared.clock.now())? {
            Step::Attached(attachment) => return Ok(attachment),
            Step::Wait(waiting, slot) => {
                shared.broker.counters.takeovers.add(1);
                poll_fn(|context| slot.poll_vacated(context)).await;
                request = *waiting;
            }
        }
    }
}
