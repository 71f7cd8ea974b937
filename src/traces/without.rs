//! In place of the exporter, in a program that was built without it (`--no-default-features`).
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::Traces;
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error(
        "traces.endpoint: this program was built without the feature `otlp`; leave it out, or build it with the feature"
    )]
    Missing,
}

/// There is none.
pub enum Ready {}

/// There is none.
pub enum Exporting {}

pub fn open(settings: &Traces) -> Result<Option<Ready>, TracesError> {
    if settings.is_on() { Err(TracesError::Missing) } else { Ok(None) }
}

impl Ready {
    pub fn begin(self, _: &Arc<Broker>, _: Clock) -> Result<Exporting, TracesError> {
        match self {}
    }
}

impl Exporting {
    pub async fn stop(self) {
        match self {}
    }
}
