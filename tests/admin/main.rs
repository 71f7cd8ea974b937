//! What operators see of the real program, and what they can do to it.

mod abuse;
mod asking;
#[path = "../common/mod.rs"]
mod common;
mod ctl;
mod delivery;
mod document;
mod draining;
mod expiry;
mod exporter;
mod live;
mod metrics;
mod peer;
mod secure;
mod spans;
mod steering;
mod sys;
mod tracing;
