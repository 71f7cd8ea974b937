//! What the machine says about this process and its disk.
use std::path::Path;

/// Bytes of this process in main memory; `None` where the system does not tell.
pub fn resident_bytes() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = told.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(u64::try_from(rustix::param::page_size()).ok()?))
}

/// Bytes of main memory that this process may have: what its control group allows, or all there is.
pub fn memory_bytes_max() -> Option<u64> {
    let group = group_bytes_max(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
    let told = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = told.and_then(|told| {
        let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    [group, machine].into_iter().flatten().min()
}

/// The least that a control group of this process allows, of either version; the groups above count as well.
fn group_bytes_max(groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        };
        let is_ours = controllers.is_empty() || controllers.split(',').any(|name| name == "memory");
        let path = Path::new(root).join(group.trim_start_matches('/'));
        let files: Vec<_> =
            path.ancestors().take_while(|path| path.starts_with(root)).map(|path| path.join(file)).collect();
        files.into_iter().filter(move |_| is_ours)
    });
    limits.filter_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok()).min()
}

/// Files and sockets that this process has open.
pub fn open_files() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.count() as u64)
}

/// Bytes that are free for this process on the disk of a directory, and all it has.
pub fn disk_bytes(directory: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
}

/// How many files of these extensions a directory has, and their bytes.
pub fn files(directory: &Path, extensions: &[&str]) -> (u64, u64) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let is_meant = |path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    };
    let files = entries.filter(|entry| is_meant(&entry.path())).filter_map(|entry| entry.metadata().ok());
    files.fold((0, 0), |(count, bytes), metadata| (count + 1, bytes + metadata.len()))
}
