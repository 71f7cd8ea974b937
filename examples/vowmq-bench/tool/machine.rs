//! What the numbers were made on.
use std::fs;
use std::thread::available_parallelism;

/// The command and the facts that its numbers depend on. To be asked before this process is bound to a processor.
pub fn header() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let cores = field("/proc/cpuinfo", "cpu cores")
        .unwrap_or_else(|| available_parallelism().map_or(0, usize::from).to_string());
    format!(
        "`cargo run --release --example vowmq-bench -- {}`\n\n{processor}, {cores} cores, Linux {}, load average {load} at the end\n\n",
        arguments.join(" "),
        kernel.trim()
    )
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim_start().trim_start_matches(':').trim().to_owned())
}
