//! Looking at a log without touching it: what it holds, and everything that is wrong with it.
use std::sync::Arc;

use super::chain::{Survey, check_neighbours, missing};
use super::file::Files;
use super::frame::{FrameHeader, Kind, RECORD_HEADER_BYTES, record_header};
use super::recovery::{Discarded, miscounted};
use super::salvage::GivenUp;
use super::segment::{Segment, name_of};
use super::walk::{Step, Walk};
use super::{LogError, Lsn};

/// What [`inspect`] saw.
#[derive(Debug, Default)]
pub struct Report {
    /// The segments whose headers can be read, spares included, in the order of the log.
    pub segments: Vec<SegmentReport>,
    /// The beginning of what is kept, and the end of the last whole frame.
    pub oldest: Lsn,
    pub end: Lsn,
    /// Whether the log was closed in order and nothing was begun since.
    pub closed: bool,
    /// A write at the end that is not whole, and that a start would discard.
    pub unfinished: Option<Discarded>,
    /// What earlier repairs gave up.
    pub gaps: Vec<GivenUp>,
    /// Everything for which a start would be refused.
    pub damage: Vec<LogError>,
    /// Room taken by files that wait to be used again, and by unfinished ones.
    pub idle_bytes: u64,
}

/// One segment. It is a spare if it holds no frames and the log ends before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    pub name: String,
    pub base: Lsn,
    /// The size of the file.
    pub bytes: u64,
    pub frames: u64,
    pub records: u64,
    /// What earlier repairs gave up of it.
    pub gap_bytes: u64,
}

/// Reads the whole log and changes nothing. It takes no lock: beside a running broker the end may look unfinished.
pub fn inspect(files: &dyn Files) -> Result<Report, LogError> {
    let survey = Survey::of(files)?;
    let idle_bytes = survey.free.iter().chain(&survey.temporary).map(|entry| entry.bytes).sum();
    let mut report = Report { idle_bytes, ..Report::default() };
    let runs = unbroken_runs(files, &survey, &mut report)?;
    report.oldest = runs.iter().flatten().next().map_or(Lsn::START, |segment| Lsn::new(segment.header.base));
    let last = runs.len();
    for (number, run) in runs.iter().enumerate() {
        walk_run(files, &survey, run, number + 1 == last, &mut report)?;
    }
    Ok(report)
}

/// The segments in runs without a gap; what is between them is noted as damage.
fn unbroken_runs(files: &dyn Files, survey: &Survey, report: &mut Report) -> Result<Vec<Vec<Arc<Segment>>>, LogError> {
    let mut runs: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut explained = false;
    for found in &survey.segments {
        let name = name_of(found.base);
        let file = files.open_to_read(&name).map_err(LogError::io("open", files.path(&name)))?;
        let segment = match Segment::read(files, file, found.base, found.bytes) {
            Ok(segment) => segment,
            Err(error) => {
                report.damage.push(error);
                explained = true;
                continue;
            }
        };
        let before = runs.last().and_then(|run| run.last());
        match before.map_or(Ok(()), |before| check_neighbours(files, before, &segment)) {
            Ok(()) => match runs.last_mut() {
                Some(run) => run.push(Arc::new(segment)),
                None => runs.push(vec![Arc::new(segment)]),
            },
            Err(error) => {
                if !(explained && matches!(error, LogError::MissingSegment { .. })) {
                    report.damage.push(error);
                }
                runs.push(vec![Arc::new(segment)]);
            }
        }
        explained = false;
    }
    Ok(runs)
}

fn walk_run(
    files: &dyn Files,
    survey: &Survey,
    run: &[Arc<Segment>],
    last_run: bool,
    report: &mut Report,
) -> Result<(), LogError> {
    let first = report.segments.len();
    report.segments.extend(run.iter().map(|segment| SegmentReport {
        name: segment.name(),
        base: Lsn::new(segment.header.base),
        bytes: segment.header.file_bytes(),
        frames: 0,
        records: 0,
        gap_bytes: 0,
    }));
    let mut walk = Walk::new(files, run);
    let mut tail = None;
    loop {
        let number = walk.segment();
        match walk.step()? {
            Step::Frame { header, body } => {
                tail = Some(header.kind);
                let counted = &mut report.segments[first + number];
                counted.frames += 1;
                counted.records += u64::from(header.records);
                if !records_are_whole(&run[number], &header, body) {
                    report.damage.push(miscounted(files, &run[number], &header));
                }
            }
            Step::Gap(gap) => {
                tail = None;
                report.segments[first + number].gap_bytes += gap.end - gap.position;
                report.gaps.push(GivenUp::at(files, &run[number], &gap));
            }
            Step::Damage(damage) => report.damage.push(damage.error),
            Step::Missing { base } => {
                // Between two runs it is noted already, and so is a segment that is there but cannot be read.
                if last_run && survey.segments.iter().all(|found| found.base != base) {
                    report.damage.push(missing(files, base));
                }
                report.end = Lsn::new(base);
                return Ok(());
            }
            Step::End(end) => {
                report.end = Lsn::new(end.position);
                report.closed = last_run && tail == Some(Kind::Close) && end.unfinished.is_none();
                report.unfinished = Discarded::at(files, &run[end.segment], &end).filter(|_| last_run);
                return Ok(());
            }
        }
    }
}

/// Whether the records add up, and each would also be accepted when it is read alone.
fn records_are_whole(segment: &Segment, header: &FrameHeader, body: &[u8]) -> bool {
    let mut at = 0;
    header.records(body).all(|record| {
        let Ok((lsn, record)) = record else { return false };
        let expected = record_header(segment.header.salt, lsn, record);
        let found = body.get(at..at + RECORD_HEADER_BYTES);
        at += RECORD_HEADER_BYTES + record.len();
        found == Some(&expected)
    })
}
