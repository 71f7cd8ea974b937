//! The disk fails: the log says how, stops, and loses nothing it answered for.
use std::sync::Arc;

use vowmq::store::log::fault::{Fault, FaultFiles};
use vowmq::store::log::{Group, LogError, Lsn, Options};

use crate::support::{append, open_all, open_from, options};

#[test]
fn a_group_costs_one_write_and_one_sync() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(8192)).unwrap();
    for _ in 0..10 {
        let before = files.counts();
        append(&mut log, &[b"one", b"two", b"three"]).unwrap();
        let after = files.counts();
        assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (1, 1));
        assert_eq!(after.dir_syncs, before.dir_syncs);
    }
}

#[test]
fn a_full_segment_with_a_spare_costs_one_more_write_and_sync() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(1024)).unwrap();
    append(&mut log, &[&[1; 300]]).unwrap();
    log.make_spare().unwrap();
    let before = files.counts();
    append(&mut log, &[&[2; 300]]).unwrap();
    let after = files.counts();
    assert_eq!((after.writes - before.writes, after.syncs - before.syncs), (2, 2));
    assert_eq!((after.dir_syncs, after.renames), (before.dir_syncs, before.renames));
}

#[test]
fn a_failed_write_or_sync_poisons_the_log_and_keeps_what_was_answered_for() {
    for fault in [Fault::WriteFails, Fault::WriteBreaks, Fault::SyncFails, Fault::PowerFails] {
        for power_too in [false, true] {
            let files = FaultFiles::new(5, 512);
            let options = options(4096);
            let (mut log, _, _) = open_all(&files, &options).unwrap();
            let kept = append(&mut log, &[b"answered for"]).unwrap();
            let end = log.end();
            files.fail_after(0, fault);
            let refused = append(&mut log, &[b"never answered for"]);
            assert!(matches!(refused, Err(LogError::Io { .. })), "{fault:?}");
            files.heal();
            assert!(matches!(append(&mut log, &[b"later"]), Err(LogError::Poisoned)));
            assert!(matches!(log.guard(), Err(LogError::Poisoned)));
            assert!(matches!(log.make_spare(), Err(LogError::Poisoned)));
            assert!(matches!(log.release_before(end), Err(LogError::Poisoned)));
            assert!(log.spare_work().is_none());
            assert_eq!(log.end(), end);
            if files.has_power() {
                assert_eq!(log.reader().read(kept[0].0).unwrap(), kept[0].1, "reading goes on");
                let never = Lsn::new(end.value() + 32);
                assert!(matches!(log.reader().read(never), Err(LogError::Unwritten { .. })));
            }
            assert!(matches!(log.close(), Err(LogError::Poisoned)));
            if power_too || !files.has_power() {
                files.cut_power();
            } else {
                files.kill_process();
            }
            let (_, _, found) = open_all(&files, &options).unwrap();
            assert_eq!(found[0], kept[0]);
        }
    }
}

/// After a failed sync the system shows the frame and will never write it: it must be written again at the next start.
#[test]
fn a_group_seen_after_a_failed_sync_is_made_durable_before_it_is_shown() {
    for seed in 0..200 {
        let files = FaultFiles::new(seed, 64);
        let options = options(4096);
        let (mut log, _, _) = open_all(&files, &options).unwrap();
        files.fail_after(0, Fault::SyncFails);
        assert!(append(&mut log, &[&[7; 400]]).is_err());
        files.kill_process();
        let (_, _, shown) = open_all(&files, &options).unwrap();
        assert_eq!(shown.len(), 1, "the process died, the system did not");
        files.cut_power();
        let (_, _, found) = open_all(&files, &options).unwrap();
        assert_eq!(found, shown, "seed {seed}");
    }
}

#[test]
fn a_write_that_falls_short_is_carried_on() {
    let files = FaultFiles::new(9, 512);
    let options = options(4096);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let mut kept = Vec::new();
    for number in 0..6 {
        files.fail_after(0, Fault::WriteFallsShort);
        kept.extend(append(&mut log, &[&[number; 250]]).unwrap());
    }
    files.cut_power();
    assert_eq!(open_all(&files, &options).unwrap().2, kept);
}

#[test]
fn an_unfinished_write_is_discarded_and_told() {
    let files = FaultFiles::new(4, 512);
    let options = options(8192);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let kept = append(&mut log, &[b"kept"]).unwrap();
    let end = log.end();
    drop(log);
    let name = files.names()[0].clone();
    let whole = {
        let copy = files.fork();
        let (mut log, _, _) = open_all(&copy, &options).unwrap();
        // The mark of this start would not be there in the crash that is told here.
        assert_eq!(log.end().value(), end.value() + 32);
        append(&mut log, &[&[1; 2000]]).unwrap();
        copy.content(&name)
    };
    let from = end.value() as usize + 32;
    let mut bytes = files.content(&name);
    bytes[end.value() as usize..from + 700].copy_from_slice(&whole[end.value() as usize..from + 700]);
    files.put(&name, bytes);
    let (_, recovery, found) = open_all(&files, &options).unwrap();
    assert_eq!(found, kept);
    let discarded = recovery.discarded.unwrap();
    assert_eq!((discarded.offset, discarded.bytes), (from as u64, Some(2040)));
    assert_eq!(
        discarded.to_string(),
        format!(
            "memory/{name}: the last 2040 bytes, from offset {from} (log position {from}), were discarded as an \
             unfinished write"
        )
    );
    let (_, recovery, found) = open_all(&files, &options).unwrap();
    assert_eq!((recovery.discarded, found), (None, kept), "told once");
}

#[test]
fn a_full_disk_shows_early_and_leaves_room_for_what_is_under_way() {
    let files = FaultFiles::new(1, 512);
    let options = options(4096);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    log.make_spare().unwrap();
    files.limit_bytes(log.bytes_on_disk() + 100);
    let mut kept = Vec::new();
    while !log.needs_spare() {
        kept.extend(append(&mut log, &[&[3; 500]]).unwrap());
    }
    assert!(!log.is_short_of_space());
    let made = log.spare_work().unwrap().run();
    assert!(matches!(log.take_spare(made), Err(LogError::NoSpace { .. })));
    assert!(log.is_short_of_space());
    assert_eq!(files.names().iter().filter(|name| name.ends_with(".tmp")).count(), 0, "half a spare is removed");

    let fitting = kept.len();
    let full = loop {
        match append(&mut log, &[&[4; 8]]) {
            Ok(records) => kept.extend(records),
            Err(error) => break error,
        }
    };
    assert!(kept.len() - fitting > 40, "acks under way still fit");
    assert!(matches!(full, LogError::NoSpace { .. }), "{full}");

    // A start on a full disk, which has no room for a mark either, works as well.
    files.cut_power();
    let (mut log, recovery, found) = open_all(&files, &options).unwrap();
    assert_eq!((found, recovery.discarded), (kept.clone(), None));
    assert!(matches!(append(&mut log, &[b"no"]), Err(LogError::NoSpace { .. })));
    assert!(log.is_short_of_space());

    // Released segments make room without the disk having any.
    let end = log.end();
    log.release_before(end).unwrap();
    kept.retain(|(lsn, _)| *lsn >= log.oldest());
    kept.extend(append(&mut log, &[b"yes"]).unwrap());
    assert!(!log.is_short_of_space());
    let oldest = log.oldest();
    files.cut_power();
    assert_eq!(open_from(Arc::new(files), &options, oldest).unwrap().2, kept);
}

#[test]
fn a_spare_that_cannot_be_made_does_no_harm() {
    for fault in [Fault::WriteFails, Fault::WriteBreaks, Fault::SyncFails] {
        let files = FaultFiles::new(1, 512);
        let options = options(1024);
        let (mut log, _, _) = open_all(&files, &options).unwrap();
        files.fail_after(0, fault);
        assert!(matches!(log.make_spare(), Err(LogError::Io { .. })));
        assert!(log.needs_spare() && !log.is_short_of_space());
        let kept = append(&mut log, &[b"goes on"]).unwrap();
        log.make_spare().unwrap();
        files.cut_power();
        assert_eq!(open_all(&files, &options).unwrap().2, kept);
    }
}

#[test]
fn an_append_that_cannot_wait_makes_its_own_segment() {
    let files = FaultFiles::new(1, 512);
    let options = options(1024);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let work = log.spare_work().unwrap();
    assert!(!log.needs_spare() && log.spare_work().is_none(), "one at a time");
    let mut kept = append(&mut log, &[&[1; 300]]).unwrap();
    let done = work.run();
    kept.extend(append(&mut log, &[&[2; 300]]).unwrap());
    log.take_spare(done).unwrap();
    kept.extend(append(&mut log, &[&[3; 300]]).unwrap());
    files.cut_power();
    assert_eq!(open_all(&files, &options).unwrap().2, kept);
}

#[test]
fn released_segments_are_used_again_and_never_read_as_new() {
    let files = FaultFiles::new(1, 512);
    let options = options(1024);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let mut checkpoint = Lsn::START;
    let mut kept = Vec::new();
    for number in 0..200_u8 {
        if log.needs_spare() {
            log.make_spare().unwrap();
        }
        if number % 5 == 4 {
            checkpoint = log.end();
            log.release_before(checkpoint).unwrap();
            kept.clear();
        }
        kept.extend(append(&mut log, &[&[number; 100]]).unwrap());
        assert!(log.bytes_on_disk() <= 6 * 1024, "{}", log.bytes_on_disk());
    }
    let made = files.counts();
    assert!(made.renames > 60, "{made:?}");
    files.cut_power();
    assert_eq!(open_from(Arc::new(files), &options, checkpoint).unwrap().2, kept);
}

#[test]
fn a_group_over_the_limit_is_refused_and_the_log_goes_on() {
    let files = FaultFiles::new(1, 512);
    let options = options(1024);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let mut group = Group::new();
    group.push(&[1; 440]);
    assert_eq!(group.frame_bytes(), 480);
    let mut over = Group::new();
    over.push(&[1; 441]);
    assert!(matches!(log.append(&mut over), Err(LogError::GroupTooLarge { bytes: 488, bytes_max: 480 })));
    let first = log.append(&mut group).unwrap().lsn(0).unwrap();
    group.clear();
    assert!(group.is_empty());
    assert_eq!(log.append(&mut group).unwrap().lsn(0), None);
    assert_eq!(group.push_with(|bytes| bytes.extend_from_slice(b"next")), 0);
    let second = log.append(&mut group).unwrap().lsn(0).unwrap();
    assert_eq!(log.reader().read(first).unwrap(), [1; 440][..]);
    assert_eq!(log.reader().read(second).unwrap(), b"next"[..]);
}

#[test]
fn contradictory_options_are_refused() {
    let good = options(4096);
    for bad in [
        Options { segment_bytes: 4000, ..good.clone() },
        Options { segment_bytes: 512, frame_bytes_max: 0, ..good.clone() },
        Options { frame_bytes_max: 4096 - 543, ..good.clone() },
        Options { segment_bytes: 1 << 32, ..good.clone() },
    ] {
        let files = FaultFiles::new(1, 512);
        assert!(matches!(open_all(&files, &bad), Err(LogError::Options(_))), "{bad:?}");
    }
}

#[test]
fn a_record_the_caller_cannot_take_ends_the_replay() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(4096)).unwrap();
    let kept = append(&mut log, &[b"one", b"two"]).unwrap();
    drop(log);
    let opened = vowmq::store::log::open(Arc::new(files.clone()), options(4096), Lsn::START, |_, record| {
        if record == b"two" { Err("unknown record") } else { Ok(()) }
    });
    let Err(LogError::Replay { lsn, source }) = opened else { panic!("the record was taken") };
    assert_eq!((lsn, source.to_string().as_str()), (kept[1].0, "unknown record"));
    assert_eq!(open_all(&files, &options(4096)).unwrap().2, kept, "the lock is free again");
}
