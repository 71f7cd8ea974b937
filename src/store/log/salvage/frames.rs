//! What is wrong with the frames of an unbroken chain of segments, and the headers that put it right.
use std::sync::Arc;

use super::super::file::Files;
use super::super::frame::{FRAME_HEADER_BYTES, FrameHeader};
use super::super::segment::Segment;
use super::super::walk::{Damage, Gap, Step, Walk};
use super::super::{LogError, Lsn};
use super::rebuild;

/// What [`look`] found.
pub(super) struct Found {
    pub mends: Vec<Mend>,
    /// Where the log goes on in a segment that is not there.
    pub missing: Option<u64>,
}

/// A header to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mend {
    /// The number of the segment in the chain.
    pub segment: usize,
    pub header: FrameHeader,
    /// Whether records may be gone with it.
    pub is_loss: bool,
    pub what: &'static str,
}

impl Mend {
    /// From the first up to the second.
    pub fn positions(&self) -> (u64, u64) {
        (self.header.lsn.value(), self.header.lsn.value() + self.header.frame_bytes())
    }
}

pub(super) fn look(files: &dyn Files, chain: &[Arc<Segment>], from: Option<Lsn>) -> Result<Found, LogError> {
    let mut walk = Walk::new(files, chain);
    let mut spoilt = Spoilt { chain, mends: Vec::new(), short: None };
    loop {
        let segment = walk.segment();
        match walk.step()? {
            Step::Frame { header, body } => {
                if header.records(body).any(|record| record.is_err()) {
                    let end = header.lsn.value() + header.frame_bytes();
                    let what = "the records of a frame do not add up";
                    spoilt.give_up(segment, (header.lsn.value(), end), Some(header.records), what);
                }
            }
            Step::Gap(gap) => spoilt.pass_gap(&gap),
            Step::Damage(damage) => spoilt.pass_damage(files, &damage)?,
            Step::Missing { base } => return Ok(Found { mends: spoilt.mends, missing: Some(base) }),
            Step::End(end) => {
                if from.is_some_and(|from| from.value() > end.position) {
                    let what = "the log ends before the state beside it";
                    spoilt.give_up(end.segment, (end.position, chain[end.segment].end()), None, what);
                }
                return Ok(Found { mends: spoilt.mends, missing: None });
            }
        }
    }
}

struct Spoilt<'a> {
    chain: &'a [Arc<Segment>],
    mends: Vec<Mend>,
    /// A place too short for a header of its own, in front of a gap: segment, position, end.
    short: Option<(usize, u64, u64)>,
}

impl Spoilt<'_> {
    fn pass_damage(&mut self, files: &dyn Files, damage: &Damage) -> Result<(), LogError> {
        let Damage { segment, position, next_segment, next_position, .. } = *damage;
        let LogError::Damaged { what, .. } = damage.error else { unreachable!("damage is told as such") };
        if segment == next_segment {
            let place = (position, next_position);
            if let Some(header) = rebuild::header(files, &self.chain[segment], place, damage.header)? {
                let what = "a spoilt frame header was made anew from its records; nothing is lost";
                self.mends.push(Mend { segment, header, is_loss: false, what });
                return Ok(());
            }
            // With more than the one frame between them, the header knows only of the first.
            let alone = damage.header.filter(|header| position + header.frame_bytes() == next_position);
            self.give_up(segment, place, alone.map(|header| header.records), what);
            return Ok(());
        }
        if let Some(header) = rebuild::seal(files, &self.chain[segment], position)? {
            let what = "a spoilt seal was made anew; nothing is lost";
            self.mends.push(Mend { segment, header, is_loss: false, what });
        } else {
            self.give_up(segment, (position, self.chain[segment].end()), None, what);
        }
        for number in segment + 1..=next_segment {
            let found = &self.chain[number];
            let end = if number == next_segment { next_position } else { found.end() };
            if found.first() < end {
                self.give_up(number, (found.first(), end), None, "nothing in this part of the segment is readable");
            }
        }
        Ok(())
    }

    fn give_up(&mut self, segment: usize, (from, to): (u64, u64), lost: Option<u32>, what: &'static str) {
        if to - from < FRAME_HEADER_BYTES {
            self.short = Some((segment, from, to));
            return;
        }
        let header = FrameHeader::gap(Lsn::new(from), Lsn::new(to), lost);
        self.mends.push(Mend { segment, header, is_loss: true, what });
    }

    /// No frame is so short that a gap would not fit in its place; only what is in front of a gap may be, where a file
    /// was cut short.
    fn pass_gap(&mut self, gap: &Gap) {
        if let Some((segment, from, to)) = self.short.take()
            && segment == gap.segment
            && to == gap.position
        {
            self.give_up(segment, (from, gap.end), None, "the file was cut short");
        }
    }
}
