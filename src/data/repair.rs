//! `vowmq data repair`.
use super::Failure;
use crate::clock::seed;
use crate::store::{Options, data_dir};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(directory: &Path) -> Result<ExitCode, Failure> {
    let repaired = data_dir::repair(directory, &Options::new(seed())).map_err(|error| Failure::of(directory, error))?;
    let mut out = std::io::stdout().lock();
    if repaired.was_sound() {
        writeln!(out, "{}: sound, nothing to repair", directory.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    for mended in &repaired.log.mended {
        writeln!(out, "mended: {mended}")?;
    }
    for piece in &repaired.log.given_up {
        writeln!(out, "given up: {piece}")?;
    }
    if repaired.has_lost_state {
        writeln!(out, "given up: the state beside the log, which could not be read: whatever had left the log before")?;
    } else if repaired.has_new_state {
        writeln!(out, "mended: the state beside the log, which could not be read, is made anew from the log")?;
    }
    match repaired.given_up() {
        0 => writeln!(out, "{}: repaired, nothing was given up", directory.display())?,
        1 => writeln!(out, "{}: repaired, 1 piece was given up", directory.display())?,
        pieces => writeln!(out, "{}: repaired, {pieces} pieces were given up", directory.display())?,
    }
    for quarantine in &repaired.quarantines {
        writeln!(out, "what was there before is in {}", quarantine.display())?;
    }
    warn_of_owner(directory);
    Ok(ExitCode::SUCCESS)
}

/// What a repair makes belongs to whoever ran it, and the broker must be able to write to it.
fn warn_of_owner(directory: &Path) {
    // The owner of this entry is who this process is.
    if let (Ok(owner), Ok(we)) = (std::fs::metadata(directory), std::fs::metadata("/proc/self"))
        && owner.uid() != we.uid()
    {
        let directory = directory.display();
        eprintln!(
            "vowmq: warning: {directory} belongs to user {}, and this ran as user {}; before the broker starts, run \
             `chown -R --reference={directory} {directory}`",
            owner.uid(),
            we.uid()
        );
    }
}
