//! Transcripts of sessions and their broker without sockets, disks or clocks: packets in, packets out.
mod access;
mod authentication;
mod dead_letters;
mod deliveries;
mod durable;
mod full_queues;
mod gate;
mod lifetimes;
mod limits;
mod owners;
mod packets;
mod peer;
mod standard;
mod states;
mod turns;
