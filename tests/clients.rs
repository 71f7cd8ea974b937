//! MQTT clients people use, over real sockets: one script for each family, below tests/clients.
//!
//! `VOWMQ_BROKER_PORT=1883` takes a broker that already runs instead of starting one.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::broker::Broker;

const HOW_TO_INSTALL: &str = "install the clients with: tests/setup.sh";

#[test]
fn mosquitto_clients_get_what_they_were_promised() {
    let known = Command::new("mosquitto_pub").arg("--help").output();
    assert!(known.is_ok(), "mosquitto_pub is missing; {HOW_TO_INSTALL}");
    run("mosquitto.py", venv_python());
}

#[test]
fn paho_clients_get_what_they_were_promised() {
    run("paho_clients.py", venv_python());
}

#[test]
fn aiomqtt_clients_get_what_they_were_promised() {
    run("aiomqtt_clients.py", venv_python());
}

#[test]
fn mqttjs_clients_get_what_they_were_promised() {
    let modules = package().join("tests/clients/node_modules/mqtt");
    assert!(modules.is_dir(), "{} is missing; {HOW_TO_INSTALL}", modules.display());
    run("mqttjs.mjs", PathBuf::from("node"));
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn venv_python() -> PathBuf {
    let python = package().join("target/clients-venv/bin/python");
    assert!(python.is_file(), "{} is missing; {HOW_TO_INSTALL}", python.display());
    python
}

fn run(script: &str, interpreter: PathBuf) {
    let (address, _running) = broker();
    let output = Command::new(&interpreter)
        .arg(package().join("tests/clients").join(script))
        .args([address.ip().to_string(), address.port().to_string()])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; {HOW_TO_INSTALL}", interpreter.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(output.status.success(), "{script}: {}\n{}\n{complaints}", output.status, failed.join("\n"));
    assert!(said.lines().any(|line| line.starts_with("ok ")), "{script} checked nothing");
}

/// The second value is held for its Drop, which ends a broker started here.
fn broker() -> (SocketAddr, Option<Broker>) {
    if let Ok(port) = std::env::var("VOWMQ_BROKER_PORT") {
        return ((Ipv4Addr::LOCALHOST, port.parse().expect("VOWMQ_BROKER_PORT is a port")).into(), None);
    }
    let broker = Broker::start("");
    (broker.address, Some(broker))
}
