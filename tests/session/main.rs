//! Transcripts of sessions and their broker without sockets, disks or clocks: packets in, packets out.
mod packets;
mod peer;
mod statements;
