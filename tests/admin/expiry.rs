//! Until when certificates are good, as the metrics tell.
use crate::common::broker::Broker;
use crate::peer::{eventually, request, start};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

fn certs(directory: &Path, days: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    command.args(["certs", "--days", days, "--out"]).arg(directory);
    assert!(command.status().unwrap().success());
}

/// What is told of the certificates of one listener: labels and days.
fn told(broker: &Broker, listener: &str) -> Vec<(String, f64)> {
    let (status, _, page) = request(broker, "GET", "/metrics", &[], "");
    assert_eq!(status, 200);
    let family = format!("vowmq_certificate_expiry_seconds{{listener=\"{listener}\",");
    let of_listener = page.lines().filter_map(|line| line.strip_prefix(&family)?.split_once("} "));
    of_listener.map(|(labels, days)| (labels.to_owned(), days.parse::<f64>().unwrap() / 86_400.0)).collect()
}

#[test]
fn the_days_of_each_certificate_are_told_and_follow_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let (own, next) = (directory.path().join("own"), directory.path().join("next"));
    certs(&own, "10");
    certs(&next, "300");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let name = format!("127.0.0.1:{port}");
    // The same once more, as if of another kind of key: it is told once.
    let (certificate, key) = (own.join("server.pem"), own.join("server.key"));
    let (certificate, key) = (certificate.display(), key.display());
    let broker = start(&format!(
        "[[listener]]\naddress = \"{name}\"\nallow_anonymous = true\n[listener.tls]\ncertificate = \"{certificate}\"\n\
         key = \"{key}\"\ncertificates = [{{ certificate = \"{certificate}\", key = \"{key}\" }}]\n"
    ));
    let first = told(&broker, &name);
    assert_eq!(first.len(), 1, "{first:?}");
    let (labels, days) = &first[0];
    assert!(labels.starts_with("subject=\"") && labels.len() > "subject=\"\"".len(), "{labels}");
    assert!((9.9..=10.1).contains(days), "{days}");
    assert!(told(&broker, &broker.address.to_string()).is_empty(), "a listener without TLS has none");
    for file in ["server.pem", "server.key"] {
        std::fs::copy(next.join(file), own.join(file)).unwrap();
    }
    broker.signal("HUP");
    eventually("the new certificate's days", || {
        let days = told(&broker, &name).first()?.1;
        (299.0..=301.0).contains(&days).then_some(())
    });
}
