//! What a broker takes that does nothing: its start, its memory, its program.
use super::problem::Tried;
use super::work::{Outcome, Scene};
use std::path::Path;
use std::process::Command;

#[derive(Debug, Clone, clap::Args)]
pub struct Start;

impl Start {
    /// Milliseconds from its birth to the first connection, MiB of memory, MiB of program without its symbols.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let broker = scene.fresh()?;
        let program = program_bytes(scene.program)? as f64 / f64::from(1 << 20);
        Ok(Outcome::plain(vec![broker.start.as_secs_f64() * 1e3, broker.usage().resident_mib(), program]))
    }
}

/// Bytes of a program as it is packaged: without its symbols, where there is `strip` to take them away.
fn program_bytes(program: &Path) -> Tried<u64> {
    let directory = tempfile::tempdir()?;
    let stripped = directory.path().join("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(program).status();
    let measured = if status.is_ok_and(|status| status.success()) { &stripped } else { program };
    Ok(std::fs::metadata(measured)?.len())
}
