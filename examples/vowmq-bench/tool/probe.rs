//! What the broker and the tool use, seen from outside.
use std::fs;
use std::time::Duration;

/// A broker's process, if it is one of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub pid: Option<u32>,
}

/// Ticks of /proc's times in a second: fixed by the kernel's interface.
const TICKS_PER_S: f64 = 100.0;

impl Usage {
    /// Processor time of all its threads, those that have ended included.
    pub fn processor_time(&self) -> Duration {
        let text = self.pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        text.and_then(|text| processor_time_in(&text)).unwrap_or_default()
    }

    pub fn resident_mib(&self) -> f64 {
        let text = self.pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok()).unwrap_or_default();
        let kibibytes: Option<f64> = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.split_whitespace().next()?.parse().ok());
        kibibytes.unwrap_or(0.0) / 1024.0
    }
}

pub fn tool_processor_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    processor_time_in(&text).unwrap_or_default()
}

/// utime and stime of a line of /proc/PID/stat. The name before them may hold anything, even brackets.
fn processor_time_in(text: &str) -> Option<Duration> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) / TICKS_PER_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let line = "42 (a) b) R 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(processor_time_in(line), Some(Duration::from_secs(2)));
    }

    #[test]
    fn this_process_has_memory() {
        let usage = Usage { pid: Some(std::process::id()) };
        assert!(usage.resident_mib() > 0.1);
    }
}
