//! The load tool itself: the tests of its parts, and each scenario, tiny, against the broker.
#[path = "../examples/vowmq-bench/tool/mod.rs"]
mod tool;

use socket2::{Domain, Socket, Type};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Runs a command line against the broker that cargo built; whether everything that arrived was as it should be.
fn is_sound(line: &str) -> bool {
    let places = ["--vowmq", env!("CARGO_BIN_EXE_vowmq"), "--dir", env!("CARGO_TARGET_TMPDIR")];
    let free = ["--broker-cpus", "all", "--tool-cpu", "all"];
    let words = std::iter::once("vowmq-bench").chain(places).chain(free).chain(line.split(' '));
    tool::run(words.map(OsString::from)).unwrap_or_else(|problem| panic!("{line}: {problem}"))
}

#[test]
fn every_shape_arrives_whole_at_every_level_and_in_both_versions() {
    for line in [
        "p2p --qos 0 --publishers 3",
        "p2p --qos 1 --publishers 3 --v311",
        "p2p --qos 2 --publishers 3 --payload 5000",
        "fan-out --qos 1 --subscribers 4 --v311",
        "fan-in --qos 2 --publishers 4 --window 10",
        "shared --qos 1 --publishers 4 --subscribers 3",
        "p2p --qos 1 --publishers 2 --durable --retain",
        "p2p --qos 1 --publishers 5 --rate 500 --json",
        "round-trip --qos 2",
    ] {
        assert!(is_sound(&format!("{line} --warm 0.05 --seconds 0.15")), "{line}");
    }
}

#[test]
fn queues_and_retained_messages_come_back_whole() {
    assert!(is_sound("offline --sessions 3 --messages 200 --qos 1"));
    assert!(is_sound("offline --sessions 2 --messages 100 --qos 2"));
    assert!(is_sound("retained --topics 300"));
}

#[test]
fn crowds_are_welcomed() {
    assert!(is_sound("start"));
    assert!(is_sound("connections --connections 100"));
    assert!(is_sound("churn --at-once 8 --seconds 0.2"));
    assert!(is_sound("subscriptions --count 1000 --clients 3"));
}

#[test]
fn too_much_load_and_bad_neighbours_lose_nothing() {
    assert!(is_sound("overload --pairs 2 --seconds 0.15 --steps 20,150"));
    let few = "--rate 200 --nuisance-rate 500 --subscribers 5";
    assert!(is_sound(&format!("neighbour --brokers vowmq --seconds 0.2 {few}")));
}

#[test]
fn a_comparison_names_its_cases_and_writes_its_drawings() {
    let directory = tempfile::tempdir().expect("a directory for the report");
    let (markdown, svg) = (directory.path().join("report.md"), directory.path().join("svg"));
    let line = format!(
        "compare --brokers vowmq --only p2p-qos1,start --rounds 1 --seconds 0.1 --markdown {} --svg {}",
        markdown.display(),
        svg.display()
    );
    assert!(is_sound(&line));
    let report = std::fs::read_to_string(markdown).expect("the report was written");
    for name in ["p2p-qos1", "start-time", "start-memory", "data_dir", "fdatasync"] {
        assert!(report.contains(name), "{name} is missing in {report}");
    }
    assert!(svg.join("p2p-qos1.svg").is_file());
}

#[test]
fn the_relay_hands_on_every_shape() {
    // Bound and never listening, so that nothing but the relay can answer there.
    let probe = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    probe.set_reuse_address(true).expect("a socket takes its options");
    probe.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("127.0.0.1 has a free port");
    let address = probe.local_addr().ok().and_then(|address| address.as_socket()).expect("a bound socket has one");
    drop(probe);
    // It serves for ever: the end of the process is its end.
    std::thread::spawn(move || is_sound(&format!("relay --listen {address}")));
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the relay listens");
        std::thread::yield_now();
    }
    for line in ["p2p --qos 2", "fan-out --qos 1 --subscribers 4", "fan-in --qos 0", "shared --qos 1"] {
        assert!(is_sound(&format!("{line} --address {address} --publishers 4 --warm 0.05 --seconds 0.1")), "{line}");
    }
}
