//! The runner for tests/data/wire-cases.csv: exact bytes sent to a broker, exact reactions awaited.
//!
//! `script` turns the text of a case into steps, `link` is one connection and what it received, `packet` takes received
//! bytes apart, `check` compares a packet with what the case wants, `websocket` frames it, `play` performs a case, `plan` says which broker
//! each case runs on and which cases are left out and why.

pub mod case;
pub mod check;
pub mod link;
pub mod packet;
pub mod plan;
pub mod play;
pub mod script;
pub mod websocket;
