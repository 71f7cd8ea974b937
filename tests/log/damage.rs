//! Damage to what was synced is told, never passed over in silence.
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::log::{LogError, Lsn, Options, inspect};

use crate::support::{Records, append, open_all, open_from, options};

/// A log of three segments and a spare, its last group unguarded or, after a close, guarded.
fn log_of_three_segments(closed: bool) -> (FaultFiles, Options, Vec<Records>) {
    let files = FaultFiles::new(1, 512);
    let options = options(1024);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let groups =
        (0..7_u8).map(|number| append(&mut log, &[&[number + 1; 60], &[], &[0xff - number; 17]]).unwrap()).collect();
    log.make_spare().unwrap();
    if closed {
        log.close().unwrap();
    } else {
        drop(log);
    }
    assert_eq!(files.names().len(), 4, "{:?}", files.names());
    (files, options, groups)
}

/// What a start makes of a log that was tampered with.
enum Outcome {
    Whole,
    /// The last group is gone, and it was said.
    LastDiscarded,
    Refused(LogError),
}

fn outcome(files: &FaultFiles, options: &Options, groups: &[Records], case: &str) -> Outcome {
    let report = inspect(files).unwrap();
    let found = match open_all(files, options) {
        Ok((_, recovery, found)) => {
            assert!(report.damage.is_empty(), "{case}: inspection sees {:?}, the start nothing", report.damage);
            assert_eq!(report.unfinished, recovery.discarded, "{case}");
            assert_eq!(report.closed, recovery.closed, "{case}");
            (recovery, found)
        }
        Err(error) => {
            let words = error.to_string();
            assert!(report.damage.iter().any(|seen| seen.to_string() == words), "{case}: {words}: {report:?}");
            return Outcome::Refused(error);
        }
    };
    let (recovery, found) = found;
    if found == groups.concat() {
        return Outcome::Whole;
    }
    assert_eq!(found, groups[..groups.len() - 1].concat(), "{case}: a synced group was dropped");
    assert!(recovery.discarded.is_some(), "{case}: the last group was dropped in silence");
    Outcome::LastDiscarded
}

/// Tries three kinds of damage on each byte of each file.
fn damage_each_byte(closed: bool, mut judge: impl FnMut(&str, usize, Outcome)) {
    let (files, options, groups) = log_of_three_segments(closed);
    for name in files.names() {
        let content = files.content(&name);
        for at in 0..content.len() {
            for damaged in [content[at] ^ 0x01, !content[at], 0] {
                if damaged == content[at] {
                    continue;
                }
                let copy = files.fork();
                let mut bytes = content.clone();
                bytes[at] = damaged;
                copy.put(&name, bytes);
                let case = format!("{name}, byte {at} to {damaged}");
                judge(&name, at, outcome(&copy, &options, &groups, &case));
            }
        }
    }
}

#[test]
fn no_damaged_byte_of_a_closed_log_loses_a_record() {
    let (mut whole, mut refused) = (0, 0);
    damage_each_byte(true, |name, at, outcome| match outcome {
        Outcome::Whole => whole += 1,
        Outcome::Refused(_) => refused += 1,
        Outcome::LastDiscarded => panic!("{name}, byte {at}: a guarded group was dropped"),
    });
    // Every byte of four headers and of the seven groups; the rest is unused, or the last mark.
    assert!(refused > 2 * (4 * 500 + 7 * 130), "{refused}");
    assert!(whole > 0);
}

#[test]
fn damage_to_an_unguarded_last_group_is_refused_or_told_and_to_any_other_refused() {
    let mut discarded = 0;
    let (_, _, groups) = log_of_three_segments(false);
    let last = groups.last().unwrap()[0].0.value() - 32;
    damage_each_byte(false, |name, at, outcome| {
        if let Outcome::LastDiscarded = outcome {
            let base = u64::from_str_radix(&name[..16], 16).unwrap();
            assert!(base + at as u64 >= last, "{name}, byte {at}: not in the last group");
            discarded += 1;
        }
    });
    assert!(discarded > 2 * 130, "{discarded}");
}

#[test]
fn a_guarded_last_group_is_never_dropped() {
    let (files, options, mut groups) = log_of_three_segments(false);
    // Opening guards what it found; a further group is guarded when the log rests.
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    groups.push(append(&mut log, &[b"the last word"]).unwrap());
    log.guard().unwrap();
    let end = log.end();
    log.guard().unwrap();
    assert_eq!(log.end(), end, "one mark is enough");
    drop(log);
    let (lsn, record) = groups.last().unwrap()[0].clone();
    let base = lsn.value() / 1024 * 1024;
    let name = format!("{base:016x}.log");
    let start = (lsn.value() - base) as usize;
    for at in start - 32..start + 8 + record.len() {
        let copy = files.fork();
        let mut bytes = files.content(&name);
        bytes[at] ^= 4;
        copy.put(&name, bytes);
        assert!(matches!(outcome(&copy, &options, &groups, "guarded"), Outcome::Refused(_)), "byte {at}");
    }
}

#[test]
fn zeroed_sectors_of_a_closed_log_are_refused() {
    let (files, options, groups) = log_of_three_segments(true);
    let names = files.names();
    for (number, name) in names.iter().enumerate() {
        for sector in 0..2 {
            let copy = files.fork();
            let mut bytes = files.content(name);
            bytes[sector * 512..(sector + 1) * 512].fill(0);
            copy.put(name, bytes);
            // The last group shares its sector with the mark that guards it: both gone, nothing is left to tell.
            if (number, sector) == (2, 1) {
                continue;
            }
            match outcome(&copy, &options, &groups, &format!("{name}, sector {sector}")) {
                Outcome::Whole => assert_eq!((number, sector), (3, 1), "only this one holds nothing"),
                Outcome::Refused(_) => {}
                Outcome::LastDiscarded => panic!("{name}, sector {sector}"),
            }
        }
    }
}

#[test]
fn a_file_cut_short_or_grown_is_refused() {
    let (files, options, groups) = log_of_three_segments(true);
    for name in files.names() {
        let content = files.content(&name);
        for length in (0..content.len()).chain([content.len() + 1, content.len() * 2]) {
            let copy = files.fork();
            let mut bytes = content.clone();
            bytes.resize(length, 0);
            copy.put(&name, bytes);
            let Outcome::Refused(error) = outcome(&copy, &options, &groups, &name) else {
                panic!("{name} with {length} bytes was accepted");
            };
            assert!(matches!(error, LogError::Damaged { .. }), "{error}");
            assert!(error.to_string().starts_with(&format!("memory/{name}: ")), "{error}");
        }
    }
}

#[test]
fn a_missing_segment_is_named() {
    let (files, options, groups) = log_of_three_segments(true);
    let names = files.names();
    for (number, name) in names.iter().enumerate() {
        let copy = files.fork();
        copy.take(name);
        match open_all(&copy, &options) {
            Err(LogError::NotContained { oldest, .. }) => assert_eq!((number, oldest), (0, Lsn::new(1024))),
            Err(LogError::MissingSegment { file, .. }) => {
                assert!((1..=2).contains(&number));
                assert!(file.ends_with(name), "{file:?}");
                let report = inspect(&copy).unwrap();
                assert!(matches!(report.damage[..], [LogError::MissingSegment { .. }]), "{report:?}");
            }
            Err(error) => panic!("{name}: {error}"),
            Ok((_, _, found)) => assert!(number == 3 && found == groups.concat(), "{name}: only the spare may go"),
        }
    }
    // The last segment is missed even where there is no spare behind it, for the one before it was sealed.
    files.take(&names[3]);
    files.take(&names[2]);
    let Err(LogError::MissingSegment { file, .. }) = open_all(&files, &options) else { panic!("not missed") };
    assert!(file.ends_with(&names[2]));
    assert!(matches!(inspect(&files).unwrap().damage[..], [LogError::MissingSegment { .. }]));
}

#[test]
fn files_of_another_place_or_another_log_are_refused() {
    let (files, options, _) = log_of_three_segments(true);
    let names = files.names();
    let swapped = files.fork();
    swapped.put(&names[0], files.content(&names[1]));
    swapped.put(&names[1], files.content(&names[0]));
    assert!(matches!(open_all(&swapped, &options), Err(LogError::Damaged { .. })));

    let other = FaultFiles::new(2, 512);
    let other_options = Options { salt: 0xbad, ..options.clone() };
    let (mut log, _, _) = open_all(&other, &other_options).unwrap();
    log.make_spare().unwrap();
    drop(log);
    files.put(&names[1], other.content(&names[1]));
    let Err(error @ LogError::Damaged { .. }) = open_all(&files, &options) else { panic!("mixed logs were accepted") };
    assert!(error.to_string().contains("another log"), "{error}");
}

#[test]
fn a_refused_start_changes_nothing() {
    let (files, options, _) = log_of_three_segments(false);
    let names = files.names();
    files.put("00000000000000aa.tmp", vec![1; 10]);
    let mut bytes = files.content(&names[0]);
    bytes[600] ^= 1;
    files.put(&names[0], bytes);
    let all = |files: &FaultFiles| files.names().iter().map(|name| files.content(name)).collect::<Vec<_>>();
    let before = all(&files);
    assert!(matches!(open_all(&files, &options), Err(LogError::Damaged { .. })));
    assert_eq!(all(&files), before);
}

#[test]
fn a_payload_that_imitates_a_frame_is_not_taken_for_one() {
    let files = FaultFiles::new(1, 512);
    let options = options(4096);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let first = append(&mut log, &[b"kept"]).unwrap();
    // The peer knows the format and the position, and has a log of its own; it does not know the salt.
    let forged = {
        let other = FaultFiles::new(3, 512);
        let (mut log, _, _) = open_all(&other, &Options { salt: 1, ..options.clone() }).unwrap();
        append(&mut log, &[b"kept"]).unwrap();
        append(&mut log, &[&[0; 200]]).unwrap();
        append(&mut log, &[b"forged"]).unwrap();
        let name = other.names()[0].clone();
        let at = log.end().value() as usize;
        other.content(&name)[at - 48..at].to_vec()
    };
    let mut payload = vec![0; 200];
    payload.extend_from_slice(&forged);
    let second = append(&mut log, &[&payload]).unwrap();
    drop(log);
    let name = files.names()[0].clone();
    let mut bytes = files.content(&name);
    bytes[second[0].0.value() as usize - 32] ^= 1;
    files.put(&name, bytes);
    let (_, recovery, found) = open_all(&files, &options).unwrap();
    assert_eq!(found, first);
    assert!(recovery.discarded.is_some());
}

#[test]
fn a_checkpoint_the_log_does_not_hold_is_refused() {
    let (files, options, _) = log_of_three_segments(true);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let end = log.end();
    log.release_before(end).unwrap();
    let oldest = log.oldest();
    assert_eq!(oldest, Lsn::new(2048));
    drop(log);
    let opened = |from| open_from(std::sync::Arc::new(files.fork()), &options, from).map(|(_, _, found)| found);
    assert!(matches!(opened(Lsn::new(2047)), Err(LogError::NotContained { .. })));
    assert!(matches!(opened(Lsn::new(end.value() + 1)), Err(LogError::NotContained { .. })));
    assert_eq!(opened(end).unwrap(), []);
    assert!(!opened(oldest).unwrap().is_empty());
    let empty = FaultFiles::new(1, 512);
    let nothing = open_from(std::sync::Arc::new(empty.clone()), &options, Lsn::new(1));
    assert!(matches!(nothing, Err(LogError::NotContained { .. })));
    assert_eq!(empty.names(), Vec::<String>::new());
}

/// The proof of damage is found wherever it lies, also across the pieces in which a segment is read.
#[test]
fn a_frame_behind_a_bad_one_is_found_at_any_distance() {
    const PIECE: usize = 1024 * 1024;
    for distance in (PIECE - 64..=PIECE + 64).step_by(8).chain([2 * PIECE - 32, 2 * PIECE, 3 * PIECE]) {
        let files = FaultFiles::new(1, 4096);
        let options = options(4 * PIECE as u64);
        let (mut log, _, _) = open_all(&files, &options).unwrap();
        append(&mut log, &[&vec![1; distance - 40]]).unwrap();
        append(&mut log, &[b"behind"]).unwrap();
        drop(log);
        let name = files.names()[0].clone();
        let mut bytes = files.content(&name);
        bytes[513] ^= 1;
        files.put(&name, bytes);
        let Err(LogError::Damaged { offset, .. }) = open_all(&files, &options) else { panic!("{distance}: dropped") };
        assert_eq!(offset, 512);
    }
}
