//! Settings: defaults, under the file, under the environment, under the flags; checked before anything starts.
//!
//! conf/vowmq.toml says what each is for.
mod admin;
mod filters;
mod layers;
mod mistake;
mod settings;

pub use admin::{Admin, AdminRole, AdminToken, Anonymous};
pub use filters::QueueFilter;
pub use layers::Sources;
pub use mistake::Mistake;
pub use settings::{
    Config, Limits, Listener, Log, LogFormat, Mqtt, OnDamage, OnFull, Queue, Refused, SharedStrategy, Storage, Sys,
};
