//! Each command: what it asks, and how the answer is shown.
use super::client::{Client, Failure, Query, part};
use super::print::{Columns, plain, record, table};
use super::{Command, Options, trace};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

const STATUS: &Columns = &[
    ("version", "version"),
    ("durability", "durability"),
    ("ready", "ready"),
    ("why not", "reasons"),
    ("started", "started_at_ms"),
    ("connections", "connections"),
    ("by listener", "connections_by_listener"),
    ("sessions", "sessions"),
    ("subscriptions", "subscriptions"),
    ("shared groups", "shared_groups"),
    ("retained messages", "retained_messages"),
    ("queued messages", "queued_messages"),
    ("queued bytes", "queued_bytes"),
    ("exchanges under way", "handshakes"),
    ("publishes received", "publishes_received"),
    ("deliveries sent", "deliveries_sent"),
    ("deliveries dropped", "deliveries_dropped"),
    ("commits", "commits"),
    ("commit p50 (us)", "commit_us_p50"),
    ("commit p99 (us)", "commit_us_p99"),
    ("delivery p50 (us)", "delivery_us_p50"),
    ("delivery p99 (us)", "delivery_us_p99"),
    ("memory (bytes)", "resident_bytes"),
    ("disk free (bytes)", "disk_free_bytes"),
];
const SESSIONS: &Columns = &[
    ("CLIENT", "client_id"),
    ("CONNECTED", "connected"),
    ("VERSION", "version"),
    ("USER", "user"),
    ("ADDRESS", "address"),
    ("DURABLE", "durable"),
    ("QUEUED", "queued_messages"),
    ("BYTES", "queued_bytes"),
    ("UNDER WAY", "handshakes"),
];
const SESSION: &Columns = &[
    ("client", "client_id"),
    ("connected", "connected"),
    ("durable", "durable"),
    ("version", "version"),
    ("user", "user"),
    ("address", "address"),
    ("listener", "listener"),
    ("connected at", "connected_at_ms"),
    ("disconnected at", "disconnected_at_ms"),
    ("keep alive (s)", "keep_alive_s"),
    ("session expiry (s)", "session_expiry_s"),
    ("expires at", "expires_at_ms"),
    ("queued messages", "queued_messages"),
    ("queued bytes", "queued_bytes"),
    ("in flight", "in_flight"),
    ("in flight at most", "in_flight_max"),
    ("waiting for the disk", "held_responses"),
    ("awaiting PUBREL", "awaiting_pubrel"),
    ("received by QoS", "received"),
    ("sent by QoS", "sent"),
];
const DELIVERIES: &Columns = &[
    ("POSITION", "position"),
    ("STATE", "state"),
    ("PACKET ID", "packet_id"),
    ("SINCE", "since_ms"),
    ("RESENT", "resent"),
    ("QOS", "message.qos"),
    ("TOPIC", "message.topic"),
    ("BYTES", "message.payload_bytes"),
    ("PAYLOAD", "message.payload_text"),
];
const SUBSCRIPTIONS: &Columns =
    &[("CLIENT", "client_id"), ("CONNECTED", "connected"), ("QOS", "qos"), ("ID", "id"), ("FILTER", "filter")];
const RETAINED: &Columns = &[
    ("TOPIC", "topic"),
    ("QOS", "qos"),
    ("BYTES", "payload_bytes"),
    ("EXPIRES", "expires_at_ms"),
    ("PAYLOAD", "payload_text"),
];
const RECEIVERS: &Columns = &[
    ("CLIENT", "client_id"),
    ("CONNECTED", "connected"),
    ("QOS", "qos"),
    ("QUEUED", "queued_messages"),
    ("ONE OF", "share"),
];
const GROUP_MEMBERS: &Columns = &[
    ("FILTER", "filter"),
    ("CLIENT", "client_id"),
    ("CONNECTED", "connected"),
    ("QOS", "qos"),
    ("QUEUED", "queued_messages"),
];
const RELOADED: &Columns = &[("WHAT", "name"), ("CHANGED", "changed"), ("ERROR", "error")];
const BANS: &Columns = &[("ADDRESS", "address"), ("USER", "user"), ("UNTIL", "until_ms"), ("BY AN OPERATOR", "manual")];
const DRAIN: &Columns =
    &[("draining", "draining"), ("clients connected", "connected"), ("sent to", "server_reference")];

/// How often a drain that is waited for is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Entries asked for at once.
const PAGE: usize = 1000;

pub(super) fn run(client: &Client, options: &Options) -> Result<(), Failure> {
    match &options.command {
        Command::Status => show(options, &client.read("/api/v1/status", &[])?, STATUS),
        Command::Ready => show(options, &client.read("/readyz", &[])?, &[("status", "status")]),
        Command::Clients { list } => {
            let query = [("contains", list.contains.clone())];
            show_list(options, &gather(client, "/api/v1/clients", &query, list.limit)?, SESSIONS)
        }
        Command::Sessions { list, sort, state } => {
            let query = [("contains", list.contains.clone()), ("sort", Some(sort.clone())), ("state", state.clone())];
            show_list(options, &gather(client, "/api/v1/sessions", &query, list.limit)?, SESSIONS)
        }
        Command::Session { client_id, payload, from, limit } => {
            let query = [
                ("payload", Some(payload.to_string())),
                ("from", Some(from.to_string())),
                ("limit", Some(limit.to_string())),
            ];
            let session = client.read(&format!("/api/v1/sessions/{}", part(client_id)), &query)?;
            show_session(options, &session)
        }
        Command::Subscriptions { list, client: name } => {
            let query = [("contains", list.contains.clone()), ("client_id", name.clone())];
            show_list(options, &gather(client, "/api/v1/subscriptions", &query, list.limit)?, SUBSCRIPTIONS)
        }
        Command::Groups => show_groups(options, &gather(client, "/api/v1/groups", &[], PAGE)?),
        Command::Retained { filter, payload, limit } => {
            let query = [("filter", Some(filter.clone())), ("payload", Some(payload.to_string()))];
            show_list(options, &gather(client, "/api/v1/retained", &query, *limit)?, RETAINED)
        }
        Command::WhoGets { topic } => {
            let receivers = client.read("/api/v1/receivers", &[("topic", Some(topic.clone()))])?;
            show_items(options, &receivers, receivers.as_array(), RECEIVERS)
        }
        Command::Trace { .. } => trace::run(client, options),
        Command::Backup { file } => backup(client, file.as_deref()),
        steering => steer(client, options, steering),
    }
}

/// Commands that change something.
fn steer(client: &Client, options: &Options, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Kick { client_id } => {
            let gone = client.delete(&format!("/api/v1/clients/{}", part(client_id)), &[])?;
            say(options, &gone, &format!("{} is disconnected", plain(client_id)))
        }
        Command::EndSession { client_id } => {
            let gone = client.delete(&format!("/api/v1/sessions/{}", part(client_id)), &[])?;
            say(options, &gone, &format!("the session of {} has ended", plain(client_id)))
        }
        Command::DeleteRetained { topic } => {
            let gone = client.delete("/api/v1/retained", &[("topic", Some(topic.clone()))])?;
            say(options, &gone, &format!("{} has no retained message any more", plain(topic)))
        }
        Command::Publish { topic, payload, qos, retain, property } => {
            let properties = property.iter().map(|pair| {
                pair.split_once('=').ok_or_else(|| Failure::Usage("--property: write NAME=VALUE".to_owned()))
            });
            let properties: Vec<_> = properties.collect::<Result<_, _>>()?;
            let message = json!({
                "topic": topic, "payload_text": payload, "qos": qos, "retain": retain, "properties": properties,
            });
            let published = client.post("/api/v1/publish", &message)?;
            let was_wanted = published.get("had_subscribers").and_then(Value::as_bool).unwrap_or(true);
            say(options, &published, if was_wanted { "published" } else { "published; nobody is subscribed to it" })
        }
        Command::Drain { .. } => drain(client, options, command),
        Command::Bans => {
            let bans = client.read("/api/v1/bans", &[])?;
            show_items(options, &bans, bans.as_array(), BANS)
        }
        Command::Ban { address, user, seconds } => {
            let asked = json!({ "address": address, "user": user, "seconds": seconds });
            let bans = client.post("/api/v1/bans", &asked)?;
            show_items(options, &bans, bans.as_array(), BANS)
        }
        Command::Unban { address, user } => {
            let whom = [("address", Some(address.clone())), ("user", user.clone())];
            let bans = client.delete("/api/v1/bans", &whom)?;
            show_items(options, &bans, bans.as_array(), BANS)
        }
        Command::Reload => {
            let reloaded = client.post("/api/v1/reload", &json!({}))?;
            let has_failed = reloaded.as_array().is_some_and(|all| all.iter().any(|one| one.get("error").is_some()));
            show_items(options, &reloaded, reloaded.as_array(), RELOADED)?;
            let told = "something could not be loaded; what was there before stays in force";
            if has_failed { Err(Failure::Incomplete(told.to_owned())) } else { Ok(()) }
        }
        Command::LogLevel { level } => {
            let level = match level {
                Some(level) => client.put("/api/v1/log-level", &json!({ "level": level }))?,
                None => client.read("/api/v1/log-level", &[])?,
            };
            show(options, &level, &[("level", "level")])
        }
        Command::Status
        | Command::Ready
        | Command::Clients { .. }
        | Command::Sessions { .. }
        | Command::Session { .. }
        | Command::Subscriptions { .. }
        | Command::Groups
        | Command::Retained { .. }
        | Command::WhoGets { .. }
        | Command::Trace { .. }
        | Command::Backup { .. } => Ok(()),
    }
}

fn drain(client: &Client, options: &Options, command: &Command) -> Result<(), Failure> {
    let Command::Drain { to, for_good, clients_per_s, grace_ms, wait, show: only_show, end } = command else {
        return Ok(());
    };
    let state = if *end {
        client.delete("/api/v1/drain", &[])?
    } else if *only_show {
        client.read("/api/v1/drain", &[])?
    } else {
        let asked = json!({
            "server_reference": to, "for_good": for_good, "clients_per_s": clients_per_s, "grace_ms": grace_ms,
        });
        let mut state = client.post("/api/v1/drain", &asked)?;
        while *wait && state.get("connected").and_then(Value::as_u64) != Some(0) {
            std::thread::sleep(LOOK_AGAIN);
            state = client.read("/api/v1/drain", &[])?;
        }
        state
    };
    show(options, &state, DRAIN)
}

/// Asks page after page for up to `limit` items.
fn gather(client: &Client, path: &str, query: Query<'_>, limit: usize) -> Result<Value, Failure> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let room = limit.saturating_sub(items.len()).clamp(1, PAGE);
        let mut query = query.to_vec();
        query.extend([("limit", Some(room.to_string())), ("cursor", cursor)]);
        let mut page = client.read(path, &query)?;
        if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
            items.extend(found);
        }
        cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() || items.len() >= limit {
            let mut list = json!({ "items": items });
            if let (Some(cursor), Some(list)) = (cursor, list.as_object_mut()) {
                list.insert("next".to_owned(), Value::String(cursor));
            }
            return Ok(list);
        }
    }
}

fn show(options: &Options, answer: &Value, fields: &Columns) -> Result<(), Failure> {
    if options.json {
        println!("{answer}");
    } else {
        record(answer, fields);
    }
    Ok(())
}

fn say(options: &Options, answer: &Value, sentence: &str) -> Result<(), Failure> {
    if options.json {
        println!("{answer}");
    } else {
        println!("{sentence}");
    }
    Ok(())
}

fn show_items(options: &Options, answer: &Value, items: Option<&Vec<Value>>, columns: &Columns) -> Result<(), Failure> {
    if options.json {
        println!("{answer}");
    } else {
        table(items.map(Vec::as_slice).unwrap_or_default(), columns);
    }
    Ok(())
}

fn show_list(options: &Options, list: &Value, columns: &Columns) -> Result<(), Failure> {
    show_items(options, list, list.get("items").and_then(Value::as_array), columns)?;
    if !options.json && list.get("next").is_some() {
        eprintln!("there are more; see --limit");
    }
    Ok(())
}

fn show_session(options: &Options, session: &Value) -> Result<(), Failure> {
    show(options, session, SESSION)?;
    let part = |name: &str| session.get(name).and_then(Value::as_array).filter(|items| !items.is_empty());
    if options.json {
        return Ok(());
    }
    if let Some(subscriptions) = part("subscriptions") {
        println!();
        table(subscriptions, &[("FILTER", "filter"), ("QOS", "qos"), ("ID", "id")]);
    }
    if let Some(deliveries) = part("deliveries") {
        println!();
        table(deliveries, DELIVERIES);
    }
    if let Some(next) = session.get("next") {
        eprintln!("there are more; go on with --from {next}");
    }
    Ok(())
}

fn show_groups(options: &Options, groups: &Value) -> Result<(), Failure> {
    let mut members = Vec::new();
    for group in groups.get("items").and_then(Value::as_array).into_iter().flatten() {
        let filter = group.get("filter").cloned().unwrap_or_default();
        for member in group.get("members").and_then(Value::as_array).into_iter().flatten() {
            let mut member = member.clone();
            if let Some(member) = member.as_object_mut() {
                member.insert("filter".to_owned(), filter.clone());
            }
            members.push(member);
        }
    }
    show_items(options, groups, Some(&members), GROUP_MEMBERS)
}

/// Writes a backup, and looks whether it is whole.
fn backup(client: &Client, file: Option<&Path>) -> Result<(), Failure> {
    let mut lines = BufReader::new(client.stream("/api/v1/backup", &[])?);
    // Under another name first, so that what is there under the right one is whole.
    let partial = file.map(|file| file.with_extension("partial"));
    let out: Box<dyn Write> = match &partial {
        Some(partial) => Box::new(File::create(partial)?),
        None => Box::new(io::stdout().lock()),
    };
    let mut out = BufWriter::new(out);
    let mut line = Vec::new();
    let mut last = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        last = std::mem::take(&mut line);
    }
    out.flush()?;
    drop(out);
    let is_whole =
        serde_json::from_slice::<Value>(&last).is_ok_and(|last| last.get("type").is_some_and(|kind| kind == "end"));
    if !is_whole {
        return Err(Failure::Incomplete("the backup broke off; it ends with no `end` line".to_owned()));
    }
    if let (Some(partial), Some(file)) = (partial, file) {
        File::open(&partial)?.sync_all()?;
        std::fs::rename(partial, file)?;
        eprintln!("written to {}", file.display());
    }
    Ok(())
}
