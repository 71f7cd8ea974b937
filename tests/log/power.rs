//! Runs of the log against a model, through crashes, from a seed.
use std::sync::Arc;

use bytes::Bytes;
use vowmq::store::log::fault::{Fault, FaultFiles, Seeded};
use vowmq::store::log::{Group, Log, LogError, Lsn, Options, SpareDone, inspect};

use crate::support::{Records, open_from};

const SEEDS: u64 = 4_000;

/// A group as the model remembers it.
#[derive(Clone)]
struct Remembered {
    records: Records,
    end: Lsn,
}

/// The model: what must be found after a crash.
struct World {
    seed: u64,
    seeded: Seeded,
    files: FaultFiles,
    options: Options,
    /// Answered for, in order.
    durable: Vec<Remembered>,
    /// Its append failed: all of it may be found, or none.
    doubtful: Option<Vec<Bytes>>,
    /// Durable groups that the checkpoint covers, and its position.
    covered: usize,
    checkpoint: Lsn,
    /// Makes every record of every attempt unlike all others.
    attempts: u64,
    /// Whether any operation failed since the log was last opened.
    failed: bool,
    /// Whether the log was closed, and nothing was appended since.
    closed: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut seeded = Seeded::new(seed);
        let page_bytes = [64, 512, 512, 4096][seeded.below(4) as usize];
        let segment_bytes = 1024 << seeded.below(4);
        Self {
            seed,
            files: FaultFiles::new(seeded.next_u64(), page_bytes),
            options: Options {
                segment_bytes,
                spare_segments: seeded.below(3) as usize,
                frame_bytes_max: segment_bytes - 544,
                salt: seeded.next_u64(),
            },
            seeded,
            durable: Vec::new(),
            doubtful: None,
            covered: 0,
            checkpoint: Lsn::START,
            attempts: 0,
            failed: false,
            closed: false,
        }
    }

    /// One life of the process: opens the log, works until something fails or it has had enough, ends somehow.
    fn live(&mut self) {
        self.plan_faults();
        match self.open() {
            Some(log) => self.work(log),
            None => self.failed = true,
        }
        if !self.files.has_power() || self.seeded.once_in(2) {
            self.files.cut_power();
        } else {
            self.files.kill_process();
        }
        if self.seeded.once_in(2) {
            self.files.heal();
        }
    }

    fn plan_faults(&mut self) {
        const FAULTS: [Fault; 6] = [
            Fault::PowerFails,
            Fault::WriteFails,
            Fault::WriteBreaks,
            Fault::WriteFallsShort,
            Fault::SyncFails,
            Fault::DirSyncFails,
        ];
        for _ in 0..self.seeded.below(3) {
            let fault = FAULTS[self.seeded.below(6) as usize];
            self.files.fail_after(self.seeded.below(60), fault);
        }
    }

    fn open(&mut self) -> Option<Log> {
        let seed = self.seed;
        let seen = inspect(&self.files).unwrap();
        assert!(seen.damage.is_empty(), "seed {seed}: {:?}", seen.damage);
        if self.seeded.once_in(8) {
            // The size of new segments may change between runs.
            self.options.segment_bytes = 1024 << self.seeded.below(4);
            self.options.frame_bytes_max = self.options.segment_bytes - 544;
        }
        let (log, recovery, found) = match open_from(Arc::new(self.files.clone()), &self.options, self.checkpoint) {
            Ok(opened) => opened,
            Err(LogError::Io { .. }) => return None,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        if !self.failed {
            assert_eq!(recovery.discarded, None, "seed {seed}: nothing was under way");
            assert_eq!(recovery.closed, self.closed, "seed {seed}");
        }
        self.failed = false;
        self.closed = recovery.closed;
        self.compare(&found, log.end());
        Some(log)
    }

    /// What was replayed is what was answered for, and then the doubtful group whole or not at all.
    fn compare(&mut self, found: &Records, end: Lsn) {
        let seed = self.seed;
        let expected: Records = self.durable[self.covered..].iter().flat_map(|group| group.records.clone()).collect();
        assert!(found.len() >= expected.len(), "seed {seed}: {} records lost", expected.len() - found.len());
        let (kept, more) = found.split_at(expected.len());
        assert!(kept == expected, "seed {seed}: what was answered for has changed");
        if let Some(doubtful) = self.doubtful.take() {
            let bodies: Vec<Bytes> = more.iter().map(|(_, record)| record.clone()).collect();
            if !bodies.is_empty() {
                assert!(bodies == doubtful, "seed {seed}: a part of a group was replayed");
                self.durable.push(Remembered { records: more.to_vec(), end });
            }
        } else {
            assert!(more.is_empty(), "seed {seed}: records that nobody appended");
        }
    }

    fn work(&mut self, mut log: Log) {
        let mut spare: Option<SpareDone> = None;
        for _ in 0..self.seeded.below(50) {
            let done = match self.seeded.below(16) {
                0..10 => self.append(&mut log),
                10 => log.guard(),
                11 => {
                    self.covered = self.durable.len() - self.seeded.below(3).min(self.durable.len() as u64) as usize;
                    self.covered = self.covered.max(self.durable.iter().filter(|g| g.end <= self.checkpoint).count());
                    self.checkpoint = self.covered.checked_sub(1).map_or(Lsn::START, |last| self.durable[last].end);
                    Ok(())
                }
                12 => log.release_before(self.checkpoint),
                13 => log.make_spare(),
                14 => match spare.take() {
                    Some(done) => log.take_spare(done),
                    None => {
                        spare = log.spare_work().map(|work| work.run());
                        Ok(())
                    }
                },
                _ => {
                    self.read_one(&log);
                    Ok(())
                }
            };
            if done.is_err() {
                self.failed = true;
                // A log that was not poisoned goes on.
                if matches!(log.append(&mut Group::new()), Err(LogError::Poisoned)) {
                    assert!(matches!(self.append_again(&mut log), Err(LogError::Poisoned)), "seed {}", self.seed);
                    return;
                }
            }
        }
        if self.seeded.once_in(3) {
            match log.close() {
                Ok(()) => self.closed = true,
                Err(_) => self.failed = true,
            }
        }
    }

    fn append(&mut self, log: &mut Log) -> Result<(), LogError> {
        self.attempts += 1;
        self.closed = false;
        let mut bodies = Vec::new();
        let mut group = Group::new();
        for number in 0..=self.seeded.below(5) {
            let mut body = format!("{}/{number}:", self.attempts).into_bytes();
            body.resize(body.len() + self.seeded.below(90) as usize, self.seeded.below(256) as u8);
            if group.frame_bytes() + 16 + body.len() as u64 > self.options.frame_bytes_max {
                break;
            }
            group.push(&body);
            bodies.push(Bytes::from(body));
        }
        match log.append(&mut group) {
            Ok(appended) => {
                let records = appended.lsns().zip(bodies).collect();
                self.durable.push(Remembered { records, end: appended.end() });
                Ok(())
            }
            Err(error) => {
                if matches!(log.append(&mut Group::new()), Err(LogError::Poisoned)) {
                    self.doubtful = Some(bodies);
                }
                Err(error)
            }
        }
    }

    fn append_again(&self, log: &mut Log) -> Result<(), LogError> {
        let mut group = Group::new();
        group.push(b"must never be seen");
        log.append(&mut group).map(|_| ())
    }

    fn read_one(&mut self, log: &Log) {
        let kept = &self.durable[self.covered..];
        let Some(group) = kept.get(self.seeded.below(kept.len().max(1) as u64) as usize) else { return };
        if !self.files.has_power() {
            return;
        }
        let reader = log.reader();
        for (lsn, record) in &group.records {
            assert_eq!(reader.read(*lsn).unwrap(), record, "seed {}", self.seed);
        }
    }
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..8 {
        world.live();
    }
    world.files.heal();
    world.files.cut_power();
    assert!(world.open().is_some(), "seed {seed}: a healthy disk must open");
    world
}

#[test]
fn what_was_answered_for_survives_every_crash() {
    let (mut groups, mut covered) = (0, 0);
    for seed in 0..SEEDS {
        let world = run(seed);
        groups += world.durable.len();
        covered += world.covered;
    }
    // The runs did something worth the name.
    assert!(groups as u64 > 30 * SEEDS, "only {groups} groups");
    assert!(covered as u64 > 10 * SEEDS, "only {covered} groups were released");
}

#[test]
fn one_run_is_the_same_from_the_same_seed() {
    let end = |world: World| (world.durable.len(), world.attempts, world.files.names(), world.files.counts());
    assert_eq!(end(run(7)), end(run(7)));
}

/// The power goes at each operation in turn, a few times each: the open, the roll to a new segment, the release.
#[test]
fn power_may_fail_at_each_operation_in_turn() {
    for at in 0..120 {
        for again in 0..6 {
            let mut world = World::new(1_000_000 + again);
            world.options.segment_bytes = 2048;
            world.options.frame_bytes_max = 1024;
            world.files.fail_after(at, Fault::PowerFails);
            if let Some(mut log) = world.open() {
                for step in 0..24 {
                    let done = match step % 6 {
                        4 if world.durable.len() > 4 => {
                            world.covered = world.durable.len() - 3;
                            world.checkpoint = world.durable[world.covered - 1].end;
                            log.release_before(world.checkpoint)
                        }
                        5 => log.make_spare(),
                        _ => world.append(&mut log),
                    };
                    if done.is_err() {
                        break;
                    }
                }
            }
            world.failed = true;
            world.files.heal();
            world.files.cut_power();
            assert!(world.open().is_some());
            world.files.cut_power();
            assert!(world.open().is_some());
        }
    }
}
