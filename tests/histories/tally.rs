//! What a run has done, for its closing line.
use super::fault::{Fault, Faults};

#[derive(Debug, Default)]
pub struct Tally {
    pub lives: u64,
    pub kills: u64,
    pub kills_in_a_drain: u64,
    pub kills_at_start: u64,
    pub kills_at_suback: u64,
    pub published: u64,
    pub acknowledged: u64,
    pub deliveries: u64,
    pub repeats: u64,
    pub backlog_max: u64,
    pub sessions_checked: u64,
    pub retained_checked: u64,
    pub wills: u64,
}

impl Tally {
    /// The whole run in one line.
    pub fn line(&self, name: &str, faults: &Faults) -> String {
        format!(
            "{name}: {} kills ({} in a drain, {} during a start, {} right after a SUBACK) in {} lives; {} messages \
             published, {} acknowledged, {} deliveries and {} repeats, backlogs up to {}; {} returns to a session, {} \
             retained messages looked at, {} wills; faults: {} lost, {} doubled, {} reordered, {} without DUP, {} \
             altered, {} sessions lost, {} retained lost, {} wills lost, {} other",
            self.kills,
            self.kills_in_a_drain,
            self.kills_at_start,
            self.kills_at_suback,
            self.lives,
            self.published,
            self.acknowledged,
            self.deliveries,
            self.repeats,
            self.backlog_max,
            self.sessions_checked,
            self.retained_checked,
            self.wills,
            faults.count(Fault::MessageLost),
            faults.count(Fault::MessageDoubled),
            faults.count(Fault::MessageReordered),
            faults.count(Fault::DupUnset),
            faults.count(Fault::MessageAltered),
            faults.count(Fault::SessionLost),
            faults.count(Fault::RetainedLost),
            faults.count(Fault::WillLost),
            other(faults),
        )
    }

    /// Whether each kind of moment was hit.
    pub fn has_seen_everything(&self) -> bool {
        let kills = [self.kills_in_a_drain, self.kills_at_start, self.kills_at_suback];
        let checks = [self.sessions_checked, self.retained_checked, self.wills, self.repeats];
        kills.iter().chain(&checks).all(|count| *count > 0) && self.backlog_max >= 500
    }

    /// A row of the table in docs/FAULTS.md.
    pub fn row(&self, name: &str, faults: &Faults) -> String {
        let cells = [
            self.kills,
            self.acknowledged,
            self.deliveries,
            faults.count(Fault::MessageLost),
            faults.count(Fault::MessageDoubled),
            faults.count(Fault::MessageReordered),
            faults.count(Fault::DupUnset),
            self.sessions_checked,
            faults.count(Fault::SessionLost),
            self.retained_checked,
            faults.count(Fault::RetainedLost),
            self.wills,
            faults.count(Fault::WillLost),
            other(faults),
        ];
        let cells: Vec<String> = cells.iter().map(u64::to_string).collect();
        format!("| {name} | {} |", cells.join(" | "))
    }
}

pub const ROW_HEAD: &str = "| broker | kills | acknowledged | deliveries | lost | doubled | reordered | DUP unset | \
                            sessions | lost | retained | lost | wills | lost | other |";

fn other(faults: &Faults) -> u64 {
    use Fault::{ConnectionCut, HandshakeBroken, MessageAltered, NotStarted, SessionInvented, WillEarly};
    let kinds = [MessageAltered, SessionInvented, WillEarly, HandshakeBroken, ConnectionCut, NotStarted];
    kinds.iter().map(|kind| faults.count(*kind)).sum()
}
