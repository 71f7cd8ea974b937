//! What a broker takes that does nothing: its start, its memory, its program.
use super::problem::Tried;
use super::work::{Outcome, Scene};

#[derive(Debug, Clone, clap::Args)]
pub struct Start;

impl Start {
    /// Milliseconds from its birth to the first connection, MiB of memory, MiB of program.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let broker = scene.fresh()?;
        let program = std::fs::metadata(scene.program)?.len() as f64 / f64::from(1 << 20);
        Ok(Outcome::plain(vec![broker.start.as_secs_f64() * 1e3, broker.usage().resident_mib(), program]))
    }
}
