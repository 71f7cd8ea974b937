//! Where things run: the broker on some processors, the tool on others, so that neither takes the other's time.
use super::problem::{Problem, Tried, Trying};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::thread::available_parallelism;

/// Where brokers and the tool run.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Processors of the broker, as `taskset -c` has them; "all" does not bind it [default: all but the tool's]
    #[arg(long, global = true, value_name = "LIST")]
    pub broker_cpus: Option<String>,
    /// Processor of the tool; "all" does not bind it [default: the last]
    #[arg(long, global = true, value_name = "NUMBER")]
    pub tool_cpu: Option<String>,
}

impl Place {
    /// The broker's processors for `taskset`; none leaves it free.
    pub fn broker(&self) -> Option<String> {
        let last = processors().saturating_sub(1);
        match self.broker_cpus.as_deref() {
            Some("all") => None,
            Some(list) => Some(list.to_owned()),
            None if last == 0 => None,
            None => Some(format!("0-{}", last - 1)),
        }
    }

    /// Binds this process. To be called after [`Self::broker`], which counts the processors there are.
    pub fn bind_tool(&self) -> Tried<()> {
        let last = processors().saturating_sub(1);
        let number = match self.tool_cpu.as_deref() {
            Some("all") => return Ok(()),
            None if last == 0 => return Ok(()),
            None => last,
            Some(number) => number.parse().map_err(|_| Problem::new("--tool-cpu is no number"))?,
        };
        if number >= CpuSet::MAX_CPU {
            return Err(Problem::new(format!("--tool-cpu {number} is beyond what can be bound")));
        }
        let mut set = CpuSet::new();
        set.set(number);
        sched_setaffinity(None, &set).trying(|| format!("binding this process to processor {number}"))
    }
}

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}
