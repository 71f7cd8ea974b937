//! Following messages: Server-Sent Events, one line each.
use super::client::{Client, Failure};
use super::print::text;
use super::{Command, Options};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};

/// Bytes of one event.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// The fields behind time, event and client, in this order.
const FIELDS: [&str; 14] = [
    "packet",
    "packet_id",
    "topic",
    "qos",
    "retain",
    "dup",
    "durable",
    "position",
    "code",
    "reason",
    "message",
    "payload_text",
    "payload_base64",
    "lost",
];

pub(super) fn run(client: &Client, options: &Options) -> Result<(), Failure> {
    let Command::Trace { client: name, topic, property, correlation, payload, steps } = &options.command else {
        return Ok(());
    };
    let query = [
        ("client_id", name.clone()),
        ("topic", topic.clone()),
        ("property", property.clone()),
        ("correlation", correlation.clone()),
        ("payload", Some(payload.to_string())),
    ];
    let mut lines = BufReader::new(client.stream("/api/v1/trace", &query)?);
    let mut out = std::io::stdout().lock();
    let (mut event, mut line, mut told) = (String::new(), String::new(), 0);
    while read_line(&mut lines, &mut line)? {
        if let Some(name) = line.strip_prefix("event:") {
            name.trim().clone_into(&mut event);
        } else if let Some(data) = line.strip_prefix("data:") {
            if event == "begun" {
                eprintln!("following; end with ^C");
                continue;
            }
            if options.json {
                writeln!(out, "{}", data.trim())?;
            } else {
                writeln!(out, "{}", shown(&serde_json::from_str(data).unwrap_or_default()))?;
            }
            out.flush()?;
            told += 1;
            if steps.is_some_and(|steps| told >= steps) {
                return Ok(());
            }
        }
    }
    Err(Failure::Incomplete("the broker ended the trace".to_owned()))
}

fn read_line(lines: &mut impl BufRead, line: &mut String) -> Result<bool, Failure> {
    line.clear();
    let mut limited = std::io::Read::take(lines, EVENT_BYTES_MAX as u64);
    Ok(limited.read_line(line)? > 0)
}

fn shown(step: &Value) -> String {
    let field = |name: &str| step.get(name).map(text);
    let seconds = step.get("at_us").and_then(Value::as_f64).unwrap_or_default() / 1e6;
    let mut line = format!(
        "{seconds:>12.6} {:<13} {}",
        field("event").unwrap_or_else(|| "lost".to_owned()),
        field("client_id").unwrap_or_default()
    );
    for name in FIELDS {
        if let Some(value) = field(name) {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    line
}
