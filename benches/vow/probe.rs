//! What a process uses, seen from outside.
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Resident memory now and at its highest, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub resident: u64,
    pub peak: u64,
}

pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kibibytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Memory { resident: kibibytes("VmRSS:") << 10, peak: kibibytes("VmHWM:") << 10 }
}

/// Processor time of this process's first thread, which is all of the load.
pub fn processor_time_here() -> Duration {
    processor_time_of(Path::new("/proc/self"))
}

/// Processor time of the threads that a process has now.
pub fn processor_time(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    threads.flatten().map(|thread| processor_time_of(&thread.path())).sum()
}

fn processor_time_of(thread: &Path) -> Duration {
    let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Waits until a process has stopped writing to disks: what it puts off until it has time is done.
pub async fn wait_until_at_rest(pid: u32) {
    const STILL_FOR: Duration = Duration::from_millis(250);
    let written = || {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse::<u64>().ok())
    };
    loop {
        let before = written();
        tokio::time::sleep(STILL_FOR).await;
        if written() == before {
            return;
        }
    }
}

/// Bytes a directory takes on the disk, with all below it.
pub fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => directory_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // It was removed meanwhile.
        Err(_) => 0,
    });
    bytes.sum()
}

#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: Duration,
    /// What the load had done by then.
    pub done: u64,
    pub memory: Memory,
    pub directory_bytes: u64,
}

/// Takes samples on a thread of its own until it is told to finish.
pub struct Sampler {
    thread: JoinHandle<Vec<Sample>>,
    finish: Sender<()>,
}

impl Sampler {
    pub fn start(pid: u32, directory: PathBuf, done: Arc<AtomicU64>, every: Duration) -> Self {
        let (finish, finished) = channel();
        let begun = Instant::now();
        let take = move || Sample {
            at: begun.elapsed(),
            done: done.load(Ordering::Relaxed),
            memory: memory(pid),
            directory_bytes: directory_bytes(&directory),
        };
        let work = move || {
            let mut samples = vec![take()];
            while finished.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                samples.push(take());
            }
            samples.push(take());
            samples
        };
        Self { thread: thread::spawn(work), finish }
    }

    pub fn finish(self) -> Vec<Sample> {
        drop(self.finish);
        self.thread.join().expect("the sampler ends well")
    }
}

/// At most about `rows` of the samples, evenly, the last among them.
pub fn thinned(samples: &[Sample], rows: usize) -> Vec<Sample> {
    let step = samples.len().div_ceil(rows).max(1);
    let mut thinned: Vec<_> = samples.iter().copied().step_by(step).collect();
    if samples.len() % step != 1 && step > 1 {
        thinned.extend(samples.last());
    }
    thinned
}
