//! What only a real listener shows: that there is one, and that it may stay silent.
mod common;
mod source;

use common::broker::Broker;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends bytes, and reads until the broker closes or `want` bytes have come.
fn exchange(broker: &Broker, sent: &[u8], want: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(broker.address).expect("the broker listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(sent).expect("the broker reads");
    let mut got = Vec::new();
    stream.take(want as u64).read_to_end(&mut got).expect("the broker answers or closes");
    got
}

#[test]
fn a_plain_client_is_served_over_tcp_without_anything_beyond_the_standard() {
    // [MQTT-7.1.1-1] [MQTT-7.0.0-2] (3.1.1) [MQTT-4.2.0-1] (5.0)
    let broker = Broker::start("");
    let connect_311 = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a\xc0\x00";
    assert_eq!(exchange(&broker, connect_311, 6), b"\x20\x02\x00\x00\xd0\x00");
    let connect_5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01b";
    let connack = exchange(&broker, connect_5, 4);
    assert_eq!((connack[0], &connack[2..]), (0x20, &[0x00, 0x00][..]), "5.0: accepted, no session present");
}

#[test]
fn a_connect_that_no_return_code_fits_is_closed_without_an_answer() {
    // [MQTT-3.2.2-6] (3.1.1): the reserved flag of CONNECT is set.
    let broker = Broker::start("");
    assert_eq!(exchange(&broker, b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x00\x00\x01a", 1), b"");
}

#[test]
fn the_broker_opens_no_connections_of_its_own() {
    // [MQTT-7.0.0-1] (3.1.1): the rules for clients cannot be broken where nothing dials out.
    for path in source::rust_files("src") {
        let (code, _) = source::split(&path);
        for dials in ["TcpStream::connect", "TcpSocket", ".connect_timeout("] {
            assert!(!code.contains(dials), "{} holds {dials}", path.display());
        }
    }
}
