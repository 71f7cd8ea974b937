//! What the numbers were made on.
use super::table::mebibytes;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

/// Prints the command and the facts that its numbers depend on.
pub fn print_header(directory: &Path) {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    println!("`cargo bench --bench vow -- {}`", arguments.join(" "));
    let cores = available_parallelism().map_or(0, usize::from);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let memory = mebibytes(memory.unwrap_or(0) << 10);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "{cores} cores ({processor}), {memory} MiB of memory, Linux {}, {}",
        kernel.trim(),
        file_system(directory)
    );
    let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = busy.split(' ').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    println!("VowMQ {version}, load and broker on the same machine, whose load average was {busy} before\n");
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim_start().trim_start_matches(':').trim().to_owned())
}

/// The file system of a directory, with its mount options: those decide what a sync costs.
fn file_system(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (device, point, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        directory.starts_with(point).then_some((point.len(), format!("{kind} on {device} ({options})")))
    });
    mounts.max_by_key(|(length, _)| *length).map_or_else(|| "unknown file system".to_owned(), |(_, text)| text)
}
