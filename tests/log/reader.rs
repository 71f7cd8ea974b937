//! Records are read by name while the log goes on.
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;

use vowmq::store::log::fault::FaultFiles;
use vowmq::store::log::{LogError, Lsn};

use crate::support::{append, open_all, options};

#[test]
fn every_record_can_be_read_while_others_are_appended() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(16384)).unwrap();
    let (tell, told) = mpsc::channel();
    let reader = log.reader();
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        for (lsn, record) in told {
            assert_eq!(reader.read(lsn).unwrap(), record);
            all.push((lsn, record));
        }
        for (lsn, record) in &all {
            assert_eq!(reader.clone().read(*lsn).unwrap(), record);
        }
        all.len()
    });
    for number in 0..400_usize {
        let long = vec![number as u8; number * 31 % 4000];
        for record in append(&mut log, &[b"short", &long, b""]).unwrap() {
            tell.send(record).unwrap();
        }
    }
    drop(tell);
    assert_eq!(reading.join().unwrap(), 1200);
}

#[test]
fn a_window_reads_the_same_as_single_reads_forwards_backwards_and_far_apart() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(256 << 10)).unwrap();
    let mut all = Vec::new();
    for number in 0..600_usize {
        let long = vec![number as u8; if number % 97 == 0 { 70_000 } else { number * 31 % 900 }];
        all.extend(append(&mut log, &[b"short", &long, b""]).unwrap());
    }
    let reader = log.reader();
    let mut window = reader.window();
    let mut check = |(lsn, record): &(Lsn, Bytes)| assert_eq!(window.read(*lsn).unwrap(), *record);
    all.iter().for_each(&mut check);
    all.iter().rev().for_each(&mut check);
    all.iter().step_by(7).for_each(&mut check);
    let end = log.end();
    assert!(matches!(window.read(end), Err(LogError::Unwritten { .. })));
    // What comes after the window was filled is there, too.
    let later = append(&mut log, &[b"later"]).unwrap();
    assert_eq!(window.read(later[0].0).unwrap(), later[0].1);
}

#[test]
fn a_name_of_no_record_is_an_error_in_a_window_as_well() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(4096)).unwrap();
    let records = append(&mut log, &[&[9; 100], &[8; 100]]).unwrap();
    let reader = log.reader();
    let mut window = reader.window();
    for value in 0..log.end().value() {
        let is_record = records.iter().any(|(lsn, _)| lsn.value() == value);
        assert_eq!(window.read(Lsn::new(value)).is_ok(), is_record, "position {value}");
    }
}

#[test]
fn a_name_of_no_record_is_an_error() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(4096)).unwrap();
    let records = append(&mut log, &[&[9; 100], &[8; 100]]).unwrap();
    let reader = log.reader();
    let named: Vec<Lsn> = records.iter().map(|(lsn, _)| *lsn).collect();
    for value in 0..log.end().value() {
        let read = reader.read(Lsn::new(value));
        match read {
            Ok(_) => assert!(named.contains(&Lsn::new(value))),
            Err(error) => assert!(matches!(error, LogError::Damaged { .. }), "{error}"),
        }
    }
    for value in log.end().value()..4200 {
        assert!(matches!(reader.read(Lsn::new(value)), Err(LogError::Unwritten { .. })));
    }
}

#[test]
fn a_released_record_is_named_as_such() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(1024)).unwrap();
    let first = append(&mut log, &[&[1; 300]]).unwrap()[0].0;
    let reader = log.reader();
    for number in 2..12 {
        append(&mut log, &[&[number; 300]]).unwrap();
        let end = log.end();
        log.release_before(end).unwrap();
    }
    let Err(LogError::Released { lsn, oldest }) = reader.read(first) else { panic!("released, and yet read") };
    assert_eq!((lsn, oldest), (first, log.oldest()));
}

#[test]
fn a_damaged_record_is_not_handed_out() {
    let files = FaultFiles::new(1, 512);
    let (mut log, _, _) = open_all(&files, &options(4096)).unwrap();
    let records = append(&mut log, &[&[1; 50], &[2; 2000], &[3; 50]]).unwrap();
    drop(log);
    let name = files.names()[0].clone();
    let (log, _, _) = open_all(&files, &options(4096)).unwrap();
    let reader = log.reader();
    let mut bytes = files.content(&name);
    bytes[records[1].0.value() as usize + 1500] ^= 1;
    vowmq::store::log::Files::open(&files, &name).unwrap().write_at(&bytes, 0).unwrap();
    assert_eq!(reader.read(records[0].0).unwrap(), records[0].1);
    assert!(matches!(reader.read(records[1].0), Err(LogError::Damaged { .. })));
    assert_eq!(reader.read(records[2].0).unwrap(), records[2].1);
}
