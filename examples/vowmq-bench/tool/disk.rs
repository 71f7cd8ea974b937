//! What the disk does by itself.
use super::problem::{Tried, Trying};
use super::table::median;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Instant;

const BYTES: usize = 4096;
const TIMES: usize = 200;

/// A line for the report.
pub fn line(sync_us: f64) -> String {
    format!("A bare write of {BYTES} bytes with `fdatasync` takes {sync_us:.0} us (median of {TIMES}).\n\n")
}

/// Microseconds of one synced write into a file that is there already.
pub fn sync_us(directory: &Path) -> Tried<f64> {
    let mut file = tempfile::tempfile_in(directory).trying(|| format!("a file in {}", directory.display()))?;
    file.write_all(&vec![0; BYTES * TIMES])?;
    file.sync_all()?;
    file.rewind()?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        file.write_all(&[0x5a; BYTES])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}
