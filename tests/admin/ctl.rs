//! `vowmq ctl`, as people and scripts use it.
use crate::common::broker::Broker;
use crate::peer::{Peer, admin_address, own_token, start};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use vowmq::types::QoS;

fn command(broker: &Broker) -> Command {
    admin_address(broker);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.current_dir(broker.data_dir()).arg("--data-dir").arg(broker.data_dir()).arg("ctl");
    command
}

fn ctl(broker: &Broker, arguments: &[&str]) -> Output {
    command(broker).args(arguments).output().unwrap()
}

fn told(broker: &Broker, arguments: &[&str]) -> String {
    let output = ctl(broker, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn as_json(broker: &Broker, arguments: &[&str]) -> Value {
    serde_json::from_str(&told(broker, &[arguments, &["--json"]].concat())).unwrap()
}

fn has_line(text: &str, words: &[&str]) -> bool {
    text.lines().any(|line| words.iter().all(|word| line.split_whitespace().any(|found| found == *word)))
}

#[test]
fn addresses_and_logins_are_kept_out_and_let_in_again_from_the_command_line() {
    let broker = start("");
    let text = |arguments: &[&str]| told(&broker, arguments);
    let banned = text(&["ban", "192.0.2.7", "--seconds", "600"]);
    assert!(has_line(&banned, &["192.0.2.7", "yes"]), "{banned}");
    let until = as_json(&broker, &["bans"])[0]["until_ms"].to_string();
    assert!(!banned.contains(&until), "a moment is shown as one, and not as a number: {banned}");
    text(&["ban", "2001:db8::1", "--user", "ann"]);
    let bans = as_json(&broker, &["bans"]);
    assert_eq!(bans.as_array().map(Vec::len), Some(2), "{bans}");
    assert!(!text(&["unban", "192.0.2.7"]).contains("192.0.2.7"));
    assert_eq!(ctl(&broker, &["unban", "192.0.2.7"]).status.code(), Some(5), "it is not kept out any more");
    let refused = ctl(&broker, &["ban", "127.0.0.1"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("abuse.exempt"));
    text(&["unban", "2001:db8::ffff", "--user", "ann"]);
    assert_eq!(as_json(&broker, &["bans"]), json!([]));
}

#[test]
fn the_broker_is_seen_and_steered_from_the_command_line() {
    let broker = start("");
    let mut client = Peer::connect(&broker, "dev/1");
    client.subscribe("a/+", QoS::AtLeastOnce);
    let text = |arguments: &[&str]| told(&broker, arguments);
    assert!(has_line(&text(&["status"]), &["connections", "1"]));
    assert_eq!(as_json(&broker, &["status"])["connections"], 1);
    assert!(has_line(&text(&["ready"]), &["status", "ok"]));
    assert!(has_line(&text(&["clients"]), &["dev/1", "yes", "5.0"]));
    assert!(has_line(&text(&["subscriptions", "--contains", "a/"]), &["dev/1", "a/+"]));
    assert!(has_line(&text(&["who-gets", "a/b"]), &["dev/1", "yes", "1"]));
    assert_eq!(as_json(&broker, &["who-gets", "b"]), json!([]));
    assert!(text(&["publish", "a/b", "x", "--qos", "1", "--retain", "--property", "k=v"]).contains("published"));
    client.expect_publish();
    let session = text(&["session", "dev/1"]);
    assert!(has_line(&session, &["awaiting_puback", "a/b"]), "{session}");
    assert!(has_line(&text(&["sessions", "--sort", "backlog", "--state", "connected"]), &["dev/1", "yes"]));
    assert!(has_line(&text(&["retained", "a/#", "--payload"]), &["a/b", "x"]));
    assert!(text(&["delete-retained", "a/b"]).contains("no retained message any more"));
    assert!(text(&["kick", "dev/1"]).contains("disconnected"));
    assert!(has_line(&text(&["log-level", "debug"]), &["level", "debug"]));
    assert!(has_line(&text(&["reload"]), &["admin.token", "no"]));
    assert!(text(&["end-session", "dev/1"]).contains("has ended"));
    assert!(has_line(&text(&["drain", "--to", "other:1883", "--wait"]), &["draining", "yes"]));
    assert_eq!(ctl(&broker, &["ready"]).status.code(), Some(1));
    assert!(has_line(&text(&["drain", "--end"]), &["draining", "no"]));
    let file = broker.data_dir().join("backup.jsonl");
    told(&broker, &["backup", file.to_str().unwrap()]);
    assert!(std::fs::read_to_string(&file).unwrap().lines().last().unwrap().contains("\"end\""));
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let mut broker = start("");
    own_token(&broker);
    assert_eq!(ctl(&broker, &["kick", "nobody"]).status.code(), Some(5));
    assert_eq!(ctl(&broker, &["nonsense"]).status.code(), Some(2));
    assert_eq!(ctl(&broker, &["status", "--limit", "1"]).status.code(), Some(2));
    let wrong = broker.data_dir().join("wrong");
    std::fs::write(&wrong, "0123456789abcdef").unwrap();
    let wrong = wrong.to_str().unwrap();
    assert_eq!(ctl(&broker, &["--token-file", wrong, "status"]).status.code(), Some(4));
    assert_eq!(ctl(&broker, &["log-level", "vowmq=loud"]).status.code(), Some(1));
    broker.kill();
    let silent = ctl(&broker, &["status"]);
    assert_eq!(silent.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&silent.stderr).contains("is the broker running"));
}

#[test]
fn a_trace_prints_a_line_for_each_step() {
    let broker = start("");
    let mut client = Peer::connect(&broker, "c");
    client.subscribe("a", QoS::AtMostOnce);
    let mut trace = command(&broker);
    let trace = trace.args(["trace", "--topic", "a", "--payload", "--steps", "3"]);
    let mut trace = trace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut begun = String::new();
    BufReader::new(trace.stderr.take().unwrap()).read_line(&mut begun).unwrap();
    assert!(begun.contains("following"), "{begun}");
    client.publish("a", vowmq::packet::PublishQoS::AtMostOnce, "x\u{1b}[31m", &[]);
    let output = trace.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let events: Vec<_> = text.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(events, ["received", "routed", "sent"], "{text}");
    assert!(text.contains("payload_text=x\\u{1b}[31m"), "what a client sent does not steer the terminal: {text}");
}

#[test]
fn completions_and_a_manual_are_printed() {
    let print = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_vowmq")).args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(print(&["completions", shell]).contains("who-gets"), "{shell}");
    }
    let manual = print(&["man"]);
    assert!(manual.starts_with(".ie") && manual.contains("VOWMQ CTL TRACE"), "{}", &manual[..200]);
}
