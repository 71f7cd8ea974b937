//! Settings: defaults, under the file, under the environment, under the flags; checked before anything starts.
//!
//! conf/vowmq.toml says what each is for.
mod abuse;
mod admin;
mod authentication;
mod authenticators;
mod filters;
mod layers;
mod listener;
mod live;
mod log_filter;
mod mistake;
mod origins;
mod settings;
mod tls;
mod traces;

pub use abuse::{Abuse, MemoryMarks, Rates};
pub use admin::{Admin, AdminRole, AdminToken, Anonymous};
pub use authentication::{Authentication, Authenticator, Http, Jwt, JwtAlgorithm, Kind};
pub use filters::QueueFilter;
pub use layers::Sources;
pub use listener::Listener;
pub use live::{Change, Effect, Takeover};
pub use log_filter::{NoLogLevel, log_filter};
pub use mistake::Mistake;
pub use origins::{InForce, Origin};
pub use settings::{
    Access, Config, Limits, Log, LogFormat, Mqtt, OnDamage, OnDenied, OnFull, Queue, Refused, SharedStrategy, Storage,
    Sys,
};
pub use tls::{CertificateName, ClientCertificate, Pair, Tls, TlsVersion};
pub use traces::{Ratio, Traces};
