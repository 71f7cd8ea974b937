//! Who may ask what.
use crate::common::broker::Broker;
use crate::peer::{admin_address, eventually, own_token, request, start};
use std::io::{Read, Write};
use std::net::TcpStream;

const HEALTH: &str = "/healthz";
const METRICS: &str = "/metrics";
const READ: &str = "/api/v1/sessions";
const READER: &str = "0123456789abcdef-reader";

/// A broker with a token that may only read, whatever else is set.
fn with_reader(settings: &str) -> (Broker, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("reader");
    std::fs::write(&file, READER).unwrap();
    let file = file.display();
    let token = format!("[[admin.token]]\nname = \"reader\"\nrole = \"read\"\nfile = \"{file}\"\n");
    let broker = Broker::start(&format!("[admin]\naddress = \"127.0.0.1:0\"\n{settings}\n{token}"));
    (broker, directory)
}

fn status(broker: &Broker, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    request(broker, method, path, headers, "").0
}

fn bearer(token: &str) -> [(&'static str, String); 1] {
    [("Authorization", format!("Bearer {token}"))]
}

fn with(broker: &Broker, method: &str, path: &str, token: &str) -> u16 {
    let [(name, value)] = bearer(token);
    status(broker, method, path, &[(name, &value)])
}

#[test]
fn each_route_asks_for_its_credential() {
    let (broker, _directory) = with_reader("");
    let own = own_token(&broker);
    for (token, expected) in [(None, [200, 200, 401, 401]), (Some(READER), [200, 200, 200, 403])] {
        let asked = [("GET", HEALTH), ("GET", METRICS), ("GET", READ), ("DELETE", "/api/v1/clients/x")];
        let got = asked.map(|(method, path)| match token {
            Some(token) => with(&broker, method, path, token),
            None => status(&broker, method, path, &[]),
        });
        assert_eq!(got, expected, "{token:?}");
    }
    assert_eq!(with(&broker, "GET", READ, &own), 200);
    assert_eq!(with(&broker, "DELETE", "/api/v1/clients/x", &own), 404, "allowed, and not there");
    for path in [METRICS, READ] {
        assert_eq!(with(&broker, "GET", path, "0123456789abcdef-wrong!"), 401, "a wrong token is not no token: {path}");
    }
    // reader:0123456789abcdef-reader
    let basic = [("Authorization", "Basic cmVhZGVyOjAxMjM0NTY3ODlhYmNkZWYtcmVhZGVy")];
    assert_eq!(status(&broker, "GET", READ, &basic), 200);
    let (_, head, _) = request(&broker, "GET", READ, &[], "");
    assert!(head.contains("www-authenticate: bearer"), "no browser is made to ask for a password: {head}");
}

#[test]
fn what_anybody_on_this_machine_sees_is_as_configured() {
    for (setting, expected) in [("nothing", [200, 401, 401]), ("metrics", [200, 200, 401]), ("read", [200, 200, 200])] {
        let (broker, _directory) = with_reader(&format!("anonymous = \"{setting}\""));
        let got = [HEALTH, METRICS, READ].map(|path| status(&broker, "GET", path, &[]));
        assert_eq!(got, expected, "{setting}");
        assert_eq!(status(&broker, "POST", "/api/v1/reload", &[]), 401, "nobody steers without a token");
        let proxied = [("X-Forwarded-For", "192.0.2.1")];
        assert_eq!(status(&broker, "GET", METRICS, &proxied), 401, "a proxy is not this machine");
    }
}

#[test]
fn pages_of_other_sites_and_rebound_names_are_refused() {
    let (broker, _directory) = with_reader("anonymous = \"read\"\nhosts = [\"broker.example.com\"]");
    for (headers, expected) in [
        (vec![("Host", "evil.example.com")], 421),
        (vec![("Host", "127.0.0.1.evil.example.com:80")], 421),
        (vec![("Host", "broker.example.com:8443")], 200),
        (vec![("Host", "localhost")], 200),
        (vec![("Origin", "https://evil.example.com")], 403),
        (vec![("Origin", "null")], 403),
        (vec![("Sec-Fetch-Site", "cross-site")], 403),
        (vec![("Sec-Fetch-Site", "same-site")], 403),
        (vec![("Sec-Fetch-Site", "same-origin")], 200),
        (vec![("Host", "localhost:1"), ("Origin", "http://localhost:1")], 200),
    ] {
        assert_eq!(status(&broker, "GET", READ, &headers), expected, "{headers:?}");
    }
    let (_, head, _) = request(&broker, "GET", HEALTH, &[], "");
    for header in
        ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "x-frame-options: deny"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(!head.contains("access-control-allow-origin") && !head.contains("set-cookie"), "{head}");
}

#[test]
fn requests_are_bounded() {
    let broker = Broker::start("[admin]\naddress = \"127.0.0.1:0\"\nconnections_max = 2\nbody_bytes_max = 1024\n");
    let authorization = format!("Bearer {}", own_token(&broker));
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let large = format!("{{\"topic\":\"a\",\"payload_text\":\"{}\"}}", "x".repeat(2000));
    assert_eq!(request(&broker, "POST", "/api/v1/publish", &headers, &large).0, 413);
    let held: Vec<_> = (0..2)
        .map(|_| {
            // The connection before may take a moment to be over.
            eventually("room", || {
                let mut stream = TcpStream::connect(admin_address(&broker)).ok()?;
                stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
                matches!(stream.read(&mut [0; 12]), Ok(12)).then_some(stream)
            })
        })
        .collect();
    let mut third = TcpStream::connect(admin_address(&broker)).unwrap();
    let _ = third.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(matches!(third.read(&mut [0; 12]), Ok(0) | Err(_)), "one too many is closed");
    drop(held);
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let broker = start("");
    let authorization = format!("Bearer {}", own_token(&broker));
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    for (method, path, body, expected, told) in [
        ("GET", "/nothing", "", 404, "openapi"),
        ("PUT", "/healthz", "", 405, "openapi"),
        ("GET", "/api/v1/sessions?limit=0", "", 400, "1 to 1000"),
        ("GET", "/api/v1/sessions?sort=size", "", 400, "size"),
        ("GET", "/api/v1/sessions?cursor=x", "", 400, "cursor"),
        ("GET", "/api/v1/receivers?topic=a/%2B", "", 400, "wildcard"),
        ("GET", "/api/v1/retained?filter=a%23", "", 400, "#"),
        ("GET", "/api/v1/sessions/nobody", "", 404, "Client Identifier"),
        ("POST", "/api/v1/publish", "{", 400, "EOF"),
        ("POST", "/api/v1/publish", "{\"topic\":\"$SYS/x\"}", 400, "$"),
        ("POST", "/api/v1/publish", "{\"topic\":\"a\",\"qos\":3}", 400, "qos"),
        ("PUT", "/api/v1/log-level", "{\"level\":\"vowmq=loud\"}", 400, "level"),
        ("GET", "/api/v1/trace?property=x", "", 400, "name=value"),
    ] {
        let (status, head, answer) = request(&broker, method, path, &headers, body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer.contains(told), "{method} {path}: {answer}");
        assert!(head.contains("application/problem+json"), "{method} {path}: {head}");
    }
}
