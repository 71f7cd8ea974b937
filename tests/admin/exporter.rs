//! What tools of others make of our numbers: an exporter that was written for `$SYS` and the like, and Prometheus's own
//! parser.
use crate::common::broker::Broker;
use crate::peer::{Peer, ack, eventually, request, start};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::QoS;

const HOW_TO_INSTALL: &str = "install the clients with: tests/setup.sh";

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn installed(program: &str) -> PathBuf {
    let path = package().join("target/exporter-venv/bin").join(program);
    assert!(path.is_file(), "{} is missing; {HOW_TO_INSTALL}", path.display());
    path
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The exporter, reading the `$SYS` of the broker at a port as it is; the port where it is asked.
fn exporter(broker_port: u16) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new(installed("mqtt-exporter"));
    command.env("MQTT_PORT", broker_port.to_string()).env("PROMETHEUS_PORT", port.to_string());
    command.env("PROMETHEUS_ADDRESS", "127.0.0.1").env("MQTT_TOPIC", "$SYS/broker/#").env("KEEP_FULL_TOPIC", "True");
    (Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()), port)
}

/// What the exporter shows of `$SYS` now: values by metric and topic.
fn exported(port: u16) -> Option<BTreeMap<String, f64>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let ours =
        page.lines().filter(|line| line.contains("topic=\"$sys_broker") && !line.starts_with("mqtt_message_total"));
    Some(
        ours.filter_map(|line| line.rsplit_once(' '))
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect(),
    )
}

#[test]
fn an_exporter_made_for_other_brokers_shows_our_numbers() {
    let broker = Broker::start("[sys]\ninterval_s = 1\n[admin]\naddress = \"\"\n");
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::AtLeastOnce);
    let mut giver = Peer::connect(&broker, "giver");
    for payload in ["x", "yy", "zzz"] {
        giver.publish_qos1("a", payload);
        let PublishQoS::AtLeastOnce(id) = taker.expect_publish().qos else { panic!("not as published") };
        taker.send(&Packet::PubAck(ack(id)));
    }
    let (_exporter, port) = exporter(broker.port);
    for (metric, topic, expected) in [
        ("mqtt_connected", "clients", 3.0),
        ("mqtt_received", "publish_messages", 3.0),
        ("mqtt_received", "publish_bytes", 6.0),
        ("mqtt_count", "retained messages", -1.0),
        ("mqtt_count", "subscriptions", 2.0),
        ("mqtt_in_doubt", "vow", 0.0),
    ] {
        let name = format!("{metric}{{topic=\"$sys_broker_{topic}\"}}");
        eventually(&format!("{name} {expected}"), || {
            let shown = *exported(port)?.get(&name)?;
            (shown == expected || expected < 0.0).then_some(())
        });
    }
}

#[test]
fn every_number_that_the_exporter_shows_of_mosquitto_it_shows_of_us() {
    let port = free_port();
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("mosquitto.conf");
    std::fs::write(&conf, format!("listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n")).unwrap();
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("mosquitto");
    command.env("PATH", path).arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null());
    let _mosquitto = Running(command.spawn().unwrap_or_else(|error| panic!("{error}; {HOW_TO_INSTALL}")));
    eventually("mosquitto", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    let broker = Broker::start("[sys]\ninterval_s = 1\n[admin]\naddress = \"\"\n");
    let (_one, of_mosquitto) = exporter(port);
    let (_other, of_us) = exporter(broker.port);
    let theirs = eventually("mosquitto's numbers", || exported(of_mosquitto).filter(|shown| shown.len() >= 40));
    let missing = |ours: &BTreeMap<String, f64>| {
        let missing = theirs.keys().filter(|name| !ours.contains_key(*name)).cloned();
        missing.collect::<Vec<_>>()
    };
    let mut last = Vec::new();
    eventually("our numbers", || {
        last = missing(&exported(of_us)?);
        println!("missing: {last:?}");
        last.is_empty().then_some(())
    });
}

#[test]
fn prometheus_itself_reads_the_metrics_and_finds_no_fault() {
    let broker = start("");
    let mut client = Peer::connect(&broker, "c");
    client.subscribe("a", QoS::AtLeastOnce);
    client.publish("a", PublishQoS::AtMostOnce, "x", &[]);
    let (status, _, page) = request(&broker, "GET", "/metrics", &[], "");
    assert_eq!(status, 200);
    let mut parser = Command::new(installed("python"));
    parser.arg(package().join("tests/clients/openmetrics.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut parser = parser.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    parser.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complaints}");
}
