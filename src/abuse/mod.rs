//! Who asks for more than a fair share, or for what is not theirs (floor 2): token buckets, failed logins and bans.
//!
//! Pure: the time is an argument, and whoever holds these locks them.
mod bans;
mod bucket;
mod flapping;
mod ledger;

pub use bans::{Ban, Bans, MANUAL_MAX, Offender, Rules, TooManyBans};
pub use bucket::{Bucket, Rate};
pub use flapping::{Flapping, Pattern};
pub use ledger::Ledger;
