//! Inputs that nobody means well with: saved ones and mutations of good ones, for the decoder, the session machine, the
//! conf file, what is kept on disk, and a running broker.
//!
//! `FUZZ_SECONDS=3600 FUZZ_SEED=7 cargo test --release --test fuzz -- --nocapture` goes on for longer, and elsewhere. An
//! input that does harm is saved in target/fuzz, and the message says how to run it again; once it is understood it goes
//! into tests/fuzz/corpus, and is run every time from then on.
mod canary;
#[path = "../common/mod.rs"]
mod common;
mod conf;
mod crowd;
mod decoder;
mod house;
mod kept;
mod link;
mod live;
mod mutation;
mod script;
mod session;
mod singers;
mod target;
mod wire;

use mutation::Mutator;
use std::time::Duration;
use target::Target;

#[test]
fn decoder_takes_anything_and_what_it_takes_it_can_write() {
    let target = Target { name: "decoder", run: decoder::run, mutate: Mutator::mutate, inputs: 300_000 };
    target.fuzz(wire::seeds());
}

#[test]
fn session_machine_serves_others_whatever_a_client_does() {
    let target = Target { name: "session", run: session::run, mutate: script::mutate, inputs: 20_000 };
    target.fuzz(script::seeds());
}

#[test]
fn config_gives_settings_or_mistakes() {
    let target = Target { name: "config", run: conf::run, mutate: Mutator::mutate, inputs: 300 };
    target.fuzz(conf::seeds());
}

#[test]
fn kept_state_is_refused_or_served() {
    Target { name: "kept", run: kept::run, mutate: kept::mutate, inputs: 10_000 }.fuzz(kept::seeds());
}

#[test]
fn a_running_broker_serves_others_whatever_is_sent_to_it() {
    let seeds: Vec<_> = wire::seeds();
    live::run(&seeds, target::seed(), target::duration().unwrap_or(Duration::from_secs(60)));
}
