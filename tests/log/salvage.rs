//! After a repair the log opens, and everything outside the damage is where it was, under its own name.
use std::sync::Arc;

use vowmq::store::log::fault::{Fault, FaultFiles, Seeded};
use vowmq::store::log::{GivenUp, LogError, Lsn, Options, Salvaged, inspect, salvage};

use crate::support::{Records, append, open_all, open_from, options};

fn repair(files: &FaultFiles, options: &Options) -> Result<Salvaged, LogError> {
    salvage(Arc::new(files.clone()), options, Some(Lsn::START))
}

/// A log of three segments and a spare, or fewer, closed or not.
fn log_of(segments: usize, closed: bool) -> (FaultFiles, Options, Vec<Records>) {
    let files = FaultFiles::new(1, 512);
    let options = options(1024);
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let groups = (0..segments as u8 * 3 - 2)
        .map(|number| append(&mut log, &[&[number + 1; 60], &[], &[0xff - number; 17]]).unwrap())
        .collect();
    log.make_spare().unwrap();
    if closed {
        log.close().unwrap();
    }
    assert_eq!(files.names().len(), segments + 1, "{:?}", files.names());
    (files, options, groups)
}

fn covers(piece: &GivenUp, lsn: Lsn) -> bool {
    piece.from <= lsn && lsn < piece.to
}

/// What was kept and what was given up add up to what there was; the log goes on, and stays whole.
fn check_repaired(files: &FaultFiles, options: &Options, groups: &[Records], done: &Salvaged, case: &str) -> Records {
    let again = repair(files, options).unwrap();
    assert!(again.was_sound(), "{case}: not repaired in one go: {again:?}");
    let report = inspect(files).unwrap();
    assert!(report.damage.is_empty(), "{case}: {report:?}");
    let (mut log, recovery, found) = open_all(files, options).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(recovery.gaps, report.gaps.len() as u64, "{case}");
    let tail = recovery.discarded.as_ref().map(|discarded| discarded.lsn);
    for group in groups {
        let kept = group.iter().filter(|record| found.contains(record)).count();
        let (first, last) = (group[0].0, group[group.len() - 1].0);
        let is_covered = |lsn| done.given_up.iter().any(|piece| covers(piece, lsn));
        let is_given_up = is_covered(first) && is_covered(last);
        let is_discarded = tail.is_some_and(|tail| tail <= first);
        if is_given_up || is_discarded {
            assert_eq!(kept, 0, "{case}: what is given up must not come back");
        } else {
            assert_eq!(kept, group.len(), "{case}: {first} was lost and not told: {done:?}");
        }
    }
    assert!(found.iter().all(|record| groups.concat().contains(record)), "{case}: out of thin air");
    assert!(found.is_sorted_by_key(|(lsn, _)| *lsn));
    let reader = log.reader();
    for (lsn, record) in &found {
        assert_eq!(reader.read(*lsn).unwrap(), record);
    }
    let mut all = found.clone();
    for number in 0..8_u8 {
        all.extend(append(&mut log, &[&[number; 70], &[number; 90]]).unwrap());
    }
    assert!(all.is_sorted_by_key(|(lsn, _)| *lsn), "{case}: a position was used twice");
    assert!(all.last() > groups.last().and_then(|group| group.last()), "{case}: a position was used twice");
    drop(log);
    let (mut log, _, later) = open_all(files, options).unwrap();
    assert_eq!(later, all, "{case}");
    log.release_before(log.end()).unwrap();
    append(&mut log, &[&[1; 300]]).unwrap();
    append(&mut log, &[&[2; 300]]).unwrap();
    log.make_spare().unwrap();
    drop(log);
    assert!(inspect(files).unwrap().damage.is_empty(), "{case}");
    found
}

/// Whatever a start refuses, a repair mends, and gives up nothing but the damaged group.
#[test]
fn after_any_damaged_byte_all_but_its_group_is_there() {
    for closed in [true, false] {
        let (files, options, groups) = log_of(3, closed);
        let (mut repaired, mut without_loss) = (0, 0);
        for name in files.names() {
            let content = files.content(&name);
            let base = u64::from_str_radix(&name[..16], 16).unwrap();
            for at in 0..content.len() {
                for damaged in [content[at] ^ 0x01, !content[at], 0] {
                    if damaged == content[at] {
                        continue;
                    }
                    let copy = files.fork();
                    let mut bytes = content.clone();
                    bytes[at] = damaged;
                    copy.put(&name, bytes.clone());
                    let case = format!("{name}, byte {at} to {damaged}");
                    if !inspect(&copy).unwrap().damage.is_empty() {
                        repaired += 1;
                    }
                    let before: Vec<_> = copy.names().iter().map(|name| copy.content(name)).collect();
                    let done = repair(&copy, &options).unwrap_or_else(|error| panic!("{case}: {error}"));
                    if done.was_sound() {
                        let after: Vec<_> = copy.names().iter().map(|name| copy.content(name)).collect();
                        assert!(before == after && copy.dirs().is_empty(), "{case}: a sound log was changed");
                        continue;
                    }
                    assert_eq!(copy.dirs(), ["quarantine-1"], "{case}");
                    assert_eq!(copy.content(&format!("quarantine-1/{name}")), bytes, "{case}");
                    without_loss += u32::from(done.given_up.is_empty());
                    let spoilt = Lsn::new(base + at as u64);
                    for piece in &done.given_up {
                        assert!(covers(piece, spoilt), "{case}: {piece}");
                        assert!(piece.bytes() < 160 && piece.records == Some(3), "{case}: {piece}");
                    }
                    check_repaired(&copy, &options, &groups, &done, &case);
                }
            }
        }
        assert!(repaired > 2 * (4 * 500 + 6 * 130), "{repaired}");
        // The headers of segments and frames can be made anew.
        assert!(without_loss > 2 * (4 * 500 + 6 * 32), "{without_loss}");
    }
}

#[test]
fn a_missing_segment_is_stepped_over() {
    for closed in [true, false] {
        let (files, options, groups) = log_of(3, closed);
        let names = files.names();
        // All but none of the segments may be gone at once.
        for gone in 1..16_usize {
            let copy = files.fork();
            let is_gone = |number: usize| gone & (1 << number) != 0;
            names.iter().enumerate().filter(|(number, _)| is_gone(*number)).for_each(|(_, name)| copy.take(name));
            let case = format!("{gone:04b} gone");
            let refused = open_all(&copy.fork(), &options).is_err();
            let done = repair(&copy, &options).unwrap();
            if gone == 15 {
                assert!(done.was_sound() && !refused, "nothing is left to say that there was a log");
                continue;
            }
            assert_eq!(done.was_sound(), !refused, "{case}: {done:?}");
            if gone == 8 {
                assert!(done.was_sound(), "{case}: a spare is nothing to miss");
            }
            // Where the end of the log is gone with its last segments, nothing can tell how many there were.
            let told: Vec<_> = groups
                .iter()
                .filter(|group| {
                    !is_gone((group[0].0.value() / 1024) as usize)
                        || done.given_up.iter().any(|p| covers(p, group[0].0))
                })
                .cloned()
                .collect();
            check_repaired(&copy, &options, &told, &done, &case);
        }
    }
}

#[test]
fn files_under_wrong_names_get_their_own_back() {
    let (files, options, groups) = log_of(3, true);
    let names = files.names();
    for from in 0..names.len() {
        for to in 0..names.len() {
            let swapped = files.fork();
            swapped.put(&names[from], files.content(&names[to]));
            swapped.put(&names[to], files.content(&names[from]));
            let done = repair(&swapped, &options).unwrap();
            assert_eq!((done.was_sound(), done.given_up.len()), (from == to, 0), "{done:?}");
            assert_eq!(check_repaired(&swapped, &options, &groups, &done, "swapped"), groups.concat());

            let doubled = files.fork();
            doubled.put("0000000000abc000.log", files.content(&names[to]));
            let done = repair(&doubled, &options).unwrap();
            assert!(done.given_up.is_empty() && doubled.names() == names, "{done:?}");
            doubled.take(&names[to]);
            doubled.put("0000000000abc000.log", files.content(&names[to]));
            let done = repair(&doubled, &options).unwrap();
            assert!(done.given_up.is_empty() && doubled.names() == names, "{done:?}");
            assert_eq!(check_repaired(&doubled, &options, &groups, &done, "renamed"), groups.concat());
        }
    }
}

#[test]
fn segments_of_another_log_are_taken_out() {
    let (files, options, groups) = log_of(3, true);
    let other = FaultFiles::new(2, 512);
    let other_options = Options { salt: 0xbad, ..options.clone() };
    let (mut log, _, _) = open_all(&other, &other_options).unwrap();
    let theirs = append(&mut log, &[&[5; 60]]).unwrap();
    log.make_spare().unwrap();
    drop(log);
    for (number, name) in files.names().iter().enumerate() {
        for their_name in other.names() {
            let copy = files.fork();
            copy.put(name, other.content(&their_name));
            let done = repair(&copy, &options).unwrap();
            assert_eq!(copy.content(&format!("quarantine-1/{name}")), other.content(&their_name));
            // Its place was that of records, but for the spare.
            assert_eq!(done.given_up.len(), usize::from(number < 3), "{name}: {done:?}");
            let found = check_repaired(&copy, &options, &groups, &done, name);
            assert!(!found.contains(&theirs[0]));
        }
    }
    // A draw is decided by the frames: here one segment of each, and the spare is theirs.
    let (files, options, groups) = log_of(1, false);
    files.put("0000000000000400.log", other.content("0000000000000400.log"));
    let done = repair(&files, &options).unwrap();
    assert_eq!(check_repaired(&files, &options, &groups, &done, "a draw"), groups.concat());
}

#[test]
fn a_file_cut_short_or_grown_loses_what_was_cut_off() {
    for closed in [true, false] {
        let (files, options, groups) = log_of(3, closed);
        for (number, name) in files.names().iter().enumerate() {
            let content = files.content(name);
            for length in (0..content.len()).chain([content.len() + 1, content.len() * 2]) {
                let copy = files.fork();
                let mut bytes = content.clone();
                bytes.resize(length, 0);
                copy.put(name, bytes.clone());
                let case = format!("{name} of {length} bytes, closed: {closed}");
                let done = repair(&copy, &options).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(!done.was_sound(), "{case}");
                assert_eq!(copy.content(&format!("quarantine-1/{name}")), bytes, "{case}");
                check_repaired(&copy, &options, &groups, &done, &case);
                if number == 3 || length > content.len() {
                    assert!(done.given_up.is_empty(), "{case}: {done:?}");
                }
                let base = number as u64 * 1024;
                for piece in &done.given_up {
                    assert!(piece.from >= Lsn::new(base) && piece.to <= Lsn::new(base + 1024), "{case}: {piece}");
                }
            }
        }
    }
}

#[test]
fn zeroed_sectors_lose_what_was_in_them() {
    let (files, options, groups) = log_of(3, true);
    for (number, name) in files.names().iter().enumerate() {
        for sector in 0..2 {
            let copy = files.fork();
            let mut bytes = files.content(name);
            bytes[sector * 512..(sector + 1) * 512].fill(0);
            copy.put(name, bytes);
            // The last group and the mark behind it are in one sector: both gone, nothing is left to tell.
            if (number, sector) == (2, 1) {
                continue;
            }
            let done = repair(&copy, &options).unwrap();
            assert_eq!(done.given_up.len(), usize::from(sector == 1 && number < 2), "{name}, {sector}: {done:?}");
            check_repaired(&copy, &options, &groups, &done, &format!("{name}, sector {sector}"));
        }
    }
}

#[test]
fn a_log_that_does_not_reach_its_checkpoint_goes_on_behind_it() {
    let (files, options, groups) = log_of(3, true);
    let (log, _, _) = open_all(&files, &options).unwrap();
    let end = log.end().value();
    drop(log);
    for from in [end + 8, 3072, 3100, 4096, 50_000, 1 << 40] {
        let copy = files.fork();
        let opened = |from| open_from(Arc::new(copy.clone()), &options, Lsn::new(from));
        assert!(matches!(opened(from), Err(LogError::NotContained { .. })));
        let done = salvage(Arc::new(copy.clone()), &options, Some(Lsn::new(from))).unwrap();
        let (log, _, found) = opened(from).unwrap();
        assert!(found.is_empty() && log.end() >= Lsn::new(from));
        drop(log);
        let lost = done.given_up.iter().map(|piece| (piece.from, piece.to));
        let mut at = Lsn::new(end);
        for (from, to) in lost {
            assert!(from.value() - at.value() <= 512, "pieces lie side by side: {done:?}");
            at = to;
        }
        assert!(at <= open_all(&copy, &options).unwrap().0.end(), "what is skipped is told");
        assert_eq!(open_all(&copy, &options).unwrap().2, groups.concat());
    }
    let beyond = salvage(Arc::new(files.fork()), &options, Some(Lsn::new(u64::MAX)));
    assert!(matches!(beyond, Err(LogError::Unrepairable { .. })), "{beyond:?}");
    for from in [512, 69_632, 70_000].map(Lsn::new) {
        let empty = FaultFiles::new(1, 512);
        let done = salvage(Arc::new(empty.clone()), &options, Some(from)).unwrap();
        assert_eq!(done.given_up.len(), 1, "the whole log is gone: {done:?}");
        open_from(Arc::new(empty), &options, from).unwrap();
    }
}

#[test]
fn an_older_program_refuses_a_repaired_log() {
    // It knows neither gaps nor the second format: what it does not know must stand in front of something it does.
    let (files, options, _) = log_of(3, true);
    let names = files.names();
    files.take(&names[1]);
    repair(&files, &options).unwrap();
    assert_eq!(files.content(&names[1])[8], 2, "a void is of format 2");
    assert_eq!(files.content(&names[0])[8], 1);
}

#[test]
fn without_any_readable_header_only_frames_prove_the_log() {
    let (files, options, groups) = log_of(1, true);
    let name = &files.names()[0];
    let spoil = |files: &FaultFiles, name: &str, at: usize| {
        let mut bytes = files.content(name);
        bytes[at] ^= 1;
        files.put(name, bytes);
    };
    files.take("0000000000000400.log");
    let copy = files.fork();
    spoil(&copy, name, 100);
    let done = repair(&copy, &options).unwrap();
    assert_eq!(check_repaired(&copy, &options, &groups, &done, "its own word"), groups.concat());
    spoil(&files, name, 35);
    let before = files.content(name);
    assert!(matches!(repair(&files, &options), Err(LogError::Unrepairable { .. })));
    assert_eq!(files.content(name), before);
}

#[test]
fn without_room_for_the_copy_nothing_is_changed() {
    let (files, options, groups) = log_of(3, true);
    let name = files.names()[0].clone();
    let mut bytes = files.content(&name);
    bytes[700] ^= 1;
    files.put(&name, bytes.clone());
    for room in [0, 100, 600, 1300] {
        files.limit_bytes(4096 + room);
        let Err(error) = repair(&files, &options) else { panic!("a copy of 1,024 bytes in {room}") };
        assert!(error.to_string().contains("cannot keep a copy of what is damaged"), "{error}");
        assert_eq!(files.content(&name), bytes);
    }
    files.limit_bytes(u64::MAX);
    let done = repair(&files, &options).unwrap();
    assert_eq!(files.dirs(), ["quarantine-1"], "what failed leaves nothing behind");
    check_repaired(&files, &options, &groups, &done, "with room");
}

/// A segment that is found again after a repair went on without it.
#[test]
fn a_segment_put_back_takes_the_place_of_its_void() {
    let (files, options, groups) = log_of(3, true);
    let names = files.names();
    let content = files.content(&names[1]);
    files.take(&names[1]);
    let done = repair(&files, &options).unwrap();
    assert_eq!(done.given_up.len(), 1);
    files.put(&names[1], content);
    assert_eq!(open_all(&files, &options).unwrap().2, groups.concat());
}

/// A random log with random damage.
fn damaged(seed: u64) -> (FaultFiles, Options, Vec<Records>) {
    let mut seeded = Seeded::new(seed);
    let files = FaultFiles::new(seeded.next_u64(), [64, 512, 4096][seeded.below(3) as usize]);
    let options = Options { spare_segments: seeded.below(3) as usize, ..options(1024 << seeded.below(3)) };
    let (mut log, _, _) = open_all(&files, &options).unwrap();
    let mut groups = Vec::new();
    for number in 0..3 + seeded.below(20) {
        let mut record = number.to_le_bytes().to_vec();
        record.resize(8 + seeded.below(150) as usize, seeded.below(256) as u8);
        let half = record.len() / 2;
        groups.push(append(&mut log, &[&record, &record[..half]]).unwrap());
        if log.needs_spare() && seeded.once_in(3) {
            log.make_spare().unwrap();
        }
    }
    // Its end beyond doubt, so that whatever is lost is lost to damage.
    log.close().unwrap();
    let kept = files.names().len() as u64;
    for _ in 0..1 + seeded.below(3) {
        let names = files.names();
        let name = &names[seeded.below(kept.min(names.len() as u64)) as usize];
        let mut bytes = files.content(name);
        let at = seeded.below(bytes.len().max(1) as u64) as usize;
        match seeded.below(6) {
            // The first and last segment stay: what went before and came after them, nothing can tell.
            0 if name != &names[0] && name != &names[names.len() - 1] => {
                files.take(name);
                continue;
            }
            1 if name != &names[names.len() - 1] => bytes.truncate(at),
            2 => {
                let end = (at / 512 * 512 + 512).min(bytes.len());
                bytes[at / 512 * 512..end].fill(0);
            }
            _ => bytes[at] ^= 1 << seeded.below(8),
        }
        files.put(name, bytes);
    }
    (files, options, groups)
}

/// The power goes at each operation of a repair in turn. Each time the repair can be done over, and in the end no less
/// is there than after one that went through.
#[test]
fn a_repair_cut_short_is_finished_by_the_next() {
    let mut cut = 0;
    for seed in 0..600 {
        let (files, options, groups) = damaged(seed);
        let whole = files.fork();
        let Ok(at_once) = repair(&whole, &options) else { continue };
        let expected = open_all(&whole, &options).unwrap().2;
        for at in 0..u64::MAX {
            let copy = files.fork();
            copy.fail_after(at, [Fault::PowerFails, Fault::WriteBreaks, Fault::SyncFails][at as usize % 3]);
            let first = repair(&copy, &options);
            let is_through = first.is_ok() && at % 3 == 2;
            copy.heal();
            copy.cut_power();
            let case = format!("seed {seed}, cut at {at}");
            let second = repair(&copy, &options).unwrap_or_else(|error| panic!("{case}: {error}"));
            copy.cut_power();
            let (_, _, found) = open_all(&copy, &options).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(found, expected, "{case}: {at_once:?} {second:?}");
            assert!(found.iter().all(|record| groups.concat().contains(record)), "{case}");
            cut += u64::from(first.is_err());
            if is_through {
                break;
            }
        }
    }
    assert!(cut > 2_000, "{cut}");
}
