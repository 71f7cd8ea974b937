//! The room left on the disk of the data directory, looked at before it runs out.
use crate::broker::Committer;
use crate::config::Config;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) struct Disk {
    directory: PathBuf,
    free_bytes_min: u64,
    committer: Arc<Committer>,
}

pub(super) enum Room {
    Enough,
    /// New messages are refused.
    Little,
    /// Not even for putting things in order.
    None,
}

impl Disk {
    pub fn of(config: &Config, committer: Arc<Committer>) -> Self {
        Self { directory: config.data_dir.clone(), free_bytes_min: config.storage.free_mib_min << 20, committer }
    }

    /// Looks, and tells the committer. A disk that does not answer is judged by its writes alone.
    pub fn look(&self) -> Room {
        let free_bytes = rustix::fs::statvfs(&self.directory).map_or(u64::MAX, |disk| disk.f_bavail * disk.f_frsize);
        self.committer.set_disk_low(free_bytes < self.free_bytes_min);
        if free_bytes >= self.free_bytes_min {
            Room::Enough
        } else if free_bytes >= self.free_bytes_min / 4 {
            Room::Little
        } else {
            Room::None
        }
    }
}
