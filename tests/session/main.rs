//! Transcripts of sessions and their broker without sockets, disks or clocks: packets in, packets out.
mod gate;
mod packets;
mod peer;
mod standard;
mod states;
