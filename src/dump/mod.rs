//! Everything a broker keeps as JSON lines, for backups and for moving (floor 3).
//!
//! One line a thing: `begin`, then each `session` followed by its queue (`message`, `received`), then `retained`, then
//! `end` with the counts, so that a file that was cut short is told from a whole one.
mod line;
mod reading;
mod writing;

pub use line::{FORMAT, Line};
pub use reading::{Counts, ReadError, read};
pub use writing::write;

/// Where a running broker takes requests, in its data directory: a Unix socket, for whoever may enter there.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Asks a running broker for an export, which follows on the same connection.
pub const EXPORT_REQUEST: &str = "export\n";
