//! `vowmq data check`.
use super::{Failure, words};
use crate::store::data_dir::{self, Look};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// What is printed with `--json`: one object, whose keys stay.
#[derive(Serialize)]
struct Findings {
    data_dir: String,
    in_use: bool,
    sound: bool,
    segments: Vec<Segment>,
    frames: u64,
    records: u64,
    oldest: u64,
    end: u64,
    replay_from: Option<u64>,
    idle_bytes: u64,
    closed: bool,
    unfinished: Option<Unfinished>,
    given_up: Vec<GivenUp>,
    damage: Vec<String>,
}

#[derive(Serialize)]
struct Segment {
    file: String,
    frames: u64,
    records: u64,
    bytes: u64,
    gap_bytes: u64,
}

#[derive(Serialize)]
struct Unfinished {
    file: String,
    offset: u64,
    position: u64,
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct GivenUp {
    file: String,
    offset: u64,
    from: u64,
    to: u64,
    bytes: u64,
    records: Option<u64>,
}

pub(super) fn run(directory: &Path, json: bool) -> Result<ExitCode, Failure> {
    let look = data_dir::look(directory).map_err(|error| Failure::of(directory, error))?;
    let findings = Findings::of(directory, &look);
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings).map_err(io::Error::from)?)?;
    } else {
        findings.tell(&mut out, &look)?;
    }
    Ok(if findings.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Findings {
    fn of(directory: &Path, look: &Look) -> Self {
        let log = &look.log;
        let segments: Vec<_> = log.segments.iter().map(Segment::of).collect();
        Self {
            data_dir: directory.display().to_string(),
            in_use: look.is_in_use,
            sound: look.damage.is_empty(),
            frames: segments.iter().map(|segment| segment.frames).sum(),
            records: segments.iter().map(|segment| segment.records).sum(),
            segments,
            oldest: log.oldest.value(),
            end: log.end.value(),
            replay_from: look.state.as_ref().map(|state| state.replay_from.value()),
            idle_bytes: log.idle_bytes,
            closed: log.closed,
            unfinished: log.unfinished.as_ref().map(|unfinished| Unfinished {
                file: unfinished.file.display().to_string(),
                offset: unfinished.offset,
                position: unfinished.lsn.value(),
                bytes: unfinished.bytes,
            }),
            given_up: log.gaps.iter().map(GivenUp::of).collect(),
            damage: look.damage.iter().map(words).collect(),
        }
    }

    fn tell(&self, out: &mut impl Write, look: &Look) -> io::Result<()> {
        let directory = &self.data_dir;
        if self.in_use {
            writeln!(out, "{directory}: in use by a broker, so that the end of the log may move while it is read")?;
        }
        for Segment { file, frames, records, bytes, .. } in &self.segments {
            writeln!(out, "{file}: {frames} frames, {records} records, {bytes} bytes")?;
        }
        let Self { frames, records, oldest, end, .. } = self;
        let ending = match (self.closed, self.in_use) {
            (true, _) => ", closed in order",
            (false, true) => "",
            (false, false) => ", not closed in order",
        };
        writeln!(out, "{directory}: {frames} frames, {records} records, log positions {oldest} to {end}{ending}")?;
        if let Some(Unfinished { file, offset, position, bytes }) = &self.unfinished {
            let bytes = bytes.map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
            writeln!(out, "{file}: an unfinished write{bytes} at offset {offset} (log position {position})")?;
            writeln!(out, "  is what a crash leaves; nothing in it was acknowledged, and a start drops it")?;
        }
        if let Some(state) = look.state.as_ref().filter(|state| !state.entries.is_empty()) {
            let entries: Vec<_> = state.entries.iter().map(|(name, count)| format!("{count} {name}")).collect();
            writeln!(out, "{directory}/state: {} entries", entries.join(", "))?;
        }
        for piece in &look.log.gaps {
            writeln!(out, "given up by an earlier repair: {piece}")?;
        }
        for damage in &self.damage {
            writeln!(out, "damage: {damage}")?;
        }
        match self.damage.len() {
            0 => writeln!(out, "{directory}: sound"),
            1 => writeln!(out, "{directory}: damaged in 1 place"),
            places => writeln!(out, "{directory}: damaged in {places} places"),
        }
    }
}

impl Segment {
    fn of(segment: &crate::store::log::SegmentReport) -> Self {
        Self {
            file: segment.name.clone(),
            frames: segment.frames,
            records: segment.records,
            bytes: segment.bytes,
            gap_bytes: segment.gap_bytes,
        }
    }
}

impl GivenUp {
    fn of(piece: &crate::store::log::GivenUp) -> Self {
        Self {
            file: piece.file.display().to_string(),
            offset: piece.offset,
            from: piece.from.value(),
            to: piece.to.value(),
            bytes: piece.bytes(),
            records: piece.records,
        }
    }
}
