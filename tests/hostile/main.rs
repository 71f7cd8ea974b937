//! Hostile clients against the real program: it serves others all the while, answers rightly, and does not grow.
//!
//! What is shown closer to the code is not shown again; docs/HOSTILE.md names every test by class.
mod access;
#[path = "../common/mod.rs"]
mod common;
mod flows;
mod memory;
mod openings;
mod peer;
mod sessions;
mod topics;
