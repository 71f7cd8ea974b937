//! How fast the client may send: by the rates of `[abuse]`, and while memory is short.
use super::Attachment;
use crate::broker::abuse::Allowances;
use crate::types::Now;

/// The rates that bind a connection. Most are bound by none.
#[derive(Debug)]
pub(super) struct Pace {
    allowances: Allowances,
    /// Until when nothing is read.
    paused_until: Option<Now>,
}

impl Pace {
    pub fn new(allowances: Allowances) -> Self {
        Self { allowances, paused_until: None }
    }

    pub fn may_subscribe(&self, filters: u64, now: Now) -> bool {
        self.allowances.may_subscribe(filters, now)
    }
}

impl Attachment {
    /// Counts what one read brought against the rates of the client, its user and its address. Where one is exceeded,
    /// nothing more is read until it is made up for: TCP tells the client to wait, and nothing is lost.
    pub fn charge(&mut self, bytes: u64, now: Now) {
        let Some(pace) = &mut self.pace else { return };
        let messages = self.publishing.as_mut().map_or(0, |publishing| publishing.take_charge());
        pace.allowances.charge(messages, bytes, now);
        pace.paused_until = pace.allowances.paused_until(now);
        self.broker.counters.reads_paused_rate.add(u64::from(pace.paused_until.is_some()));
    }

    pub(super) fn paused_until(&self) -> Option<Now> {
        self.pace.as_ref()?.paused_until
    }

    /// Looks again whether a pause is over; others may have used up the same rate meanwhile.
    pub(super) fn end_pause(&mut self, now: Now) {
        let Some(pace) = &mut self.pace else { return };
        if pace.paused_until.is_some_and(|until| until <= now) {
            pace.paused_until = pace.allowances.paused_until(now);
        }
    }

    /// Whether the client sends faster than it may, or brings more while there is no memory for it. Where memory is short,
    /// one that has deliveries to acknowledge is read on: that is what makes room.
    pub(super) fn is_slowed(&self) -> bool {
        let is_in_the_way = self.has_published && self.broker.pressure.slows();
        self.paused_until().is_some() || (is_in_the_way && !self.session.awaits_acknowledgements())
    }
}
