//! Mutated conversations with the real program, from many connections at once, while two good clients go on.
use crate::common::broker::Broker;
use crate::mutation::Mutator;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a good client may have to wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that do harm at once.
const CROWD: u64 = 8;
/// Resident memory in MiB that nothing may exceed: limits in force, and room for what the allocator keeps.
const MEMORY_MIB_MAX: u64 = 512;

const SETTINGS: &str = "\n[admin]\naddress = \"\"\n[limits]\nretained_bytes_max = 33554432\nqueued_bytes_max = 1048576\n\
                        session_expiry_s_max = 2\nconnect_timeout_ms = 2000\n[mqtt]\nsession_expiry_311_s = 2\n";

pub fn run(seeds: &[Vec<u8>], seed: u64, duration: Duration) {
    let mut broker = Broker::start(SETTINGS);
    let (address, is_over, count) = (broker.address, AtomicBool::new(false), AtomicU64::new(0));
    let mut canary = Canary::new(address);
    thread::scope(|scope| {
        for number in 0..CROWD {
            let (is_over, count) = (&is_over, &count);
            scope.spawn(move || {
                let mut mutator = Mutator::new(seed ^ (number << 32));
                while !is_over.load(Ordering::Relaxed) {
                    converse(address, &mut mutator, seeds);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let begun = Instant::now();
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while begun.elapsed() < duration {
                canary.sing();
                let resident = resident_mib(broker.pid());
                assert!(resident < MEMORY_MIB_MAX, "the broker takes {resident} MiB");
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = judged {
            std::panic::resume_unwind(panic);
        }
    });
    let log = broker.log();
    assert!(!log.contains("panicked"), "{}", log.lines().filter(|line| line.contains("panicked")).collect::<String>());
    println!("live: {} conversations, {} MiB at the end", count.into_inner(), resident_mib(broker.pid()));
    // What is on disk after that is a state like any other.
    broker.kill();
    broker.start_again();
    Canary::new(address).sing();
}

/// One connection: a mutated input in pieces, some answers read, and an end of some kind.
fn converse(address: SocketAddr, mutator: &mut Mutator, seeds: &[Vec<u8>]) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let wait = Duration::from_millis(1 + mutator.below(20) as u64);
    let set = stream.set_read_timeout(Some(wait)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    set.expect("a socket takes its options");
    let input = mutator.mutate(seeds);
    let mut answers = [0; 4096];
    for piece in input.chunks(1 + mutator.below(input.len().max(1))).take(16) {
        if stream.write_all(piece).is_err() {
            return;
        }
        if mutator.below(2) == 0 {
            let _ = stream.read(&mut answers);
        }
    }
    match mutator.below(3) {
        0 => drop(stream.shutdown(Shutdown::Write)),
        1 => drop(stream.read(&mut answers)),
        _ => {}
    }
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the broker is running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the system tells");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// A client that publishes to itself, QoS 1, and must hear it.
struct Canary {
    stream: TcpStream,
    sung: u16,
}

impl Canary {
    fn new(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("the broker takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes its options");
        stream.write_all(b"\x10\x12\x00\x04MQTT\x04\x02\x00\x00\x00\x06canary").expect("CONNECT is taken");
        let mut canary = Self { stream, sung: 0 };
        assert_eq!(canary.read(4), [0x20, 2, 0, 0]);
        canary.stream.write_all(b"\x82\x0b\x00\x01\x00\x06canary\x01").expect("SUBSCRIBE is taken");
        assert_eq!(canary.read(5)[..4], [0x90, 3, 0, 1]);
        canary
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("a good client is served in time, whatever others do");
        bytes
    }

    /// The next packet, whole.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet = self.read(2);
        assert!(packet[1] < 128, "what this client gets is short");
        packet.extend(self.read(usize::from(packet[1])));
        packet
    }

    fn sing(&mut self) {
        self.sung = self.sung % 60_000 + 1;
        let id = self.sung.to_be_bytes();
        let song = [&[0x32, 0x0c, 0, 6][..], b"canary", &id, &id].concat();
        self.stream.write_all(&song).expect("PUBLISH is taken");
        let (mut is_acknowledged, mut is_heard) = (false, false);
        while !(is_acknowledged && is_heard) {
            let packet = self.packet();
            match packet[0] >> 4 {
                4 => is_acknowledged = packet[2..4] == id,
                3 => {
                    is_heard |= packet.ends_with(&id);
                    let ack = [0x40, 2, packet[10], packet[11]];
                    self.stream.write_all(&ack).expect("PUBACK is taken");
                }
                kind => panic!("the canary was sent a packet of type {kind}"),
            }
        }
    }
}
