//! Every option of Mosquitto 2.0, and what becomes of it.
use Answer::{Missing, Needless, Translated};
use Scope::{Bridge, Global, Listener, Security};
use Shape::{Number, Text, Truth};

/// Where an option counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Global,
    /// For all, or with `per_listener_settings` for the listener above it.
    Security,
    /// For the listener above it, or for the default listener.
    Listener,
    /// For the bridge above it.
    Bridge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Truth,
    Number,
    Text,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is translated elsewhere, which tells what is to be told.
    Translated,
    /// VowMQ does what it asks for without being told, or has no use for it.
    Needless(&'static str),
    /// There is none, and what that means; but for the first value, which asks for nothing special.
    Missing(&'static str, &'static str),
}

#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub scope: Scope,
    pub shape: Shape,
    pub answer: Answer,
}

/// An option that takes any ending, as in `auth_opt_url`.
const PREFIXES: [&str; 2] = ["auth_opt_", "plugin_opt_"];

const DURABLE: &str = "what is acknowledged is on disk already, and needs no saving at intervals";
const OLD: &str = "Mosquitto 2 has no use for it either";

const OPTIONS: &[(&str, Scope, Shape, Answer)] = &[
    ("per_listener_settings", Global, Truth, Translated),
    ("listener", Global, Text, Translated),
    ("connection", Global, Text, Translated),
    ("include_dir", Global, Text, Translated),
    ("plugin", Security, Text, Translated),
    ("auth_plugin", Security, Text, Translated),
    ("global_plugin", Global, Text, Translated),
    ("auth_plugin_deny_special_chars", Security, Truth, Needless("it belongs to a plugin")),
    ("auth_opt_", Security, Text, Needless("it belongs to a plugin")),
    ("plugin_opt_", Security, Text, Needless("it belongs to a plugin")),
    ("acl_file", Security, Text, Translated),
    ("allow_anonymous", Security, Truth, Translated),
    ("password_file", Security, Text, Translated),
    ("psk_file", Security, Text, Translated),
    (
        "allow_zero_length_clientid",
        Security,
        Truth,
        Missing("true", "clients without a Client Identifier are let in, and get one"),
    ),
    ("auto_id_prefix", Security, Text, Missing("", "Client Identifiers that the broker makes have no prefix of yours")),
    (
        "allow_duplicate_messages",
        Global,
        Truth,
        Needless("a message reaches a client once, however many of its subscriptions match"),
    ),
    ("autosave_interval", Global, Number, Needless(DURABLE)),
    ("autosave_on_changes", Global, Truth, Needless(DURABLE)),
    (
        "check_retain_source",
        Global,
        Truth,
        Missing(
            "false",
            "a retained message stays when its publisher loses the right to it; who reads it is judged when it is delivered",
        ),
    ),
    (
        "clientid_prefixes",
        Global,
        Text,
        Missing(
            "",
            "all Client Identifiers are let in; access rules in VowMQ's own form can ask for client_id = \"PREFIX*\" (docs/ACCESS.md)",
        ),
    ),
    ("connection_messages", Global, Truth, Needless("what is logged is up to log.level")),
    ("log_dest", Global, Text, Translated),
    ("log_type", Global, Text, Translated),
    (
        "log_facility",
        Global,
        Text,
        Needless("the log goes to standard error, from where systemd or the container takes it"),
    ),
    ("log_timestamp", Global, Truth, Needless("each line has its time")),
    ("log_timestamp_format", Global, Text, Needless("times are in RFC 3339")),
    (
        "max_inflight_bytes",
        Global,
        Number,
        Missing(
            "0",
            "what is in flight is limited by count (limits.in_flight_max), and by what the client takes (limits.write_buffer_bytes_max)",
        ),
    ),
    ("max_inflight_messages", Global, Number, Translated),
    ("max_keepalive", Global, Number, Translated),
    ("max_packet_size", Global, Number, Translated),
    ("max_queued_bytes", Global, Number, Translated),
    ("max_queued_messages", Global, Number, Translated),
    (
        "memory_limit",
        Global,
        Number,
        Missing(
            "0",
            "there is no limit on memory as a whole; storage.memory_mib, storage.retained_memory_mib and [limits] bound its parts, MemoryMax= of systemd all of it",
        ),
    ),
    ("message_size_limit", Global, Number, Translated),
    ("persistence", Global, Truth, Translated),
    ("persistence_file", Global, Text, Needless("data_dir is a directory of VowMQ's own")),
    ("persistence_location", Global, Text, Translated),
    ("persistent_client_expiration", Global, Text, Translated),
    ("pid_file", Global, Text, Needless("it stays in the foreground; its supervisor knows it")),
    (
        "queue_qos0_messages",
        Global,
        Truth,
        Missing("false", "QoS 0 messages are not kept for absent clients; publish with QoS 1 what they must not miss"),
    ),
    ("retain_available", Global, Truth, Translated),
    ("retry_interval", Global, Number, Needless(OLD)),
    ("store_clean_interval", Global, Number, Needless(OLD)),
    ("set_tcp_nodelay", Global, Truth, Needless("it is always so")),
    ("sys_interval", Global, Number, Translated),
    (
        "upgrade_outgoing_qos",
        Global,
        Truth,
        Missing("false", "messages are delivered with the lower QoS of publish and subscription, as the standard asks"),
    ),
    (
        "user",
        Global,
        Text,
        Needless("the service manager says as whom it runs: packaging/systemd/vowmq.service, user vowmq"),
    ),
    ("websockets_log_level", Global, Number, Needless("what is logged is up to log.level")),
    ("websockets_headers_size", Global, Number, Needless("headers of a WebSocket handshake have a fixed limit")),
    ("bind_address", Listener, Text, Translated),
    ("port", Listener, Number, Translated),
    ("bind_interface", Listener, Text, Translated),
    (
        "http_dir",
        Listener,
        Text,
        Missing("", "no files are served over HTTP; let a web server do so, beside the broker or before it"),
    ),
    ("max_connections", Listener, Number, Translated),
    ("max_qos", Listener, Number, Translated),
    ("max_topic_alias", Listener, Number, Translated),
    ("mount_point", Listener, Text, Translated),
    ("protocol", Listener, Text, Translated),
    ("socket_domain", Listener, Text, Translated),
    (
        "use_username_as_clientid",
        Listener,
        Truth,
        Missing(
            "false",
            "Client Identifiers stay as clients give them; a session belongs to the user that began it, so that no other can take it over",
        ),
    ),
    ("cafile", Listener, Text, Translated),
    ("capath", Listener, Text, Translated),
    ("certfile", Listener, Text, Translated),
    ("keyfile", Listener, Text, Translated),
    ("ciphers", Listener, Text, Needless("only ciphers with forward secrecy that are held to be safe are offered")),
    ("ciphers_tls1.3", Listener, Text, Needless("all ciphers of TLS 1.3 that are offered are held to be safe")),
    ("crlfile", Listener, Text, Translated),
    ("dhparamfile", Listener, Text, Needless("keys are exchanged over elliptic curves")),
    ("require_certificate", Listener, Truth, Translated),
    ("tls_engine", Listener, Text, Translated),
    ("tls_engine_kpass_sha1", Listener, Text, Needless("it belongs to tls_engine")),
    ("tls_keyform", Listener, Text, Translated),
    ("tls_version", Listener, Text, Translated),
    ("use_identity_as_username", Listener, Truth, Translated),
    ("use_subject_as_username", Listener, Truth, Translated),
    ("psk_hint", Listener, Text, Translated),
    ("address", Bridge, Text, Translated),
    ("addresses", Bridge, Text, Translated),
    ("topic", Bridge, Text, Translated),
    ("bridge_alpn", Bridge, Text, Translated),
    ("bridge_attempt_unsubscribe", Bridge, Truth, Translated),
    ("bridge_bind_address", Bridge, Text, Translated),
    ("bridge_cafile", Bridge, Text, Translated),
    ("bridge_capath", Bridge, Text, Translated),
    ("bridge_certfile", Bridge, Text, Translated),
    ("bridge_identity", Bridge, Text, Translated),
    ("bridge_insecure", Bridge, Truth, Translated),
    ("bridge_keyfile", Bridge, Text, Translated),
    ("bridge_max_packet_size", Bridge, Number, Translated),
    ("bridge_outgoing_retain", Bridge, Truth, Translated),
    ("bridge_protocol_version", Bridge, Text, Translated),
    ("bridge_psk", Bridge, Text, Translated),
    ("bridge_require_ocsp", Bridge, Truth, Translated),
    ("bridge_tls_version", Bridge, Text, Translated),
    ("cleansession", Bridge, Truth, Translated),
    ("clientid", Bridge, Text, Translated),
    ("idle_timeout", Bridge, Number, Translated),
    ("keepalive_interval", Bridge, Number, Translated),
    ("local_cleansession", Bridge, Truth, Translated),
    ("local_clientid", Bridge, Text, Translated),
    ("local_password", Bridge, Text, Translated),
    ("local_username", Bridge, Text, Translated),
    ("notification_topic", Bridge, Text, Translated),
    ("notifications", Bridge, Truth, Translated),
    ("notifications_local_only", Bridge, Truth, Translated),
    ("password", Bridge, Text, Translated),
    ("remote_clientid", Bridge, Text, Translated),
    ("remote_password", Bridge, Text, Translated),
    ("remote_username", Bridge, Text, Translated),
    ("restart_timeout", Bridge, Text, Translated),
    ("round_robin", Bridge, Truth, Translated),
    ("start_type", Bridge, Text, Translated),
    ("threshold", Bridge, Number, Translated),
    ("try_private", Bridge, Truth, Translated),
    ("username", Bridge, Text, Translated),
];

/// The option of this name.
pub fn find(name: &str) -> Option<Known> {
    let name = PREFIXES.into_iter().find(|prefix| name.starts_with(prefix)).unwrap_or(name);
    let (name, scope, shape, answer) = *OPTIONS.iter().find(|(known, ..)| *known == name)?;
    Some(Known { name, scope, shape, answer })
}

/// The option that a wrong name is most like, if it is like any.
pub fn nearest(name: &str) -> Option<&'static str> {
    const LIKE_ENOUGH: f64 = 0.85;
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    let names = OPTIONS.iter().map(|(known, ..)| *known).filter(|known| !PREFIXES.contains(known));
    let best = names.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > LIKE_ENOUGH).then_some(best)
}

impl Shape {
    /// What is wrong with a value; Mosquitto takes what is no number for 0.
    pub fn fault(self, value: &str) -> Option<&'static str> {
        match self {
            _ if value.is_empty() => Some("has no value; write one behind it"),
            Self::Truth if truth(value).is_none() => Some("is neither true nor false; write one of them"),
            Self::Number if number(value).is_none() => {
                Some("is no whole number, which Mosquitto takes for 0; write one")
            }
            Self::Truth | Self::Number | Self::Text => None,
        }
    }
}

/// The first word counts, and the rest is passed over.
pub fn truth(value: &str) -> Option<bool> {
    match value.split_whitespace().next()? {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

pub fn number(value: &str) -> Option<i64> {
    value.split_whitespace().next()?.parse().ok()
}
