//! The log on a real file system.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use vowmq::store::log::{DiskFiles, LogError, Lsn, inspect, salvage};

use crate::support::{append, open_from, options};

fn files(dir: &Path) -> Arc<DiskFiles> {
    Arc::new(DiskFiles::create(dir).unwrap())
}

#[test]
fn a_log_on_disk_survives_and_is_private() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("data/log");
    let options = options(64 * 1024);
    let mut kept = Vec::new();
    let mut checkpoint = Lsn::START;
    for life in 0..4_u8 {
        let (mut log, recovery, found) = open_from(files(&dir), &options, checkpoint).unwrap();
        assert_eq!((found, recovery.discarded), (kept.clone(), None));
        assert_eq!(recovery.closed, life > 0 && life % 2 == 0);
        for number in 0..40 {
            kept.extend(append(&mut log, &[&[life; 3000], &[number; 9]]).unwrap());
            if log.needs_spare() {
                log.make_spare().unwrap();
            }
        }
        checkpoint = kept[kept.len() - 20].0;
        log.release_before(checkpoint).unwrap();
        kept.retain(|(lsn, _)| *lsn >= checkpoint);
        if life % 2 == 1 {
            log.close().unwrap();
        }
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&temporary.path().join("data")), 0o700);
    let mut on_disk = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
        on_disk += fs::metadata(&path).unwrap().len();
    }
    let report = inspect(&DiskFiles::existing(&dir).unwrap()).unwrap();
    assert!(report.damage.is_empty() && report.unfinished.is_none(), "{report:?}");
    assert!(report.closed);
    assert_eq!(report.segments.iter().map(|segment| segment.bytes).sum::<u64>() + report.idle_bytes, on_disk);
    let (log, _, _) = open_from(files(&dir), &options, checkpoint).unwrap();
    assert_eq!(log.bytes_on_disk(), on_disk);
    for (lsn, record) in &kept {
        assert_eq!(log.reader().read(*lsn).unwrap(), record);
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(4096);
    let (log, _, _) = open_from(files(dir.path()), &options, Lsn::START).unwrap();
    let Err(error @ LogError::InUse { .. }) = open_from(files(dir.path()), &options, Lsn::START) else {
        panic!("two logs on one directory");
    };
    assert!(error.to_string().contains("choose another data directory"), "{error}");
    drop(log);
    assert!(open_from(files(dir.path()), &options, Lsn::START).is_ok());
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(4096);
    drop(open_from(files(dir.path()), &options, Lsn::START).unwrap());
    let path = dir.path().join("0000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 3;
    let crc = crc32c::crc32c(&bytes[..508]);
    bytes[508..512].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let Err(error) = open_from(files(dir.path()), &options, Lsn::START) else { panic!("a newer format was read") };
    assert!(matches!(error, LogError::NewerFormat { version: 3, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("start the newer version"), "{error}");
    let refused = salvage(files(dir.path()), &options, Some(Lsn::START));
    assert!(matches!(refused, Err(LogError::NewerFormat { .. })), "nor is it repaired by guessing: {refused:?}");
}

#[test]
fn a_directory_that_does_not_exist_is_not_made_to_be_inspected() {
    let dir = tempfile::tempdir().unwrap();
    assert!(DiskFiles::existing(&dir.path().join("none")).is_err());
    assert!(!dir.path().join("none").exists());
}
