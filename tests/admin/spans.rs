//! Spans, as a collector gets them.
use crate::common::broker::Broker;
use crate::peer::{PATIENCE, Peer, ack, eventually, id};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use vowmq::codec::ForwardProperties;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::QoS;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00";

/// Takes what is posted to it, and decodes it.
struct Collector {
    address: SocketAddr,
    requests: Receiver<(String, ExportTraceServiceRequest)>,
    spans: Mutex<Vec<Span>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    while let Some(request) = take(&stream) {
                        let _ = sender.send(request);
                    }
                });
            }
        });
        Self { address, requests, spans: Mutex::default() }
    }

    fn settings(&self, more: &str) -> String {
        format!("[traces]\nendpoint = \"http://{}/v1/traces\"\n{more}\n", self.address)
    }

    /// Everything that came so far.
    fn spans(&self) -> Vec<Span> {
        let mut spans = self.spans.lock().unwrap();
        for (_, request) in self.requests.try_iter() {
            spans.extend(flat(request));
        }
        spans.clone()
    }

    /// Waits for so many spans of this name.
    fn wait(&self, name: &str, count: usize) -> Vec<Span> {
        eventually(name, || {
            let found: Vec<_> = self.spans().into_iter().filter(|span| span.name == name).collect();
            (found.len() >= count).then_some(found)
        })
    }
}

/// One request; `None` at the end of the connection.
fn take(stream: &TcpStream) -> Option<(String, ExportTraceServiceRequest)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    let told =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n", answer.len());
    let mut stream = stream;
    stream.write_all(told.as_bytes()).and_then(|()| stream.write_all(&answer)).ok()?;
    Some((head, ExportTraceServiceRequest::decode(body.as_slice()).expect("it is what OTLP says")))
}

fn flat(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn publish(peer: &mut Peer, topic: &str, payload: &str, parent: &str) {
    peer.publish(topic, PublishQoS::AtLeastOnce(id(7)), payload, &[("traceparent", parent), ("other", "x")]);
    assert!(matches!(peer.next(), Some(Packet::PubAck(_))));
}

#[test]
fn a_message_is_followed_from_its_publisher_to_each_receiver() {
    let collector = Collector::start();
    let broker = Broker::start(&collector.settings("sample_ratio = 0"));
    let (mut first, mut second) = (Peer::connect(&broker, "first"), Peer::connect(&broker, "second"));
    first.subscribe("a/+", QoS::AtLeastOnce);
    second.subscribe("a/#", QoS::AtMostOnce);
    let mut giver = Peer::connect(&broker, "giver");
    publish(&mut giver, "a/b", "not followed", UNSAMPLED);
    publish(&mut giver, "a/b", "followed", PARENT);
    for _ in 0..2 {
        let publish = first.expect_publish();
        let PublishQoS::AtLeastOnce(id) = publish.qos else { panic!("not as subscribed") };
        first.send(&Packet::PubAck(ack(id)));
        let properties = ForwardProperties::parse(&publish.properties.forward).unwrap();
        let user: Vec<_> = properties.user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let parent = if &publish.payload[..] == b"followed" { PARENT } else { UNSAMPLED };
        assert_eq!(user, [("traceparent", parent), ("other", "x")], "receivers get what was published");
        second.expect_publish();
    }
    let delivered = collector.wait("deliver", 2);
    let spans = collector.spans();
    let published = spans.iter().find(|span| span.name == "publish").expect("there is the publisher's");
    assert_eq!(hex(&published.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&published.parent_span_id), "b7ad6b7169203331");
    let names = ["messaging.system", "messaging.destination.name", "messaging.client.id", "mqtt.qos"];
    let told = names.map(|name| attribute(published, name).unwrap());
    assert_eq!(told, ["mqtt", "a/b", "giver", "1"]);
    let committed = collector.wait("commit", 1);
    let mut receivers: Vec<_> = delivered.iter().map(|span| attribute(span, "messaging.client.id").unwrap()).collect();
    receivers.sort();
    assert_eq!(receivers, ["first", "second"]);
    for span in delivered.iter().chain(&committed) {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&published.trace_id, &published.span_id), "{}", span.name);
        assert!(published.start_time_unix_nano <= span.start_time_unix_nano, "{}", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{}", span.name);
    }
    // The promise was given after what was promised.
    assert!(committed[0].end_time_unix_nano <= published.end_time_unix_nano);
    assert_eq!(spans.iter().filter(|span| span.name == "publish").count(), 1, "the other one's parent was not sampled");
    assert!(spans.iter().all(|span| span.name != "connect"), "the ratio is 0");
}

#[test]
fn clients_and_messages_are_sampled_and_what_is_left_is_sent_at_the_end() {
    let collector = Collector::start();
    let headers = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(headers.path(), "# the collector's\nX-Api-Key: secret-4711\n").unwrap();
    let more = format!("sample_ratio = 1.0\nheaders_file = \"{}\"\nservice_name = \"here\"", headers.path().display());
    let mut broker = Broker::start(&collector.settings(&more));
    // It listens a moment before.
    eventually("the start", || broker.log().contains("spans are sent").then_some(()));
    let mut giver = Peer::connect(&broker, "giver");
    for number in 0..50 {
        giver.publish_qos1("nobody/listens", &number.to_string());
    }
    assert!(broker.stop().success());
    let requests: Vec<_> = std::iter::from_fn(|| collector.requests.recv_timeout(PATIENCE / 10).ok()).collect();
    for (head, request) in &requests {
        let head = head.to_lowercase();
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        assert!(
            head.contains("x-api-key: secret-4711") && head.contains("content-type: application/x-protobuf"),
            "{head}"
        );
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        assert_eq!(service.value.as_ref().unwrap().value, Some(Value::StringValue("here".to_owned())));
    }
    let spans: Vec<_> = requests.into_iter().flat_map(|(_, request)| flat(request)).collect();
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    assert_eq!((count("connect"), count("publish")), (1, 50));
    assert!(!broker.log().contains("4711"), "secrets are not logged");
}

#[test]
fn without_a_collector_messages_flow_and_lost_spans_are_counted() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let settings = format!(
        "[traces]\nendpoint = \"http://{nobody}/v1/traces\"\nsample_ratio = 1\nqueue_spans_max = 10\ntimeout_ms = 500\n\
         [admin]\naddress = \"127.0.0.1:0\"\n[sys]\ninterval_s = 1\n"
    );
    let mut broker = Broker::start(&settings);
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::AtLeastOnce);
    let mut giver = Peer::connect(&broker, "giver");
    for number in 0..100 {
        giver.publish_qos1("a", &number.to_string());
        let PublishQoS::AtLeastOnce(id) = taker.expect_publish().qos else { panic!("not as subscribed") };
        taker.send(&Packet::PubAck(ack(id)));
    }
    let dropped = || {
        let (_, _, page) = crate::peer::request(&broker, "GET", "/metrics", &[], "");
        let line = page.lines().find(|line| line.starts_with("vowmq_traces_spans_dropped_total"))?.to_owned();
        let count: u64 = line.rsplit(' ').next()?.parse().ok()?;
        // 2 clients, and 3 spans for each message.
        (count >= 290).then_some(())
    };
    eventually("the count of lost spans", dropped);
    eventually("the log", || broker.log().contains("the collector did not take spans").then_some(()));
    assert!(broker.stop().success());
}

#[test]
fn what_is_wrong_with_the_settings_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vowmq.toml");
    for (settings, told) in [
        ("endpoint = \"localhost:4318\"", "traces.endpoint: \"localhost:4318\" is no URL"),
        ("sample_ratio = 1.5", "traces.sample_ratio: 1.5 is out of range"),
        ("sample_ratio = \"much\"", "traces.sample_ratio: \"much\" is not a number"),
        ("endpoint = \"http://127.0.0.1:1/\"\nheaders_file = \"no-such-file\"", "traces.headers_file: no-such-file:"),
    ] {
        let data = directory.path().join("data");
        std::fs::write(&file, format!("data_dir = \"{}\"\n[traces]\n{settings}\n", data.display())).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vowmq"));
        let ended = command.arg("--config").arg(&file).args(["--listen", "127.0.0.1:0"]).output().unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(told), "{complaint}");
    }
}
