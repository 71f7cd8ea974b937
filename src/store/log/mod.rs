//! The delivery log: groups of records, each group on disk whole or not at all, in the order they were appended.
//!
//! It knows nothing of MQTT; a record is bytes, and its [`Lsn`] is its name for ever.
//!
//! # On disk
//! A directory of segments, `<base, 16 hexadecimal digits>.log`, each of a fixed size and never grown. A segment begins
//! with a header of 512 bytes (format version, base, size, salt, checksum) and holds frames; its successor begins where
//! it ends, in the one address space of the log. A frame is a header of 32 bytes and a body, padded to 8:
//!
//! | bytes | frame header | | bytes | record |
//! |---|---|---|---|---|
//! | 0..4 | `VowF` | | 0..4 | length of the body |
//! | 4..8 | bytes of the body, padding included | | 4..8 | crc32c of length and body |
//! | 8..16 | position (LSN) of this frame | | 8.. | body |
//! | 16..20 | number of records | | | |
//! | 20..24 | kind: group 1, mark 2, seal 3, close 4, gap 5 | | | |
//! | 24..28 | crc32c of the body | | | |
//! | 28..32 | crc32c of the 28 bytes before | | | |
//!
//! A *gap* is what a repair leaves of damage ([`salvage`]): its body, which may reach to the end of the segment, is to be
//! stepped over, and its number of records says how many were lost (all ones: nobody knows). A *void* stands for a missing
//! segment: a file of one header, of format 2, which says so.
//!
//! Every number is little-endian. Every checksum begins with the log's salt and the position of what it covers, so that
//! stale bytes of a recycled segment never pass for live ones, nor a payload that imitates a frame. Behind each frame
//! 32 zero bytes are written: the place of the next header is empty until its write has begun.
//!
//! # What holds
//! - [`Log::append`] is one write and one fdatasync, and a frame is only begun when the one before it is synced. So any
//!   header found behind a bad frame proves that the bad one had been synced: damage, and [`open`] refuses. A bad frame
//!   with nothing behind it is an unfinished write: it is dropped, reported in [`Recovery::discarded`], overwritten.
//! - The one doubt left: damage to the very last group looks like an unfinished write. A *mark*, a frame without
//!   records, ends the doubt: [`Log::close`] and [`open`] leave one, and [`Log::guard`] writes one when the log rests.
//!   So the doubt is confined to a group that was the last at a crash and had not rested, and it is always reported,
//!   with one exception: sectors that turn to zeros where the header of the last group, and the mark behind it, were.
//! - A segment is left by a *seal*, synced before the next segment's first frame: a lost last segment is noticed.
//! - A segment gets its name after its header is synced, and loses it (synced too) before it is overwritten: a `.log`
//!   file with a bad header or a wrong size is damage, never an unfinished preparation.
//! - A failed write or sync poisons the log: nothing is retried, every later append is refused. The next [`open`]
//!   rewrites the last frame before it syncs, for after a failed fsync the kernel may hold pages as clean that never
//!   reached the disk.
//!
//! Assumed of the disk: a sync that returns is true, and a write that is cut short spoils no sector outside it.
//! On file systems that copy on write a spare does not reserve its room, so that a full disk shows as a failed write.

mod chain;
mod disk;
mod error;
pub mod fault;
mod file;
mod frame;
mod group;
mod inspect;
mod options;
mod reader;
mod recovery;
mod salvage;
mod segment;
mod spare;
mod walk;
mod writer;

pub use disk::DiskFiles;
pub use error::{LogError, RepairCommand};
pub use file::{Entry, File, Files};
pub use frame::Lsn;
pub use group::{Appended, Group};
pub use inspect::{Report, SegmentReport, inspect};
pub use options::Options;
pub use reader::{Reader, Window};
pub use recovery::{Discarded, Recovery, open};
pub(super) use salvage::move_aside;
pub use salvage::{GivenUp, Mended, Salvaged, salvage};
pub use spare::{SpareDone, SpareWork};
pub use writer::Log;
