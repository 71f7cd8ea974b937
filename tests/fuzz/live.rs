//! The real program, and a crowd that does harm, while two good clients go on.
use crate::common::broker::Broker;
use crate::crowd::{Bent, attack};
use crate::mutation::Mutator;
use crate::singers::Singers;
use crate::target::resident_mib;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that do harm at once.
const CROWD: u64 = 12;
/// Resident memory in MiB that nothing may exceed: limits in force, and room for what the allocator keeps.
const MEMORY_MIB_MAX: u64 = 512;
/// How often the good clients are asked.
const EVERY: Duration = Duration::from_secs(1);

/// Small enough for memory to have a bound, and so that limits are met.
const SETTINGS: &str = "
[admin]
address = \"\"
[limits]
packet_bytes_max = 65536
retained_messages_max = 1000
retained_bytes_max = 8388608
queued_messages_max = 1000
queued_bytes_max = 1048576
mailbox_messages_max = 1000
mailbox_bytes_max = 1048576
write_buffer_bytes_max = 65536
write_stall_timeout_ms = 2000
connect_timeout_ms = 2000
receive_max = 20
session_expiry_s_max = 5
[mqtt]
session_expiry_311_s = 5
[storage]
memory_mib = 16
retained_memory_mib = 4
log_mib = 16
segment_mib = 4
";

pub fn run(seeds: &[Vec<u8>], seed: u64, duration: Duration) {
    let mut broker = Broker::start(SETTINGS);
    let address = broker.address;
    let (is_over, conversations, bytes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (mut worst_mib, mut slowest) = (0, Duration::ZERO);
    thread::scope(|scope| {
        for number in 0..CROWD {
            let (is_over, conversations, bytes) = (&is_over, &conversations, &bytes);
            scope.spawn(move || {
                let mut bent = Bent { mutator: Mutator::new(seed ^ (number << 32)), seeds };
                while !is_over.load(Ordering::Relaxed) {
                    bytes.fetch_add(attack(address, &mut bent), Ordering::Relaxed);
                    conversations.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let begun = Instant::now();
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let mut singers = Singers::connect(address);
            while begun.elapsed() < duration {
                slowest = slowest.max(singers.sing());
                worst_mib = worst_mib.max(resident_mib(broker.pid()));
                assert!(worst_mib < MEMORY_MIB_MAX, "the broker takes {worst_mib} MiB (seed {seed})");
                thread::sleep(EVERY);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        judged.unwrap_or_else(|panic| resume_unwind(panic));
    });
    // Nobody but newcomers is there now.
    Singers::connect(address).sing();
    let status = broker.stop();
    assert!(status.success(), "asked to end, it ended with {status} (seed {seed})");
    check_log(&broker.log());
    // What is on disk after that is a state like any other; so is what is there after a power cut.
    broker.start_again();
    Singers::connect(address).sing();
    broker.kill();
    broker.start_again();
    Singers::connect(address).sing();
    check_log(&broker.log());
    let (conversations, mib) = (conversations.into_inner(), bytes.into_inner() >> 20);
    let rate = conversations as f64 / duration.as_secs_f64();
    println!(
        "live: {conversations} conversations, {rate:.0} a second, {mib} MiB sent; at most {worst_mib} MiB of memory"
    );
    println!("live: a QoS 2 round trip of good clients took {slowest:?} at most");
}

fn check_log(log: &str) {
    let panics: Vec<_> = log.lines().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}
