//! A web service that is asked about each login.
use crate::support::{Broker, Place, start};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use vowmq::types::ReasonCode;

/// A service that answers each request by what it asks; the questions can be looked at.
fn serve(answer: fn(&Value) -> Option<(u16, String)>) -> (u16, Receiver<Value>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, questions) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = asked.clone();
            std::thread::spawn(move || answer_all(stream.unwrap(), answer, |question| asked.send(question).is_ok()));
        }
    });
    (port, questions)
}

fn answer_all(stream: TcpStream, answer: fn(&Value) -> Option<(u16, String)>, tell: impl Fn(Value) -> bool) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let question: Value = serde_json::from_slice(&body).unwrap();
        let reply = answer(&question);
        if !tell(question) {
            return;
        }
        let Some((status, text)) = reply else {
            // Silence, until the other side gives up.
            let _ = reader.read(&mut [0]);
            return;
        };
        write!(out, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nlocation: /\r\n\r\n{text}", text.len()).unwrap();
    }
}

fn settings(port: u16, further: &str) -> String {
    let url = format!("http://127.0.0.1:{port}/mqtt");
    format!("[[authenticator]]\nname = \"portal\"\nkind = \"http\"\nurl = \"{url}\"\ntimeout_ms = 2000\n{further}\n")
}

fn by_password(question: &Value) -> Option<(u16, String)> {
    let answer = match question["password"].as_str() {
        Some("right") => json!({"result": "allow", "groups": ["staff"]}),
        Some("wrong") => json!({"result": "deny"}),
        Some("error") => return Some((500, json!({"result": "allow"}).to_string())),
        Some("elsewhere") => return Some((302, json!({"result": "allow"}).to_string())),
        Some("nonsense") => return Some((200, "hunter2".to_owned())),
        Some("large") => return Some((200, format!("{{\"result\":\"allow\",\"x\":\"{}\"}}", "y".repeat(100_000)))),
        Some("silence") => return None,
        _ => json!({"result": "ignore"}),
    };
    Some((200, answer.to_string()))
}

fn broker(place: &Place, port: u16, further: &str) -> Broker {
    start(place, "", &settings(port, further))
}

#[test]
fn the_service_decides_and_whatever_goes_wrong_is_a_no() {
    let (port, questions) = serve(by_password);
    let place = Place::new();
    let broker = broker(&place, port, "cache_ttl_s = 0");
    assert_eq!(broker.login("ann", "right"), ReasonCode::Success);
    let asked = questions.recv().unwrap();
    assert_eq!((asked["user"].as_str(), asked["address"].as_str()), (Some("ann"), Some("127.0.0.1")));
    assert!(asked["client_id"].is_string() && asked["certificate"].is_null());
    assert_eq!(broker.login("ann", "wrong"), ReasonCode::NotAuthorized);
    assert_eq!(broker.login("ann", "who"), ReasonCode::BadUserNameOrPassword);
    for fault in ["error", "elsewhere", "nonsense", "large", "silence"] {
        assert_eq!(broker.login("ann", fault), ReasonCode::ServerUnavailable, "{fault}");
    }
    broker.wait_for_log("service_failed");
    assert!(!broker.log().contains("hunter2"), "an answer that is none is not shown");
    assert!(!broker.log().contains("\"right\""), "nor is a question");
}

#[test]
fn a_service_that_is_not_there_lets_nobody_in() {
    let place = Place::new();
    let broker = broker(&place, crate::support::free_port(), "");
    assert_eq!(broker.login("ann", "right"), ReasonCode::ServerUnavailable);
}

#[test]
fn what_was_allowed_is_remembered_for_the_same_client_with_the_same_proof() {
    let (port, questions) = serve(by_password);
    let place = Place::new();
    let broker = broker(&place, port, "cache_ttl_s = 3600");
    let mut one = crate::support::connect(vowmq::packet::Version::V5, Some("ann"), Some(b"right"));
    for _ in 0..3 {
        assert_eq!(broker.answer(one.clone()), ReasonCode::Success);
    }
    assert_eq!(questions.try_iter().count(), 1);
    one.password = Some(bytes::Bytes::from_static(b"wrong"));
    for _ in 0..2 {
        assert_eq!(broker.answer(one.clone()), ReasonCode::NotAuthorized);
    }
    assert_eq!(questions.try_iter().count(), 2, "a no is asked for again");
}
