//! Who the client of a connection is: for how long that holds, and how it is proved again.
use super::Attachment;
use crate::session::{AuthenticationStep, Close, Verdict};
use crate::types::{Identity, Now};
use std::sync::Arc;

impl Attachment {
    /// Who the client has proved to be.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// A step of a re-authentication that the last packets asked for. Its verdict is awaited.
    pub fn take_authentication(&mut self) -> Option<AuthenticationStep> {
        self.desk.in_hand_mut()?.turn.authentication.take()
    }

    pub fn handle_verdict(&mut self, verdict: Verdict) {
        self.session.handle_verdict(verdict, &mut self.desk.tools().turn);
    }

    /// When what proved who the client is counts no more.
    pub(super) fn proof_ends(&self) -> Option<Now> {
        self.identity.attributes().expires_at_ms.map(Now::from_millis)
    }

    pub(super) fn end_with_proof(&mut self, now: Now) {
        if self.proof_ends().is_some_and(|end| end <= now) {
            self.desk.tools().turn.close(Close::ProofExpired);
        }
    }
}
