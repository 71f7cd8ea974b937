//! VowMQ: an MQTT 3.1.1 and 5.0 broker whose acknowledgements are vows.
//!
//! Floors, imports going down only: `server` over `broker` over `codec`, `session`, `routing`, `store` and `access` (which
//! do not know each other) over `packet` over `types`. See docs/ARCHITECTURE.md.
#![forbid(unsafe_code)]

pub mod abuse;
pub mod access;
pub mod admin;
pub mod broker;
pub mod certs;
pub mod clock;
pub mod codec;
pub mod config;
pub mod ctl;
pub mod data;
pub mod dump;
pub mod identity;
pub mod import;
pub mod machine;
pub mod packet;
pub mod routing;
pub mod run;
pub mod server;
pub mod service;
pub mod session;
pub mod store;
pub mod tls;
#[cfg_attr(not(feature = "otlp"), path = "traces/without.rs")]
pub mod traces;
pub mod trial;
pub mod types;
