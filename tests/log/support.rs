//! What the tests of the log share.
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::log::{Files, Group, Log, LogError, Lsn, Options, Recovery, open};

pub type Records = Vec<(Lsn, Bytes)>;

pub fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, spare_segments: 1, frame_bytes_max: segment_bytes - 544, salt: 0x5a17 }
}

/// Opens the log and gathers what is replayed.
pub fn open_from(files: Arc<dyn Files>, options: &Options, from: Lsn) -> Result<(Log, Recovery, Records), LogError> {
    let mut records = Records::new();
    let (log, recovery) = open(files, options.clone(), from, |lsn, record| {
        records.push((lsn, Bytes::copy_from_slice(record)));
        Ok::<(), Infallible>(())
    })?;
    assert_eq!(recovery.records, records.len() as u64);
    Ok((log, recovery, records))
}

pub fn open_all(files: &FaultFiles, options: &Options) -> Result<(Log, Recovery, Records), LogError> {
    open_from(Arc::new(files.clone()), options, Lsn::START)
}

/// Appends the records as one group and returns them with their names.
pub fn append(log: &mut Log, records: &[&[u8]]) -> Result<Records, LogError> {
    let mut group = Group::new();
    for record in records {
        group.push(record);
    }
    let appended = log.append(&mut group)?;
    Ok(appended.lsns().zip(records.iter().map(|record| Bytes::copy_from_slice(record))).collect())
}
