//! Between CONNECT and the session: who is the client? And, in 5.0, is it still the same?
use super::Shared;
use super::connection::Connection;
use super::opening::{Answer, Refusal};
use crate::broker::{Attachment, Counter, Counters};
use crate::codec;
use crate::identity::{Denial, Judgement, Proof, Proved, Voucher};
use crate::packet::{Auth, Connect, Packet};
use crate::session::{Authenticated, AuthenticationStep, Verdict};
use crate::types::{Attributes, Identity, ReasonCode, Text, Violation};
use bytes::Bytes;
use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};

/// A login that failed, as far as the log may know of it.
#[derive(Debug)]
pub(super) struct FailedLogin {
    denial: Denial,
    user: Option<Text>,
}

impl FailedLogin {
    pub fn violation(&self) -> Violation {
        let rule = if self.denial == Denial::Method { "MQTT-4.12.0-1" } else { "MQTT-3.1.4-2" };
        Violation::new(self.denial.code(), rule, self.denial.why())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Asks the listener's authenticators, or plays the exchange that CONNECT asks for. The method is taken out of
    /// CONNECT.
    pub(super) async fn prove(
        &mut self,
        connect: &mut Connect,
        answer: Answer,
    ) -> Result<(Proved, Option<Authenticated>), Refusal> {
        let proof = self.proof(connect);
        let fail = |denial| {
            let user = proof.user.as_ref().map(Text::detached);
            Refusal::Login(FailedLogin { denial, user }, answer)
        };
        if !self.may_log_in(proof.user.as_ref()) {
            return Err(fail(Denial::Banned));
        }
        if let Some(method) = connect.properties.authentication_method.take() {
            let message = connect.properties.authentication_data.take().unwrap_or_default();
            // On the heap, as few play one, and every connection that opens would have room for it.
            let (proved, authenticated) = Box::pin(self.play(method, &message, &proof, answer)).await?;
            return Ok((proved, Some(authenticated)));
        }
        let entrance = self.peer.entrance.clone();
        // Where nobody can be asked, a user name says nothing.
        let judgement = if entrance.authenticators.is_empty() {
            Judgement::Unknown
        } else {
            Box::pin(entrance.authenticators.judge(&proof)).await
        };
        let counters = &self.shared.broker.counters;
        let proved = match judgement {
            Judgement::Proved(proved) => {
                counters.logins_accepted.add(1);
                proved
            }
            Judgement::Unknown if entrance.allow_anonymous => {
                counters.logins_anonymous.add(1);
                Proved::default()
            }
            Judgement::Unknown => return Err(fail(Denial::NoProof)),
            Judgement::Denied(denial) => return Err(fail(denial)),
        };
        Ok((proved, None))
    }

    fn may_log_in(&self, user: Option<&Text>) -> bool {
        let Shared { broker, clock, .. } = &*self.shared;
        broker.abuse.may_log_in(self.peer.address.map(|address| address.ip()), user, &broker.counters, clock.now())
    }

    fn proof(&self, connect: &Connect) -> Proof {
        Proof {
            user: connect.user_name.clone().filter(|user| !user.is_empty()),
            password: connect.password.clone(),
            client_id: connect.client_id.clone(),
            address: self.peer.address.map(|address| address.ip()),
            certificate: self.peer.certificate().cloned(),
        }
    }

    pub(super) fn identity(&self, proved: Proved) -> Identity {
        let Proved { user, groups, claims, expires_at_ms, voucher: _ } = proved;
        let certificate = self.peer.certificate().cloned();
        let address = self.peer.address.map(|address| address.ip());
        Identity { user, address, ..Identity::default() }.with(Attributes {
            groups,
            claims,
            certificate,
            expires_at_ms,
        })
    }

    /// Plays an exchange before CONNACK: a challenge, and the answer to it. The time is limited with that of CONNECT.
    async fn play(
        &mut self,
        method: Text,
        message: &[u8],
        proof: &Proof,
        answer: Answer,
    ) -> Result<(Proved, Authenticated), Refusal> {
        let fail = |denial, user: Option<&str>| {
            let user =
                user.and_then(|user| Text::try_from(user).ok()).or_else(|| proof.user.as_ref().map(Text::detached));
            Refusal::Login(FailedLogin { denial, user }, answer)
        };
        let begun = self.peer.entrance.authenticators.begin(method.as_str(), message);
        let (exchange, challenge) = begun.map_err(|denial| fail(denial, None))?;
        if proof.user.as_ref().is_some_and(|user| user.as_str() != exchange.user()) {
            return Err(fail(Denial::OtherUser, None));
        }
        if !self.may_log_in(Text::try_from(exchange.user()).ok().as_ref()) {
            return Err(fail(Denial::Banned, None));
        }
        self.challenge(&method, challenge.into(), answer).await?;
        let message = self.read_answer(&method, answer).await?;
        let user = exchange.user().to_owned();
        let last = exchange.finish(&message).map_err(|_| fail(Denial::Exchange, Some(&user)))?;
        self.shared.broker.counters.logins_accepted.add(1);
        let user = Text::try_from(user.as_str()).map_err(|_| fail(Denial::UserName, None))?;
        let proved = Proved { voucher: Some(Voucher::Exchange), ..Proved::user(&user) };
        Ok((proved, Authenticated { method: method.detached(), data: last.into() }))
    }

    async fn challenge(&mut self, method: &Text, data: Bytes, answer: Answer) -> Result<(), Refusal> {
        // [MQTT-4.12.0-2], [MQTT-4.12.0-5]
        let code = ReasonCode::ContinueAuthentication;
        let auth = Packet::Auth(Auth { code, method: Some(method.clone()), data: Some(data), diagnostics: None });
        if !self.say_early(&auth, answer.version, answer.packet_bytes_max) {
            let why = "the client takes no packet as large as the challenge";
            let violation = Violation::new(ReasonCode::PacketTooLarge, "MQTT-3.1.2-24", why);
            return Err(Refusal::Refused(violation, Some(answer)));
        }
        while !self.link.out.is_empty() {
            match poll_fn(|context| self.link.poll_write(context)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Refusal::Gone),
            }
        }
        Ok(())
    }

    /// What the client answers to the challenge.
    async fn read_answer(&mut self, method: &Text, answer: Answer) -> Result<Bytes, Refusal> {
        // Nobody in particular is speaking yet: no more is read than for a CONNECT.
        let limits = self.limits.decoding.clone();
        let limits = codec::Limits { packet_bytes_max: limits.connect_bytes_max, ..limits };
        let refuse = |violation| Refusal::Refused(violation, Some(answer));
        let frame = self.read_packet(Some(answer.version), &limits).await?;
        match codec::decode(frame, Some(answer.version), &limits).map_err(refuse)? {
            // [MQTT-4.12.0-5]
            Packet::Auth(auth) if auth.method.as_ref() != Some(method) => {
                Err(refuse(Violation::protocol("MQTT-4.12.0-5", "AUTH with another method than CONNECT")))
            }
            // [MQTT-4.12.0-3]
            Packet::Auth(auth) if auth.code != ReasonCode::ContinueAuthentication => {
                Err(refuse(Violation::protocol("MQTT-4.12.0-3", "an AUTH before CONNACK that does not go on")))
            }
            Packet::Auth(auth) => Ok(auth.data.unwrap_or_default()),
            Packet::Disconnect(_) => Err(Refusal::Gone),
            // [MQTT-3.1.2-30]
            _ => {
                let why = "before the end of an authentication only AUTH and DISCONNECT may come";
                Err(refuse(Violation::protocol("MQTT-3.1.2-30", why)))
            }
        }
    }

    /// Checks the step of a re-authentication, if the last packets held one.
    pub(super) fn check_authentication(&mut self, attachment: &mut Attachment) {
        let Some(step) = attachment.take_authentication() else { return };
        let verdict = self.judge_step(&step, attachment.identity()).unwrap_or_else(|denial| {
            let user = attachment.identity().user.clone();
            self.report_login(&FailedLogin { denial, user });
            Verdict::Refused
        });
        if matches!(verdict, Verdict::Proved(_)) {
            self.shared.broker.counters.logins_renewed.add(1);
        }
        attachment.handle_verdict(verdict);
    }

    fn judge_step(&mut self, step: &AuthenticationStep, identity: &Identity) -> Result<Verdict, Denial> {
        if !step.is_first {
            let exchange = self.exchange.take().ok_or(Denial::Exchange)?;
            return Ok(Verdict::Proved(exchange.finish(&step.data).map_err(|_| Denial::Exchange)?.into()));
        }
        let (exchange, challenge) = self.peer.entrance.authenticators.begin(step.method.as_str(), &step.data)?;
        // A client may prove again who it is, and not become somebody else.
        if identity.user.as_ref().is_none_or(|user| user.as_str() != exchange.user()) {
            return Err(Denial::OtherUser);
        }
        self.exchange = Some(Box::new(exchange));
        Ok(Verdict::Challenge(challenge.into()))
    }

    /// Counts and logs a login that failed. The password is not known here.
    pub(super) fn report_login(&self, failed: &FailedLogin) {
        let FailedLogin { denial, user } = failed;
        if let Some(counter) = counter(&self.shared.broker.counters, *denial) {
            counter.add(1);
        }
        if let Some(left_out) = self.shared.broker.abuse.log_share(self.shared.clock.now()) {
            // Shown with escapes, as nobody has checked what is in it.
            let user = user.as_ref().map(tracing::field::debug);
            let left_out = (left_out > 0).then_some(left_out);
            tracing::info!(address = %self.peer, user, reason = denial.name(), left_out, "login refused");
        }
        if denial.is_guess() {
            self.count_failure(failed.user.as_ref());
        }
    }

    fn count_failure(&self, user: Option<&Text>) {
        let Shared { broker, clock, .. } = &*self.shared;
        let (address, now) = (self.peer.address.map(|address| address.ip()), clock.now());
        for (offender, until) in broker.abuse.login_failed(address, user, now) {
            broker.counters.bans.add(1);
            let (offender, seconds) = (tracing::field::debug(offender.to_string()), now.millis_until(until) / 1000);
            tracing::warn!(offender, seconds, "kept out, as too many logins failed; see vowmq ctl bans");
        }
    }
}

fn counter(counters: &Counters, denial: Denial) -> Option<&Counter> {
    Some(match denial {
        Denial::NoProof => &counters.logins_refused_no_proof,
        Denial::UnknownUser => &counters.logins_refused_unknown_user,
        Denial::NoPassword => &counters.logins_refused_no_password,
        Denial::WrongPassword => &counters.logins_refused_wrong_password,
        Denial::UserName => &counters.logins_refused_user_name,
        Denial::OtherUser => &counters.logins_refused_other_user,
        Denial::Token => &counters.logins_refused_token,
        Denial::TokenTime => &counters.logins_refused_token_time,
        Denial::Service => &counters.logins_refused_service,
        Denial::ServiceFailed => &counters.logins_refused_service_failed,
        Denial::Method => &counters.logins_refused_method,
        Denial::Exchange => &counters.logins_refused_exchange,
        Denial::Busy => &counters.logins_refused_busy,
        // Counted where it was found.
        Denial::Banned => return None,
    })
}
