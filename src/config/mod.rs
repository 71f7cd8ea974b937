//! Settings: defaults, under the file, under the environment, under the flags; checked before anything starts.
//!
//! conf/vowmq.toml says what each is for.
mod authentication;
mod authenticators;
mod filters;
mod layers;
mod mistake;
mod settings;

pub use authentication::{Authentication, Authenticator, Http, Jwt, JwtAlgorithm, Kind};
pub use filters::QueueFilter;
pub use layers::Sources;
pub use mistake::Mistake;
pub use settings::{
    Config, Limits, Listener, Log, LogFormat, Mqtt, OnDamage, OnFull, Queue, Refused, SharedStrategy, Storage, Sys,
};
